"""The form that adds a dataset: folders on this machine, the class table, what a scene is, the split."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import streamlit as st

from segcore.config import DatasetConfig
from segcore.data.classes import ClassTable
from segcore.data.pairing import Pairing, pair_files
from segcore.data.store import DatasetStore
from segcore.errors import ConfigError, SegcoreError
from segcore.files import user_path
from segcore.text import plural
from segcore.ui.components import beside_field, escape, progress_bar
from segcore.ui.state import Key, Param, remember

ALONE, BY_NAME, BY_FOLDER = "Every image by itself", "By file name", "By folder"


def draw() -> None:
    """Draw the form; add the dataset and show it when the button is pressed and all is well."""
    st.markdown(
        "The files stay where they are and are only read. Images and masks are paired by file name without "
        "its ending; masks hold either the colours of the class table or its row numbers."
    )
    _set_values()
    slots = {}
    st.text_input("Name", key=Key.ADD_NAME, max_chars=80, placeholder="my-drone-images", help=_help("name"))
    slots["name"] = st.empty()
    left, right = st.columns(2)
    with left:
        st.text_input("Folder of images", key=Key.ADD_IMAGES, placeholder="/data/drone/images", help=_help("images"))
        slots["images"] = st.empty()
    with right:
        st.text_input("Folder of masks", key=Key.ADD_MASKS, placeholder="/data/drone/masks", help=_help("masks"))
        slots["masks"] = st.empty()
    left, right = st.columns(2)
    with left:
        st.text_input(
            "Class table (CSV)",
            key=Key.ADD_CLASSES,
            placeholder="/data/drone/class_dict_seg.csv",
            help="A file with the columns name, r, g, b: one class a line.",
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
    slots["group_regex"] = _grouping(slots)
    left, right = st.columns(2)
    left.slider("Validation share (%)", 5, 50, step=5, key=Key.ADD_VAL, help=VAL_HELP)
    right.slider("Test share (%)", 0, 50, step=5, key=Key.ADD_TEST, help=TEST_HELP)
    slots["split"] = st.container()
    if st.button("Add dataset", type="primary", key=Key.ADD, icon=":material/add:"):
        _add(table, slots)


VAL_HELP = "Images kept out of training, to judge the backbones and to choose the best epoch. Whole scenes go there."
TEST_HELP = "Images that stay sealed until you open them once, at the very end, to confirm the choice."


_ADDED = "dataset.add.done"
_EMPTY = {
    Key.ADD_NAME: "",
    Key.ADD_IMAGES: "",
    Key.ADD_MASKS: "",
    Key.ADD_CLASSES: "",
    Key.ADD_IGNORE: [],
    Key.ADD_GROUPING: ALONE,
    Key.ADD_REGEX: "",
    Key.ADD_VAL: 20,
    Key.ADD_TEST: 0,
}


def _set_values() -> None:
    """Give the sliders their first values, and every field after a dataset was added."""
    state = st.session_state
    if state.pop(_ADDED, False):
        state.update({key.value: value for key, value in _EMPTY.items()})
    for key in (Key.ADD_VAL, Key.ADD_TEST):
        state.setdefault(key, _EMPTY[key])


def _help(field: str) -> str:
    return DatasetConfig.help(field)


def _path(key: Key, field: str, what: str) -> Path:
    text = (st.session_state.get(key) or "").strip().strip("\"'")
    if not text:
        raise ConfigError(f"Say where {what}.", field=field)
    return user_path(text, field)


def _read_table(slot: st.delta_generator.DeltaGenerator) -> ClassTable | None:
    """Return the class table typed so far; what is wrong with it is said at once."""
    if not (st.session_state.get(Key.ADD_CLASSES) or "").strip():
        return None
    try:
        table = ClassTable.read_csv(_path(Key.ADD_CLASSES, "classes", "the class table is"))
    except SegcoreError as error:
        with slot:
            _show(error)
        return None
    slot.caption(plural(len(table.classes), "class", "classes"))
    return table


def _show(error: SegcoreError) -> None:
    """Show an error beside its field."""
    st.error(escape(beside_field(error)), icon=":material/error:")


def _grouping(slots: dict[str, st.delta_generator.DeltaGenerator]) -> st.delta_generator.DeltaGenerator:
    """Draw how scenes are told, with the groups this makes; return where errors about it belong."""
    st.radio(
        "Which images show the same scene",
        [ALONE, BY_NAME, BY_FOLDER],
        key=Key.ADD_GROUPING,
        horizontal=True,
        help="Images of one scene or flight look alike. If some were trained on and others used for judging, "
        "every score would be too good; so a scene stays together on one side.",
    )
    if st.session_state[Key.ADD_GROUPING] == BY_NAME:
        st.text_input(
            "Regular expression",
            key=Key.ADD_REGEX,
            placeholder=r"^(tile\d+)",
            help=_help("group_regex"),
            live="400ms",
        )
    slot = st.container()
    if st.session_state.get(Key.ADD_IMAGES) and st.session_state.get(Key.ADD_MASKS):
        try:
            with slot:
                _preview_groups()
        except SegcoreError as error:
            with slots.get(error.field or "", slot):
                _show(error)
    return slot


def _regex() -> str | None:
    if st.session_state[Key.ADD_GROUPING] != BY_NAME:
        return None
    return (st.session_state.get(Key.ADD_REGEX) or "").strip() or None


def _preview_groups() -> None:
    """Say how many pairs there are and which groups they make."""
    pairing = _pairs(
        str(_path(Key.ADD_IMAGES, "images", "the images are")),
        str(_path(Key.ADD_MASKS, "masks", "the masks are")),
        _regex(),
        st.session_state[Key.ADD_GROUPING] == BY_FOLDER,
    )
    groups = Counter(pair.group for pair in pairing.pairs)
    lone = len(pairing.images_without_mask) + len(pairing.masks_without_image)
    st.caption(
        f"{plural(len(pairing.pairs), 'pair')} in {plural(len(groups), 'scene')}"
        + (f"; {plural(lone, 'file')} without a partner" if lone else "")
    )
    if len(groups) < len(pairing.pairs):
        st.dataframe(
            [{"scene": name, "images": count} for name, count in groups.most_common(50)],
            hide_index=True,
            height=min(38 + 35 * len(groups), 180),
            key="dataset.add.groups",
        )


@st.cache_data(ttl=30, max_entries=16, show_spinner="Looking for pairs …")
def _pairs(images: str, masks: str, regex: str | None, by_folder: bool) -> Pairing:
    if regex is not None:
        # Checked here, as pair_files is told patterns that are known to be sound.
        DatasetConfig(name="preview", images=images, masks=masks, classes=(), group_regex=regex)
    return pair_files(Path(images), Path(masks), group_regex=regex, group_by_folder=by_folder)


def _add(table: ClassTable | None, slots: dict[str, st.delta_generator.DeltaGenerator]) -> None:
    try:
        name = (st.session_state[Key.ADD_NAME] or "").strip()
        if not name:
            raise ConfigError("Give the dataset a name.", field="name")
        images = _path(Key.ADD_IMAGES, "images", "the images are")
        masks = _path(Key.ADD_MASKS, "masks", "the masks are")
        classes = _path(Key.ADD_CLASSES, "classes", "the class table is")
        if table is None:
            return  # its error stands beside its field already
        if st.session_state[Key.ADD_GROUPING] == BY_NAME and _regex() is None:
            raise ConfigError("Write the expression that finds the scene in a file name.", field="group_regex")
        config = DatasetConfig(
            name=name,
            images=images.resolve(),
            masks=masks.resolve(),
            classes=ClassTable.read_csv(classes, ignore=st.session_state[Key.ADD_IGNORE]).classes,
            group_regex=_regex(),
            group_by_folder=st.session_state[Key.ADD_GROUPING] == BY_FOLDER,
        )
        with progress_bar("Reading and checking every image and mask") as progress:
            DatasetStore().add(
                config,
                val=st.session_state[Key.ADD_VAL] / 100,
                test=st.session_state[Key.ADD_TEST] / 100,
                progress=progress,
            )
    except SegcoreError as error:
        field = error.field.split(".")[0] if error.field else ""
        with slots.get(field, slots["split"]):
            _show(error)
        return
    st.session_state[_ADDED] = True
    remember(Param.DATASET, name)
    st.toast(f"Dataset {escape(name)} is ready", icon=":material/check:")
    st.rerun()
