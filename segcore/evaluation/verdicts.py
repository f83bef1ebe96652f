"""Whether a difference between backbones is real: a verdict for each pair of contenders, and what would settle it.

The difference of two contenders in a pooled score is taken apart into seeds, groups of images and the rest (see
`statistics`), over the seeds that both have. Three answers:

    better        the difference is not zero, by a t-test whose p-values are adjusted over all pairs (Holm)
    equivalent    the difference is smaller than the margin, by two one-sided tests (TOST), adjusted likewise; this goes
                  first, as a difference can be real and too small to matter
    cannot tell   neither; then the variance components say whether more seeds or more images would decide

One seed tells nothing about other seeds and one scene nothing about other scenes, so either means "cannot tell",
however large the difference is. Nothing here imports torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import combinations
from statistics import fmean

import numpy as np

from segcore.evaluation import bootstrap
from segcore.evaluation.cells import Cells, Score, of_run
from segcore.evaluation.comparison import Contender
from segcore.evaluation.statistics import (
    CONFIDENCE,
    Components,
    Estimate,
    corrected,
    crossed,
    holm,
    letters,
    t_quantile,
)
from segcore.runs import Part, Run, statuses
from segcore.status import RunState
from segcore.text import duration, plural

MARGIN = 0.01
"""Differences below one point are taken for none, unless the user says otherwise."""
MOST_SEEDS = 1000
MOST_GROUPS = 100_000
"""Beyond these nobody would go: nothing then settles the question."""


class Answer(StrEnum):
    """What can be said of a pair."""

    BETTER = "better"
    EQUIVALENT = "equivalent"
    CANNOT_TELL = "cannot tell"


class Way(StrEnum):
    """What would settle a "cannot tell"."""

    SEEDS = "seeds"
    IMAGES = "images"
    SCENES = "scenes"
    """Images of other scenes than the single one, or folds."""
    NOTHING = "nothing"
    """Neither within reason: the difference is too close to the margin, or to zero."""


@dataclass(frozen=True)
class Settle:
    """What would settle an open question, if the difference stays as it is."""

    way: Way
    seeds: int | None = None
    """More seeds of each contender."""
    hours: float | None = None
    """Training time of these, both contenders; None where no run has told."""
    images: int | None = None
    """More images to be judged on, in as many more scenes as they are now grouped."""
    groups: int | None = None
    """More groups of images."""
    leads_to: Answer | None = None
    """The answer that is to be expected then."""

    def sentence(self) -> str:
        """Say it in plain words; "" is never returned."""
        if self.way is Way.SEEDS:
            time = f" (about {duration(3600 * self.hours)} of training)" if self.hours else ""
            result = f", the likely answer then being “{self.leads_to}”" if self.leads_to else ""
            return f"About {plural(self.seeds or 0, 'more seed')} of each would settle it{time}{result}."
        if self.way is Way.IMAGES:
            scenes = f" in {plural(self.groups or 0, 'more scene')}" if self.groups != self.images else ""
            return (
                f"No number of seeds can settle it: about {plural(self.images or 0, 'more validation image')}{scenes} "
                "would."
            )
        if self.way is Way.SCENES:
            return "It takes validation images of other scenes to settle it: a larger validation share, or folds."
        return "Neither more seeds nor more images would settle it within reason: the difference is too small."


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
class Standing:
    """A contender and how it did over seeds and images."""

    contender: Contender
    by_seed: Mapping[int, Cells]
    """Of each seed whose runs, one or all folds, are finished."""
    by_fold: Mapping[tuple[int, int], Cells]
    """The same before folds are joined, by (seed, fold); empty without folds."""
    estimate: Estimate | None
    """Of the mean score, over seeds and images; None without a finished run."""
    minutes: float | None
    """Training time of one seed."""
    left_out: dict[str, int] = field(default_factory=dict)
    """Runs that count for nothing here, by state."""

    @property
    def label(self) -> str:
        return self.contender.label

    @property
    def title(self) -> str:
        return self.contender.title


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
        test_share: with folds, images a fold is judged on / images it is trained on.

    Raises:
        ValueError: a margin that is not above 0.
        WorkspaceError: counts that are damaged.
    """
    if not margin > 0:
        raise ValueError(f"the margin of equivalence is {margin:g}; it must be above 0")
    all_standings = [_standing(contender, score, part) for contender in contenders]
    known = [standing for standing in all_standings if standing.estimate is not None]
    known.sort(key=lambda standing: -_mean(standing))
    pairs = [_difference(a, b, score, test_share) for a, b in combinations(known, 2)]
    verdicts = _judge(pairs, margin)
    apart = {frozenset((v.first, v.second)) for v in verdicts if v.answer is Answer.BETTER}
    groups = letters([standing.label for standing in known], apart)
    pending = [standing for standing in all_standings if standing.estimate is None]
    return Comparison(score, margin, part, known, pending, verdicts, groups)


