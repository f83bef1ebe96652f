"""Whether a difference between backbones is real: a verdict for each pair of contenders.

The difference of two contenders in a pooled score is taken apart into seeds, groups of images and the rest (see
`statistics`), over the seeds that both have. Three answers:

    better        the difference is not zero, by a t-test whose p-values are adjusted over all pairs (Holm)
    equivalent    the difference is smaller than the margin, by two one-sided tests (TOST), adjusted likewise; this goes
                  first, as a difference can be real and too small to matter
    cannot tell   neither; then the variance components say whether more seeds or more images would decide (`settle`)

One seed tells nothing about other seeds and one scene nothing about other scenes, so either means "cannot tell",
however large the difference is. Nothing here imports torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from segcore.evaluation import bootstrap
from segcore.evaluation.cells import Score
from segcore.evaluation.comparison import Contender
from segcore.evaluation.multiple import holm, letters, level
from segcore.evaluation.sentences import points_text, sentence
from segcore.evaluation.settle import Answer, Question, Settle, Way, settle
from segcore.evaluation.standings import Standing, effective, standing, table
from segcore.evaluation.statistics import (
    CONFIDENCE,
    Estimate,
    Spread,
    average_spread,
    corrected,
    paired,
)
from segcore.runs import Part

__all__ = [
    "MARGIN",
    "Answer",
    "Comparison",
    "Settle",
    "Standing",
    "Verdict",
    "Way",
    "bootstrap_intervals",
    "compare",
    "decide",
    "judge",
    "points_text",
    "sentence",
]

MARGIN = 0.01
"""Differences below one point are taken for none, unless the user says otherwise."""
FEW_SEEDS = 2
"""With so few a verdict is given, and said to be shaky (see `benchmarks/statistics.py`)."""


@dataclass(frozen=True)
class Verdict:
    """What can be said of two contenders; `first` is the one with the higher mean."""

    first: str
    """Label of the contender."""
    second: str
    answer: Answer
    estimate: Estimate
    """Of the mean of first - second."""
    p: float
    """Two-sided, of no difference; NaN where nothing tells."""
    p_adjusted: float
    """The same after Holm, over all pairs."""
    p_equivalent: float
    """Of a difference as large as the margin; small means equivalent."""
    p_equivalent_adjusted: float
    seeds: tuple[int, ...]
    """The common seeds that it rests on."""
    images: int
    settle: Settle | None = None
    """For "cannot tell" alone."""
    folds: Estimate | None = None
    """The corrected test of Nadeau and Bengio over folds, where there are any."""
    notes: tuple[str, ...] = ()
    """What to know beside it: seeds left out, one scene."""

    @property
    def difference(self) -> float:
        """first - second, a share: 0.01 is one point."""
        return self.estimate.mean

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the difference, of this pair alone; NaN where nothing tells."""
        return self.estimate.interval()


@dataclass(frozen=True, eq=False)
class Comparison:
    """All contenders of a study, the best first, and a verdict for each pair."""

    score: Score
    margin: float
    part: Part
    standings: list[Standing]
    """Those with a result, the highest mean first."""
    pending: list[Standing]
    """Those without."""
    verdicts: list[Verdict]
    letters: dict[str, str]
    """Label -> letters; contenders that share one cannot be told apart."""

    def verdict(self, first: str, second: str) -> Verdict | None:
        """Return the verdict of two labels in either order; None where there is none."""
        wanted = {first, second}
        return next((v for v in self.verdicts if {v.first, v.second} == wanted), None)

    def title(self, label: str) -> str:
        """Return what people call the contender of that label."""
        return next(s.title for s in [*self.standings, *self.pending] if s.label == label)


def compare(
    contenders: Sequence[Contender],
    *,
    score: Score = "miou",
    margin: float = MARGIN,
    part: Part = "val",
    test_share: float | None = None,
) -> Comparison:
    """Judge all pairs of contenders by their finished runs.

    Args:
        contenders: of one study, or of several with the same split.
        score: what is compared.
        margin: of practical equivalence, as a share: 0.01 is one point.
        part: of the split; test scores are there only once the user has opened them.
        test_share: with folds, images a fold is judged on / images it is trained on; 1 / (folds - 1) unless said.

    Raises:
        ValueError: a margin that is not above 0, or a label that two contenders share.
        WorkspaceError: counts that are damaged.
    """
    if not margin > 0:
        raise ValueError(f"the margin of equivalence is {margin:g}; it must be above 0")
    all_standings = [standing(contender, score, part) for contender in contenders]
    known = [one for one in all_standings if one.estimate is not None]
    known.sort(key=lambda one: -_mean(one))
    verdicts = judge(known, score=score, margin=margin, test_share=test_share)
    apart = {frozenset((v.first, v.second)) for v in verdicts if v.answer is Answer.BETTER}
    groups = letters([one.label for one in known], apart)
    pending = [one for one in all_standings if one.estimate is None]
    return Comparison(score, margin, part, known, pending, verdicts, groups)


