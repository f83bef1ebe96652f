"""From the colours of a mask to labels, over all 2^24 colours there are, and how far colours are from each other."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from segcore.config import IGNORE_INDEX
from segcore.decisions import Color

ALL_COLORS = 2**24


def pack(rgb: np.ndarray) -> np.ndarray:
    """Return one int32 a pixel, 0xRRGGBB, for uint8 of shape (..., 3)."""
    wide = rgb.astype(np.int32)
    return np.asarray((wide[..., 0] << 16) | (wide[..., 1] << 8) | wide[..., 2])


def unpack(value: int) -> Color:
    """Return the (r, g, b) of one packed colour."""
    return value >> 16, (value >> 8) & 255, value & 255


def unpack_all(packed: np.ndarray) -> np.ndarray:
    """Return uint8 of shape (N, 3) for packed colours of shape (N,)."""
    return np.stack([packed >> 16, (packed >> 8) & 255, packed & 255], axis=-1).astype(np.uint8)


@lru_cache(maxsize=3)  # 32 MB each
def color_lookup(colors: tuple[Color, ...], labels: tuple[int, ...], snap: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return the label of every colour there is, uint8, and whether it is known, bool: (2**24,) each.

    A colour has the label of the nearest of `colors` that is at most `snap` away, the first where several are as near;
    255 where there is none. Shared; do not change.
    """
    label_of = np.full((256, 256, 256), IGNORE_INDEX, np.uint8)
    known = np.zeros((256, 256, 256), bool)
    best = np.full((256, 256, 256), snap**2 + 1, np.int32) if snap else None
    for color, label in reversed(list(zip(colors, labels, strict=True))):  # the first of equals is written last
        if best is None:
            label_of[color], known[color] = label, True
            continue
        box = tuple(slice(max(0, value - snap), min(256, value + snap + 1)) for value in color)
        axes = [np.arange(*side.indices(256), dtype=np.int32) for side in box]
        red, green, blue = ((axis - value) ** 2 for axis, value in zip(axes, color, strict=True))
        distance = red[:, None, None] + green[None, :, None] + blue[None, None, :]
        nearer = distance <= np.minimum(best[box], snap**2)
        best[box][nearer] = distance[nearer]
        label_of[box][nearer] = label
        known[box][nearer] = True
    return label_of.reshape(-1), known.reshape(-1)


def nearest_colors(packed: np.ndarray, colors: Sequence[Color]) -> tuple[np.ndarray, np.ndarray]:
    """Return for each packed colour the place of the nearest of `colors`, the first of equals, and how far it is.

    Args:
        packed: (N,) int.
        colors: one or more.

    Returns:
        (N,) int and (N,) float64, the length of the difference in RGB.
    """
    best = np.full(len(packed), np.iinfo(np.int32).max, np.int32)
    place = np.zeros(len(packed), np.intp)
    rgb = unpack_all(packed).astype(np.int32)
    for number, color in enumerate(colors):
        distance = ((rgb - np.array(color, np.int32)) ** 2).sum(axis=1, dtype=np.int32)
        nearer = distance < best
        best[nearer], place[nearer] = distance[nearer], number
    return place, np.sqrt(best)
