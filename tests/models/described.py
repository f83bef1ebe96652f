"""Networks looked through once for all tests that ask about the same one: it takes up to seconds."""

from __future__ import annotations

from functools import cache

from segcore.models import memory, summary
from segcore.models.description import NetworkDescription
from segcore.models.footprint import Footprint


def describe(encoder: str, *, decoder: str = "unet", image_size: int = 256, classes: int = 12) -> NetworkDescription:
    """Return what `summary.describe` does; the same object for all who ask."""
    return _described(encoder, decoder, image_size, classes)


@cache
def _described(encoder: str, decoder: str, image_size: int, classes: int) -> NetworkDescription:
    return summary.describe(encoder, decoder=decoder, image_size=image_size, classes=classes)


@cache
def footprint(encoder: str, decoder: str, classes: int, image_size: int) -> Footprint:
    """Return what `memory.footprint` does; the same object for all who ask."""
    return memory.footprint(encoder, decoder, classes, image_size)
