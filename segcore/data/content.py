"""What is in the masks of a dataset: how unlike the classes are in number, which stand together, how large things are.

All but the sizes of things comes from the counts that the check kept, so that nothing is read again.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np

from segcore.data.dataset import Dataset
from segcore.data.parallel import ordered_map
from segcore.data.readers import read_raw_mask
from segcore.data.report import ImageFacts
from segcore.progress import Progress, silent

WEIGHTINGS = {
    "median frequency": "Median frequency balancing (Eigen & Fergus 2015, arXiv:1411.4734): the median of all classes' "
    "frequencies by the class's own, which is its share of the labelled pixels of those images that show it.",
    "effective number": "Effective number of samples (Cui et al. 2019, arXiv:1901.05555): (1 - b) / (1 - b^n), n the "
    "images that show the class, b = 1 - 1/N of N images; scaled to a mean of 1.",
}
"""Ways to weigh classes against their imbalance, and what each is."""
_SIDE = 1024
"""Masks are made smaller to this longer side before things are counted; areas are told at full size."""
_IMAGES = 200
"""So many masks are looked at for the sizes of things, evenly taken from all."""


def pixel_table(facts: Sequence[ImageFacts]) -> np.ndarray:
    """Return the pixels of each class in each image: (N, C) int64."""
    return np.array([fact.class_pixels for fact in facts], dtype=np.int64).reshape(len(facts), -1)


def imbalance(pixels: np.ndarray) -> float:
    """Return how many pixels the most frequent class has for each one of the rarest that occurs; NaN without any.

    Args:
        pixels: (N, C) as of `pixel_table`.
    """
    totals = pixels.sum(axis=0)
    seen = totals[totals > 0]
    return float(seen.max() / seen.min()) if len(seen) else float("nan")


def co_occurrence(pixels: np.ndarray) -> np.ndarray:
    """Return in how many images each two classes are together, on the diagonal each one: (C, C) int64.

    Args:
        pixels: (N, C) as of `pixel_table`.
    """
    shown = (pixels > 0).astype(np.int64)
    return np.asarray(shown.T @ shown)


def class_weights(pixels: np.ndarray, weighting: str = "median frequency") -> np.ndarray:
    """Return a weight for each class in a loss: (C,) float, 1 for an ordinary one, NaN for one that no image shows.

    Args:
        pixels: (N, C) as of `pixel_table`.
        weighting: one of `WEIGHTINGS`, where each is explained.
    """
    if weighting not in WEIGHTINGS:
        raise ValueError(f"no weighting is called {weighting!r}; there are {', '.join(WEIGHTINGS)}")
    images = (pixels > 0).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        if weighting == "median frequency":
            labelled = ((pixels > 0) * pixels.sum(axis=1, keepdims=True)).sum(axis=0)
            frequency = np.where(images > 0, pixels.sum(axis=0) / labelled, np.nan)
            return np.asarray(np.nanmedian(frequency) / frequency if images.any() else frequency)
        share = 1 - 1 / max(len(pixels), 2)
        weights = np.where(images > 0, (1 - share) / (1 - share**images), np.nan)
        return np.asarray(weights / np.nanmean(weights) if images.any() else weights)


@dataclass(frozen=True)
class ObjectSizes:
    """How large the things of each class are: connected areas, also diagonally, of one label."""

    images: int
    """Masks that were looked at."""
    counts: tuple[int, ...]
    """Areas of each class in them."""
    quartiles: tuple[tuple[float, float, float], ...]
    """Pixels, at full size, that a quarter, half and three quarters of its areas have at most; NaN without any."""


def object_sizes(dataset: Dataset, progress: Progress = silent, *, images: int = _IMAGES) -> ObjectSizes:
    """Return how large the things of each class are, from at most so many masks.

    Areas are counted in masks of at most 1024 pixels a side; things smaller than a pixel of these may be missed.

    Raises:
        ImageReadError: a mask is gone or damaged.
    """
    names = dataset.names
    chosen = [names[place] for place in np.unique(np.linspace(0, len(names) - 1, min(images, len(names)), dtype=int))]
    areas: list[list[np.ndarray]] = [[] for _ in dataset.table.trained]
    with closing(ordered_map(partial(_areas, dataset), chosen, progress)) as found:
        for of_image in found:
            for label, sizes in of_image.items():
                areas[label].append(sizes)
    together = [np.concatenate(sizes) if sizes else np.zeros(0) for sizes in areas]
    return ObjectSizes(
        len(chosen),
        tuple(len(sizes) for sizes in together),
        tuple(_quartiles(sizes) for sizes in together),
    )


def _areas(dataset: Dataset, name: str) -> dict[int, np.ndarray]:
    """Return label -> areas in pixels of the whole mask."""
    width, height = dataset.image_facts(name).size
    scale = min(1.0, _SIDE / max(width, height))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    mask = read_raw_mask(dataset.pair(name).mask, size=size)
    labels, _ = mask.labels(dataset.table, dataset.report.mask_reading)
    found = {}
    for label in np.unique(labels[labels < len(dataset.table.trained)]).tolist():
        _, _, stats, _ = cv2.connectedComponentsWithStats((labels == label).astype(np.uint8), connectivity=8)
        found[label] = stats[1:, cv2.CC_STAT_AREA] * (width * height / (size[0] * size[1]))
    return found


def _quartiles(sizes: np.ndarray) -> tuple[float, float, float]:
    if not len(sizes):
        return (float("nan"),) * 3
    low, middle, high = np.quantile(sizes, [0.25, 0.5, 0.75])
    return float(low), float(middle), float(high)
