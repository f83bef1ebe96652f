"""Recognising a dataset by its folder: every layout that people come with, asked in order, the most special first."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from segcore.config import NAME_PATTERN
from segcore.data.layouts import known, plain, semantic_drone, voc
from segcore.data.layouts.coco import guesses as coco_guesses
from segcore.data.layouts.guess import Candidate, Guess, complete
from segcore.data.layouts.listing import Listing, list_folder
from segcore.data.layouts.revising import ignoring, revised
from segcore.data.pairing import not_followed
from segcore.errors import DatasetError, nearest

__all__ = ["LAYOUTS", "Guess", "ignoring", "recognise", "recognised", "revised", "usable_name"]

LAYOUTS: dict[str, str] = {
    "semantic-drone": "Semantic Drone Dataset (TU Graz)",
    "semantic-drone-reposted": "the same, as passed on",
    **{entry.layout: entry.title for entry in known.KNOWN},
    "cvat": "CVAT segmentation masks",
    "voc": "Pascal VOC",
    "coco": "COCO polygons",
    "folders": "a folder of images and a folder of masks",
    "one-folder": "images and masks in one folder",
}
"""Layout -> what it is, in the order in which they are asked."""

_SOURCES: tuple[Callable[[Listing], Iterator[Candidate]], ...] = (
    semantic_drone.candidates,
    known.candidates,
    voc.candidates,
)


def recognise(folder: Path, *, name: str = "dataset") -> list[Guess]:
    """Return what a folder could be, best first; empty where no layout fits. Nothing is written.

    Args:
        folder: the dataset's own folder, or one around it.
        name: for the configurations.

    Raises:
        DatasetError: the folder is missing, may not be read or holds more files than a dataset can have (field "path").
        ConfigError: no dataset can have that name.
    """
    return _guesses(list_folder(folder), name)


def _guesses(listing: Listing, name: str) -> list[Guess]:
    guesses: list[Guess] = []
    for source in _SOURCES:
        guesses += [guess for made in source(listing) if (guess := complete(listing, made, name)) is not None]
    guesses += coco_guesses(listing, name)
    guesses += [guess for made in plain.candidates(listing) if (guess := complete(listing, made, name)) is not None]
    if listing.links:
        guesses = [replace(guess, warnings=(*guess.warnings, not_followed(listing.links))) for guess in guesses]
    return guesses


def recognised(folder: Path, *, layout: str | None = None, name: str = "dataset") -> Guess:
    """Return the best guess of a folder, or the best of one layout.

    Raises:
        DatasetError: as of `recognise`; or no layout fits, or not that one (field "layout").
        ConfigError: no dataset can have that name.
    """
    if layout is not None and layout not in LAYOUTS:
        raise DatasetError(
            f"No layout is called {layout!r}; there are {', '.join(LAYOUTS)}.{nearest(layout, LAYOUTS)}", field="layout"
        )
    listing = list_folder(folder)
    guesses = _guesses(listing, name)
    fitting = [guess for guess in guesses if layout in (None, guess.layout)]
    if fitting:
        return fitting[0]
    if layout is not None:
        others = ", ".join(dict.fromkeys(guess.layout for guess in guesses)) or "nothing known"
        raise DatasetError(
            f"{folder} does not look like {LAYOUTS[layout]}, but like: {others}.{_unseen(listing)}", field="layout"
        )
    raise DatasetError(
        f"{folder} is of no known layout: neither a public dataset's nor folders like images/ and masks/ with files of "
        f"the same names. Say where images, masks and the class table are instead.{_unseen(listing)}",
        field="path",
    )


def _unseen(listing: Listing) -> str:
    """Say which folders were not looked into."""
    return f" {not_followed(listing.links)}" if listing.links else ""


def usable_name(folder: Path) -> str:
    """Return a dataset name like that of a folder or file; "dataset" where nothing of it can be used."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", folder.name.removesuffix(".zip")).strip("-._")[:80].rstrip(".")
    return name if NAME_PATTERN.fullmatch(name) else "dataset"
