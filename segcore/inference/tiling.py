"""Predicting an image of any size at its native scale, in overlapping windows.

Near its border a window lacks context, and neighbours disagree. So windows overlap and their probabilities are
averaged with weights that fall to nothing towards a window's border (the idea of nnU-Net's and MONAI's sliding
windows, https://arxiv.org/abs/1809.10486, section 2.4): no seam is left to see. Windows go row by row. The image is
read as far down as they reach, and rows of pixels are given out as soon as no further window covers them, so that
memory grows with the image's width alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from segcore.errors import ConfigError
from segcore.inference.rows import Rows
from segcore.progress import Progress, silent

OVERLAP = 0.25
"""Share of a window that its neighbour covers as well, at least: in validation as in prediction."""
_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Band:
    """Some rows of an image, predicted over its whole width."""

    top: int
    bottom: int
    """The rows top .. bottom - 1."""
    probabilities: Tensor
    """(C, bottom - top, W) float32; they add up to 1 over the C classes."""


def predict_bands(
    forward: Callable[[Tensor], Tensor],
    image: Tensor | Rows,
    *,
    window: int,
    overlap: float = OVERLAP,
    batch_size: int,
    classes: int,
    device: torch.device,
    gather: torch.device = _CPU,
    progress: Progress = silent,
) -> Iterator[Band]:
    """Predict an image in overlapping windows and yield it from top to bottom, every row once.

    At any time no more is held than `batch_size` predicted windows, the rows of the image below them and two strips of
    (classes, window, W).

    Args:
        forward: images (B, 3, window, window) uint8 on `device` -> logits (B, classes, window, window); in
            evaluation mode. It is called without gradients.
        image: (3, H, W) uint8 RGB, 0-255, or what reads such an image row by row; the result is the same. Where it is
            smaller than a window, it is filled up with black, as crops are in training.
        window: side in pixels, a multiple of 32.
        overlap: share of a window that its neighbour covers as well, at least; 0 to below 1.
        batch_size: windows predicted at once.
        classes: C.
        device: where `forward` computes.
        gather: where probabilities are added up and handed out.
        progress: counts windows.

    Raises:
        ConfigError: a window, an overlap or an image that is not possible.
    """
    if window < 32 or window % 32 or not 0 <= overlap < 1 or batch_size < 1:
        raise ConfigError(
            f"Windows of {window} px that overlap by {overlap:g}, {batch_size} at once, are not possible; expected a "
            "multiple of 32 px, an overlap from 0 to below 1, and 1 or more at once.",
            field="image_size",
        )
    rows = _rows(image) if isinstance(image, Tensor) else image
    if rows.height < 1 or rows.width < 1:
        raise ConfigError(f"An image of {rows.height} x {rows.width} pixels has nothing to predict.", field="image")
    height, width = rows.height, rows.width
    across = max(width, window)
    tops, lefts = starts(max(height, window), window, overlap), starts(across, window, overlap)
    row_weights, column_weights = _weights(tops, window), _weights(lefts, window)
    strip, row = torch.zeros(classes, window, across, device=gather), 0
    corners = [(top, left) for top in tops for left in lefts]
    predicted = _predict(forward, _Reader(rows, across), corners, window, batch_size, device)
    for done, probabilities in enumerate(predicted):
        if done // len(lefts) > row:
            finished = tops[row + 1] - tops[row]
            yield Band(tops[row], tops[row + 1], strip[:, :finished, :width])
            # A new strip, not the old one moved up: what was handed out is not to change any more.
            strip = F.pad(strip[:, finished:], (0, 0, 0, finished))
            row += 1
        column = done % len(lefts)
        weights = row_weights[row][:, None] * column_weights[column]
        strip[:, :, lefts[column] : lefts[column] + window] += probabilities.to(gather) * weights.to(gather)
        progress(done + 1, len(tops) * len(lefts))
    yield Band(tops[row], height, strip[:, : height - tops[row], :width])


def starts(length: int, window: int, overlap: float) -> list[int]:
    """Return where windows begin along an edge: the first at 0, the last flush with the end, evenly spread."""
    stride = max(1, math.floor(window * (1 - overlap)))
    steps = math.ceil(max(0, length - window) / stride)
    return [round(step * (length - window) / max(1, steps)) for step in range(steps + 1)]


def _weights(begins: list[int], window: int) -> list[Tensor]:
    """Return the weights of each window's pixels along an edge, (window,) float32; at each pixel they add up to 1.

    Windows form a grid, so the weights of rows and columns multiply, and nothing has to be divided afterwards.
    """
    bell = torch.sin(torch.pi * (torch.arange(window, dtype=torch.float64) + 0.5) / window) ** 2
    total = torch.zeros(begins[-1] + window, dtype=torch.float64)
    for begin in begins:
        total[begin : begin + window] += bell
    return [(bell / total[begin : begin + window]).float() for begin in begins]


class _Reader:
    """Reads an image from top to bottom, each row once, and holds those that windows still need."""

    def __init__(self, rows: Rows, across: int) -> None:
        self.rows = rows
        self.across = across
        """Columns, with the black ones beside a narrow image."""
        self._top = 0
        self._held = torch.zeros(3, 0, across, dtype=torch.uint8)

    def read(self, top: int, bottom: int) -> Tensor:
        """Return the rows top .. bottom - 1, (3, bottom - top, across), black below the image; never goes back up."""
        known = self._top + self._held.shape[1]
        if bottom > known:
            last = min(bottom, self.rows.height)
            # Copied: what a reader hands out may be read-only or reused, and torch takes neither.
            new = torch.tensor(self.rows.read(known, last)) if last > known else self._held[:, :0, : self.rows.width]
            new = F.pad(new, (0, self.across - self.rows.width, 0, bottom - known - new.shape[1]))
            self._held, self._top = torch.cat([self._held[:, top - self._top :], new], 1), top
        return self._held[:, top - self._top : bottom - self._top]


def _rows(image: Tensor) -> Rows:
    if image.ndim != 3 or image.shape[0] != 3 or image.dtype != torch.uint8 or 0 in image.shape:
        raise ConfigError(
            f"Got an image of shape {tuple(image.shape)} and {image.dtype}; expected (3, height, width) uint8.",
            field="image",
        )
    pixels = image.cpu().numpy()
    return Rows(pixels.shape[1], pixels.shape[2], lambda top, bottom: pixels[:, top:bottom])


def _predict(
    forward: Callable[[Tensor], Tensor],
    image: _Reader,
    corners: list[tuple[int, int]],
    window: int,
    batch_size: int,
    device: torch.device,
) -> Iterator[Tensor]:
    """Yield the probabilities of each window in turn: (classes, window, window) float32 on `device`."""
    for start in range(0, len(corners), batch_size):
        batch = corners[start : start + batch_size]
        above = batch[0][0]
        rows = image.read(above, batch[-1][0] + window)
        tiles = [rows[:, top - above : top - above + window, left : left + window] for top, left in batch]
        with torch.inference_mode():  # left before each yield, as whoever asks for the next may want gradients
            probabilities = forward(torch.stack(tiles).to(device)).float().softmax(1)
        yield from probabilities
