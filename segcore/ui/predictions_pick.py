"""Picking an image of the predictions screen from thumbnails: what is shown of each, and what a click does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import streamlit as st

from segcore.data.dataset import Dataset
from segcore.errors import SegcoreError
from segcore.runs import Run
from segcore.ui import gallery
from segcore.ui.dataset_parts import pictures
from segcore.ui.state import Key, Param, remember, remembered

Box = tuple[float, float, float, float]
"""(left, top, right, bottom) as shares of an image's width and height, 0-1."""


@dataclass(frozen=True)
class Picture:
    """An image to choose from."""

    image: str
    badge: str
    """What it is ranked by, in its corner."""
    told: str = ""
    """More of it, where it is pointed at."""


def draw(found: Sequence[Picture], dataset: Dataset, label: str) -> str | None:
    """Draw thumbnails in that order and return the image just clicked, if one was.

    Images that are no longer in the dataset are left out; of very many the first are shown.

    Raises:
        WorkspaceError: thumbnails cannot be written.
    """
    known = set(dataset.names)
    there = [picture for picture in found if picture.image in known]
    if len(there) > gallery.LARGEST:
        st.caption(f"The first {gallery.LARGEST:,} of {len(there):,} images.")
        there = there[: gallery.LARGEST]
    if len(there) < len(found):
        st.caption(f"{len(found) - len(there):,} images are no longer in the dataset, or were not shown.")
    if not there:
        st.caption("There is no image to show.")
        return None
    thumbnails = pictures(dataset, sorted(picture.image for picture in there))
    items = [
        gallery.Item(picture.image, picture.image, thumbnails[picture.image], badge=picture.badge, told=picture.told)
        for picture in there
    ]
    order = hash(tuple(items))
    # The gallery scrolls to what is marked: an image that was not chosen here must not hide those that come first.
    picked = st.session_state.get(_PICKED) == (order, remembered(Param.IMAGE))
    selected = remembered(Param.IMAGE) if picked else None
    clicked = gallery.draw(items, key=Key.FIND_GALLERY, selected=selected, label=label, height=300)
    if clicked is not None:
        st.session_state[_PICKED] = (order, clicked)
    return clicked


_PICKED = "predictions.find.picked"


def show(image: str, runs: Sequence[Run], place: Box | None = None) -> None:
    """Have the viewer show an image under these networks; the page begins anew where it shows others so far."""
    remember(Param.IMAGE, image)
    remember(Param.PLACE, None if place is None else ",".join(f"{edge:.4f}" for edge in place))
    st.session_state[_PLACE_IN] = image
    names = [run.name for run in runs]
    before = [remembered(Param.RUN), *(remembered(Param.RUNS) or "").split(",")]
    if names and names != [name for name in before if name]:
        remember(Param.RUN, names[0])
        remember(Param.RUNS, ",".join(names[1:]) or None)
        if not names[1:]:  # an empty address says nothing: the box itself has to be emptied
            st.session_state.pop(f"choose.{Param.RUNS}", None)
        st.rerun()


_PLACE_IN = "predictions.place.image"


def place_in(image: str) -> Box | None:
    """Return the place of this image that the address points to; one of another image is forgotten."""
    text = remembered(Param.PLACE)
    of = st.session_state.get(_PLACE_IN, image)
    box = _box(text) if text and of == image else None
    if text and box is None:
        remember(Param.PLACE, None)
    st.session_state[_PLACE_IN] = image
    return box


def _box(text: str) -> Box | None:
    try:
        left, top, right, bottom = (float(part) for part in text.split(","))
    except ValueError:
        return None
    return (left, top, right, bottom) if 0 <= left < right <= 1 and 0 <= top < bottom <= 1 else None


def best_judge(runs: Iterable[Run], image: str) -> list[Run]:
    """Return, as a list of one, the best of these runs that has weights and did not learn from the image."""
    able = []
    for run in runs:
        try:
            if run.best_weights.is_file() and image in run.split.val:
                able.append((float(run.summary()["val_miou"] or 0.0), run))
        except SegcoreError:  # it is named where runs are chosen
            continue
    return [max(able, key=lambda row: row[0])[1]] if able else []
