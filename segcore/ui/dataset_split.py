"""The Dataset page's split: who learns from what, as a table and as thumbnails, moved by hand, and its versions."""

from __future__ import annotations

import time
from typing import Any

import streamlit as st

from segcore import figures
from segcore.data import dividing
from segcore.data.dataset import Dataset
from segcore.data.split_versions import SplitVersion, split_versions
from segcore.data.splits import PARTS as NAMES
from segcore.errors import SegcoreError
from segcore.text import percent, plural
from segcore.ui import dataset_divide, dataset_undo, gallery
from segcore.ui.components import ago, escape, show_error, swatch
from segcore.ui.dataset_parts import PARTS, SWATCH, parts, pictures
from segcore.ui.state import Key


def draw(dataset: Dataset) -> None:
    """Draw the split that new studies take, and what changes it.

    Raises:
        SegcoreError: the dataset's directory cannot be read or written.
    """
    versions = split_versions(dataset.path)
    if dataset.split is None:
        st.info("There is no split yet; the next study divides the images by scene.", icon=":material/call_split:")
        dataset_divide.draw(dataset, unfolded=True)
        return
    st.markdown(
        "Backbones learn from the training images and are compared on the validation images"
        + ("; the test images stay sealed for a last judgement." if dataset.split.test else ".")
    )
    _standing(versions[0])
    dataset_undo.draw(dataset)
    st.dataframe(_rows(dataset), hide_index=True, key="dataset.split.table", width="content")
    warning = dataset.split_warning()
    if warning:
        st.warning(escape(warning), icon=":material/warning:")
    _class_shares(dataset)
    _thumbnails(dataset)
    dataset_divide.draw(dataset)
    if len(versions) > 1:
        _versions(dataset, versions)


def _standing(version: SplitVersion) -> None:
    """Say which version it is, how it was made and which studies hold on to it."""
    made = f"Version {version.number}, {escape(version.made)}"
    made += f", {ago(version.when)}." if version.when is not None else "."
    if version.locked:
        shown = escape(", ".join(version.studies[:5])) + (" and others" if len(version.studies) > 5 else "")
        made += f" :material/lock: Used by {shown}: a change begins version {version.number + 1}, this one is kept."
    st.caption(made)


def _rows(dataset: Dataset) -> list[dict[str, Any]]:
    groups, total = dataset.groups, max(1, len(dataset.pairs))
    rows = []
    for part, names in parts(dataset).items():
        known = [name for name in names if name in groups]
        scenes = len({groups[name] for name in known})
        share = percent(len(known) / total, 0)
        rows.append({"part": PARTS[part], "images": len(known), "share": share, "scenes": scenes})
    unused = groups.keys() - (dataset.split.part_of() if dataset.split else {})
    if unused:
        share, scenes = percent(len(unused) / total, 0), len({groups[name] for name in unused})
        rows.append({"part": "In no part", "images": len(unused), "share": share, "scenes": scenes})
    return rows


def _class_shares(dataset: Dataset) -> None:
    with st.expander("How each class is divided", icon=":material/bar_chart:"):
        trained = dataset.table.trained
        pixels = {part: dividing.class_pixels(dataset, names) for part, names in parts(dataset).items()}
        st.plotly_chart(
            figures.class_share_bars(trained, {part: [int(n) for n in counts] for part, counts in pixels.items()}),
            key="dataset.split.classes",
            config={"displaylogo": False},
        )
        rows: list[dict[str, Any]] = []
        for info, shares in zip(trained, dividing.class_shares(dataset, dataset.split), strict=True):
            row = {PARTS[part].lower(): percent(shares[part], 2) for part in pixels}
            rows.append({"color": swatch(info.color), "class": info.name, "all": percent(shares["all"], 2), **row})
        st.dataframe(rows, hide_index=True, column_config={"color": SWATCH}, key="dataset.split.shares")


# Thumbnails, and moving by hand -------------------------------------------------------------------------


def _thumbnails(dataset: Dataset) -> None:
    """Draw the images of one part; what is chosen can be moved into another."""
    split = parts(dataset)
    labels = {part: f"{PARTS[part]} ({len(names):,})" for part, names in split.items()}
    if st.session_state.get(Key.SPLIT_PART) not in labels:
        st.session_state[Key.SPLIT_PART] = next(part for part in ("val", *labels) if part in labels)
    part = st.segmented_control(
        "Images of", list(labels), format_func=labels.__getitem__, key=Key.SPLIT_PART, required=True
    )
    assert part is not None
    groups = dataset.groups
    names = sorted((name for name in split[part] if name in groups), key=lambda name: (groups[name], name))
    if len(names) > gallery.LARGEST:
        st.caption(
            f"The first {gallery.LARGEST:,} of {len(names):,}. Scenes beyond them are moved by the command line."
        )
        names = names[: gallery.LARGEST]
    thumbs = pictures(dataset, names)
    items = [gallery.Item(name, name, thumbs[name], told=f"Scene {groups[name]}") for name in names]
    chosen = gallery.draw(items, key=Key.SPLIT_GALLERY.of(part), height=260, label=f"{PARTS[part]} images")
    if chosen is None:
        st.caption("Choose an image to move it, or its whole scene, into another part.")
        return
    _moving(dataset, chosen, part)


def _moving(dataset: Dataset, name: str, part: str) -> None:
    """Draw the buttons that move an image's scene, or the image alone."""
    scene = dataset.groups[name]
    members = [other for other, group in dataset.groups.items() if group == scene]
    whole = len(members) > 1 and st.toggle(
        f"The whole scene {escape(scene)} ({plural(len(members), 'image')})",
        value=True,
        key=Key.SPLIT_WHOLE,
        help="Images of one scene are alike: divided between parts, they make scores too good.",
    )
    what = f"scene {scene}" if whole else f"image {name}"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"Move {escape(what)} to")
        for target in NAMES:
            if target != part and st.button(PARTS[target], key=Key.SPLIT_MOVE.of(target)):
                try:
                    with dataset_undo.undoable(dataset):
                        dividing.move(dataset, scene if whole else name, target)
                except SegcoreError as error:
                    show_error(error)
                else:
                    st.rerun()


# Versions -----------------------------------------------------------------------------------------------


def _versions(dataset: Dataset, versions: list[SplitVersion]) -> None:
    with st.expander(f"Versions ({len(versions)})", icon=":material/history:"):
        st.caption("A version that a study used is never changed. Taking up an earlier one makes it the newest.")
        rows = [
            {
                "version": version.number,
                "made": version.made,
                "when": time.strftime("%d %b %Y %H:%M", time.localtime(version.when)) if version.when else "–",
                **{PARTS[part].lower(): len(getattr(version.split, part)) for part in NAMES},
                "used by": ", ".join(version.studies) or "no study",
            }
            for version in versions
        ]
        st.dataframe(rows, hide_index=True, key="dataset.split.versions")
        earlier = {version.number: version for version in versions[1:]}
        with st.container(horizontal=True, vertical_alignment="bottom"):
            number = st.selectbox("Version", list(earlier), key=Key.SPLIT_VERSION, width=120)
            again = st.button("Take it up again", key=Key.SPLIT_AGAIN, icon=":material/undo:")
        if again:
            try:
                with dataset_undo.undoable(dataset):
                    dataset.set_split(earlier[number].split, f"version {number} again")
            except SegcoreError as error:
                show_error(error)
            else:
                st.rerun()
