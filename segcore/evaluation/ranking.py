"""Which images to look at first: where a network is worst, where two differ, where several may share an error.

All of it comes from the counts that runs keep for each image, so that nothing is predicted and no image is read. What
counts cannot tell is where in an image pixels went wrong: whether two networks are wrong in the same pixels has to be
looked at (see `ranking_suspects`). Nothing here imports torch.

The IoU of one image is that of the metric contract (`metrics`) over its labelled pixels alone. A class in neither mask
nor prediction has none: NaN, and such images stand last. Means are over the classes that have a value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from segcore.errors import WorkspaceError
from segcore.runs import Evaluation, Run

Order = Literal["either", "first", "second"]
"""Which differences come first: large ones either way, or where the first or the second network is ahead."""


@dataclass(frozen=True)
class Ranked:
    """An image and what it is ranked by."""

    image: str
    value: float
    """IoU, 0-1, or a difference of two, -1 to 1; the mean over networks. NaN where there is none."""
    share: float
    """Of the image's labelled pixels that are of the class that is ranked by; 1 for all classes, 0 without any pixel.
    An IoU of a few pixels says little."""
    networks: int
    """How many networks, or pairs of networks, gave the value."""


def image_iou(counts: np.ndarray) -> np.ndarray:
    """Return the IoU of each class in each image: float64 (N, C), 0-1, NaN for a class in neither mask nor prediction.

    Args:
        counts: int (N, C, C), [n, t, p] pixels of true class t predicted as p.
    """
    hits = np.diagonal(counts, axis1=1, axis2=2).astype(np.float64)
    union = counts.sum(axis=2) + counts.sum(axis=1) - hits
    return np.divide(hits, union, out=np.full(hits.shape, np.nan), where=union > 0)


def image_scores(counts: np.ndarray, label: int | None = None) -> np.ndarray:
    """Return the IoU of one class in each image, or the mean over its classes (None): float64 (N,), NaN where none."""
    iou = image_iou(counts)
    if label is not None:
        return iou[:, label]
    known = (~np.isnan(iou)).sum(axis=1)
    return np.divide(np.nansum(iou, axis=1), known, out=np.full(len(iou), np.nan), where=known > 0)


def worst_first(evaluations: Iterable[Evaluation], label: int | None = None) -> list[Ranked]:
    """Rank images by the IoU that networks reach in them, the lowest first; without a value last.

    Args:
        evaluations: of one network or of several: then the mean over those that judged an image and have a value.
        label: the class; None for the mean over the classes of the image.
    """
    values: dict[str, list[float]] = {}
    shares: dict[str, float] = {}
    for evaluation in evaluations:
        for name, value in zip(evaluation.names, image_scores(evaluation.counts, label), strict=True):
            values.setdefault(name, []).append(float(value))
        shares |= _shares(evaluation, label)
    return _sorted(values, shares, lambda value: value)


def differences(
    pairs: Iterable[tuple[Evaluation, Evaluation]], label: int | None = None, order: Order = "either"
) -> list[Ranked]:
    """Rank images by the IoU of a first network less that of a second one; without a value last.

    Args:
        pairs: first and second, as `matched` pairs runs; the value is the mean over the pairs that have one.
        label: the class; None for the mean over the classes of the image.
        order: which come first.
    """
    values: dict[str, list[float]] = {}
    shares: dict[str, float] = {}
    for first, second in pairs:
        other = dict(zip(second.names, image_scores(second.counts, label), strict=True))
        for name, value in zip(first.names, image_scores(first.counts, label), strict=True):
            if name in other:
                values.setdefault(name, []).append(float(value - other[name]))
        shares |= _shares(first, label)
    sign = {"either": lambda value: -abs(value), "first": lambda value: -value, "second": lambda value: value}
    return _sorted(values, shares, sign[order])


def matched(first: Iterable[Run], second: Iterable[Run]) -> list[tuple[Run, Run]]:
    """Pair runs of the same seed and fold, in the order of these: only those saw the same images in the same order."""
    one, other = ({(run.config.seed, run.config.fold): run for run in runs} for runs in (first, second))
    common = sorted(one.keys() & other.keys(), key=lambda key: (key[0], -1 if key[1] is None else key[1]))
    return [(one[key], other[key]) for key in common]


def _shares(evaluation: Evaluation, label: int | None) -> dict[str, float]:
    true = evaluation.counts.sum(axis=2)
    labelled = true.sum(axis=1)
    wanted = labelled if label is None else true[:, label]
    shares = np.divide(wanted, labelled, out=np.zeros(len(labelled)), where=labelled > 0)
    return dict(zip(evaluation.names, shares.tolist(), strict=True))


def _sorted(values: dict[str, list[float]], shares: dict[str, float], rank: Callable[[float], float]) -> list[Ranked]:
    found = []
    for name, row in values.items():
        known = [value for value in row if not math.isnan(value)]
        found.append(Ranked(name, sum(known) / len(known) if known else math.nan, shares[name], len(known)))
    return sorted(found, key=lambda one: (math.isnan(one.value), rank(one.value) if one.networks else 0.0, one.image))


@dataclass(frozen=True)
class Confused:
    """How much of one class an image's networks take for another one."""

    image: str
    pixels: float
    """Mean over the networks that judged the image."""
    share: float
    """Of the image's pixels of the true class, 0-1."""


