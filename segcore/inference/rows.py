"""Images that are read some rows at a time, so that no more of them than that ever stands in memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np

_CHUNK = 256
"""Rows of the source that are resampled at once."""


@dataclass(frozen=True)
class Rows:
    """An image of any kind and size, as a function that reads its rows."""

    height: int
    width: int
    read: Callable[[int, int], np.ndarray]
    """(top, bottom) -> the rows top .. bottom - 1, (3, bottom - top, width) uint8 RGB, 0-255. It is asked from top to
    bottom, now and then for a few rows once more."""


def rows_of(image: np.ndarray) -> Rows:
    """Return an image in memory, (H, W, 3) uint8 RGB, 0-255, as one that is read row by row."""
    height, width = image.shape[:2]
    return Rows(height, width, lambda top, bottom: image[top:bottom].transpose(2, 0, 1))


def resampled(rows: Rows, height: int, width: int) -> Rows:
    """Return an image resized to `height` x `width`, read and resized as its rows are asked for.

    By area, or linearly where it is enlarged along an edge, as images are resized for training; which rows are asked
    for together changes nothing.
    """
    if (height, width) == (rows.height, rows.width):
        return rows
    by_area = height <= rows.height and width <= rows.width
    return Rows(height, width, partial(_resampled, rows, height, width, by_area))


def _resampled(rows: Rows, height: int, width: int, by_area: bool, top: int, bottom: int) -> np.ndarray:
    """Return the rows top .. bottom - 1 of the resized image; columns first, then rows, in float32."""
    if bottom - top > 1 and (bottom - top) * rows.height > 8 * _CHUNK * height:
        middle = (top + bottom) // 2
        parts = ((top, middle), (middle, bottom))
        return np.concatenate([_resampled(rows, height, width, by_area, *part) for part in parts], 1)
    shares = [_shares(row, height, rows.height, by_area) for row in range(top, bottom)]
    begin, end = shares[0][0], shares[-1][0] + len(shares[-1][1])
    narrow = np.empty((3, end - begin, width), np.float32)
    way = cv2.INTER_AREA if by_area else cv2.INTER_LINEAR
    for first in range(begin, end, _CHUNK):
        source = rows.read(first, min(first + _CHUNK, end)).astype(np.float32)
        for channel, plane in zip(narrow, source, strict=True):
            channel[first - begin : first - begin + len(plane)] = cv2.resize(
                plane, (width, len(plane)), interpolation=way
            )
    resized = np.empty((3, bottom - top, width), np.uint8)
    for row, (first, weights) in enumerate(shares):
        part = narrow[:, first - begin : first - begin + len(weights)]
        # Not a product of matrices, whose last bits depend on how many rows are asked for.
        resized[:, row] = np.rint((part * weights[:, None]).sum(1))
    return resized


def _shares(row: int, height: int, source: int, by_area: bool) -> tuple[int, np.ndarray]:
    """Return the first row of the source that a resized row is made of, and the weights of it and those below it."""
    scale = source / height
    if by_area:
        begin, end = row * scale, min((row + 1) * scale, source)
        rows = np.arange(math.floor(begin), max(math.floor(begin) + 1, math.ceil(end - 1e-9)))
        weights = np.minimum(rows + 1, end) - np.maximum(rows, begin)
        return int(rows[0]), (weights / weights.sum()).astype(np.float32)
    place = min(max((row + 0.5) * scale - 0.5, 0.0), source - 1.0)
    share = place - math.floor(place)
    return math.floor(place), np.array([1 - share, share][: source - math.floor(place)], np.float32)
