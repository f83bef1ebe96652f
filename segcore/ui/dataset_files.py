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
            "Its entry here goes to the trash; your image and mask files are not touched. "
            "Studies that used it keep their results."
            + (f" Unfinished runs of {waiting} can then not be resumed." if waiting else ""),
            "Remove the dataset",
            partial(_remove, store, dataset.name),
        )


def _remove(store: DatasetStore, name: str) -> None:
    store.remove(name)
    remember(Param.DATASET, None)
