"""Image and mask files: decoding them, whatever they are, into arrays of one kind.

Files are decoded by Pillow, which says when a file is cut off (OpenCV fills the rest with grey and goes
on). An orientation noted in EXIF is ignored in images and masks alike: both are read as their pixels are stored.
"""

from __future__ import annotations

import hashlib
import io
import stat
import struct
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from segcore.config import IGNORE_INDEX
from segcore.data.classes import ClassTable, Color
from segcore.decisions import Reading
from segcore.errors import ImageReadError

_FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP")
"""No other decoder is tried, whatever a file is called: that of PostScript would start a program."""
_MAX_BYTES = 2 * 2**30
"""No image within the limit of pixels is larger; without a limit a file of any size would be read into memory."""


def image_size(path: Path, *, data: bytes | None = None) -> tuple[int, int]:
    """Return (width, height) as stored, from the file's header alone.

    Raises:
        ImageReadError: missing, or no image.
    """
    with _opened(path, data) as image:
        return image.size


@dataclass(frozen=True)
class Encoding:
    """How a file stores its pixels."""

    mode: str
    """Pillow's name of it: RGB, RGBA, P, L, LA, I;16, CMYK, …"""
    bits: int
    """Bits a channel."""
    alpha: bool
    """Whether it says what is transparent."""
    orientation: int
    """What EXIF says of how to turn the picture, 1-8; 1 is upright, and what is said where nothing is."""


def encoding(path: Path, *, data: bytes | None = None) -> Encoding:
    """Return how a file stores its pixels, from its header alone.

    Raises:
        ImageReadError: missing, or no image.
    """
    with _opened(path, data) as image:
        bits = 16 if image.mode.startswith("I;16") else 8
        if image.format == "PNG" and data is not None:
            bits = max(bits, data[24])  # Pillow reads RGB of 16 bits as 8
        alpha = image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info
        try:
            turned = image.getexif().get(ExifTags.Base.Orientation, 1)
        except (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error):  # damaged notes, sound pixels
            turned = 1
        return Encoding(image.mode, bits, alpha, turned if turned in range(2, 9) else 1)


def exif(path: Path) -> tuple[dict[int, Any], dict[int, Any], dict[int, Any]]:
    """Return what the camera wrote into a file, by the numbers of EXIF's tags: of the image, the exposure and the GPS.

    Raises:
        ImageReadError: missing, no image, or what is written is damaged.
    """
    with _opened(path, None) as image:
        tags = image.getexif()
        return dict(tags), dict(tags.get_ifd(ExifTags.IFD.Exif)), dict(tags.get_ifd(ExifTags.IFD.GPSInfo))


def read_image(path: Path, *, max_side: int | None = None, data: bytes | None = None) -> np.ndarray:
    """Read an image as HWC uint8 RGB, 0-255.

    Grey becomes RGB, alpha is dropped, 16 bits are scaled linearly to 8.

    Args:
        path: the file.
        max_side: shrink, by area, so that the longer side has at most this many pixels; much larger JPEGs
            are decoded at a half, a quarter or an eighth, which is several times as fast.
        data: what the file holds, where it has been read already.

    Raises:
        ImageReadError: missing, unreadable, cut off, or of a kind that holds no picture.
    """
    with _opened(path, data) as image:
        if max_side is None or max(image.size) <= max_side:
            return _to_rgb(image, path)
        scale = max_side / max(image.size)
        width, height = (max(1, round(side * scale)) for side in image.size)
        rgb = _to_rgb(image, path, least=(width, height))
    return cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)


def read_square(path: Path, side: int, *, data: bytes | None = None) -> np.ndarray:
    """Read an image resized to `side` x `side`: HWC uint8 RGB. By area, or linearly where it is enlarged.

    A JPEG is decoded at a half, a quarter or an eighth where that leaves twice `side` or more along each edge: a
    24-megapixel one in half the time, with values that differ by less than 1 of 255 on average.

    Raises:
        ImageReadError: as of `read_image`.
    """
    with _opened(path, data) as image:
        whole = image.size
        drafted = image.draft("RGB", (2 * side, 2 * side))
        rgb = _to_rgb(image, path)
        if drafted is None or image.size == whole:
            return to_square(rgb, side)
        width, height = drafted[1][2:]
    # Of 1030 pixels decoded at an eighth, 129 are left, the last one mostly beyond the edge: 128.75 become `side`.
    return cv2.resize(rgb, None, fx=side / width, fy=side / height, interpolation=cv2.INTER_AREA)


