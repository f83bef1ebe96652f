"""Writing labels as a GeoTIFF on the grid of their image, some rows at a time."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import DatasetWriter
from rasterio.windows import Window

from segcore.config import IGNORE_INDEX, ClassInfo
from segcore.files import atomic_path
from segcore.inference.geotiff import OPTIONS, Grid

BLOCK = 256
"""Side in pixels of the tiles that are compressed."""


@contextmanager
def label_writer(
    path: Path, grid: Grid, classes: Sequence[ClassInfo], tags: Mapping[str, str]
) -> Iterator[Callable[[np.ndarray], None]]:
    """Yield a function that takes labels, (rows, W) uint8, from top to bottom, and writes them.

    The file has one channel of 8 bits whose values are the classes by label, and 255 where the image holds nothing
    (its nodata value); their colours as palette, and their names as tags CLASS_0, CLASS_1, … It appears when all is
    written; what ends the writing early leaves nothing behind.

    Args:
        path: of the file.
        grid: of the image.
        classes: by label.
        tags: more of them.

    Raises:
        WorkspaceError: it cannot be written.
    """
    with atomic_path(path) as temporary, rasterio.Env(**OPTIONS), _created(temporary, grid) as out:
        _describe(out, grid, classes, tags)
        blocks = _Blocks(out)
        yield blocks.add
        blocks.finish()


def _created(path: Path, grid: Grid) -> DatasetWriter:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        return rasterio.open(
            path,
            "w",
            driver="GTiff",
            height=grid.height,
            width=grid.width,
            count=1,
            dtype="uint8",
            crs=grid.crs,
            transform=grid.transform,
            nodata=IGNORE_INDEX,
            tiled=True,
            blockxsize=BLOCK,
            blockysize=BLOCK,
            compress="deflate",
            photometric="palette",
            bigtiff="IF_SAFER",
        )


def _describe(out: DatasetWriter, grid: Grid, classes: Sequence[ClassInfo], tags: Mapping[str, str]) -> None:
    if grid.gcps:
        out.gcps = (list(grid.gcps), grid.crs)
    if grid.rpcs is not None:
        out.rpcs = grid.rpcs
    out.write_colormap(1, {label: (*info.color, 255) for label, info in enumerate(classes)})
    out.set_band_description(1, "class")
    out.update_tags(**tags, **{f"CLASS_{label}": info.name for label, info in enumerate(classes)})


class _Blocks:
    """Gathers rows until they fill a row of tiles: a tile that is written twice is stored twice."""

    def __init__(self, out: DatasetWriter) -> None:
        self.out = out
        self._waiting: list[np.ndarray] = []
        self._top = 0

    def add(self, labels: np.ndarray) -> None:
        self._waiting.append(labels)
        rows = sum(map(len, self._waiting))
        if rows >= BLOCK:
            self._write(rows - rows % BLOCK)

    def finish(self) -> None:
        rows = sum(map(len, self._waiting))
        if rows:
            self._write(rows)
        assert self._top == self.out.height, "every row is written once"

    def _write(self, rows: int) -> None:
        labels = np.concatenate(self._waiting)
        self.out.write(labels[:rows], 1, window=Window(0, self._top, self.out.width, rows))
        self._waiting = [labels[rows:]]
        self._top += rows
