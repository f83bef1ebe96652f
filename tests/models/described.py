"""Networks described once for all tests that ask about the same one: looking through one takes up to a second."""

from __future__ import annotations

from functools import cache

from segcore.models import summary
from segcore.models.description import NetworkDescription


def describe(encoder: str, *, decoder: str = "unet", image_size: int = 256, classes: int = 12) -> NetworkDescription:
    """Return what `summary.describe` does; the same object for all who ask."""
    return _described(encoder, decoder, image_size, classes)


@cache
def _described(encoder: str, decoder: str, image_size: int, classes: int) -> NetworkDescription:
    return summary.describe(encoder, decoder=decoder, image_size=image_size, classes=classes)
