"""Label maps as pictures: in class colours and over the photograph. numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segcore.config import IGNORE_INDEX, ClassInfo
from segcore.figures.theme import css

RIGHT: tuple[int, int, int] = (46, 125, 158)
WRONG: tuple[int, int, int] = (230, 97, 1)
UNLABELLED: tuple[int, int, int] = (0, 0, 0)
"""Colours of a map of errors: blue and orange, which the colour-blind tell apart; black where nobody labelled."""


@dataclass(frozen=True)
class LegendEntry:
    """One class in the legend of a label map."""

    label: int
    name: str
    color: str
    """ "#rrggbb"."""
    share: float
    """Of the labelled pixels of the maps, 0-1; NaN where there are none."""


def colorize(labels: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Paint labels in class colours.

    Args:
        labels: (H, W) uint8, training labels, 255 where not labelled.
        palette: (256, 3) uint8, the colour of each label.

    Returns:
        HWC uint8 RGB.

    Raises:
        ValueError: labels or palette of another shape or type.
    """
    if labels.ndim != 2 or labels.dtype != np.uint8:
        raise ValueError(f"labels are {labels.dtype} {labels.shape}, expected uint8 (H, W)")
    if palette.shape != (256, 3):
        raise ValueError(f"palette is {palette.shape}, expected (256, 3): one colour for every uint8 label")
    return palette.astype(np.uint8)[labels]


def overlay(image: np.ndarray, labels: np.ndarray, palette: np.ndarray, opacity: float = 0.5) -> np.ndarray:
    """Lay class colours over an image; pixels of label 255 show the image alone.

    Args:
        image: HWC uint8 RGB, as large as `labels`.
        labels: (H, W) uint8.
        palette: (256, 3) uint8.
        opacity: of the colours, 0 (image alone) to 1 (colours alone).

    Returns:
        HWC uint8 RGB.

    Raises:
        ValueError: image and labels differ in size, or the opacity is outside 0-1.
    """
    if image.shape != (*labels.shape, 3):
        raise ValueError(f"image is {image.shape}, labels are {labels.shape}; expected (H, W, 3) and (H, W)")
    if not 0 <= opacity <= 1:
        raise ValueError(f"opacity is {opacity}, expected 0-1")
    colors = colorize(labels, palette).astype(np.float32)
    mixed = np.rint((1 - opacity) * image + opacity * colors).astype(np.uint8)
    return np.where((labels == IGNORE_INDEX)[..., None], image, mixed).astype(np.uint8)


def class_legend(classes: Sequence[ClassInfo], *maps: np.ndarray) -> list[LegendEntry]:
    """Return the legend of some label maps: every class in one of them, the most frequent first.

    Args:
        classes: the trained classes, label i is entry i.
        maps: (H, W) uint8 each, such as a mask and its prediction; without any, all classes are listed.
    """
    if not maps:
        return [LegendEntry(i, info.name, css(info.color), float("nan")) for i, info in enumerate(classes)]
    pixels = np.zeros(len(classes), dtype=np.int64)
    for labels in maps:
        pixels += np.bincount(labels.ravel(), minlength=IGNORE_INDEX + 1)[: len(classes)]
    entries = [
        LegendEntry(i, info.name, css(info.color), float(pixels[i] / pixels.sum()))
        for i, info in enumerate(classes)
        if pixels[i]
    ]
    return sorted(entries, key=lambda entry: -entry.share)