def confused_images(evaluations: Iterable[Evaluation], true: int, taken: int) -> list[Confused]:
    """Return the images in which pixels of class `true` were taken for `taken`, most pixels first."""
    totals: dict[str, list[tuple[int, int]]] = {}
    for evaluation in evaluations:
        for name, counts in zip(evaluation.names, evaluation.counts, strict=True):
            totals.setdefault(name, []).append((int(counts[true, taken]), int(counts[true].sum())))
    found = []
    for name, values in totals.items():
        wrong, whole = (sum(column) for column in zip(*values, strict=True))
        if wrong:
            found.append(Confused(name, wrong / len(values), wrong / whole))
    return sorted(found, key=lambda confused: (-confused.pixels, confused.image))


@dataclass(frozen=True)
class SharedError:
    """How many pixels of an image several networks may take for the same wrong class, by counts alone."""

    image: str
    true: int
    """What the mask says."""
    taken: int
    """What the networks say."""
    at_least: int
    """So many pixels they all take for that: where each alone is wrong in most pixels of a class, some are the same."""
    at_most: int
    """No more: as many as the network has that takes the fewest for it."""
    share: float
    """`at_most` of the image's labelled pixels, 0-1."""


def shared_errors(evaluations: Sequence[Evaluation]) -> list[SharedError]:
    """Rank images by the largest error that all networks may share, largest share of the image first.

    For N pixels of a true class of which network r takes n_r for another one, all of R networks take at most min n_r
    of the same pixels for it, and at least sum n_r - (R - 1) N. Images in which no error can be shared are left out.

    Args:
        evaluations: of two networks or more; images that one of them did not judge are left out.

    Raises:
        ValueError: fewer than two networks.
        WorkspaceError: they were judged on other masks.
    """
    if len(evaluations) < 2:
        raise ValueError("an error is shared by two networks or more")
    common = set(evaluations[0].names).intersection(*(evaluation.names for evaluation in evaluations))
    names = [name for name in evaluations[0].names if name in common]
    if not names:
        return []
    counts = np.stack([_of(evaluation, names) for evaluation in evaluations])
    true = counts.sum(axis=3)
    if (true != true[0]).any():
        raise WorkspaceError(
            "These networks were judged on different masks, so their errors cannot be held against each other. Choose "
            "runs of one study on the same dataset."
        )
    most = counts.min(axis=0)
    least = np.maximum(0, counts.sum(axis=0) - (len(counts) - 1) * true[0][:, :, None])
    classes = np.arange(most.shape[1])
    most[:, classes, classes] = 0
    found = []
    for image, name in enumerate(names):
        if not most[image].any():
            continue
        pair = np.unravel_index(int(most[image].argmax()), most[image].shape)
        said, taken = int(pair[0]), int(pair[1])
        pixels, sure = int(most[image][pair]), int(least[image][pair])
        found.append(SharedError(name, said, taken, sure, pixels, pixels / int(true[0, image].sum())))
    return sorted(found, key=lambda error: (-error.share, error.image))


def _of(evaluation: Evaluation, names: Sequence[str]) -> np.ndarray:
    """Return the counts (N, C, C) of images by name."""
    places = {name: place for place, name in enumerate(evaluation.names)}
    return evaluation.counts[[places[name] for name in names]]
