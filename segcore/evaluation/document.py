"""Findings as plain values: what `python -m segcore compare --json` prints, and the rows of the CSV tables.

    studies     names
    score       "miou", "pixel_accuracy" or the name of a class
    part        "val" or "test"
    margin      of practical equivalence, a share
    unpaired    why contenders of different studies are not compared in pairs; "" where they are
    contenders  one each, the highest mean first, those without a result last:
        label, title, study, encoder, weights
        mean, interval       over seeds and images; interval [low, high] covers `scope`
        scope                "seeds and images", "images" (one seed), "seeds" (one scene), "nothing"
        sd, sd_interval      over seeds alone: standard deviation, and the 95 % interval of the mean
        n, seeds             finished seeds
        images, groups       that they were judged on, and in how many groups (scenes)
        letters              contenders that share one cannot be told apart
        classes              name -> {mean, interval}: IoU of each class; null where it is absent
        costs                see `costs`
        states, left_out     runs by state: all, and those that count for nothing here
        collapsed            runs that answer one class everywhere
        raced_out            why a race stopped it, in a sentence; null where none did
    pairs       one for every two contenders:
        first, second        labels; the first is ahead
        verdict              "better", "equivalent" or "cannot tell"
        difference, interval first - second, and its 95 % interval, of this pair alone
        p, p_adjusted        of no difference; adjusted over all pairs (Holm)
        p_equivalent, p_equivalent_adjusted     of a difference as large as the margin
        seeds, images        common ones that it rests on
        seeds_needed, hours_needed, images_needed, groups_needed, leads_to    what would settle a "cannot tell"
        settle               "seeds", "images" (and seeds, where seeds_needed is given), "scenes" or "nothing";
                             null where it is settled
        bootstrap_interval   of the two-level bootstrap; null where it was not asked for
        folds                {difference, interval, p} of the corrected test over folds; null without folds
        sentence, notes
    costs       label -> the costs of a contender: numbers, null where not measured
    confounds   name, within, values, sentence
    damaged     what is wrong with runs that cannot be read: they are left out of everything, a sentence each

Shares are 0-1, times are in the unit that the key names, NaN is null (once printed). Keys are added, never renamed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from segcore.evaluation.comparison import mean_interval
from segcore.evaluation.findings import Findings, class_estimates
from segcore.evaluation.statistics import Estimate
from segcore.evaluation.verdicts import Comparison, Standing, Verdict, bootstrap_intervals, sentence

NOT_COSTS = {
    *("label", "title", "study", "encoder", "weights", "color", "n", "states", "collapsed", "seeds"),
    *("miou", "miou_low", "miou_high", "miou_text"),
    *("pixel_accuracy", "pixel_accuracy_low", "pixel_accuracy_high", "pixel_accuracy_text", "majority_baseline"),
}
"""Keys of a `ResultRow` that are no costs."""

Intervals = Mapping[frozenset[str], tuple[float, float]]


def document(findings: Findings, *, bootstrap: bool = False) -> dict[str, Any]:
    """Return findings as one JSON-ready document, its keys as the module says.

    Args:
        findings: of one or several studies.
        bootstrap: whether to resample, which takes a second or a few.
    """
    return {
        "studies": [study.name for study in findings.studies],
        "score": findings.score,
        "part": findings.part,
        "margin": findings.margin,
        "unpaired": findings.unpaired,
        "contenders": [contender_row(findings, s) for s in [*findings.standings, *findings.pending]],
        "pairs": [row for c in findings.comparisons for row in pair_rows(c, bootstrap=bootstrap)],
        "costs": {label: costs(findings, label) for label in findings.rows},
        "confounds": [
            {"name": c.name, "within": c.within, "values": dict(c.values), "sentence": c.sentence}
            for c in findings.confounds
        ],
        "damaged": [str(error) for error in findings.damaged],
    }


def contender_row(findings: Findings, standing: Standing) -> dict[str, Any]:
    """Return one contender; its mean is None where it has no result."""
    contender, estimate = standing.contender, standing.estimate
    row = findings.rows[standing.label]
    comparison = next(c for c in findings.comparisons if standing in [*c.standings, *c.pending])
    by_seed = mean_interval(cells.score(comparison.score) for cells in standing.by_seed.values())
    study = next(study for study in findings.studies if study.name == contender.study)
    names = [info.name for info in study.dataset.trained_classes]
    classes = zip(names, class_estimates(standing, len(names)), strict=True)
    cells = next(iter(standing.by_seed.values()), None)
    out = findings.raced.get(standing.label)
    return {
        "label": standing.label,
        "title": standing.title,
        "study": contender.study,
        "encoder": contender.encoder,
        "weights": contender.weights,
        "mean": estimate.mean if estimate else None,
        "interval": interval(estimate),
        "scope": estimate.scope if estimate else "nothing",
        "sd": by_seed.sd,
        "sd_interval": [by_seed.low, by_seed.high],
        "n": len(standing.by_seed),
        "seeds": list(standing.by_seed),
        "images": sum(cells.images) if cells else 0,
        "groups": len(cells.groups) if cells else 0,
        "letters": findings.letters(standing.label),
        "classes": {
            name: {"mean": found.mean if found else None, "interval": interval(found)} for name, found in classes
        },
        "costs": costs(findings, standing.label),
        "states": row["states"],
        "left_out": standing.left_out,
        "collapsed": row["collapsed"],
        "raced_out": out.sentence if out else None,
    }


def costs(findings: Findings, label: str) -> dict[str, Any]:
    """Return all that is known of what a contender costs."""
    return {key: value for key, value in findings.rows[label].items() if key not in NOT_COSTS}


def pair_rows(comparison: Comparison, *, bootstrap: bool = False) -> list[dict[str, Any]]:
    """Return one row a verdict of a comparison."""
    resampled = bootstrap_intervals(comparison) if bootstrap else {}
    return [_pair_row(verdict, comparison, resampled) for verdict in comparison.verdicts]


def _pair_row(verdict: Verdict, comparison: Comparison, resampled: Intervals) -> dict[str, Any]:
    settle, folds = verdict.settle, verdict.folds
    low, high = resampled.get(frozenset((verdict.first, verdict.second)), (math.nan, math.nan))
    return {
        "first": verdict.first,
        "second": verdict.second,
        "verdict": verdict.answer.value,
        "difference": verdict.difference,
        "interval": interval(verdict.estimate),
        "p": verdict.p,
        "p_adjusted": verdict.p_adjusted,
        "p_equivalent": verdict.p_equivalent,
        "p_equivalent_adjusted": verdict.p_equivalent_adjusted,
        "seeds": list(verdict.seeds),
        "images": verdict.images,
        "settle": settle.way.value if settle else None,
        "seeds_needed": settle.seeds if settle else None,
        "hours_needed": settle.hours if settle else None,
        "images_needed": settle.images if settle else None,
        "groups_needed": settle.groups if settle else None,
        "leads_to": settle.leads_to.value if settle and settle.leads_to else None,
        "bootstrap_interval": None if math.isnan(low) else [low, high],
        "folds": None
        if folds is None
        else {"difference": folds.mean, "interval": interval(folds), "p": folds.p_value()},
        "sentence": sentence(verdict, comparison),
        "notes": list(verdict.notes),
    }


def interval(estimate: Estimate | None) -> list[float] | None:
    """Return [low, high] of the 95 % interval; None where nothing tells."""
    if estimate is None or math.isnan(estimate.error):
        return None
    return list(estimate.interval())
