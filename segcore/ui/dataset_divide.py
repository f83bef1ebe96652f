"""The form that divides a dataset's images anew: what names the scenes, and the shares of the parts."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from segcore.config import DatasetConfig
from segcore.data import dividing
from segcore.data.dataset import Dataset
from segcore.data.dividing import Grouping
from segcore.data.scenes import DISTANCE_METRES, GAP_SECONDS
from segcore.errors import ConfigError, SegcoreError
from segcore.files import user_path
from segcore.text import plural
from segcore.ui.components import escape, field_error, progress_bar, show_error
from segcore.ui.dataset_undo import undoable
from segcore.ui.state import Key

GROUP, NAME, FOLDER, TIME, PLACE, RANDOM, LISTS = "group", "name", "folder", "time", "gps", "random", "lists"
WAYS = {
    GROUP: "The scenes as they are",
    NAME: "Scenes by file name",
    FOLDER: "Scenes by folder",
    TIME: "Scenes by time of exposure",
    PLACE: "Scenes by place (GPS)",
    RANDOM: "Image by image",
    LISTS: "Lists of my own",
}
"""What the images are divided by, as on the command line."""

_CAPTIONS = {
    TIME: "When each image was taken is read from its file (EXIF); a longer pause begins another scene.",
    PLACE: "Where each image was taken is read from its file (EXIF); images within the distance of each other, and of "
    "each other's neighbours, are one scene.",
    RANDOM: "Only for images that have nothing to do with each other: frames of one scene on both sides make every "
    "score too good.",
    LISTS: "JSON of train, val and test; a CSV of name,part; or a folder of train.txt and val.txt.",
}
_FIELDS = ("regex", "group_regex", "gap", "distance", "split_file", "by")


@dataclass(frozen=True)
class _Asked:
    """What the form says."""

    by: str
    text: str
    """The regular expression, or the path of the lists."""
    number: float
    """Seconds or metres."""
    val: float
    test: float
    seed: int


def draw(dataset: Dataset, *, unfolded: bool = False) -> None:
    """Draw the form, and carry out what it says on its button."""
    with st.expander("Divide the images anew", icon=":material/shuffle:", expanded=unfolded):
        st.caption("Studies that were launched before keep the split they have; new ones take the new split.")
        asked = _form(dataset)
        if not st.button("Divide anew", key=Key.SPLIT, icon=":material/shuffle:"):
            return
        try:
            with undoable(dataset):
                _divide(dataset, asked)
        except SegcoreError as error:
            if error.field in _FIELDS:
                field_error(error, *_FIELDS)
            else:
                show_error(error)
        else:
            st.rerun()


def _form(dataset: Dataset) -> _Asked:
    by = st.selectbox("Divide by", list(WAYS), format_func=WAYS.__getitem__, key=Key.SPLIT_BY)
    text, number = "", 0.0
    if by == GROUP:
        told = f", from {dataset.config.groups_from}" if dataset.config.groups_from else ""
        st.caption(f"There are {plural(len(set(dataset.groups.values())), 'scene')}{escape(told)}.")
    elif by in _CAPTIONS:
        st.caption(_CAPTIONS[by])
    if by == NAME:
        own = dataset.config.group_regex or ""
        text = st.text_input(
            "Regular expression",
            own,
            key=Key.SPLIT_REGEX,
            placeholder=r"^(scene\d+)",
            help=DatasetConfig.help("group_regex"),
        )
    elif by == TIME:
        number = st.number_input("Pause (seconds)", 1.0, 86_400.0, GAP_SECONDS, key=Key.SPLIT_GAP)
    elif by == PLACE:
        number = st.number_input("Distance (metres)", 1.0, 100_000.0, DISTANCE_METRES, key=Key.SPLIT_DISTANCE)
    elif by == LISTS:
        text = st.text_input("File or folder of the lists, on this machine", key=Key.SPLIT_LISTS)
        return _Asked(by, text, 0.0, 0.0, 0.0, 0)
    left, middle, right = st.columns(3)
    val = left.slider("Validation share (%)", 5, 50, 20, 5, key=Key.SPLIT_VAL)
    test = middle.slider("Test share (%)", 0, 50, 0, 5, key=Key.SPLIT_TEST)
    seed = right.number_input("Seed", 0, 2**31 - 1, 0, key=Key.SPLIT_SEED, help="Another seed, another split.")
    return _Asked(by, text.strip(), number, val / 100, test / 100, int(seed))


def _divide(dataset: Dataset, asked: _Asked) -> None:
    """Carry out what was asked for; nothing is changed where that is not possible."""
    if asked.by == LISTS:
        dividing.split_by_lists(dataset, user_path(asked.text, "split_file"))
    elif asked.by == RANDOM:
        dividing.split_at_random(dataset, val=asked.val, test=asked.test, seed=asked.seed)
    elif asked.by == GROUP:
        dataset.make_split(val=asked.val, test=asked.test, seed=asked.seed)
    else:
        grouping = _grouping(dataset, asked)
        dividing.divide_by(dataset, grouping, val=asked.val, test=asked.test, seed=asked.seed)


def _grouping(dataset: Dataset, asked: _Asked) -> Grouping:
    """Name the scenes anew."""
    if asked.by == NAME:
        if not asked.text:
            raise ConfigError("Give a regular expression that finds the scene in a file's name.", field="group_regex")
        return dividing.group_by_name(dataset, asked.text)
    if asked.by == FOLDER:
        return dividing.group_by_folder(dataset)
    with progress_bar("Reading when and where the images were taken") as progress:
        if asked.by == TIME:
            return dividing.group_by_time(dataset, asked.number, progress)
        return dividing.group_by_place(dataset, asked.number, progress)
