"""When a network has given up: it answers one class everywhere, whatever the image shows.

The majority class is right often enough (half of the pixels, on many datasets) that an accuracy curve alone does not
show it. Each epoch's record names the class that was answered most on the validation images and its share.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from segcore.config import Recipe, Weights
from segcore.records import EpochRecord
from segcore.text import percent, plural

EPOCHS = 3
"""Epochs in a row after which the alarm is raised: the first one or two after a start from random numbers often
look like this and pass."""
SHARE = 0.995
"""Share of the labelled validation pixels that one class must get to count as "everywhere"."""
FOUND = 0.05
"""Share of all pixels outside the majority class that a network may get right and still count as collapsed: where
one class covers 99.5 % of the ground, a good network answers it nearly everywhere too."""


@dataclass(frozen=True)
class Collapse:
    """One class, epoch after epoch, up to the last record."""

    class_index: int
    """Training label of the class that is answered."""
    since_epoch: int
    """First epoch of the series, from 1."""
    epochs: int
    """Length of the series; it reaches to the last record."""
    share: float
    """Of the labelled validation pixels that the class got in the last epoch, 0-1."""
    pixel_accuracy: float
    """On the validation images in the last epoch, 0-1."""


def collapsed(
    records: Sequence[EpochRecord], epochs: int = EPOCHS, share: float = SHARE, *, majority: float | None = None
) -> Collapse | None:
    """Return the collapse in which a run's records end, or None.

    A run that recovered has none, neither have records of a version that did not note the answered class.

    Args:
        records: in the order of their epochs.
        epochs: how many epochs in a row it takes.
        share: of the pixels, 0-1, that a single class must get in each of them.
        majority: pixel accuracy, 0-1, of always answering the most frequent class. With it, a network that finds
            part of what lies outside of that class has not collapsed, however little that is of the whole.

    Raises:
        ValueError: `epochs` is below 1.
    """
    if epochs < 1:
        raise ValueError(f"a collapse takes at least 1 epoch, not {epochs}")
    if not records:
        return None
    last = records[-1]

    def same(record: EpochRecord) -> bool:
        return (
            record.top_class == last.top_class
            and record.top_class >= 0
            and record.top_share >= share  # not of NaN
            and not _finds_more(record.val_pixel_accuracy, majority)
        )

    series = list(takewhile(same, reversed(records)))
    if len(series) < epochs:
        return None
    return Collapse(last.top_class, series[-1].epoch, len(series), last.top_share, last.val_pixel_accuracy)


def _finds_more(accuracy: float, majority: float | None) -> bool:
    """Whether a network gets noticeably more right than the majority class alone gives."""
    if majority is None or math.isnan(majority):
        return False
    # With a single class in the masks nothing is left to find, and answering it everywhere is right.
    return majority >= 1 or (accuracy - majority) / (1 - majority) > FOUND


def describe(collapse: Collapse, class_name: str, majority: float | None = None) -> str:
    """Return in one sentence what has happened, beside the majority-class line where that is known."""
    where = "everywhere" if collapse.share >= 0.9995 else f"on {percent(collapse.share)} of the pixels"
    text = (
        f"For {plural(collapse.epochs, 'epoch')} this network has answered “{class_name}” {where}: "
        f"{percent(collapse.pixel_accuracy)} right"
    )
    if majority is None or math.isnan(majority):
        return f"{text}. It tells nothing apart."
    more = "hardly" if collapse.pixel_accuracy > majority + 0.0005 else "no"
    return f"{text}, {more} better than the majority-class line of {percent(majority)}."


def advice(recipe: Recipe, weights: Weights) -> str:
    """Return what to try next with the recipe that led there, the likeliest remedy first."""
    tries = [f"a lower learning rate than {recipe.learning_rate:g}"]
    if weights == "none":
        tries.append("pretrained weights instead of a start from scratch")
    elif recipe.encoder_lr_factor > 0.3:
        tries.append("a lower learning rate for the pretrained encoder")
    if recipe.loss == "ce":
        tries.append("the loss with Dice, which counts rare classes as much as frequent ones")
    if recipe.warmup < 0.05:
        tries.append("a warm-up")
    # Short trainings from scratch look like this before they have begun to learn.
    if recipe.epochs < 20:
        tries.append(f"more epochs than {recipe.epochs}")
    listed = tries[0] if len(tries) == 1 else f"{', '.join(tries[:-1])} or {tries[-1]}"
    return f"Try {listed}. If other backbones of the study learn, it is this one; if all collapse, look at the masks."
