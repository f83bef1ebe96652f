"""Pictures on their way to the browser: a JSON header and, behind it, the bytes of photograph and maps.

Maps of one byte a pixel are deflated, not PNG: a browser unpacks them exactly, while reading pixels back from a
canvas costs four times the memory and is disturbed on purpose by browsers that guard against tracking.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np

LOSSLESS_PIXELS = 1_500_000
"""Photographs up to so many pixels are sent as they are; larger ones as JPEG, a fifth of the size or less."""
_JPEG_QUALITY = 92


@dataclass(frozen=True)
class Packed:
    """A photograph or a map, ready to be sent; small enough to be kept."""

    width: int
    height: int
    data: bytes
    kind: str
    """image/png or image/jpeg of a photograph; "labels" or "percent" of a map."""

    @cached_property
    def id(self) -> str:
        """What the browser knows it by: it unpacks nothing twice."""
        return hashlib.sha256(self.data).hexdigest()[:16]


def pack_photo(image: np.ndarray) -> Packed:
    """Pack an image, HWC uint8 RGB."""
    height, width = image.shape[:2]
    lossless = width * height <= LOSSLESS_PIXELS
    suffix, options = (
        (".png", [cv2.IMWRITE_PNG_COMPRESSION, 1]) if lossless else (".jpg", [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    )
    done, data = cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    assert done
    return Packed(width, height, data.tobytes(), "image/png" if lossless else "image/jpeg")


def pack_labels(labels: np.ndarray) -> Packed:
    """Pack labels, (H, W) uint8, 255 where nobody knows."""
    height, width = labels.shape
    return Packed(width, height, zlib.compress(labels.tobytes(), 1), "labels")


def pack_shares(shares: np.ndarray) -> Packed:
    """Pack shares, (H, W) float, 0-1, as whole percents; neighbours are alike, so their differences are packed."""
    height, width = shares.shape
    percents = np.rint(100 * shares).astype(np.uint8).ravel()
    return Packed(width, height, zlib.compress(np.diff(percents, prepend=np.uint8(0)).tobytes(), 1), "percent")


def unpack(packed: Packed) -> np.ndarray:
    """Return a map, (H, W) uint8: labels, or whole percents.

    Raises:
        ValueError: it is a photograph.
    """
    if packed.kind not in ("labels", "percent"):
        raise ValueError(f"{packed.kind} is no map; expected labels or percent")
    values = np.frombuffer(zlib.decompress(packed.data), np.uint8)
    if packed.kind == "percent":
        values = np.cumsum(values, dtype=np.uint8)
    return values.reshape(packed.height, packed.width)


def message(header: Mapping[str, Any]) -> bytes:
    """Return what is sent: 4 bytes (little-endian) of the header's length, the header, the bytes it points into.

    In the header each `Packed` stands as {id, width, height, kind, from, length}; what is sent twice is sent once.
    """
    places: dict[str, int] = {}
    parts: list[bytes] = []

    def place(value: object) -> dict[str, Any]:
        assert isinstance(value, Packed), f"{value!r} cannot be sent"
        name = value.id
        if name not in places:
            places[name] = sum(map(len, parts))
            parts.append(value.data)
        where = {"from": places[name], "length": len(value.data)}
        return {"id": name, "width": value.width, "height": value.height, "kind": value.kind, **where}

    text = json.dumps(header, default=place).encode()
    return b"".join([len(text).to_bytes(4, "little"), text, *parts])
