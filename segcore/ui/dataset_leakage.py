"""The Dataset page's leakage: images that show the same ground, pair by pair, and putting them into one scene."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import streamlit as st

from segcore.data import mending
from segcore.data.dataset import Dataset
from segcore.data.leakage import Leak, Leakage, Match
from segcore.data.leakage.matching import Outline
from segcore.data.mending import Mending
from segcore.data.readers import read_image
from segcore.data.splits import Split
from segcore.errors import SegcoreError, SplitError
from segcore.text import duration, percent, plural
from segcore.ui import dataset_undo
from segcore.ui.components import errors_shown, escape, progress_bar, show_error
from segcore.ui.dataset_parts import PARTS, pictures
from segcore.ui.state import Key

ACROSS, ALL = "across", "all"
PAGE = 12
"""So many pairs are drawn at once."""
_COLORS = {"train": "blue", "val": "orange", "test": "violet"}


def draw(dataset: Dataset) -> None:
    """Draw which images show the same ground, what that does to the split, and the button that mends it.

    Raises:
        SegcoreError: the dataset's directory cannot be read or written.
    """
    st.markdown(
        "A network that is judged on ground it has learnt is judged too well. Here all images are compared with each "
        "other: copies are found, also changed, turned and mirrored ones, and frames that overlap."
    )
    found = mending.known_leakage(dataset)
    if found is None:
        _search(dataset)
        return
    split = dataset.split
    if split is not None:
        _verdict(found, split)
        dataset_undo.draw(dataset)
        if found.across(split):
            _mend(dataset, found)
    if found.leaks:
        _pairs(dataset, found, split)


def _search(dataset: Dataset) -> None:
    images = len(dataset.pairs)
    st.caption(
        f"{plural(images, 'image')} have not been compared yet; it takes {_guess(images)}. It can be cancelled, "
        "and goes on where it was."
    )
    if st.button("Look for images that show the same ground", key=Key.LEAKAGE_FIND, icon=":material/image_search:"):
        with errors_shown(), progress_bar("Comparing images") as progress:
            mending.find_leakage(dataset, progress)
            st.rerun()


def _guess(images: int) -> str:
    """How long comparing takes: about an eighth of a second an image, measured on two cores."""
    seconds = images / 8
    return "a few seconds" if seconds < 10 else f"about {duration(seconds)}"


def _verdict(found: Leakage, split: Split) -> None:
    score = found.score(split)
    if score.pairs == 0:
        among = ", ".join(plural(count, kind) for kind, count in found.counts().items() if count)
        rest = f"What was found ({among}) stands within one part." if among else "No two images show the same ground."
        st.success(f"**Leak score 0 %.** {rest}", icon=":material/verified:")
        return
    said = (
        f"**Leak score {percent(score.val, 0)}:** that share of the validation images shows ground of training images"
    )
    if split.test:
        said += f", and {percent(score.test, 0)} of the test images ground of the other parts"
    pairs = f"{plural(score.pairs, 'pair')} {'stands' if score.pairs == 1 else 'stand'}"
    st.warning(f"{said}. {pairs} in different parts. Scores on this split are too good.", icon=":material/water_drop:")


# Mending ------------------------------------------------------------------------------------------------


def _mend(dataset: Dataset, found: Leakage) -> None:
    """Draw what mending changes, and the button that does it."""
    try:
        plan = mending.preview_mending(dataset, found)
    except SplitError as error:
        show_error(error)
        return
    with st.container(border=True):
        _preview(dataset, plan)
        if st.button(
            "Put overlapping images into one scene and split again",
            key=Key.LEAKAGE_MEND,
            type="primary",
            icon=":material/healing:",
        ):
            try:
                with dataset_undo.undoable(dataset):
                    mending.mend(dataset, plan)
            except SegcoreError as error:
                show_error(error)
            else:
                st.rerun()


def _preview(dataset: Dataset, plan: Mending) -> None:
    split, scenes = plan.split, plan.grouping.scenes
    merged = f"{plural(plan.before, 'scene')} become {scenes}" if scenes != plan.before else "The scenes stay"
    counts = ", ".join(
        f"{plural(len(getattr(split, part)), 'image')} in {PARTS[part].lower()}"
        for part in PARTS
        if getattr(split, part)
    )
    st.markdown(f"{merged}; {plural(len(plan.moved), 'image')} change their part. Then there are {counts}.")
    groups = dataset.groups
    rows = [
        {
            "image": name,
            "scene now": groups[name],
            "scene then": plan.grouping.groups[name],
            "part now": PARTS.get(before, "none"),
            "part then": PARTS[after],
        }
        for name, (before, after) in sorted(plan.moved.items())
    ]
    with st.expander("What changes", icon=":material/list:"):
        st.dataframe(rows, hide_index=True, key="dataset.leakage.changes")


# Pairs --------------------------------------------------------------------------------------------------


def _pairs(dataset: Dataset, found: Leakage, split: Split | None) -> None:
    across = found.across(split) if split else []
    leaks = list(found.leaks)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if across:
            labels = {ACROSS: f"In different parts ({len(across):,})", ALL: f"All ({len(leaks):,})"}
            which = st.segmented_control(
                "Pairs",
                list(labels),
                default=ACROSS,
                format_func=labels.__getitem__,
                key=Key.LEAKAGE_WHICH,
                required=True,
            )
            leaks = across if which == ACROSS else leaks
        page, pages = 1, -(-len(leaks) // PAGE)
        if pages > 1:
            st.session_state[Key.LEAKAGE_PAGE] = min(st.session_state.get(Key.LEAKAGE_PAGE, 1), pages)
            page = int(st.number_input(f"Page (of {pages:,})", 1, pages, key=Key.LEAKAGE_PAGE, width=160))
    st.caption("What both images of a pair show is lit, the rest is dim.")
    shown = leaks[(page - 1) * PAGE : page * PAGE]
    thumbs = pictures(dataset, sorted({name for leak in shown for name in (leak.first, leak.second)}))
    part = split.part_of() if split else {}
    with st.container(horizontal=True, gap="small"):
        for leak in shown:
            with st.container(border=True, width=360, gap="small"):
                _pair(leak, part, thumbs)


def _pair(leak: Leak, part: dict[str, str], thumbs: Mapping[str, Path | None]) -> None:
    """Draw two images side by side with the parts they stand in, and what they have in common."""
    for column, name in zip(st.columns(2, gap="small"), (leak.first, leak.second), strict=True):
        with column:
            picture = thumbs.get(name)
            if picture is None:
                st.caption("This image cannot be read any more.")
            else:
                outline = leak.match.outlines[name == leak.second]
                st.image(_lit(read_image(picture), outline), width="stretch", alt=f"Image {name}")
            own = part.get(name)
            st.badge(PARTS[own] if own else "In no part", color=_COLORS[own] if own else "gray")  # type: ignore[arg-type]
            st.caption(escape(name))
    kind = leak.match.kind.capitalize() + (", mirrored" if leak.match.mirrored else "")
    st.caption(f"**{kind}** · {percent(leak.match.overlap, 0)} in common · {_sureness(leak.match)}")


def _lit(picture: np.ndarray, outline: Outline) -> np.ndarray:
    """Return a picture, HWC uint8, in which all is dim but the ground that the other image shows, too."""
    if len(outline) < 3:
        return picture
    height, width = picture.shape[:2]
    corners = np.round(np.array(outline) * (width, height)).astype(np.int32)
    inside = cv2.fillPoly(np.zeros((height, width), np.uint8), [corners], 1).astype(bool)
    lit = np.where(inside[..., None], picture, picture // 3)
    return np.asarray(cv2.polylines(lit.astype(np.uint8), [corners], True, (255, 255, 255), 1, cv2.LINE_AA))


def _sureness(match: Match) -> str:
    """Say on what it rests that the two show the same ground."""
    if match.kind == "duplicate":
        return "the same pixels"
    if match.agreeing:
        return f"{match.agreeing} of {round(match.agreeing / match.score)} details agree"
    return f"correlation {match.score:.2f}"
