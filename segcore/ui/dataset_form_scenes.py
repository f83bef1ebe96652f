"""Fields that both forms for a dataset have: which images show the same scene, the shares, errors beside fields."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import streamlit as st

from segcore.config import DatasetConfig
from segcore.data.pairing import Pair
from segcore.errors import ConfigError, SegcoreError
from segcore.files import user_path
from segcore.ui.components import beside_field, escape
from segcore.ui.state import Key, Param, remember

ALONE, BY_NAME, BY_FOLDER = "Every image by itself", "By file name", "By folder"
VAL_HELP = "Images kept out of training, to judge the backbones and to choose the best epoch. Whole scenes go there."
TEST_HELP = "Images that stay sealed until you open them once, at the very end, to confirm the choice."

Slots = dict[str, st.delta_generator.DeltaGenerator]
"""Where on the form an error about a field belongs."""


def grouping() -> None:
    """Draw how scenes are told."""
    st.radio(
        "Which images show the same scene",
        [ALONE, BY_NAME, BY_FOLDER],
        key=Key.ADD_GROUPING,
        horizontal=True,
        persist_state="page",
        help="Images of one scene or flight look alike. If some were trained on and others used for judging, "
        "every score would be too good; so a scene stays together on one side.",
    )
    if st.session_state[Key.ADD_GROUPING] == BY_NAME:
        st.text_input(
            "Regular expression",
            key=Key.ADD_REGEX,
            placeholder=r"^(tile\d+)",
            help=DatasetConfig.help("group_regex"),
            live="400ms",
            persist_state="page",
        )


def regex() -> str | None:
    """Return the expression that was typed, if scenes are told by file names."""
    if st.session_state[Key.ADD_GROUPING] != BY_NAME:
        return None
    return (st.session_state.get(Key.ADD_REGEX) or "").strip() or None


def by_folder() -> bool:
    """Whether scenes are told by folders."""
    return st.session_state[Key.ADD_GROUPING] == BY_FOLDER


def check_regex() -> None:
    """Raise `ConfigError` where scenes are to be told by an expression that is not there."""
    if st.session_state[Key.ADD_GROUPING] == BY_NAME and regex() is None:
        raise ConfigError("Write the expression that finds the scene in a file name.", field="group_regex")


def list_groups(pairs: Sequence[Pair]) -> None:
    """Draw a table of the scenes, where some have several images."""
    groups = Counter(pair.group for pair in pairs)
    if len(groups) < len(pairs):
        st.dataframe(
            [{"scene": name, "images": count} for name, count in groups.most_common(50)],
            hide_index=True,
            height=min(38 + 35 * len(groups), 180),
            key="dataset.add.groups",
        )


def shares(*, disabled: bool = False) -> None:
    """Draw the sliders for the shares of validation and test."""
    for key in (Key.ADD_VAL, Key.ADD_TEST):
        st.session_state.setdefault(key, _EMPTY[key])
    left, right = st.columns(2)
    for column, label, least, key, told in (
        (left, "Validation share (%)", 5, Key.ADD_VAL, VAL_HELP),
        (right, "Test share (%)", 0, Key.ADD_TEST, TEST_HELP),
    ):
        column.slider(label, least, 50, step=5, key=key, help=told, disabled=disabled, persist_state="page")


def path(key: Key, field: str, what: str) -> Path:
    """Return the path typed into a field.

    Raises:
        ConfigError: nothing was typed, or no path.
    """
    text = (st.session_state.get(key) or "").strip().strip("\"'")
    if not text:
        raise ConfigError(f"Say where {what}.", field=field)
    return user_path(text, field)


def name_field() -> None:
    """Draw the field for the dataset's name."""
    st.text_input(
        "Name of the dataset",
        key=Key.ADD_NAME,
        max_chars=80,
        placeholder="my-drone-images",
        help=DatasetConfig.help("name"),
        persist_state="page",
    )


def name() -> str:
    """Return the name that was typed.

    Raises:
        ConfigError: none was.
    """
    typed = (st.session_state[Key.ADD_NAME] or "").strip()
    if not typed:
        raise ConfigError("Give the dataset a name.", field="name")
    return typed


def done(name: str) -> NoReturn:
    """Say that a dataset was added, and show it; the forms begin anew."""
    st.session_state[_DONE] = True
    remember(Param.DATASET, name)
    st.toast(f"Dataset {escape(name)} is ready", icon=":material/check:")
    st.rerun()


_DONE, _ADDED = "dataset.add.done", "dataset.add.added"

_EMPTY: dict[Key, Any] = {
    Key.ADD_PATH: "",
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


def begin() -> None:
    """Empty all fields after a dataset was added; to be called before any of them is drawn."""
    if st.session_state.pop(_DONE, False):
        st.session_state.update({key.value: value for key, value in _EMPTY.items()})
        st.session_state[_ADDED] = added() + 1


def added() -> int:
    """Return how many datasets were added so far: part of the keys of widgets that nothing else can empty."""
    count: int = st.session_state.get(_ADDED, 0)
    return count


def show(error: SegcoreError, slots: Mapping[str, st.delta_generator.DeltaGenerator], otherwise: str) -> None:
    """Show an error beside its field, or in the slot `otherwise`."""
    field = error.field.split(".")[0] if error.field else ""
    with slots.get(field, slots[otherwise]):
        st.error(escape(beside_field(error)), icon=":material/error:")