def _mean(one: Standing) -> float:
    return one.estimate.mean if one.estimate else -math.inf


def judge(
    standings: Sequence[Standing], *, score: Score = "miou", margin: float = MARGIN, test_share: float | None = None
) -> list[Verdict]:
    """Return a verdict for each pair of contenders, which must all have an estimate; see `compare`.

    Raises:
        ValueError: a label that two contenders share.
    """
    labels = [one.label for one in standings]
    if twice := sorted({label for label in labels if labels.count(label) > 1}):
        raise ValueError(f"contenders are told apart by their labels, and several are called {', '.join(twice)}")
    tables = {one.label: table(one.by_seed, list(one.by_seed), score) for one in standings}
    study = average_spread(list(tables.values()))
    # What the groups of images are worth depends on the masks, and hardly on who is judged.
    networks: dict[object, list] = {}
    for one in standings:
        networks.setdefault(one.images, []).extend(one.by_seed.values())
    worth = {images: effective(cells, score) for images, cells in networks.items()}
    pairs = [_pair(a, b, tables, worth, study) for a, b in combinations(standings, 2)]
    return _judged(pairs, score, margin, test_share)


@dataclass(frozen=True)
class _Pair:
    first: Standing
    second: Standing
    estimate: Estimate
    """Of first - second; of no seed and no group where nothing can be compared."""
    seeds: tuple[int, ...]
    images: int
    notes: tuple[str, ...]

    @property
    def tested(self) -> bool:
        """Whether it is a test of the question: one seed, or one scene, is none, and takes part in nothing."""
        return self.estimate.scope == "seeds and images"

    @property
    def hours_a_seed(self) -> float | None:
        """Training time of one more seed of both."""
        minutes = [one.minutes for one in (self.first, self.second) if one.minutes is not None]
        return sum(minutes) / 60 if len(minutes) == 2 else None


_NOTHING = Estimate(math.nan, math.nan, math.nan, 0, 0, "nothing")


def _pair(first: Standing, second: Standing, tables: dict[str, np.ndarray], worth: dict, study: Spread | None) -> _Pair:
    common = tuple(seed for seed in first.by_seed if seed in second.by_seed)
    if first.images != second.images:
        return _Pair(first, second, _NOTHING, (), 0, ("They were not judged on the same images.",))
    if not common:
        return _Pair(first, second, _NOTHING, (), 0, ("They have no finished seed in common.",))
    ours, theirs = (tables[one.label][[list(one.by_seed).index(seed) for seed in common]] for one in (first, second))
    estimate = paired(ours, theirs, effective=worth[first.images], study=study)
    return _Pair(first, second, estimate, common, sum(n for _, n in first.images), _notes(first, second, common))


def _notes(first: Standing, second: Standing, common: Sequence[int]) -> tuple[str, ...]:
    """Return what to know beside a verdict."""
    notes = []
    if len(common) == FEW_SEEDS:
        notes.append("Two seeds tell little about how much seeds differ: better to have three or more.")
    for one in (first, second):
        only = [seed for seed in one.by_seed if seed not in common]
        if only:
            notes.append(f"Paired over the common seeds; {_seeds(only)} of {one.title} left out.")
        fell = [seed for seed in one.collapsed if seed in common]
        if fell:
            notes.append(f"{_seeds(fell).capitalize()} of {one.title} collapsed: one class is answered everywhere.")
    return tuple(notes)


def _seeds(seeds: Sequence[int]) -> str:
    return f"seed{'' if len(seeds) == 1 else 's'} {', '.join(map(str, seeds))}"


