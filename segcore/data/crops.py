"""Random squares of an image at its native scale, with the labels below them."""

from __future__ import annotations

import numpy as np

from segcore.config import IGNORE_INDEX

_DRAWS = 10
"""How often a crop is drawn again that shows nothing labelled: nothing is to be learnt from it."""


def random_crop(
    image: np.ndarray, labels: np.ndarray, side: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Cut a random square out of an image; where the image is smaller, what is missing is black and ignored.

    Args:
        image: (H, W, 3) uint8 RGB, 0-255.
        labels: (H, W) uint8, 255 where ignored.
        side: of the square, in pixels.
        rng: decides where; the same state gives the same square.

    Returns:
        a view or copy of the square: (side, side, 3) uint8 and (side, side) uint8.
    """
    height, width = labels.shape
    for _ in range(_DRAWS):
        top, left = _start(height, side, rng), _start(width, side, rng)
        rows, columns = slice(max(top, 0), top + side), slice(max(left, 0), left + side)
        if (labels[rows, columns] != IGNORE_INDEX).any():
            break
    image, labels = image[rows, columns], labels[rows, columns]
    if labels.shape == (side, side):
        return image, labels
    place = slice(max(-top, 0), max(-top, 0) + len(labels)), slice(max(-left, 0), max(-left, 0) + labels.shape[1])
    padded = np.zeros((side, side, 3), np.uint8), np.full((side, side), IGNORE_INDEX, np.uint8)
    padded[0][place], padded[1][place] = image, labels
    return padded


def _start(length: int, side: int, rng: np.random.Generator) -> int:
    """Return where the square begins along one edge of the image: before it (negative) where the image is smaller."""
    spare = length - side
    return int(rng.integers(min(spare, 0), max(spare, 0) + 1))
