"""Bringing probabilities back from the size at which a network saw an image to the image's own."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from segcore.inference.tiling import Band

_BAND_VALUES = 2**22
"""So many probabilities are brought back to the image's size at once: a large image has billions in all."""


def enlarged(bands: Iterable[Band], rows: int, height: int, width: int) -> Iterator[Band]:
    """Resize what was predicted of an image to `height` x `width`, some rows at a time.

    Bilinearly, as `interpolate` with `align_corners=False` does over the whole, without holding the whole: edges of
    classes fall between pixels rather than on blocks.

    Args:
        bands: of an image of `rows` rows, from top to bottom.
        rows: how many there are.
        height: of the result.
        width: of the result.
    """
    scale = rows / height
    held, first, done = torch.zeros(0), 0, 0
    for band in bands:
        held = band.probabilities if band.top == 0 else torch.cat([held, band.probabilities], 1)
        # A row can be resized once the row below its place is there, too; the first rows lie at the first place.
        ready = math.ceil((band.bottom - 0.5) / scale - 0.5) if band.bottom > 1 else 0
        ready = height if band.bottom == rows else max(done, ready)
        step = max(1, _BAND_VALUES // (len(held) * width))
        for top in range(done, ready, step):
            bottom = min(top + step, ready)
            yield Band(top, bottom, _between(held, first, rows, top, bottom, height, width))
        done = ready
        unused = min(max(0, math.floor((done + 0.5) * scale - 0.5) - first), held.shape[1])
        held, first = held[:, unused:], first + unused


def _between(held: Tensor, first: int, rows: int, top: int, bottom: int, height: int, width: int) -> Tensor:
    """Return the rows top .. bottom - 1 of the result; `held` (C, h, w) begins with the row `first` of all `rows`."""
    place = torch.arange(top, bottom, dtype=torch.float64)
    place = ((place + 0.5) * (rows / height) - 0.5).clamp(min=0)
    above = place.long()
    share = (place - above).to(held.device, torch.float32)[None, :, None]
    below = (above + 1).clamp(max=rows - 1)
    values = held[:, (above - first).to(held.device)] * (1 - share) + held[:, (below - first).to(held.device)] * share
    return F.interpolate(values[None], (bottom - top, width), mode="bilinear", align_corners=False)[0]
