"""Verdicts in plain words. Nothing here imports torch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from segcore.evaluation.settle import Answer
from segcore.evaluation.statistics import Estimate
from segcore.text import plural

if TYPE_CHECKING:
    from segcore.evaluation.verdicts import Comparison, Verdict


def sentence(verdict: Verdict, comparison: Comparison) -> str:
    """Say a verdict in plain words, with its number and what would settle it."""
    first, second = comparison.title(verdict.first), comparison.title(verdict.second)
    points = points_text(verdict.estimate)
    basis = f"{plural(len(verdict.seeds), 'seed')}, {plural(verdict.images, 'image')}"
    if verdict.estimate.groups not in (0, verdict.images):
        basis += f" in {plural(verdict.estimate.groups, 'scene')}"
    if not verdict.seeds:
        return " ".join([f"Cannot tell {first} and {second} apart.", *verdict.notes])
    if verdict.answer is Answer.BETTER:
        text = f"{first} is better than {second}, by {points} ({basis})."
    elif verdict.answer is Answer.EQUIVALENT:
        text = (
            f"{first} and {second} are equivalent: they differ by {points}, which is within the margin of "
            f"{100 * comparison.margin:g} ({basis})."
        )
    else:
        text = f"Cannot tell yet whether {first} is better than {second}: it is ahead by {points} ({basis})."
        text += _why_not(verdict, comparison)
    # Training on until the test scores tell two apart would be choosing by them.
    if verdict.settle is not None and comparison.part == "val":
        text += f" {verdict.settle.sentence()}"
    return " ".join([text, *verdict.notes])


def _why_not(verdict: Verdict, comparison: Comparison) -> str:
    if verdict.estimate.groups == 1 and isinstance(comparison.score, int):
        return " All images that show the class are of one scene, so this says nothing about other scenes."
    if verdict.estimate.groups == 1:
        return " All images are of one scene, so this says nothing about other scenes."
    if verdict.estimate.seeds == 1:
        return " One seed tells nothing about other seeds: the interval is over images only."
    return ""


def points_text(estimate: Estimate) -> str:
    """Write a difference in points with its 95 % interval: "3.2 ± 1.1 points"; digits as the interval bears.

    No score has more than 100 points, so a wider interval, as one or two degrees of freedom can give, is "± >100".
    """
    low, high = estimate.interval()
    half = 100 * (high - low) / 2
    mean = 100 * estimate.mean
    if math.isnan(half):
        return f"{mean:.1f} points"
    if half > 100:
        return f"{mean:.0f} ± >100 points"
    digits = 0 if half >= 9.95 else 1 if half >= 0.095 or half == 0 else 2
    return f"{mean:.{digits}f} ± {half:.{digits}f} points"
