"""From image files of any kind and size to files of what a network says of them, without either whole in memory.

A TIFF is read piece by piece; of others the picture is held (Pillow can read them as a whole only), but never the
probabilities. A mask keeps the grid of a georeferenced image; other masks are palette PNGs.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from segcore.config import IGNORE_INDEX
from segcore.data.readers import read_image
from segcore.errors import ImageReadError
from segcore.files import atomic_path
from segcore.inference.geotiff import Grid, is_tiff, open_geotiff
from segcore.inference.geotiff_areas import pixel_areas
from segcore.inference.geotiff_polygons import check_polygons, write_polygons
from segcore.inference.geotiff_write import label_writer
from segcore.inference.large import View, Wanted, predict, view_of
from segcore.inference.overlay import Overlay
from segcore.inference.predictor import Predictor
from segcore.inference.rows import Rows, rows_of
from segcore.progress import Progress, silent

MAX_PIXELS = 178_000_000
"""Of an image that is held in memory, or of a mask that is a PNG; about what Pillow allows."""


@dataclass(frozen=True)
class Source:
    """An image file that is open."""

    rows: Rows
    grid: Grid
    valid: Callable[[int, int], np.ndarray | None]
    """(top, bottom) -> which pixels of these rows hold something, (bottom - top, W) bool; None where all do."""
    warning: Callable[[], str]
    """What was odd about the values read so far; "" where nothing was."""


@dataclass(frozen=True)
class Wishes:
    """What is wanted of each image."""

    tta: bool = False
    look: Wanted = "auto"
    overlay: bool = False
    geotiff: bool = False
    """The mask as a GeoTIFF even where the image has no place on the earth."""
    polygons: bool = False


@dataclass(frozen=True)
class Written:
    """What became of one image."""

    image: Path
    mask: Path
    overlay: Path | None
    polygons: Path | None
    width: int
    height: int
    view: View
    confidence: float
    """Mean probability, 0-1, of the predicted classes, over the pixels that hold something; NaN where none does."""
    shares: dict[str, float]
    """Of the classes that were predicted, in the pixels that hold something, the largest first."""
    areas: dict[str, float] | None
    """On the ground in m², of the same classes; None where the image has no coordinate system."""
    nodata: float
    """Share of the pixels that hold nothing, and are 255 in the mask."""
    warning: str


@contextmanager
def open_source(path: Path) -> Iterator[Source]:
    """Open an image of any kind.

    Raises:
        ImageReadError: missing, unreadable, too large, or of a kind that holds no picture.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(4)
    except OSError:
        start = b""  # the readers below have words for it
    if is_tiff(start):
        with open_geotiff(path) as tiff:
            yield Source(tiff.rows, tiff.grid, tiff.valid, lambda: tiff.warning)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # it comes at half of what is refused
        pixels, seen = read_image(path), _seen(path)
    valid = (lambda _top, _bottom: None) if seen is None else (lambda top, bottom: seen[top:bottom])
    yield Source(rows_of(pixels), Grid(*pixels.shape[:2]), valid, str)


def _seen(path: Path) -> np.ndarray | None:
    """Return which pixels of an image that has been read are not wholly transparent, (H, W) bool; None where all are.

    The network is shown the colours below them all the same, as in training.
    """
    with Image.open(path) as image:
        if not image.has_transparency_data:
            return None
        whole = image if "A" in image.getbands() else image.convert("RGBA")
        seen = np.asarray(whole.getchannel("A")) > 0
    return None if seen.all() else seen


def mask_suffix(path: Path, geotiff: bool) -> str:
    """Return the suffix of an image's mask: ".tif" where it is georeferenced or `geotiff` is wished, else ".png"."""
    if geotiff:
        return ".tif"
    try:
        with open_geotiff(path) as tiff:
            return ".tif" if tiff.grid.georeferenced else ".png"
    except ImageReadError:  # no TIFF, or one of which there will be no mask
        return ".png"


