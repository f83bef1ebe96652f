"""One look at an image and its mask: all that a check needs to know of them, whatever the classes are.

A look does not depend on the class table or on decisions, so that other classes need no file to be read again.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from segcore.data.classes import ClassTable
from segcore.data.histogram import Histogram
from segcore.data.pairing import Pair
from segcore.data.readers import encoding, image_size, read_bytes, read_image, read_raw_mask
from segcore.errors import ImageReadError

ODDITIES = (
    "16-bit image",
    "image with alpha",
    "CMYK image",
    "grey image",
    "turned by EXIF",
    "mask with alpha",
)
"""What is said of files that can be used, but perhaps are not what they seem."""


@dataclass(frozen=True)
class Look:
    """What one pair showed."""

    kind: str = ""
    """"unreadable image" or "unreadable mask"; "" where both can be read."""
    message: str = ""
    """Why not."""
    image_digest: str = ""
    """Hash of the image file's bytes."""
    mask_digest: str = ""
    size: tuple[int, int] = (0, 0)
    """(width, height) of the image."""
    mask_size: tuple[int, int] = (0, 0)
    oddities: tuple[str, ...] = ()
    """Of `ODDITIES`."""
    palette: bool = False
    """Whether the mask has a palette of its own."""
    histogram: Histogram | None = None

    @property
    def digest(self) -> str:
        """Hash of both files' bytes, as of `readers.pair_digest`."""
        return hashlib.sha256(bytes.fromhex(self.image_digest) + bytes.fromhex(self.mask_digest)).hexdigest()

    def to_json(self) -> tuple[dict[str, Any], str]:
        """Return it as JSON and, apart, its histogram as a line of text."""
        found = self.histogram
        value: dict[str, Any] = {name: getattr(self, name) for name in _PLAIN}
        if found is None:
            return value, ""
        boxes = {str(key): box for key, box in found.boxes.items()}
        return {
            **value,
            "entries": len(found.counts),
            "values": found.values is not None,
            "boxes": boxes,
        }, found.to_text()

    @classmethod
    def from_json(cls, value: dict[str, Any], text: str) -> Look:
        """Rebuild what `to_json` returned.

        Raises:
            ValueError, KeyError, TypeError: it is damaged.
        """
        plain = {name: value[name] for name in _PLAIN}
        for name in ("size", "mask_size", "oddities"):
            plain[name] = tuple(plain[name])
        if "entries" not in value:
            return cls(**plain)
        found = Histogram.from_text(text, int(value["entries"]), values=bool(value["values"]))
        found.boxes.update({int(key): tuple(box) for key, box in value["boxes"].items()})
        return cls(**plain, histogram=found)


_PLAIN = ("kind", "message", "image_digest", "mask_digest", "size", "mask_size", "oddities", "palette")


def look_at(pair: Pair, plain: ClassTable) -> Look:
    """Read both files once: hash their bytes, decode them, count what the mask holds.

    Args:
        pair: the files.
        plain: the class table without decisions, to tell what is strange.
    """
    kind = "unreadable image"
    try:
        image_bytes = read_bytes(pair.image)
        small = read_image(pair.image, max_side=64, data=image_bytes)  # to its end; a JPEG at an eighth: faster
        size, image = image_size(pair.image, data=image_bytes), encoding(pair.image, data=image_bytes)
        kind = "unreadable mask"
        mask_bytes = read_bytes(pair.mask)
        raw, mask = read_raw_mask(pair.mask, data=mask_bytes), encoding(pair.mask, data=mask_bytes)
    except ImageReadError as error:
        return Look(kind, str(error))
    seen = {
        "16-bit image": image.bits == 16,
        "image with alpha": image.alpha,
        "CMYK image": image.mode == "CMYK",
        "grey image": bool((np.ptp(small, axis=2) == 0).all()),
        "turned by EXIF": image.orientation != mask.orientation,
        "mask with alpha": mask.alpha,
    }
    return Look(
        image_digest=hashlib.sha256(image_bytes).hexdigest(),
        mask_digest=hashlib.sha256(mask_bytes).hexdigest(),
        size=size,
        mask_size=raw.size,
        oddities=tuple(name for name in ODDITIES if seen[name]),
        palette=mask.mode == "P",
        histogram=Histogram.of(raw, plain),
    )
