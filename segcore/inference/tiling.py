"""Predicting an image of any size at its native scale, in overlapping windows.

Near its border a window lacks context, and neighbours disagree. So windows overlap and their probabilities are
averaged with weights that fall to nothing towards a window's border (the idea of nnU-Net's and MONAI's sliding
windows, https://arxiv.org/abs/1809.10486, section 2.4): no seam is left to see. Windows go row by row, and rows of
pixels are given out as soon as no further window covers them, so that memory grows with the image's width alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from segcore.errors import ConfigError
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
    image: Tensor,
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

    At any time no more is held than `batch_size` predicted windows and two strips of (classes, window, W).

    Args:
        forward: images (B, 3, window, window) uint8 on `device` -> logits (B, classes, window, window); in
            evaluation mode. It is called without gradients.
        image: (3, H, W) uint8 RGB, 0-255. Where it is smaller than a window, it is filled up with black, as
            crops are in training.
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
    if image.ndim != 3 or image.shape[0] != 3 or image.dtype != torch.uint8 or 0 in image.shape:
        raise ConfigError(
            f"Got an image of shape {tuple(image.shape)} and {image.dtype}; expected (3, height, width) uint8.",
            field="image",
        )
    height, width = image.shape[1:]
    image = F.pad(image, (0, max(0, window - width), 0, max(0, window - height)))
    tops, lefts = starts(image.shape[1], window, overlap), starts(image.shape[2], window, overlap)
    row_weights, column_weights = _weights(tops, window), _weights(lefts, window)
    strip, row = torch.zeros(classes, window, image.shape[2], device=gather), 0
    predicted = _predict(forward, image, [(top, left) for top in tops for left in lefts], window, batch_size, device)
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


def _predict(
    forward: Callable[[Tensor], Tensor],
    image: Tensor,
    corners: list[tuple[int, int]],
    window: int,
    batch_size: int,
    device: torch.device,
) -> Iterator[Tensor]:
    """Yield the probabilities of each window in turn: (classes, window, window) float32 on `device`."""
    for start in range(0, len(corners), batch_size):
        tiles = [
            image[:, top : top + window, left : left + window] for top, left in corners[start : start + batch_size]
        ]
        with torch.inference_mode():  # left before each yield, as whoever asks for the next may want gradients
            probabilities = forward(torch.stack(tiles).to(device)).float().softmax(1)
        yield from probabilities
