"""Where a dataset's files are, what is kept of them here, and removing the dataset from here."""

from __future__ import annotations

from functools import partial

import streamlit as st

from segcore.data.dataset import Dataset
from segcore.data.store import DatasetStore
from segcore.files import tree_size
from segcore.store import RunStore
from segcore.ui.components import confirm, escape, size
from segcore.ui.state import Key, Param, remember


def draw(dataset: Dataset) -> None:
    """Draw folders, sizes of what can be rebuilt, and the button that removes the dataset."""
    config, store = dataset.config, DatasetStore()
    st.markdown(f"Images: {escape(config.images)}  \nMasks: {escape(config.masks)}")
    for what, folder, when in (
        ("Prepared copies at the training sizes", dataset.prepared_directory, "a run first needs them"),
        ("Thumbnails", dataset.path / "thumbnails", "they are first shown"),
    ):
        occupied = tree_size(folder)
        if occupied:
            st.caption(f"{what}: {size(occupied)}. They are rebuilt when missing.")
        else:
            st.caption(f"{what} are made when {when}.")
    if st.button("Remove this dataset", key=Key.DATASET_REMOVE, icon=":material/delete:"):
        waiting = ", ".join(RunStore(store.workspace).unfinished_on(dataset.name))
        confirm(
            f"Remove dataset {dataset.name}?",
            f"{_lost(dataset)} Studies that used it keep their results."
            + (f" Unfinished runs of {waiting} can then not be resumed." if waiting else ""),
            "Remove the dataset",
            partial(_remove, store, dataset.name),
        )


def _lost(dataset: Dataset) -> str:
    """Say what goes to the trash with a dataset: files that were unpacked or drawn for it lie in its own folder."""
    own, folder = {"image": dataset.config.images, "mask": dataset.config.masks}, dataset.path.resolve()
    inside = [what for what, place in own.items() if place.resolve().is_relative_to(folder)]
    outside = [what for what in own if what not in inside]
    lost = "Its entry here goes to the trash"
    if inside:
        lost += f", together with the {' and '.join(inside)} files that lie in it"
    return f"{lost}; your {' and '.join(outside)} files are not touched." if outside else f"{lost}."


def _remove(store: DatasetStore, name: str) -> None:
    store.remove(name)
    remember(Param.DATASET, None)
