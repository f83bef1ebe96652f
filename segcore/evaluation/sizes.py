"""How well small and large objects are found: recall by the size of the object that a pixel belongs to.

An object is a region of one class in the true mask whose pixels touch, corners included: what is thin and slanted, a
fence or a wire, stays one object in a coarse mask. Its size is the side of the square of the same area, in pixels as
the network sees them (resized images: after resizing; crops: of the image itself), since a network of stride 32
loses what is a few pixels wide, however large that is on the ground. Regions of a class without separate objects, such
as grass, count likewise.

Only recall can be told by size: pixels that were wrongly taken for a class belong to no object of it.
Nothing here imports torch.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from segcore.config import IGNORE_INDEX
from segcore.evaluation.comparison import Contender, finished_by_seed, mean_interval
from segcore.files import FileCache
from segcore.runs import Part, Run, load_evaluation

SIDES = (8, 16, 32, 64)
"""Sides in pixels at which a bin of sizes ends and the next begins; the last has no end."""
BINS = len(SIDES) + 1
TITLES = (f"< {SIDES[0]}", *(f"{low}-{high}" for low, high in pairwise(SIDES)), f"≥ {SIDES[-1]}")
"""What people call the bins; in pixels of side."""
STRIP_PIXELS = 2**24
"""So many pixels are searched for objects at once, about, so that it takes 100 MB however large an image is."""


def size_map(truth: np.ndarray) -> np.ndarray:
    """Return of every pixel the bin of its object's size.

    Args:
        truth: (H, W) uint8 labels, 255 where ignored.

    Returns:
        (H, W) uint8, 0 .. `BINS` - 1; 0 where ignored.
    """
    found = np.zeros(truth.shape, np.uint8)
    there = np.array([np.bincount(row, minlength=256) > 0 for row in truth]).reshape(-1, 256)
    for label in np.flatnonzero(there.any(axis=0)):
        if label != IGNORE_INDEX:
            rows = _extent(there[:, label])
            columns = _extent((truth[rows] == label).any(axis=0))
            _mark_class(truth[rows, columns], int(label), found[rows, columns])
    return found


def _extent(where: np.ndarray) -> slice:
    """Return from where to where an array (n,) bool is true."""
    return slice(int(where.argmax()), len(where) - int(where[::-1].argmax()))


def _mark_class(truth: np.ndarray, label: int, found: np.ndarray) -> None:
    """Write the bins of one class's objects into `found`, strip by strip."""
    rows = max(1, STRIP_PIXELS // truth.shape[1])
    strips = [slice(top, top + rows) for top in range(0, truth.shape[0], rows)]
    areas, first, joints = [], [0], []  # first: how many pieces lie above each strip
    above = np.zeros(truth.shape[1], np.int64)
    for strip in strips:
        numbers, area = _pieces(truth[strip], label)
        joints.append(_joints(above, numbers[0], first[-1]))
        above = np.where(numbers[-1] > 0, numbers[-1] + first[-1], 0)
        areas.append(area)
        first.append(first[-1] + len(area))
    bins = _bins(_whole_areas(np.concatenate(areas), np.concatenate(joints))).astype(np.uint8)
    for strip, begin, end in zip(strips, first, first[1:], strict=False):
        if len(strips) > 1:
            numbers, _ = _pieces(truth[strip], label)
        # Pixels of other classes, number 0, are left as they are by adding nothing to them.
        found[strip] += np.concatenate([[0], bins[begin:end]]).astype(np.uint8)[numbers]


def _pieces(strip: np.ndarray, label: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of the piece that each pixel of `strip` is in, from 1, 0 for none, and the pieces' areas."""
    import cv2  # most who import this module only read what was counted

    mask = (strip == label).view(np.uint8)
    _, numbers, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    return numbers, stats[1:, cv2.CC_STAT_AREA].astype(np.int64)


def _joints(above: np.ndarray, below: np.ndarray, pieces: int) -> np.ndarray:
    """Return pairs (n, 2) of pieces, from 0 over all strips, that touch across the seam of two strips.

    Args:
        above: the last row of the upper strip: piece of each pixel over all strips, from 1; 0 for none.
        below: the first row of the lower strip, counted within it.
        pieces: of the strips above the lower one.
    """
    width = len(above)
    below = np.where(below > 0, below + pieces, 0)
    pairs = []
    for shift in (-1, 0, 1):
        upper, lower = above[max(0, -shift) : width - max(0, shift)], below[max(0, shift) : width - max(0, -shift)]
        touching = (upper > 0) & (lower > 0)
        pairs.append(np.stack([upper[touching], lower[touching]], axis=1))
    return np.unique(np.concatenate(pairs), axis=0) - 1


def _whole_areas(areas: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Return of each piece the area of the object that it is a piece of; `pairs` (n, 2) are those that touch."""
    if not len(pairs):
        return areas
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(areas), len(areas)))
    _, objects = connected_components(links, directed=False)
    return np.bincount(objects, weights=areas).astype(np.int64)[objects]


def _bins(areas: np.ndarray) -> np.ndarray:
    return np.searchsorted(np.square(SIDES), areas, side="right")


def size_counts(prediction: np.ndarray, truth: np.ndarray, classes: int) -> np.ndarray:
    """Count one image's labelled pixels, and those that were found, by class and size of their object.

    Args:
        prediction: (H, W) labels 0 .. classes - 1.
        truth: (H, W) uint8 labels 0 .. classes - 1, or 255 where ignored.
        classes: C.

    Returns:
        int64 (C, `BINS`, 2): [class, bin] pixels and found pixels. Summed over the bins they are the sum of a row of
        the confusion counts, and its diagonal cell.

    Raises:
        ValueError: the shapes differ.
    """
    if prediction.shape != truth.shape:
        raise ValueError(f"prediction is {prediction.shape}, truth is {truth.shape}; they must be alike")
    bins = size_map(truth)
    return np.stack(
        [count_by_size(truth, bins, classes), count_by_size(truth, bins, classes, where=prediction == truth)], axis=-1
    )


def count_by_size(truth: np.ndarray, bins: np.ndarray, classes: int, where: np.ndarray | None = None) -> np.ndarray:
    """Return the labelled pixels, those of `where` alone if it is given, by class and bin: int64 (classes, BINS)."""
    chosen = truth != IGNORE_INDEX
    if where is not None:
        chosen &= where
    cells = truth[chosen].astype(np.int64) * BINS + bins[chosen]
    return np.bincount(cells, minlength=classes * BINS).reshape(classes, BINS)


class SizeMaps:
    """The size maps of the images that a network is judged on again and again; found once and kept compressed."""

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self._kept: dict[int, tuple[bytes, np.ndarray]] = {}

    def of(self, position: int, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return an image's size map (H, W) uint8, and its pixels by class and bin, int64 (C, BINS).

        Args:
            position: names the image.
            truth: its labels (H, W) uint8, the same each time.
        """
        if position not in self._kept:
            found = size_map(truth)
            # Bins form large even areas: level 1 makes a hundredth of them, and takes milliseconds.
            self._kept[position] = zlib.compress(found.tobytes(), 1), count_by_size(truth, found, self.classes)
        packed, pixels = self._kept[position]
        # A bytearray: torch takes no array that cannot be written.
        return np.frombuffer(bytearray(zlib.decompress(packed)), np.uint8).reshape(truth.shape), pixels


# What the charts show -------------------------------------------------------------------------------


@dataclass(frozen=True)
class SizeRecall:
    """How much of the objects of one size a contender finds."""

    title: str
    """The bin: "8-16" (pixels of side)."""
    mean: float
    """Share of the pixels that were found, 0-1: mean over seeds; NaN without pixels."""
    low: float
    """Ends of the 95 % interval over seeds; NaN for a single one."""
    high: float
    n: int
    """Seeds."""
    pixels: int
    """True pixels of objects of this size, in all images."""


def recall_by_size(
    contenders: Sequence[Contender], *, class_index: int | None = None, part: Part = "val"
) -> dict[str, list[SizeRecall]]:
    """Return for each contender, by its label, how much it finds of objects of each size, a row a bin.

    Contenders without a finished run that was counted by size (by this version or a later one) are left out.

    Args:
        contenders: whose finished runs are looked at; of folds, seeds of which all are finished.
        class_index: count the objects of this class alone; None pools the pixels of all classes.
        part: of the split.

    Raises:
        WorkspaceError: counts that are damaged.
    """
    found = {}
    for contender in contenders:
        seeds = []
        for runs in finished_by_seed(contender.runs).values():
            counts = [_counts_of(run, part) for run in runs]
            if known := [count for count in counts if count is not None]:
                total = np.sum(known, axis=0)
                if len(known) == len(counts):
                    seeds.append(total.sum(axis=0) if class_index is None else total[class_index])
        if seeds:
            found[contender.label] = [_recall(at, [seed[at] for seed in seeds]) for at in range(BINS)]
    return found


def _recall(at: int, counts: list[np.ndarray]) -> SizeRecall:
    interval = mean_interval(hits / pixels if pixels else math.nan for pixels, hits in counts)
    return SizeRecall(TITLES[at], interval.mean, interval.low, interval.high, interval.n, int(counts[0][0]))


def _counts_of(run: Run, part: Part) -> np.ndarray | None:
    """Return a run's counts by size over all images, int64 (C, BINS, 2); None where it has none."""
    path = run.evaluation_path(part)
    return _totals.get(path) if path.exists() else None


def _load(path: Path) -> np.ndarray | None:
    sizes = load_evaluation(path).sizes
    return None if sizes is None else sizes.sum(axis=0)


_totals = FileCache(_load, entries=2048)