def _mean(standing: Standing) -> float:
    return standing.estimate.mean if standing.estimate else -math.inf


def _standing(contender: Contender, score: Score, part: Part) -> Standing:
    rows = statuses(contender.runs)
    finished = [run for run, status in rows if status.state is RunState.FINISHED]
    left_out: dict[str, int] = {}
    for _, status in rows:
        if status.state is not RunState.FINISHED:
            left_out[status.state.value] = left_out.get(status.state.value, 0) + 1
    cells = {run: found for run in finished if (found := of_run(run, part)) is not None}
    by_seed, by_fold = _by_seed(cells)
    # A score that is nothing for one seed (a class it has no pixel of) cannot be averaged over seeds.
    by_seed = {seed: found for seed, found in by_seed.items() if not math.isnan(found.score(score))}
    estimate = crossed(_table(by_seed, sorted(by_seed), score)) if _same_groups(by_seed.values()) else None
    seconds = [sum(record.seconds for record in run.epochs()) for run in cells]
    folds = len({fold for _, fold in by_fold}) or 1
    minutes = folds * fmean(seconds) / 60 if seconds else None
    return Standing(contender, by_seed, by_fold, estimate, minutes, left_out)


def _by_seed(cells: Mapping[Run, Cells]) -> tuple[dict[int, Cells], dict[tuple[int, int], Cells]]:
    """Gather the runs' cells by seed; of folds only seeds that have all of them."""
    whole: dict[int, Cells] = {}
    by_fold: dict[tuple[int, int], Cells] = {}
    wanted: dict[int, int] = {}
    for run, found in cells.items():
        config = run.config
        if config.fold is None:
            whole[config.seed] = found
        else:
            by_fold[config.seed, config.fold] = found
            wanted[config.seed] = config.folds
    for seed, folds in wanted.items():
        parts = [by_fold[seed, fold] for fold in range(folds) if (seed, fold) in by_fold]
        if len(parts) == folds:
            whole[seed] = Cells.joined(parts)
    return dict(sorted(whole.items())), by_fold


def _same_groups(cells: object) -> bool:
    groups = {found.groups for found in cells}  # type: ignore[attr-defined]
    return len(groups) == 1


def _table(by_seed: Mapping[int, Cells], seeds: Sequence[int], score: Score) -> np.ndarray:
    return np.stack([by_seed[seed].table(score) for seed in seeds])


@dataclass(frozen=True)
class _Pair:
    first: Standing
    second: Standing
    estimate: Estimate | None
    """None where no seed is common."""
    seeds: tuple[int, ...]
    images: int
    folds: Estimate | None
    notes: tuple[str, ...]


def _difference(first: Standing, second: Standing, score: Score, test_share: float | None) -> _Pair:
    common = tuple(sorted(set(first.by_seed) & set(second.by_seed)))
    notes = []
    for standing in (first, second):
        only = sorted(set(standing.by_seed) - set(common))
        if only and common:
            seeds = f"seed{'' if len(only) == 1 else 's'} {', '.join(map(str, only))}"
            notes.append(f"Paired over the common seeds; {seeds} of {standing.title} left out.")
    if not common:
        return _Pair(first, second, None, (), 0, None, ("They have no finished seed in common.",))
    table = _table(first.by_seed, common, score) - _table(second.by_seed, common, score)
    cells = first.by_seed[common[0]]
    folds = None
    if test_share is not None:
        keys = sorted(set(first.by_fold) & set(second.by_fold))
        differences = [first.by_fold[key].score(score) - second.by_fold[key].score(score) for key in keys]
        differences = [value for value in differences if not math.isnan(value)]
        folds = corrected(differences, test_share) if len(differences) > 1 else None
    return _Pair(first, second, crossed(table), common, sum(cells.images), folds, tuple(notes))


