"""The metric contract, said once; every screen, table and record uses these numbers.

Counts are pooled: one confusion matrix over all labelled pixels of a split, kept per image so that it can be
pooled again. Of class c, TP are its pixels predicted as c, FN its pixels predicted as something else, FP the
labelled pixels of other classes predicted as c. Ignored pixels are in none of them.

    pixel accuracy            correct pixels / labelled pixels
    IoU_c                     TP / (TP + FP + FN)
    accuracy_c                TP / (TP + FN)
    Dice_c                    2 TP / (2 TP + FP + FN)
    mIoU, mean class accuracy, mean Dice      mean over the classes that have a value
    frequency-weighted IoU    sum over classes of (share of labelled pixels) x IoU_c

A class in neither masks nor predictions has no IoU and no Dice; a class without a true pixel has no accuracy.
These are NaN and left out of the means: they are neither 0 nor, as some libraries have it, 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Scores:
    """Scores of one confusion matrix. All are shares, 0-1; NaN where there is nothing to score."""

    pixel_accuracy: float
    miou: float
    mean_class_accuracy: float
    frequency_weighted_iou: float
    mean_dice: float
    iou: np.ndarray
    """float64 (C,), NaN for a class in neither masks nor predictions."""
    accuracy: np.ndarray
    """float64 (C,), NaN for a class without a true pixel."""
    dice: np.ndarray
    """float64 (C,), NaN for a class in neither masks nor predictions."""
    class_pixels: np.ndarray
    """int64 (C,), labelled pixels of each true class."""

    @property
    def labelled_pixels(self) -> int:
        """How many pixels the scores are made of."""
        return int(self.class_pixels.sum())


def pooled(counts: np.ndarray) -> np.ndarray:
    """Return one (C, C) int64 matrix from counts of shape (C, C) or, one matrix an image, (N, C, C).

    Raises:
        ValueError: any other shape.
    """
    counts = np.asarray(counts)
    if counts.ndim == 3:
        counts = counts.sum(axis=0)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1]:
        raise ValueError(f"counts have shape {counts.shape}, expected (C, C) or (N, C, C)")
    return counts.astype(np.int64)


def scores(counts: np.ndarray) -> Scores:
    """Score confusion counts [t, p] of shape (C, C), or (N, C, C), which are pooled over N images first."""
    matrix = pooled(counts)
    hits = np.diagonal(matrix).astype(np.float64)
    true = matrix.sum(axis=1)
    union = true + matrix.sum(axis=0) - hits
    iou = _share(hits, union)
    total = true.sum()
    # A class without true pixels has weight 0 whether or not its IoU is NaN.
    weighted = float((true * np.nan_to_num(iou)).sum() / total) if total else math.nan
    accuracy = _share(hits, true)
    dice = _share(2 * hits, union + hits)
    return Scores(
        pixel_accuracy=float(hits.sum() / total) if total else math.nan,
        miou=_mean(iou),
        mean_class_accuracy=_mean(accuracy),
        frequency_weighted_iou=weighted,
        mean_dice=_mean(dice),
        iou=iou,
        accuracy=accuracy,
        dice=dice,
        class_pixels=true,
    )


def majority_baseline(counts: np.ndarray) -> float:
    """Return the pixel accuracy of always answering the most frequent true class; NaN without labelled pixels.

    A network that scores no better than this has learnt nothing but that class.
    """
    true = pooled(counts).sum(axis=1)
    return float(true.max() / true.sum()) if true.sum() else math.nan


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, NaN where whole is 0."""
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)


def _mean(values: np.ndarray) -> float:
    """Mean of what is not NaN; NaN, without numpy's warning, where nothing is left."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else math.nan
