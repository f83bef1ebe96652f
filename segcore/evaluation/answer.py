"""Which backbone is best here, and is it sure? The answer in a few plain sentences. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from segcore.evaluation.findings import Findings
from segcore.evaluation.verdicts import Answer, Comparison, Standing, Verdict, Way, points_text
from segcore.text import duration, percent, plural

FEW = 3
"""Up to so many are named one by one."""


@dataclass(frozen=True)
class Said:
    """What is answered of the contenders that were compared with each other."""

    headline: str
    """One sentence: who leads, and whether that is sure."""
    sentences: tuple[str, ...] = ()
    """What it rests on, and what would settle what is open."""
    more_seeds: int | None = None
    """So many more seeds of each backbone would probably settle what is open about the leader."""


def answer(findings: Findings, comparison: Comparison, *, majority: float | None = None) -> Said:
    """Return the answer that one comparison of some findings gives.

    Args:
        findings: for costs and collapses.
        comparison: one of theirs.
        majority: pixel accuracy (0-1) of always answering the most frequent class.
    """
    if not comparison.standings:
        done = any(findings.rows[pending.label]["n"] for pending in comparison.pending)
        if done and isinstance(comparison.score, int):
            return Said(f"“{findings.score}” is in none of these images, so backbones cannot be judged by it.")
        return Said("No run has finished yet. The answer appears here as soon as one has.")
    first, others = comparison.standings[0], comparison.standings[1:]
    result = f"Its mean validation {findings.score_title} is {score_text(first)} ({basis(first)})."
    warnings = _warnings(findings, first, majority)
    if not others:
        headline = f"{first.title} is the only backbone with a result, so there is nothing to compare it with yet."
        return Said(headline, (result, *warnings))
    mine = [v for v in comparison.verdicts if first.label in (v.first, v.second)]
    still_open = [v for v in mine if v.answer is Answer.CANNOT_TELL]
    sentences = [result, *_against(mine, first, comparison), *_one_seed(comparison)]
    settled_by, more = _settling(still_open, first, comparison)
    sentences += [*settled_by, *_cheapest(findings, mine, comparison), *_confounded(findings, first), *warnings]
    return Said(_headline(mine, first, comparison), tuple(sentences), more)


def _headline(mine: Sequence[Verdict], first: Standing, comparison: Comparison) -> str:
    beaten_by = [comparison.title(v.first) for v in mine if v.answer is Answer.BETTER and v.second == first.label]
    if beaten_by:
        return f"{first.title} has the highest mean, but over their common seeds {names(beaten_by)} came out better."
    if any(v.answer is Answer.CANNOT_TELL for v in mine):
        return f"{first.title} is ahead, and it is not sure yet that it is the best."
    alike = [_other(v, first, comparison) for v in mine if v.answer is Answer.EQUIVALENT]
    if not alike:
        return f"{first.title} is the best here, and that is sure."
    rest = ", and better than all others" if len(alike) < len(mine) else ""
    return f"{first.title} is equivalent to {names(alike)}{rest}; that is sure."


def _against(mine: Sequence[Verdict], first: Standing, comparison: Comparison) -> list[str]:
    """Say what is known of the leader and the others, by kind of answer."""
    by_kind = {
        kind: [v for v in mine if v.answer is kind and not (kind is Answer.BETTER and v.second == first.label)]
        for kind in Answer
    }
    found = []
    if better := by_kind[Answer.BETTER]:
        listed = [f"{_other(v, first, comparison)} (by {points_text(v.estimate)})" for v in better]
        if len(better) > FEW:
            others = "all" if len(better) == len(mine) else f"{len(better)} of the {len(mine)}"
            nearest = min(range(len(better)), key=lambda at: better[at].difference)
            found.append(f"It is better than {others} others, the nearest of them being {listed[nearest]}.")
        else:
            found.append(f"It is better than {names(listed)}.")
    if alike := by_kind[Answer.EQUIVALENT]:
        margin = f"{100 * comparison.margin:g} point{'s' * (comparison.margin != 0.01)}"
        titles = names([_other(v, first, comparison) for v in alike])
        found.append(f"It is equivalent to {titles}: whatever the difference is, it is less than {margin}.")
    if unknown := by_kind[Answer.CANNOT_TELL]:
        listed = [
            _other(v, first, comparison)
            + (f" (ahead by {points_text(v.estimate)})" if v.first == first.label and v.seeds else "")
            for v in unknown
        ]
        found.append(f"Cannot tell yet whether it is better than {names(listed, 'or')}.")
    return found


def _one_seed(comparison: Comparison) -> list[str]:
    single = [s for s in comparison.standings if s.estimate and s.estimate.seeds == 1]
    if not single:
        return []
    who = "each" if len(single) == len(comparison.standings) else f"of {names([s.title for s in single])}"
    return [f"There is one seed {who}, which says nothing about other seeds: its interval is over images only."]


def _settling(still_open: Sequence[Verdict], first: Standing, comparison: Comparison) -> tuple[list[str], int | None]:
    """Say what would settle the open questions about the leader; and how many more seeds, where seeds would."""
    by_way: dict[Way, list[Verdict]] = {}
    for verdict in still_open:
        if verdict.settle is not None:
            by_way.setdefault(verdict.settle.way, []).append(verdict)
    said, more = [], None
    if verdicts := by_way.get(Way.SEEDS):
        more = max(v.settle.seeds or 0 for v in verdicts if v.settle)
        minutes = [s.minutes for s in comparison.standings]
        known = [value for value in minutes if value is not None]
        time = f", {duration(60 * more * sum(known))} of training in all" if len(known) == len(minutes) else ""
        what = "that" if len(verdicts) == len(still_open) else _listed(verdicts, first, comparison)
        # With one seed nobody knows what others will show.
        verb = "would" if all(v.settle and v.settle.leads_to for v in verdicts) else "may"
        said.append(f"About {plural(more, 'more seed')} of each backbone {verb} settle {what}{time}.")
    if verdicts := by_way.get(Way.IMAGES):
        images = max(v.settle.images or 0 for v in verdicts if v.settle)
        seeds = max(v.settle.seeds or 0 for v in verdicts if v.settle)
        also = f" and {plural(seeds, 'more seed')} of each" if seeds else ""
        said.append(
            f"No number of seeds would settle {_listed(verdicts, first, comparison)}: that takes about "
            f"{plural(images, 'more validation image')}{also}."
        )
    if by_way.get(Way.SCENES):
        said.append("All validation images are of one scene: to be sure takes images of others, or folds.")
    if verdicts := by_way.get(Way.NOTHING):
        said.append(
            f"{_listed(verdicts, first, comparison, capital=True)} stays open within reason: the difference is too "
            "small to show, and hardly matters."
        )
    return said, more


def _listed(verdicts: Sequence[Verdict], first: Standing, comparison: Comparison, *, capital: bool = False) -> str:
    start = "The" if capital else "the"
    return f"{start} question of {names([_other(v, first, comparison) for v in verdicts])}"


def _cheapest(findings: Findings, mine: Sequence[Verdict], comparison: Comparison) -> list[str]:
    """Name the fastest of those that are not shown to be worse than the leader."""
    alike = {label for v in mine if v.answer is not Answer.BETTER for label in (v.first, v.second)}
    times = {label: ms for label in alike if (ms := findings.rows[label]["latency_ms"]) is not None}
    if len(times) < 2:
        return []
    fastest = min(times, key=lambda label: times[label])
    return [f"Of these {len(times)}, {comparison.title(fastest)} is the fastest: {times[fastest]:.1f} ms an image."]


def _confounded(findings: Findings, first: Standing) -> list[str]:
    """Name what could explain a difference as well as the backbone."""
    apart = findings.unpaired  # then what tells the studies apart is no matter of this comparison
    found = [c.title for c in findings.confounds if c.within == first.contender.study or not apart]
    if not found:
        return []
    listed = names(list(dict.fromkeys(found)))
    return [f"But not all of them were made alike: a difference may come from the {listed} as well."]


def _warnings(findings: Findings, first: Standing, majority: float | None) -> list[str]:
    accuracy = findings.rows[first.label]["pixel_accuracy"]
    if majority is None or accuracy is None or accuracy > majority:
        return []
    return [
        f"But its pixel accuracy of {percent(accuracy)} is no better than always answering the most frequent class "
        f"({percent(majority)}): it has learnt nothing useful yet. More epochs may help."
    ]


def score_text(standing: Standing) -> str:
    """Write a contender's mean with its 95 % interval: "78.3 ± 0.9 %"; digits as the interval bears."""
    return "–" if standing.estimate is None else f"{points_text(standing.estimate).removesuffix(' points')} %"


def basis(standing: Standing) -> str:
    """Say what a contender's mean rests on: "5 seeds, 80 images in 20 scenes"."""
    cells = next(iter(standing.by_seed.values()))
    images, groups = sum(cells.images), len(cells.groups)
    scenes = f" in {plural(groups, 'scene')}" if groups != images else ""
    return f"{plural(len(standing.by_seed), 'seed')}, {plural(images, 'image')}{scenes}"


def names(titles: Sequence[str], word: str = "and") -> str:
    """Write a list as people say it: "A", "A and B", "A, B and C"."""
    return titles[0] if len(titles) == 1 else f"{', '.join(titles[:-1])} {word} {titles[-1]}"


def _other(verdict: Verdict, first: Standing, comparison: Comparison) -> str:
    return comparison.title(verdict.second if verdict.first == first.label else verdict.first)