def _judge(pairs: Sequence[_Pair], margin: float) -> list[Verdict]:
    nothing = Estimate(math.nan, math.nan, math.nan, 0, 0, "nothing")
    estimates = [pair.estimate or nothing for pair in pairs]
    # One seed, or one scene, is no test of the question: its p-value takes part in nothing.
    tested = [estimate.scope == "seeds and images" for estimate in estimates]
    p = [e.p_value() if known else math.nan for e, known in zip(estimates, tested, strict=True)]
    equal = [e.p_equivalent(margin) if known else math.nan for e, known in zip(estimates, tested, strict=True)]
    p_adjusted, equal_adjusted = holm(p), holm(equal)
    verdicts = []
    for at, pair in enumerate(pairs):
        first, second, estimate = pair.first, pair.second, estimates[at]
        if estimate.mean < 0:  # over the common seeds the order can be another one
            first, second, estimate = second, first, _turned(estimate)
        answer = Answer.CANNOT_TELL
        if equal_adjusted[at] < 1 - CONFIDENCE:
            answer = Answer.EQUIVALENT
        elif p_adjusted[at] < 1 - CONFIDENCE:
            answer = Answer.BETTER
        settle = None
        if answer is Answer.CANNOT_TELL:
            settle = _settle(pair, estimate, margin, sum(tested) - _rank(p, at), sum(tested) - _rank(equal, at))
        folds = pair.folds if pair.folds is None or first is pair.first else _turned(pair.folds)
        verdicts.append(
            Verdict(
                first.label,
                second.label,
                answer,
                estimate,
                p[at],
                p_adjusted[at],
                equal[at],
                equal_adjusted[at],
                pair.seeds,
                pair.images,
                settle,
                folds,
                pair.notes,
            )
        )
    return verdicts


def _turned(estimate: Estimate) -> Estimate:
    return Estimate(
        -estimate.mean,
        estimate.error,
        estimate.freedom,
        estimate.seeds,
        estimate.groups,
        estimate.scope,
        estimate.components,
    )


def _rank(p: Sequence[float], at: int) -> int:
    """How many p-values are smaller: so many tests need not be reckoned with any more (Holm)."""
    return sum(other < p[at] for other in p)


def _settle(pair: _Pair, estimate: Estimate, margin: float, tests: int, equal_tests: int) -> Settle:
    """Return what would settle a pair that cannot be told apart yet."""
    minutes = [s.minutes for s in (pair.first, pair.second) if s.minutes is not None]
    hours_a_seed = sum(minutes) / 60 if len(minutes) == 2 else None
    if estimate.scope == "nothing" and pair.seeds == ():
        return Settle(Way.SEEDS, 1, hours_a_seed)
    if estimate.groups == 1:
        return Settle(Way.SCENES)
    components = estimate.components
    if components is None:  # one seed: how much seeds differ is not known before there are three
        return Settle(Way.SEEDS, 2, None if hours_a_seed is None else 2 * hours_a_seed)
    alpha = 1 - CONFIDENCE

    def answer(seeds: int, groups: int) -> Answer | None:
        return _expected_answer(
            abs(estimate.mean), components, seeds, groups, margin, alpha / max(1, tests), alpha / max(1, equal_tests)
        )

    seeds = _least(lambda n: answer(n, estimate.groups) is not None, estimate.seeds + 1, MOST_SEEDS)
    if seeds is not None:
        more = seeds - estimate.seeds
        hours = None if hours_a_seed is None else more * hours_a_seed
        return Settle(Way.SEEDS, more, hours, leads_to=answer(seeds, estimate.groups))
    groups = _least(lambda n: answer(estimate.seeds, n) is not None, estimate.groups + 1, MOST_GROUPS)
    if groups is not None:
        more = groups - estimate.groups
        images = math.ceil(more * pair.images / estimate.groups)
        return Settle(Way.IMAGES, images=images, groups=more, leads_to=answer(estimate.seeds, groups))
    return Settle(Way.NOTHING)


