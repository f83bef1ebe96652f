"""Images of any size, read row by row, at the scale that a network was trained on.

A network of crops sees an image at its native scale, in windows. One of resized images learnt from whole images of
some size: an image of about that size is resized as they were. Of a much larger one nothing small would be left, so
it is looked at in windows, each as large as the training images and resized as they were, and blended: the image is
resized by the factor of the training images, predicted in windows, and the probabilities are brought back.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import psutil

from segcore.config import RunConfig
from segcore.data.store import DatasetStore
from segcore.errors import ConfigError, NotFoundError, WorkspaceError
from segcore.inference.enlarge import enlarged
from segcore.inference.predictor import Predictor
from segcore.inference.rows import Rows, resampled
from segcore.inference.symmetry import Views
from segcore.inference.tiling import Band, predict_bands
from segcore.progress import Progress, silent
from segcore.runs import Run
from segcore.workspace import Workspace

MUCH_LARGER = 2.0
"""An image with an edge more than so many times that of the training images is looked at in windows."""
_AT_ONCE = 60_000_000
"""Pixels of an image that is read in one piece to be resized as a whole, exactly as for training."""

Wanted = Literal["auto", "windows", "whole"]
"""How an image is to be looked at; "auto" decides by its size."""


@dataclass(frozen=True)
class View:
    """How an image is shown to a network."""

    how: Literal["native", "windows", "whole"]
    side: int
    """Of the squares that the network sees, in pixels."""
    window: tuple[int, int]
    """(height, width) of the part of the image that it sees at once, in the image's pixels."""
    why: str = ""
    """Where there was no choice: the reason, from its comma on."""

    @property
    def text(self) -> str:
        """What was done, in words that go on after "Predicted "."""
        square = f"{self.side} × {self.side} pixels"
        if self.how == "native":
            return f"at native scale in windows of {square}"
        if self.how == "whole":
            return f"as a whole, resized to {square}{self.why}"
        height, width = self.window
        return f"in windows of {width} × {height} pixels, the size of the training images, each resized to {square}"


def training_size(run: Run) -> tuple[int, int] | None:
    """Return the median (height, width) of the images that a run was trained on; None where its dataset is not here."""
    try:
        dataset = DatasetStore(Workspace(run.path.parents[2])).get(run.config.dataset.name)
        trained = set(run.split.train)
        sizes = [fact.size for fact in dataset.facts if fact.name in trained]
    except (NotFoundError, WorkspaceError, ConfigError):
        return None
    if not sizes:
        return None
    return round(statistics.median(h for _, h in sizes)), round(statistics.median(w for w, _ in sizes))


def check_look(config: RunConfig, trained_on: tuple[int, int] | None, wanted: Wanted) -> None:
    """Refuse a way to look at images that a network does not have; arguments as of `view_of`.

    Raises:
        ConfigError: windows are wanted and the size of the training images is not known, or a network of crops is
            to see the whole.
    """
    if config.recipe.geometry == "crop" and wanted == "whole":
        raise ConfigError(
            "This network was trained on crops at native scale; a whole image resized is nothing it knows. Leave the "
            "choice to the image's size.",
            field="look",
        )
    if config.recipe.geometry == "resize" and wanted == "windows" and trained_on is None:
        raise ConfigError(
            f"How large windows are to be is not known: dataset {config.dataset.name!r}, whose images this network was "
            "trained on, is not here. Add it again, or have images looked at as a whole.",
            field="look",
        )


def view_of(
    config: RunConfig, height: int, width: int, trained_on: tuple[int, int] | None, wanted: Wanted = "auto"
) -> View:
    """Decide how an image of `height` x `width` pixels is shown to a network.

    Args:
        config: of the network's run.
        height: of the image.
        width: of the image.
        trained_on: what `training_size` returned.
        wanted: "windows" or "whole" where it is not to be decided by the size; networks trained on crops always
            look in windows at native scale.

    Raises:
        ConfigError: as of `check_look`.
    """
    check_look(config, trained_on, wanted)
    side = config.recipe.image_size
    if config.recipe.geometry == "crop":
        return View("native", side, (side, side))
    if trained_on is None:
        gone = f", as the size of the training images is not known (dataset {config.dataset.name!r} is not here)"
        return View("whole", side, (height, width), gone if wanted == "auto" else "")
    larger = max(height / trained_on[0], width / trained_on[1]) > MUCH_LARGER
    if wanted == "whole" or (wanted == "auto" and not larger):
        return View("whole", side, (height, width))
    return View("windows", side, (min(height, trained_on[0]), min(width, trained_on[1])))


def predict(
    predictor: Predictor, rows: Rows, view: View, progress: Progress = silent, *, tta: Views = False
) -> Iterator[Band]:
    """Return the probabilities of all classes from top to bottom, at the image's own size, some rows at a time.

    Memory grows with the width of the image and the number of classes, not with the height. The result is that of the
    image in memory, bit for bit.

    Args:
        predictor: the network.
        rows: the image.
        view: how it is to be looked at, as `view_of` said.
        progress: counts windows, where there are any; raising from it cancels.
        tta: views of each window that are averaged; see `Predictor.predict`.

    Raises:
        ConfigError: the image is too wide for this machine's memory.
    """
    if view.how == "native":
        return _windows(predictor, rows, progress, tta)
    if view.how == "whole":
        return _whole(predictor, rows, tta)
    height = max(view.side, round(rows.height * view.side / view.window[0]))
    width = max(view.side, round(rows.width * view.side / view.window[1]))
    found = _windows(predictor, resampled(rows, height, width), progress, tta)
    return enlarged(found, height, rows.height, rows.width)


def _windows(predictor: Predictor, rows: Rows, progress: Progress, tta: Views) -> Iterator[Band]:
    recipe, classes = predictor.config.recipe, len(predictor.classes)
    needed, free = 2 * 4 * classes * recipe.image_size * rows.width, psutil.virtual_memory().available
    if needed > free:
        raise ConfigError(
            f"An image {rows.width:,} pixels wide takes {needed / 1e9:.1f} GB with {classes} classes in windows of "
            f"{recipe.image_size} pixels; {free / 1e9:.1f} GB are free. Cut it into narrower ones.",
            field="image",
        )
    return predict_bands(
        predictor.forward(tta),
        rows,
        window=recipe.image_size,
        batch_size=predictor.windows_at_once,
        classes=classes,
        device=predictor.device,
        progress=progress,
    )


def _whole(predictor: Predictor, rows: Rows, tta: Views) -> Iterator[Band]:
    side = predictor.config.recipe.image_size
    if rows.height * rows.width <= _AT_ONCE:
        return predictor.bands(_pixels(rows), tta=tta)
    small = predictor.bands(_pixels(resampled(rows, side, side)), tta=tta)
    return enlarged(small, side, rows.height, rows.width)


def _pixels(rows: Rows) -> np.ndarray:
    """Return an image in memory: (H, W, 3) uint8 RGB, 0-255."""
    return np.ascontiguousarray(rows.read(0, rows.height).transpose(1, 2, 0))
