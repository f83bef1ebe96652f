"""Imported by the process that workers are forked from: all that each of them would import anew, first of all torch.

What torch imports only when it is used is used here once. Nothing is computed backwards, as that starts threads, which
a fork would lose.
"""

from __future__ import annotations

import torch

import segcore.training.worker  # noqa: F401 (only to have it imported)
from segcore.models.build import build
from segcore.models.summary import describe
from tests.faults.lab import ENCODER, SIZE

describe(ENCODER, image_size=SIZE, classes=3)
with torch.inference_mode():
    build(ENCODER, weights="none", classes=3, image_size=SIZE).eval()(torch.zeros(2, 3, SIZE, SIZE, dtype=torch.uint8))
