"""Reading GeoTIFFs and other TIFFs some rows at a time, with rasterio.

GDAL below rasterio opens hundreds of formats, some of which name other files or addresses to be read in their place.
So what is opened has to be a file on this machine that begins as a TIFF, with the TIFF driver alone, and files beside
it (masks, world files, side-car metadata) are not looked for: nothing but the file itself is ever read.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio._err import CPLE_BaseError  # some escape from rasterio as they are, and it names them nowhere else
from rasterio.enums import ColorInterp, Interleaving, MaskFlags, Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader, MemoryFile
from rasterio.windows import Window

from segcore.errors import ImageReadError
from segcore.inference.rows import Rows

OPTIONS = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", "GDAL_CACHEMAX": 2**28}
"""Of GDAL: no file beside the one that is opened, and at most so many bytes of decoded pieces in memory."""
GDAL_ERRORS = (RasterioError, CPLE_BaseError)
MAX_SIDE = 500_000
"""Pixels along an edge; a file of some bytes can claim any size."""
MAX_PIECE = 2**28
"""Bytes of the pieces in which pixels are stored, decoded: they are read one by one, but each as a whole."""
_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_DARK = 8
"""16-bit images that use less than this part of their range come out nearly black."""


@dataclass(frozen=True)
class Grid:
    """Where the pixels of an image lie on the earth, in rasterio's own objects."""

    height: int
    width: int
    crs: Any = None
    """The coordinate reference system; None where there is none."""
    transform: Any = None
    """Affine: (column, row) -> coordinates; None where there is none."""
    gcps: tuple[Any, ...] = ()
    """Ground control points, in place of a transform."""
    rpcs: Any = None
    """Rational polynomial coefficients, in place of a transform."""

    @property
    def georeferenced(self) -> bool:
        return self.transform is not None or bool(self.gcps) or self.rpcs is not None


