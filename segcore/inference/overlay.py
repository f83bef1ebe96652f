"""A picture for people: the image with its classes laid over it, small enough for any viewer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from segcore.config import IGNORE_INDEX
from segcore.files import atomic_path
from segcore.inference.rows import Rows, resampled

MAX_SIDE = 4096
"""Pixels along the longer edge; larger images are shrunk."""
_ROWS = 64


class Overlay:
    """Gathers of an image's labels what its picture shows."""

    def __init__(self, height: int, width: int) -> None:
        scale = min(1.0, MAX_SIDE / max(height, width))
        self.height, self.width = max(1, round(height * scale)), max(1, round(width * scale))
        # Of each row and column of the picture the one in the middle below it: labels are never blended.
        self._rows = ((np.arange(self.height) + 0.5) * height / self.height).astype(np.int64)
        self._columns = ((np.arange(self.width) + 0.5) * width / self.width).astype(np.int64)
        self._labels = np.full((self.height, self.width), IGNORE_INDEX, np.uint8)

    def add(self, top: int, labels: np.ndarray) -> None:
        """Take the labels (rows, W) uint8 of the rows from `top` on."""
        begin, end = np.searchsorted(self._rows, (top, top + len(labels)))
        self._labels[begin:end] = labels[self._rows[begin:end] - top][:, self._columns]

    def save(self, path: Path, rows: Rows, palette: np.ndarray) -> None:
        """Write the picture as JPEG: half image, half colours of the classes, and the image alone where there are none.

        Args:
            path: of the file.
            rows: the image, read once more.
            palette: (256, 3) uint8 RGB by label.

        Raises:
            ImageReadError: the image cannot be read any more.
            WorkspaceError: the file cannot be written.
        """
        small = resampled(rows, self.height, self.width)
        picture = np.empty((self.height, self.width, 3), np.uint8)
        for top in range(0, self.height, _ROWS):
            part = small.read(top, min(top + _ROWS, self.height)).transpose(1, 2, 0)
            labels = self._labels[top : top + len(part)]
            blended = (part.astype(np.uint16) + palette[labels]) // 2
            picture[top : top + len(part)] = np.where((labels == IGNORE_INDEX)[..., None], part, blended)
        with atomic_path(path) as temporary:
            Image.fromarray(picture).save(temporary, format="JPEG", quality=90)