def _expected_answer(
    difference: float,
    components: Components,
    seeds: int,
    groups: int,
    margin: float,
    alpha: float,
    equal_alpha: float,
) -> Answer | None:
    """Return the answer to expect with so many seeds and groups, if the difference stays; None for "cannot tell"."""
    error, freedom = components.error(seeds, groups), round(components.freedom(seeds, groups), 1)
    if difference + t_quantile(freedom, 1 - 2 * equal_alpha) * error < margin:
        return Answer.EQUIVALENT
    if difference - t_quantile(freedom, 1 - alpha) * error > 0:
        return Answer.BETTER
    return None


def _least(enough: Callable[[int], bool], lowest: int, highest: int) -> int | None:
    """Return about the smallest number from `lowest` to `highest` that is enough; None where the highest is not."""
    if lowest > highest or not enough(highest):
        return None
    while lowest < highest:
        middle = (lowest + highest) // 2
        if enough(middle):
            highest = middle
        else:
            lowest = middle + 1
    return highest


def bootstrap_intervals(
    comparison: Comparison, *, resamples: int = bootstrap.RESAMPLES
) -> dict[frozenset[str], tuple[float, float]]:
    """Return the two-level bootstrap's 95 % interval of each verdict's difference, by its pair of labels.

    Over the seeds that all contenders have; empty where there are none. The sign is that of the verdict.
    """
    standings = comparison.standings
    common = sorted(set.intersection(*(set(s.by_seed) for s in standings))) if standings else []
    if not common or len(standings) < 2:
        return {}
    cells = [[standing.by_seed[seed] for seed in common] for standing in standings]
    found = bootstrap.resampled(cells, comparison.score, resamples=resamples)
    at = {standing.label: place for place, standing in enumerate(standings)}
    return {
        frozenset((v.first, v.second)): bootstrap.percentile_interval(found[:, at[v.first]] - found[:, at[v.second]])
        for v in comparison.verdicts
    }


def sentence(verdict: Verdict, comparison: Comparison) -> str:
    """Say a verdict in plain words, with its number and what would settle it."""
    first, second = comparison.title(verdict.first), comparison.title(verdict.second)
    points = points_text(verdict.estimate)
    basis = f"{plural(len(verdict.seeds), 'seed')}, {plural(verdict.images, 'image')}"
    if verdict.estimate.groups not in (0, verdict.images):
        basis += f" in {plural(verdict.estimate.groups, 'scene')}"
    if verdict.answer is Answer.BETTER:
        text = f"{first} is better than {second}, by {points} ({basis})."
    elif verdict.answer is Answer.EQUIVALENT:
        text = (
            f"{first} and {second} are equivalent: they differ by {points}, which is within the margin of "
            f"{100 * comparison.margin:g} ({basis})."
        )
    elif not verdict.seeds:
        text = f"Cannot tell {first} and {second} apart: they have no finished seed in common."
    else:
        text = f"Cannot tell yet whether {first} is better than {second}: it is ahead by {points} ({basis})."
        text += _why_not(verdict)
    if verdict.settle is not None:
        text += f" {verdict.settle.sentence()}"
    return " ".join([text, *verdict.notes]) if verdict.seeds else text


def _why_not(verdict: Verdict) -> str:
    if verdict.estimate.groups == 1:
        return " All validation images are of one scene, so this says nothing about other scenes."
    if verdict.estimate.seeds == 1:
        return " One seed tells nothing about other seeds: the interval is over images only."
    return ""


def points_text(estimate: Estimate) -> str:
    """Write a difference in points with its 95 % interval: "3.2 ± 1.1 points"; digits as the interval bears."""
    low, high = estimate.interval()
    half = 100 * (high - low) / 2
    mean = 100 * estimate.mean
    if math.isnan(half):
        return f"{mean:.1f} points"
    digits = 0 if half >= 9.95 else 1 if half >= 0.095 or half == 0 else 2
    return f"{mean:.{digits}f} ± {half:.{digits}f} points"
