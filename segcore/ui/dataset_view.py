"""The parts of the Dataset page: pictures with masks, classes, split, the check's report, files."""

from __future__ import annotations

from functools import partial
from typing import Any

import cv2
import numpy as np
import streamlit as st

from segcore import figures
from segcore.config import IGNORE_INDEX
from segcore.data.classes import palette
from segcore.data.store import Dataset, DatasetStore
from segcore.errors import SegcoreError
from segcore.files import tree_size
from segcore.store import RunStore
from segcore.text import percent, plural
from segcore.ui import legend, readers
from segcore.ui.components import confirm, errors_shown, escape, progress_bar, show_error, size, swatch
from segcore.ui.state import Key, Param, choose, remember

PARTS = {"all": "All", "train": "Training", "val": "Validation", "test": "Test"}
SWATCH = st.column_config.ImageColumn("", width=40)


def about(dataset: Dataset, changed: bool) -> None:
    """Say in a line what the dataset is, and whether its files are still as they were."""
    report = dataset.report
    facts = [
        plural(report.usable, "image"),
        plural(report.groups, "scene"),
        plural(len(dataset.table.trained), "class", "classes"),
    ]
    if dataset.config.synthetic:
        facts.append(":blue-badge[synthetic: drawn by a program, not photographed]")
    if report.problems:
        facts.append(f":orange-badge[{plural(len(report.problems), 'problem')}, see the check below]")
    st.markdown(" · ".join(facts))
    if changed:
        st.warning("Files of this dataset were changed, added or removed since it was checked.")
        _recheck(dataset)


def _recheck(dataset: Dataset) -> None:
    if st.button("Check the files again", key=Key.DATASET_CHECK, icon=":material/refresh:"):
        with errors_shown(), progress_bar("Checking every image and mask") as progress:
            dataset.refresh(progress)
            st.rerun()


# Pictures --------------------------------------------------------------------------------------------


def browse(dataset: Dataset) -> None:
    """Draw one image, and the same with its mask over it; what is shown stands in the URL."""
    left, middle, right = st.columns([2, 3, 2], vertical_alignment="bottom")
    with left:
        part = st.selectbox("Part", ["all", *_parts(dataset)], format_func=PARTS.__getitem__, key=Key.BROWSE_PART)
    names = _names(dataset, part)
    if not names:
        st.caption("The split has no such images.")
        return
    with middle:
        name = choose(Param.IMAGE, f"Image ({len(names)})", names)
    with right:
        opacity = st.slider("Mask opacity (%)", 0, 100, 50, 5, key=Key.BROWSE_OPACITY)
    assert name is not None
    with st.container(horizontal=True):
        for key, text, icon, step in (
            (Key.BROWSE_PREVIOUS, "Previous", ":material/chevron_left:", -1),
            (Key.BROWSE_NEXT, "Next", ":material/chevron_right:", 1),
        ):
            neighbour = names[(names.index(name) + step) % len(names)]
            st.button(text, key=key, icon=icon, on_click=remember_image, args=(neighbour,))
    try:
        pair = dataset.pair(name)
        picture = readers.image(pair.image)
        labels = readers.labels(pair.mask, dataset.config, reading=dataset.report.mask_reading)
        width, height = readers.full_size(pair.image)
    except SegcoreError as error:
        show_error(error)
        return
    if labels.shape != picture.shape[:2]:
        # Rounded apart, or a mask that its image outgrew since the check.
        picture = cv2.resize(picture, labels.shape[::-1], interpolation=cv2.INTER_AREA)
    left, right = st.columns(2)
    colors = palette(dataset.table.classes)
    left.image(picture, caption=f"{escape(name)}, {width} × {height} px", width="stretch", alt=f"Image {name}")
    right.image(
        figures.overlay(picture, labels, colors, opacity / 100),
        caption=f"with its mask; scene {escape(pair.group)}",
        width="stretch",
        alt=f"Image {name} under its mask",
    )
    if (labels != IGNORE_INDEX).any():
        legend.draw(dataset.table.trained, labels)
    else:
        st.caption("Nothing in this image is labelled with a class that is learnt.")


def remember_image(name: str) -> None:
    """Show another image; for the buttons, which run before the page is drawn."""
    remember(Param.IMAGE, name)


def _names(dataset: Dataset, part: str) -> list[str]:
    names = dataset.names
    if part == "all" or dataset.split is None:
        return names if part == "all" else []
    chosen = set(getattr(dataset.split, part))
    return [name for name in names if name in chosen]


# Classes and split -----------------------------------------------------------------------------------


def classes(dataset: Dataset) -> None:
    """Draw how much of the labelled pixels each class has, overall and in each part of the split."""
    report, trained = dataset.report, dataset.table.trained
    pixels = [int(count) for count in report.class_pixels]
    st.subheader("Classes", anchor=False)
    if sum(pixels):
        top = max(range(len(trained)), key=pixels.__getitem__)
        st.markdown(
            f"Always answering **{escape(trained[top].name)}** would already be right on "
            f"**{percent(pixels[top] / sum(pixels))}** of the labelled pixels: a network must beat that."
        )
    st.plotly_chart(
        figures.class_share_bars(trained, pixels, images=[int(count) for count in report.class_images]),
        key="dataset.classes",
        config={"displaylogo": False},
    )
    with st.expander("The numbers, and how the split divides each class"):
        st.dataframe(_class_rows(dataset), hide_index=True, column_config={"color": SWATCH}, key="dataset.table")
        ignored = [info.name for info in dataset.table.classes if info.ignore]
        if ignored:
            st.caption(f"Ignored: {escape(', '.join(ignored))}. Their pixels count nowhere.")


