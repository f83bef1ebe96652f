"""What the training loop tells while it runs; the worker writes these down, the charts read them."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One training step."""

    step: int
    """Steps done since the run began, from 1."""
    epoch: int
    """The epoch under way, from 1."""
    loss: float
    learning_rate: float
    images_per_second: float


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """One epoch: training scores are those of the augmented images as they were learnt from (network in
    training mode, weights changing), validation scores are of the whole split after the epoch.

    Accuracies and IoUs are shares, 0-1; NaN where nothing was labelled.
    """

    epoch: int
    """From 1."""
    train_loss: float
    train_pixel_accuracy: float
    train_miou: float
    val_loss: float
    val_pixel_accuracy: float
    val_miou: float
    learning_rate: float
    images_per_second: float
    """Training images per second, data loading and metrics included."""
    seconds: float
    """Of this epoch, validation included."""
    best: bool
    """Whether this epoch's validation mIoU is the highest so far."""
    top_share: float = math.nan
    """Share of the labelled validation pixels that the network gave to the class it predicts most."""
    top_class: int = -1
    """That class; -1 where it is not known (records of an older version)."""