def predict_file(
    predictor: Predictor,
    image: Path,
    mask: Path,
    wishes: Wishes = Wishes(),
    *,
    trained_on: tuple[int, int] | None = None,
    progress: Progress = silent,
) -> Written:
    """Write what a network says of an image file; the mask to `mask`, the rest beside it.

    Args:
        predictor: the network.
        image: the file.
        mask: where the mask goes, its suffix as of `mask_suffix`; an overlay is called NAME.overlay.jpg, polygons
            NAME.geojson.
        wishes: what is wanted.
        trained_on: median (height, width) of the images the network was trained on; see `large.training_size`.
        progress: counts windows, where there are any; raising from it cancels, and leaves no file behind.

    Raises:
        ImageReadError: the image cannot be read, or is too large.
        ConfigError: what is wished for is not possible for it.
        WorkspaceError: a file cannot be written.
    """
    with open_source(image) as source:
        grid, warning = source.grid, source.warning
        if wishes.polygons:
            check_polygons(grid, image.name)
        view = view_of(predictor.config, grid.height, grid.width, trained_on, wishes.look)
        tally = _Tally(len(predictor.classes), pixel_areas(grid))
        overlay = Overlay(grid.height, grid.width) if wishes.overlay else None
        with _mask_writer(mask, grid, predictor, view) as write:
            for band in predict(predictor, source.rows, view, progress, tta=wishes.tta):
                surest = band.probabilities.max(0)
                labels = surest.indices.byte().cpu().numpy()
                valid = source.valid(band.top, band.bottom)
                if valid is not None:
                    labels = np.where(valid, labels, np.uint8(IGNORE_INDEX))
                tally.add(band.top, labels, surest.values.cpu().numpy())
                write(labels)
                if overlay is not None:
                    overlay.add(band.top, labels)
        drawn = mask.with_name(f"{mask.stem}.overlay.jpg") if overlay is not None else None
        if overlay is not None and drawn is not None:
            overlay.save(drawn, source.rows, predictor.palette)
    outlines = mask.with_name(f"{mask.stem}.geojson") if wishes.polygons else None
    if outlines is not None:
        write_polygons(mask, outlines, predictor.classes)
    names = [info.name for info in predictor.classes]
    return Written(image, mask, drawn, outlines, grid.width, grid.height, view, *tally.result(names), warning())


@contextmanager
def _mask_writer(mask: Path, grid: Grid, predictor: Predictor, view: View) -> Iterator[Callable[[np.ndarray], None]]:
    """Yield what takes labels, (rows, W) uint8, from top to bottom, and writes them as the mask's suffix says."""
    if mask.suffix == ".tif":
        tags = {"TIFFTAG_SOFTWARE": "segcore", "NETWORK": predictor.config.contender, "PREDICTED": view.text}
        with label_writer(mask, grid, predictor.classes, tags) as write:
            yield write
        return
    if grid.height * grid.width > MAX_PIXELS:
        raise ImageReadError(
            f"The image has {grid.height * grid.width / 1e6:,.0f} million pixels, a mask as PNG at most "
            f"{MAX_PIXELS / 1e6:.0f} million. Have its mask written as a GeoTIFF."
        )
    parts: list[np.ndarray] = []
    yield parts.append
    picture = Image.fromarray(np.concatenate(parts))
    picture.putpalette(predictor.palette.tobytes())
    with atomic_path(mask) as temporary:
        picture.save(temporary, format="PNG")


class _Tally:
    """What is counted while an image is predicted."""

    def __init__(self, classes: int, row_areas: np.ndarray | None) -> None:
        self.row_areas = row_areas
        self._pixels = np.zeros(classes + 1, np.int64)
        """Of each class, and of what holds nothing."""
        self._areas = np.zeros(classes)
        self._confidence = 0.0

    def add(self, top: int, labels: np.ndarray, confidence: np.ndarray) -> None:
        classes = len(self._areas)
        counts = np.stack([np.bincount(np.minimum(row, classes), minlength=classes + 1) for row in labels])
        self._pixels += counts.sum(0)
        if self.row_areas is not None:
            self._areas += self.row_areas[top : top + len(labels)] @ counts[:, :classes]
        self._confidence += float(confidence.sum(where=labels != IGNORE_INDEX, dtype=np.float64))

    def result(self, names: list[str]) -> tuple[float, dict[str, float], dict[str, float] | None, float]:
        """Return mean confidence, shares, areas and the share of what holds nothing."""
        pixels = self._pixels[:-1]
        known = int(pixels.sum())
        order = [int(label) for label in np.argsort(-pixels, kind="stable") if pixels[label]]
        shares = {names[label]: float(pixels[label] / known) for label in order}
        areas = {names[label]: float(self._areas[label]) for label in order} if self.row_areas is not None else None
        return self._confidence / known if known else float("nan"), shares, areas, 1 - known / int(self._pixels.sum())
