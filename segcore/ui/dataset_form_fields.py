"""The form that adds a dataset field by field: folders of images and masks, the class table, scenes, the split."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import streamlit as st

from segcore.config import DatasetConfig
from segcore.data.classes import ClassTable
from segcore.data.pairing import Pairing, pair_files
from segcore.data.store import DatasetStore
from segcore.errors import SegcoreError
from segcore.text import plural
from segcore.ui import dataset_form_scenes as scenes
from segcore.ui.components import progress_bar
from segcore.ui.state import Key


def draw() -> None:
    """Draw the form; add the dataset and show it when the button is pressed and all is well."""
    st.markdown(
        "The files stay where they are and are only read. Images and masks are paired by file name without "
        "its ending; masks hold either the colours of the class table or its row numbers."
    )
    slots: scenes.Slots = {}
    scenes.name_field()
    slots["name"] = st.empty()
    left, right = st.columns(2)
    for column, key, field in ((left, Key.ADD_IMAGES, "images"), (right, Key.ADD_MASKS, "masks")):
        with column:
            st.text_input(
                f"Folder of {field}",
                key=key,
                placeholder=f"/data/drone/{field}",
                help=DatasetConfig.help(field),
                persist_state="page",
            )
            slots[field] = st.empty()
    left, right = st.columns(2)
    with left:
        st.text_input(
            "Class table (CSV)",
            key=Key.ADD_CLASSES,
            placeholder="/data/drone/class_dict_seg.csv",
            help="A file with the columns name, r, g, b: one class a line.",
            persist_state="page",
        )
        slots["classes"] = st.empty()
    table = _read_table(slots["classes"])
    with right:
        st.multiselect(
            "Classes to ignore",
            [info.name for info in table.classes] if table else [],
            key=Key.ADD_IGNORE,
            disabled=table is None,
            placeholder="none" if table else "after the class table",
            help="Their pixels count nowhere: neither in training nor in any score.",
        )
    scenes.grouping()
    slots["group_regex"] = st.container()
    if st.session_state.get(Key.ADD_IMAGES) and st.session_state.get(Key.ADD_MASKS):
        try:
            with slots["group_regex"]:
                _preview_groups()
        except SegcoreError as error:
            scenes.show(error, slots, "group_regex")
    scenes.shares()
    slots["split"] = st.container()
    if st.button("Add dataset", type="primary", key=Key.ADD, icon=":material/add:"):
        _add(table, slots)


def _read_table(slot: st.delta_generator.DeltaGenerator) -> ClassTable | None:
    """Return the class table typed so far; what is wrong with it is said at once."""
    if not (st.session_state.get(Key.ADD_CLASSES) or "").strip():
        return None
    try:
        table = ClassTable.read_csv(scenes.path(Key.ADD_CLASSES, "classes", "the class table is"))
    except SegcoreError as error:
        scenes.show(error, {"": slot}, "")
        return None
    slot.caption(plural(len(table.classes), "class", "classes"))
    return table


def _preview_groups() -> None:
    """Say how many pairs there are and which groups they make."""
    pairing = _pairs(
        str(scenes.path(Key.ADD_IMAGES, "images", "the images are")),
        str(scenes.path(Key.ADD_MASKS, "masks", "the masks are")),
        scenes.regex(),
        scenes.by_folder(),
    )
    groups = Counter(pair.group for pair in pairing.pairs)
    lone = len(pairing.images_without_mask) + len(pairing.masks_without_image)
    st.caption(
        f"{plural(len(pairing.pairs), 'pair')} in {plural(len(groups), 'scene')}"
        + (f"; {plural(lone, 'file')} without a partner" if lone else "")
    )
    scenes.list_groups(pairing.pairs)


@st.cache_data(ttl=30, max_entries=16, show_spinner="Looking for pairs …")
def _pairs(images: str, masks: str, regex: str | None, by_folder: bool) -> Pairing:
    if regex is not None:
        # Checked here, as pair_files is told patterns that are known to be sound.
        DatasetConfig(name="preview", images=images, masks=masks, classes=(), group_regex=regex)
    return pair_files(Path(images), Path(masks), group_regex=regex, group_by_folder=by_folder)


def _add(table: ClassTable | None, slots: scenes.Slots) -> None:
    try:
        name = scenes.name()
        images = scenes.path(Key.ADD_IMAGES, "images", "the images are")
        masks = scenes.path(Key.ADD_MASKS, "masks", "the masks are")
        classes = scenes.path(Key.ADD_CLASSES, "classes", "the class table is")
        if table is None:
            return  # its error stands beside its field already
        scenes.check_regex()
        config = DatasetConfig(
            name=name,
            images=images.resolve(),
            masks=masks.resolve(),
            classes=ClassTable.read_csv(classes, ignore=st.session_state[Key.ADD_IGNORE]).classes,
            group_regex=scenes.regex(),
            group_by_folder=scenes.by_folder(),
        )
        with progress_bar("Reading and checking every image and mask") as progress:
            DatasetStore().add(
                config,
                val=st.session_state[Key.ADD_VAL] / 100,
                test=st.session_state[Key.ADD_TEST] / 100,
                progress=progress,
            )
    except SegcoreError as error:
        scenes.show(error, slots, "split")
        return
    scenes.done(name)
