"""The parts of a dataset's split as the screens name them, and small pieces that its tabs share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from segcore.data import thumbnails as kept
from segcore.data.dataset import Dataset
from segcore.progress import once_needed
from segcore.ui.components import progress_bar
from segcore.ui.state import Key

PARTS = {"train": "Training", "val": "Validation", "test": "Test"}
LEFT_OUT = "left out"
"""The kind of problem that is none: a person left the image out."""
SWATCH = st.column_config.ImageColumn("", width=40)
SHARES = {
    name.lower(): st.column_config.TextColumn(name, alignment="right") for name in ("All images", *PARTS.values())
}
"""Columns of shares, by their keys: of all images, and of each part of the split."""


def class_column(names: Iterable[str], label: str = "Class", **options: Any) -> Any:
    """Return a column of names of classes; those as long as a sentence leave room for the other columns."""
    width = 180 if max(map(len, names), default=0) > 24 else None
    return st.column_config.TextColumn(label, width=width, **options)


def parts(dataset: Dataset) -> dict[str, tuple[str, ...]]:
    """Return the names of the images in each part of the split that has any; nothing without a split."""
    split = dataset.split
    if split is None:
        return {}
    return {part: getattr(split, part) for part in PARTS if getattr(split, part)}


def pictures(dataset: Dataset, names: Sequence[str]) -> dict[str, Path | None]:
    """Return the thumbnail of each image, made with a bar where any is missing.

    Where the bar was cancelled, or the page was drawn anew meanwhile, those there are, and a button for the others:
    to begin again at once would make cancelling impossible.
    """
    state, begun = st.session_state, f"thumbnails.begun:{dataset.path}"
    if state.get(begun):
        found = kept.thumbnails(dataset, names, make=False)
        missing = sum(place is None for place in found.values())
        if missing:
            st.button(
                f"Make the {missing:,} thumbnails that are missing",
                key=Key.BROWSE_THUMBNAILS,
                icon=":material/imagesmode:",
                on_click=lambda: state.pop(begun, None),
            )
            return found
    state[begun] = True
    with once_needed(lambda: progress_bar("Making thumbnails")) as progress:
        found = kept.thumbnails(dataset, names, progress)
    state.pop(begun)
    return found