def _class_rows(dataset: Dataset) -> list[dict[str, Any]]:
    totals = {
        part: np.sum([dataset.class_pixels(name) for name in names], axis=0) for part, names in _parts(dataset).items()
    }
    rows = []
    for label, info in enumerate(dataset.table.trained):
        row: dict[str, Any] = {
            "color": swatch(info.color),
            "class": info.name,
            "images": int(dataset.report.class_images[label]),
            "all": percent(_share(np.array(dataset.report.class_pixels), label), 2),
        }
        for part, total in totals.items():
            row[PARTS[part].lower()] = percent(_share(total, label), 2)
        rows.append(row)
    return rows


def _share(pixels: np.ndarray, label: int) -> float | None:
    total = float(pixels.sum())
    return float(pixels[label]) / total if total else None


def _parts(dataset: Dataset) -> dict[str, tuple[str, ...]]:
    split = dataset.split
    if split is None:
        return {}
    return {part: getattr(split, part) for part in ("train", "val", "test") if getattr(split, part)}


def split(dataset: Dataset) -> None:
    """Draw who learns from what, and the controls that divide the images anew."""
    st.subheader("Split", anchor=False)
    st.markdown("Backbones learn from the training images and are compared on the validation images.")
    rows = [
        {
            "part": PARTS[part],
            "images": len(names),
            "share": percent(len(names) / max(1, len(dataset.pairs)), 0),
            "scenes": len({dataset.groups[name] for name in names}),
        }
        for part, names in _parts(dataset).items()
    ]
    st.dataframe(rows, hide_index=True, key="dataset.split.table", width="content")
    warning = dataset.split_warning()
    if warning:
        st.warning(escape(warning), icon=":material/warning:")
    with st.expander("Divide the images anew"):
        st.caption("Studies that were launched before keep the split they have; new ones take the new split.")
        left, middle, right = st.columns(3)
        val = left.slider("Validation share (%)", 5, 50, 20, 5, key=Key.SPLIT_VAL)
        test = middle.slider("Test share (%)", 0, 50, 0, 5, key=Key.SPLIT_TEST)
        seed = right.number_input("Seed", 0, 2**31 - 1, 0, key=Key.SPLIT_SEED, help="Another seed, another split.")
        if st.button("Divide anew", key=Key.SPLIT, icon=":material/shuffle:"):
            try:
                dataset.make_split(val=val / 100, test=test / 100, seed=int(seed))
            except SegcoreError as error:
                show_error(error)
            else:
                st.rerun()


# Report and files ------------------------------------------------------------------------------------


def report(dataset: Dataset) -> None:
    """Draw what the check found, file by file, and colours that the class table lacks."""
    found = dataset.report
    bad, unknown = len(found.problems), found.unknown_count
    title = "The check found nothing wrong" if not bad and not unknown else f"The check: {plural(bad, 'problem')}"
    if unknown:
        title += f", {plural(unknown, 'unknown colour')}"
    with st.expander(title, icon=":material/fact_check:"):
        st.markdown(
            f"{found.usable:,} of {plural(found.images, 'image')} can be used, {found.excluded:,} cannot; "
            f"{percent(found.labelled_share)} of their pixels have a class that is learnt."
        )
        if found.problems:
            st.dataframe(
                [
                    {
                        "file": problem.file.name if problem.file else "–",
                        "what": problem.message,
                        "left out": problem.excluded,
                    }
                    for problem in found.problems
                ],
                hide_index=True,
                key="dataset.problems",
            )
        if found.unknown_colors:
            st.markdown("Colours in the masks that the class table does not name; these pixels count nowhere:")
            st.dataframe(
                [
                    {
                        "color": swatch(unknown.value) if isinstance(unknown.value, tuple) else None,
                        "value": unknown.text,
                        "pixels": unknown.pixels,
                        "images": unknown.images,
                        "for example": unknown.example,
                    }
                    for unknown in found.unknown_colors
                ],
                hide_index=True,
                column_config={"color": SWATCH},
                key="dataset.unknown",
            )


def files(store: DatasetStore, dataset: Dataset) -> None:
    """Draw where the files are, what the prepared copies occupy, and removing the dataset from here."""
    with st.expander("Files", icon=":material/folder:"):
        st.markdown(f"Images: {escape(dataset.config.images)}  \nMasks: {escape(dataset.config.masks)}")
        occupied = tree_size(dataset.prepared_directory)
        if occupied:
            st.caption(f"Prepared copies at the training sizes: {size(occupied)}. They are rebuilt when missing.")
        else:
            st.caption("Prepared copies at the training sizes are made when a run first needs them.")
        if st.button("Remove this dataset", key=Key.DATASET_REMOVE, icon=":material/delete:"):
            waiting = ", ".join(RunStore(store.workspace).unfinished_on(dataset.name))
            confirm(
                f"Remove dataset {dataset.name}?",
                "Its entry here goes to the trash; your image and mask files are not touched. "
                "Studies that used it keep their results."
                + (f" Unfinished runs of {waiting} can then not be resumed." if waiting else ""),
                "Remove the dataset",
                partial(_remove, store, dataset.name),
            )


def _remove(store: DatasetStore, name: str) -> None:
    store.remove(name)
    remember(Param.DATASET, None)