class GeoTiff:
    """An open TIFF as an image of three channels."""

    def __init__(self, dataset: DatasetReader, name: str) -> None:
        self.grid = _grid(dataset)
        self.rows = Rows(dataset.height, dataset.width, self._read)
        self._dataset = dataset
        self._name = name
        self._channels, self._palette, self._top = _channels(dataset, name)
        self._masked = any(MaskFlags.all_valid not in flags for flags in dataset.mask_flag_enums)
        self._brightest = 0
        self._guessed = _guessed(dataset)
        """Channels of which three had to be chosen; 0 where the file says which, or there is no choice."""

    def valid(self, top: int, bottom: int) -> np.ndarray | None:
        """Return which pixels of the rows top .. bottom - 1 hold something, (bottom - top, W) bool.

        By the nodata value, an alpha channel or a mask inside the file; None where it has none of these.

        Raises:
            ImageReadError: the file is damaged there.
        """
        if not self._masked:
            return None
        with _told(self._name):
            return self._dataset.dataset_mask(window=Window(0, top, self.grid.width, bottom - top)) != 0

    @property
    def warning(self) -> str:
        """What is odd about the file and the values read so far; "" where nothing is."""
        odd = []
        if self._guessed:
            odd.append(
                f"none of its {self._guessed} channels is called red, green or blue, so the first three were taken for "
                "these"
            )
        if self._top > 255 and 0 < self._brightest < self._top // _DARK:
            odd.append(
                f"its {self._top.bit_length()}-bit values reach only {self._brightest:,} of {self._top:,}, so it was "
                "nearly black to the network; scale it to 8 bits as the training images were"
            )
        return "; ".join(odd)

    def shrunk(self, max_side: int) -> np.ndarray:
        """Return the whole as (h, w, 3) uint8 RGB, its longer side at most `max_side`.

        Raises:
            ImageReadError: the file is damaged.
        """
        scale = min(1.0, max_side / max(self.grid.height, self.grid.width))
        shape = (max(1, round(self.grid.height * scale)), max(1, round(self.grid.width * scale)))
        way = Resampling.nearest if self._palette is not None else Resampling.average
        with _told(self._name):
            values = self._dataset.read(self._channels, out_shape=(len(self._channels), *shape), resampling=way)
        return np.ascontiguousarray(self._to_rgb(values).transpose(1, 2, 0))

    def _read(self, top: int, bottom: int) -> np.ndarray:
        """Return rows as `Rows.read` does; what holds nothing is black, as beyond the edge in training on crops."""
        with _told(self._name):
            values = self._dataset.read(self._channels, window=Window(0, top, self.grid.width, bottom - top))
        pixels, valid = self._to_rgb(values), self.valid(top, bottom)
        return pixels if valid is None else pixels * valid

    def _to_rgb(self, values: np.ndarray) -> np.ndarray:
        if self._palette is not None:
            return self._palette[values[0]].transpose(2, 0, 1)
        if self._top != 255:
            self._brightest = max(self._brightest, int(values.max()))
            wide = np.minimum(values, self._top).astype(np.uint32)
            values = ((wide * 255 + self._top // 2) // self._top).astype(np.uint8)
        return values if len(values) == 3 else values.repeat(3, axis=0)


def is_tiff(start: bytes) -> bool:
    """Whether a file that begins with these bytes is a TIFF."""
    return start[:4] in _MAGIC


@contextmanager
def open_geotiff(path: Path) -> Iterator[GeoTiff]:
    """Open a TIFF of 8 or 16 bits with one channel (grey or palette) or three and more.

    Red, green and blue are taken where the file names them, else the first three; 16 bits are scaled linearly to 8.

    Raises:
        ImageReadError: missing, no TIFF, damaged, of another kind of values, or stored in pieces too large to read.
    """
    path = path.resolve()  # absolute: a name can look like an address or a part of a file to GDAL, a path cannot
    try:
        with open(path, "rb") as file:
            start = file.read(4)
    except OSError as error:
        raise ImageReadError(f"{path} cannot be read ({error.strerror}).") from error
    if not is_tiff(start) or str(path).startswith("/vsi"):
        raise ImageReadError(f"{path} is no TIFF.")
    with rasterio.Env(**OPTIONS), _opened(path, str(path)) as dataset:
        yield GeoTiff(dataset, str(path))


@contextmanager
def open_geotiff_bytes(data: bytes, name: str) -> Iterator[GeoTiff]:
    """Open what a TIFF file holds; otherwise as `open_geotiff`."""
    if not is_tiff(data):
        raise ImageReadError(f"{name} is no TIFF.")
    with rasterio.Env(**OPTIONS), MemoryFile(data, filename="image.tif") as file, _opened(file.name, name) as dataset:
        yield GeoTiff(dataset, name)


@contextmanager
def _opened(path: Path | str, name: str) -> Iterator[DatasetReader]:
    with _told(name), warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        dataset = rasterio.open(path, driver="GTiff")
    with dataset:
        _check(dataset, name)
        yield dataset


@contextmanager
def _told(name: str) -> Iterator[None]:
    """Turn what GDAL says of a file into an error for people."""
    try:
        yield
    except GDAL_ERRORS as error:
        cause = " ".join(str(error.__cause__ or error).split())
        raise ImageReadError(
            f"{name} is damaged, cut off, or a TIFF of a rare kind ({cause}). Copy it again, or convert it."
        ) from error


def _check(dataset: DatasetReader, name: str) -> None:
    """Refuse what cannot be read in bounded memory or means something else than a picture."""
    if max(dataset.height, dataset.width) > MAX_SIDE:
        raise ImageReadError(
            f"{name} claims {dataset.width:,} × {dataset.height:,} pixels, at most {MAX_SIDE:,} along an edge are read."
        )
    kinds = set(dataset.dtypes)
    if not kinds <= {"uint8", "uint16"}:
        raise ImageReadError(
            f"{name} holds {' and '.join(sorted(kinds))} values; expected 8 or 16 bits without sign. Convert it, with "
            "gdal_translate -ot Byte -scale for example."
        )
    together = dataset.count if dataset.interleaving == Interleaving.pixel else 1
    rows, columns = dataset.block_shapes[0]
    if (piece := rows * columns * together * np.dtype(dataset.dtypes[0]).itemsize) > MAX_PIECE:
        raise ImageReadError(
            f"{name} is stored in pieces of {piece / 1e6:,.0f} MB, each to be decoded as a whole; at most "
            f"{MAX_PIECE / 1e6:,.0f} MB are read. Store it in tiles, with gdal_translate -co TILED=YES for example."
        )


def _grid(dataset: DatasetReader) -> Grid:
    points, points_crs = dataset.gcps
    transform = None if dataset.transform.is_identity else dataset.transform
    crs = dataset.crs or (points_crs if points else None)
    return Grid(dataset.height, dataset.width, crs or None, transform, tuple(points), dataset.rpcs)


def _channels(dataset: DatasetReader, name: str) -> tuple[list[int], np.ndarray | None, int]:
    """Return the channels to read (from 1), the palette (values, 3) uint8 of a single one, and the highest value."""
    meanings = list(dataset.colorinterp)
    if ColorInterp.cyan in meanings:
        raise ImageReadError(f"{name} has colours for print (CMYK). Convert it to RGB.")
    if meanings[0] == ColorInterp.palette:
        colors = dataset.colormap(1)
        palette = np.zeros((np.iinfo(dataset.dtypes[0]).max + 1, 3), np.uint8)
        palette[list(colors)] = [color[:3] for color in colors.values()]
        return [1], palette, 255
    primaries = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
    if all(color in meanings for color in primaries):
        channels = [meanings.index(color) + 1 for color in primaries]
    else:
        seen = [index for index, meaning in enumerate(meanings, 1) if meaning != ColorInterp.alpha]
        channels = seen[:3] if len(seen) >= 3 else seen[:1]
    if not channels:
        raise ImageReadError(f"{name} has a mask but no picture.")
    bits = dataset.tags(channels[0], ns="IMAGE_STRUCTURE").get("NBITS")
    return channels, None, 2 ** int(bits) - 1 if bits else int(np.iinfo(dataset.dtypes[channels[0] - 1]).max)


def _guessed(dataset: DatasetReader) -> int:
    """Return how many channels stand to choice where the file does not say what they mean; 0 where none do."""
    seen = [meaning for meaning in dataset.colorinterp if meaning != ColorInterp.alpha]
    named = {ColorInterp.red, ColorInterp.green, ColorInterp.blue} <= set(seen)
    return 0 if named or len(seen) <= 3 or ColorInterp.palette in seen[:1] else len(seen)