def _judged(pairs: Sequence[_Pair], score: Score, margin: float, test_share: float | None) -> list[Verdict]:
    p = [pair.estimate.p_value() if pair.tested else math.nan for pair in pairs]
    equal = [pair.estimate.p_equivalent(margin) if pair.tested else math.nan for pair in pairs]
    p_adjusted, equal_adjusted = holm(p), holm(equal)
    tests = sum(pair.tested for pair in pairs)
    verdicts = []
    for at, pair in enumerate(pairs):
        answer, settled_by = decide(p_adjusted[at], equal_adjusted[at]), None
        if answer is Answer.CANNOT_TELL:
            alpha, equal_alpha = (level(tests, sum(other < one[at] for other in one)) for one in (p, equal))
            settled_by = _settle(pair, margin, alpha, equal_alpha)
        verdict = Verdict(
            pair.first.label,
            pair.second.label,
            answer,
            pair.estimate,
            p[at],
            p_adjusted[at],
            equal[at],
            equal_adjusted[at],
            pair.seeds,
            pair.images,
            settled_by,
            _over_folds(pair, score, test_share),
            pair.notes,
        )
        # Over the common seeds the order can be another one than that of the means.
        verdicts.append(_turned(verdict) if pair.estimate.mean < 0 else verdict)
    return verdicts


def decide(p_adjusted: float, p_equivalent_adjusted: float) -> Answer:
    """Return the answer that two adjusted p-values give; NaN decides nothing."""
    if p_equivalent_adjusted < 1 - CONFIDENCE:
        return Answer.EQUIVALENT
    return Answer.BETTER if p_adjusted < 1 - CONFIDENCE else Answer.CANNOT_TELL


def _settle(pair: _Pair, margin: float, alpha: float, equal_alpha: float) -> Settle | None:
    if not pair.seeds:
        # With the same seed, or on the same images, they could be compared; how it would come out nobody knows.
        return Settle(Way.SEEDS, 1, pair.hours_a_seed) if pair.first.images == pair.second.images else None
    components = pair.estimate.components
    question = None
    if components is not None:
        question = Question(pair.estimate.mean, components, margin, alpha, equal_alpha)
    return settle(pair.estimate, question, images=pair.images, hours_a_seed=pair.hours_a_seed)


def _over_folds(pair: _Pair, score: Score, test_share: float | None) -> Estimate | None:
    """Return the corrected test over folds, of each the mean over the common seeds; None with fewer than two folds."""
    differences: dict[int, list[float]] = {}
    first, second = pair.first.by_fold, pair.second.by_fold
    if len({cells.groups for cells in first.values()}) < 2:
        return None  # the test images are the same for all folds: they are no resampling
    for seed, fold in first:
        if seed in pair.seeds and (seed, fold) in second:
            difference = first[seed, fold].score(score) - second[seed, fold].score(score)
            if not math.isnan(difference):
                differences.setdefault(fold, []).append(difference)
    if len(differences) < 2:
        return None
    means = [float(np.mean(values)) for _, values in sorted(differences.items())]
    return corrected(means, test_share or 1 / (max(pair.first.folds, 2) - 1))


def _turned(verdict: Verdict) -> Verdict:
    """Return the same with the contenders exchanged."""
    folds = verdict.folds and replace(verdict.folds, mean=-verdict.folds.mean)
    estimate = replace(verdict.estimate, mean=-verdict.estimate.mean)
    return replace(verdict, first=verdict.second, second=verdict.first, estimate=estimate, folds=folds)


def bootstrap_intervals(
    comparison: Comparison, *, resamples: int = bootstrap.RESAMPLES
) -> dict[frozenset[str], tuple[float, float]]:
    """Return the two-level bootstrap's 95 % interval of each verdict's difference, by its pair of labels.

    Over the seeds that all contenders judged on the same images have; empty where there are none. The sign is that of
    the verdict.
    """
    by_images: dict[object, list[Standing]] = {}
    for one in comparison.standings:
        by_images.setdefault(one.images, []).append(one)
    intervals = {}
    for standings in by_images.values():
        common = sorted(set.intersection(*(set(one.by_seed) for one in standings)))
        if not common or len(standings) < 2:
            continue
        cells = [[one.by_seed[seed] for seed in common] for one in standings]
        found = bootstrap.resampled(cells, comparison.score, resamples=resamples)
        at = {one.label: place for place, one in enumerate(standings)}
        for verdict in comparison.verdicts:
            if verdict.first in at and verdict.second in at:
                difference = found[:, at[verdict.first]] - found[:, at[verdict.second]]
                intervals[frozenset((verdict.first, verdict.second))] = bootstrap.percentile_interval(difference)
    return intervals
