"""The form that adds a dataset: where it is, then what was recognised there, or field by field."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import BinaryIO, cast

import streamlit as st

from segcore.data.archive import unpack
from segcore.data.layouts import usable_name
from segcore.data.store import DatasetStore
from segcore.errors import SegcoreError
from segcore.ui import dataset_form_fields, dataset_form_guess
from segcore.ui import dataset_form_scenes as scenes
from segcore.ui.components import progress_bar
from segcore.ui.dataset_form_scenes import BY_FOLDER, BY_NAME
from segcore.ui.state import Key

__all__ = ["BY_FOLDER", "BY_NAME", "FIELDS", "FOLDER", "ZIP", "draw"]

FOLDER, ZIP, FIELDS = "A folder here", "A zip file", "Field by field"
_UNPACKED = "dataset.add.unpacked"


def draw(*, unfolded: bool = False) -> None:
    """Draw the form, folded away until it is asked for; once a dataset was added it is folded again, and empty."""
    scenes.begin()
    key = f"dataset.add.form:{scenes.added()}"  # another key is another form, which nobody has unfolded yet
    with st.expander("Add a dataset", expanded=unfolded, icon=":material/add:", key=key):
        _draw()


def _draw() -> None:
    """Draw the form; add the dataset and show it when its button is pressed and all is well."""
    source = st.segmented_control(
        "Where is your data?",
        [FOLDER, ZIP, FIELDS],
        key=Key.ADD_FROM,
        default=FOLDER,
        required=True,
        help="A folder on this machine or a zip is looked through, and you are asked whether it is what it seems to "
        "be. Or say yourself where images, masks and class table are.",
    )
    if source == FIELDS:
        dataset_form_fields.draw()
        return
    place = _folder() if source == FOLDER else _zip()
    if place is None:
        st.caption(
            "Known are: the Semantic Drone Dataset, CamVid, LandCover.ai, LoveDA, the Dubai tiles, ISPRS Potsdam and "
            "Vaihingen, UAVid, Pascal VOC, CVAT's masks, COCO polygons, and folders of images and masks, with a class "
            "table or without."
        )
        return
    dataset_form_guess.draw(*place)


def _folder() -> tuple[Path, str, Path | None] | None:
    """Draw the field for a folder; return it with a name for the dataset."""
    st.text_input(
        "Folder of the dataset, on the machine that runs this app",
        key=Key.ADD_PATH,
        placeholder="/data/drone",
        help="The files stay where they are and are only read.",
        persist_state="page",
    )
    if not (st.session_state.get(Key.ADD_PATH) or "").strip():
        return None
    slot = st.empty()
    try:
        folder = scenes.path(Key.ADD_PATH, "path", "the dataset is")
    except SegcoreError as error:
        scenes.show(error, {"": slot}, "")
        return None
    return folder, usable_name(folder), None


def _zip() -> tuple[Path, str, Path | None] | None:
    """Draw the field for a zip; return where it was unpacked, a name for the dataset, and what it is to keep."""
    limit = st.get_option("server.maxUploadSize")
    uploaded = st.file_uploader(
        f"Zip of the dataset's folder, at most {limit} MB",
        type="zip",
        key=Key.ADD_ZIP.of(str(scenes.added())),
        help="It is unpacked into the workspace and belongs to the dataset from then on. A larger one: unpack it "
        "yourself and give the folder, or raise server.maxUploadSize in .streamlit/config.toml.",
    )
    known, own = st.session_state.get(_UNPACKED, (None, None))
    if uploaded is None or uploaded.file_id != known:
        if own is not None:
            shutil.rmtree(own, ignore_errors=True)  # another zip, or none; gone already where it was added
        st.session_state.pop(_UNPACKED, None)
        if uploaded is None:
            return None
        slot, own = st.empty(), None
        try:
            own = DatasetStore().new_staging()
            with progress_bar("Unpacking") as progress:
                unpack(cast("BinaryIO", uploaded), own / "source", progress)
        except SegcoreError as error:
            if own is not None:
                shutil.rmtree(own, ignore_errors=True)
            scenes.show(error, {"": slot}, "")
            return None
        st.session_state[_UNPACKED] = (uploaded.file_id, own)
    if not own.is_dir():
        st.caption("What was unpacked has been left lying for a day and is gone. Upload the zip again.")
        return None
    return own / "source", usable_name(Path(uploaded.name)), own
