"""Images that a visitor hands in: checked before they are decoded, then read as a dataset's images are."""

from __future__ import annotations

import io
import struct
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from segcore.data.readers import read_image
from segcore.errors import ImageReadError

SUFFIXES = ("png", "jpg", "jpeg", "webp", "tif", "tiff")
MAX_MEGABYTES = 50
MAX_PIXELS = 60_000_000
"""A file of a few kilobytes can claim any size; a drone's photograph has up to about 50 million pixels."""
_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF")


def upload_size(data: bytes, name: str) -> tuple[int, int]:
    """Return (width, height) of an uploaded image, without decoding any pixel.

    Raises:
        ImageReadError: too large, damaged, or no PNG, JPEG, WebP or TIFF.
    """
    return _checked(data, name)[1:]


def read_upload(data: bytes, name: str, *, max_side: int) -> np.ndarray:
    """Return an uploaded image as HWC uint8 RGB, 0-255, its longer side at most `max_side`.

    Raises:
        ImageReadError: too large, damaged, or no PNG, JPEG, WebP or TIFF.
    """
    kind, _, _ = _checked(data, name)
    if kind == "TIFF":
        return _read_tiff(data, name, max_side)
    try:
        # The very function that read the images the network learnt from.
        return read_image(Path(name), max_side=max_side, data=data)
    except ImageReadError as error:
        raise ImageReadError(
            f"{name} begins like a {kind} image but cannot be decoded: it is damaged, cut off, or of a rare kind. "
            "Save it again, or upload another image."
        ) from error


def _checked(data: bytes, name: str) -> tuple[str, int, int]:
    """Return format, width and height of what is small enough to be decoded."""
    if len(data) > MAX_MEGABYTES * 1_000_000:
        raise ImageReadError(
            f"{name} has {len(data) / 1e6:.0f} MB, at most {MAX_MEGABYTES} MB are taken. Upload a smaller version."
        )
    kind, width, height = _header(data, name)
    if width * height > MAX_PIXELS:
        raise ImageReadError(
            f"{name} unfolds to {width:,} × {height:,} = {width * height / 1e6:,.0f} million pixels, at most "
            f"{MAX_PIXELS / 1e6:.0f} million are taken. Upload a smaller version or a part of it."
        )
    return kind, width, height


def _header(data: bytes, name: str) -> tuple[str, int, int]:
    """Return format, width and height from the file's first bytes, without decoding any pixel."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit is lower
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                return str(image.format), image.width, image.height
    except Image.DecompressionBombError as error:
        raise ImageReadError(
            f"{name} claims to unfold to hundreds of millions of pixels, at most {MAX_PIXELS / 1e6:.0f} million are "
            "taken. Upload a smaller version or a part of it."
        ) from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, struct.error, EOFError) as error:
        from segcore.inference.geotiff import is_tiff, open_geotiff_bytes  # imports GDAL: only where it is needed

        if is_tiff(data):  # of many channels, large values or a compression that Pillow does not know
            with open_geotiff_bytes(data, name) as tiff:
                return "TIFF", tiff.grid.width, tiff.grid.height
        raise ImageReadError(
            f"{name} is no PNG, JPEG, WebP or TIFF that can be read. Upload an image of one of these kinds."
        ) from error


def _read_tiff(data: bytes, name: str, max_side: int) -> np.ndarray:
    """Read a TIFF as the command line does: Pillow shows one channel of some that have many."""
    from segcore.inference.geotiff import open_geotiff_bytes

    with open_geotiff_bytes(data, name) as tiff:
        return tiff.shrunk(max_side)