def to_square(rgb: np.ndarray, side: int) -> np.ndarray:
    """Resize an image, HWC uint8, to `side` x `side` as networks are trained on it and must be given it."""
    shrinks = min(rgb.shape[:2]) >= side
    return cv2.resize(rgb, (side, side), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def _to_rgb(image: Image.Image, path: Path, *, least: tuple[int, int] | None = None) -> np.ndarray:
    """Return the pixels as HWC uint8; a JPEG perhaps at a fraction of its size that is `least` or more."""
    if least is not None:
        image.draft("RGB", least)
    if image.mode.startswith("I;16"):
        grey = np.asarray(image).astype(np.uint32)
        return np.repeat(((grey + 128) // 257).astype(np.uint8)[..., None], 3, axis=2)
    if image.mode in ("I", "F"):
        raise ImageReadError(
            f"{path} holds {'floating point' if image.mode == 'F' else '32-bit'} values; expected an image of 8 or 16 "
            "bits a channel. Convert it."
        )
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))  # converting copies in any case


def resize_labels(labels: np.ndarray, width: int, height: int) -> np.ndarray:
    """Resize labels, HW uint8, taking for each new pixel the one old pixel at its centre; nothing is blended."""
    return cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)


# Masks ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RawMask:
    """A mask as its file holds it, before it is known what its values mean.

    A mask in RGB colours has `rgb`, HWC uint8. Any other has `values`, HW uint8 or uint16, and `palette`,
    (256, 3) uint8, the colour that each value has on screen; of single-channel files that is a grey.
    """

    rgb: np.ndarray | None = None
    values: np.ndarray | None = None
    palette: np.ndarray | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)."""
        pixels = self.rgb if self.rgb is not None else self.values
        assert pixels is not None
        return pixels.shape[1], pixels.shape[0]

    def known(self, table: ClassTable) -> dict[Reading, int]:
        """Return for each way to read the mask how many pixels then have a class of the table.

        The ignore value 255 of index masks is no evidence: it counts for neither.
        """
        if self.values is None or self.palette is None:
            return {"colors": 1, "index": 0}  # three different channels are nothing but a colour
        counts = np.bincount(self.values.ravel(), minlength=256)[:256]
        _, is_color = table.color_labels(self.palette)
        return {"colors": int(counts[is_color].sum()), "index": int(counts[: len(table.rows)].sum())}

    def labels(self, table: ClassTable, reading: Reading) -> tuple[np.ndarray, Counter[Color] | Counter[int]]:
        """Return (labels HW uint8, pixels of each unknown colour or value); see `ClassTable`."""
        if self.values is None or self.palette is None:
            assert self.rgb is not None
            return table.colors_to_labels(self.rgb)
        if reading == "index":
            return table.indices_to_labels(self.values)
        wide = np.minimum(self.values, np.uint16(256))
        label_of, is_color = table.color_labels(self.palette)
        counts = np.bincount(wide.ravel(), minlength=257)
        unknown: Counter[Color] = Counter()
        for value in np.flatnonzero((counts[:256] > 0) & ~is_color):
            red, green, blue = (int(part) for part in self.palette[value])
            unknown[red, green, blue] += int(counts[value])
        if counts[256]:  # a 16-bit grey beyond 255 is no colour of 8 bits; shown as white
            unknown[255, 255, 255] += int(counts[256])
        return np.append(label_of, np.uint8(IGNORE_INDEX))[wide], unknown


def choose_reading(known: dict[Reading, int]) -> Reading:
    """Return the reading under which more pixels have a class; colours where both have as many."""
    return "index" if known["index"] > known["colors"] else "colors"


def read_mask(
    path: Path, table: ClassTable, *, reading: Reading | None = None, size: tuple[int, int] | None = None
) -> tuple[np.ndarray, Counter[Color] | Counter[int]]:
    """Read a mask as training labels.

    RGB masks are colours of the table. Palette and single-channel masks (an RGB file whose channels
    are all equal counts as one) may be colours or rows of the table; without `reading` that meaning is taken
    under which more pixels have a class. One mask of a single value can be ambiguous: a `Dataset` decides over all
    its masks together and hands the result in.

    Returns:
        labels, HW uint8: 0 .. C-1, 255 where ignored or unknown; and the pixels of each unknown colour
        (as (r, g, b)) or value.

    Raises:
        ImageReadError: missing, unreadable or cut off.
    """
    mask = read_raw_mask(path, size=size)
    return mask.labels(table, reading or choose_reading(mask.known(table)))


def read_raw_mask(path: Path, *, data: bytes | None = None, size: tuple[int, int] | None = None) -> RawMask:
    """Read a mask's values as they are stored.

    Args:
        path: the file.
        data: what it holds, where it has been read already.
        size: resize it to this (width, height) as `resize_labels` does. As each new pixel is one old pixel, the
            labels are those of the whole mask resized, but most of a large mask never has to become labels.

    Raises:
        ImageReadError: missing, unreadable or cut off.
    """
    with _opened(path, data) as image:
        part = image if size is None or size == image.size else image.resize(size, Image.Resampling.NEAREST)
        if image.mode == "P":
            return RawMask(values=np.asarray(part), palette=_palette(image))
        if image.mode == "1":
            values = np.asarray(part).astype(np.uint8)
            grey = np.where(np.arange(256) == 0, 0, 255).astype(np.uint8)  # its 1 is white on screen
            return RawMask(values=values, palette=np.repeat(grey[:, None], 3, axis=1))
        if image.mode.startswith("I;16"):
            return RawMask(values=np.asarray(part).astype(np.uint16), palette=_GREYS)
        if image.mode in ("L", "LA"):
            return RawMask(values=np.asarray(part.getchannel(0)), palette=_GREYS)
        rgb = _to_rgb(part, path)
        # A mask is grey as a whole or not at all: what is left of a resized one may be grey by chance.
        if _is_grey(rgb) and (part is image or _is_grey(_to_rgb(image, path))):
            return RawMask(values=np.ascontiguousarray(rgb[..., 0]), palette=_GREYS)
    return RawMask(rgb=rgb)


_GREYS = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)


def _palette(image: Image.Image) -> np.ndarray:
    colors = np.zeros((256, 3), np.uint8)
    stored = np.array(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)[:256]
    colors[: len(stored)] = stored
    return colors


def _is_grey(rgb: np.ndarray) -> bool:
    """Whether all channels are equal; told from a few pixels where they are not."""
    return all(
        bool((part[..., 0] == part[..., 1]).all() and (part[..., 1] == part[..., 2]).all())
        for part in (rgb[::37, ::37], rgb)
    )


def read_bytes(path: Path) -> bytes:
    """Return what a file holds.

    Raises:
        ImageReadError: missing, no regular file, over 2 GiB, or not allowed to be read.
    """
    try:
        _check_regular(path)
        return path.read_bytes()
    except OSError as error:
        raise ImageReadError(
            f"{path} cannot be read ({error.strerror}). Put it back, allow reading it, or remove it."
        ) from error


def _check_regular(path: Path) -> None:
    """Refuse what reading would never end, or end this process: pipes, devices, files of any size."""
    found = path.stat()
    if stat.S_ISDIR(found.st_mode):
        raise ImageReadError(f"{path} is a folder, not an image. Rename or remove it.")
    if not stat.S_ISREG(found.st_mode):
        raise ImageReadError(f"{path} is a pipe or a device, not an image. Remove it.")
    if found.st_size > _MAX_BYTES:
        raise ImageReadError(f"{path} has {found.st_size / 2**30:.0f} GiB, more than 2. Cut it into tiles.")


def pair_digest(image: bytes, mask: bytes) -> str:
    """Return a hash of the bytes of an image file and its mask file."""
    return hashlib.sha256(hashlib.sha256(image).digest() + hashlib.sha256(mask).digest()).hexdigest()


@contextmanager
def _opened(path: Path, data: bytes | None = None) -> Iterator[Image.Image]:
    """Open an image; whatever goes wrong with it inside the `with` becomes an `ImageReadError`."""
    try:
        if data is None:
            _check_regular(path)
        with Image.open(path if data is None else io.BytesIO(data), formats=_FORMATS) as image:
            yield image
    except FileNotFoundError as error:
        raise ImageReadError(f"{path} is not there (any more).") from error
    except UnidentifiedImageError as error:
        raise ImageReadError(_not_an_image(path, data)) from error
    except Image.DecompressionBombError as error:
        raise ImageReadError(
            f"{path} has more than {2 * (Image.MAX_IMAGE_PIXELS or 0) // 10**6} million pixels. Cut it into tiles."
        ) from error
    except MemoryError as error:
        raise ImageReadError(f"{path} does not fit into memory. Cut it into tiles.") from error
    # What Pillow's decoders raise on damaged files.
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error) as error:
        raise ImageReadError(
            f"{path} is damaged or cut off ({error}). Copy it again from its source, or remove it."
        ) from error


def _not_an_image(path: Path, data: bytes | None) -> str:
    """Say what a file is that no decoder knows."""
    start = path.read_bytes()[:40] if data is None else data[:40]
    if not start:
        return f"{path} is empty (0 bytes). Copy it again from its source, or remove it."
    if start.startswith(b"version https://git-lfs"):
        return f"{path} is a pointer of Git LFS, not the image itself. Run `git lfs pull` where it came from."
    return f"{path} is no image that can be read; expected PNG, JPEG, TIFF, WebP or BMP. Convert or remove it."
