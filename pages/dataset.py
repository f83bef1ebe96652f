"""Dataset: images with their masks, classes, split; adding and removing datasets."""

import streamlit as st

from segcore.data.store import DatasetStore
from segcore.ui import dataset_form, dataset_view
from segcore.ui.components import empty_state, errors_shown, heading, progress_bar
from segcore.ui.state import Key, Param, choose, remember

heading("Dataset", "What is in the data, is it sound, and what will the backbones be judged on?")

store = DatasetStore()
name = choose(Param.DATASET, "Dataset", [dataset.name for dataset in store.list()])
if name is None:
    with empty_state(
        "No dataset yet",
        "Add your own images and masks below, or start with the demo: 120 synthetic aerial images with masks.",
        icon=":material/photo_library:",
    ):
        demo = st.button("Make the demo dataset", key=Key.DATASET_DEMO, icon=":material/auto_awesome:")
    if demo:
        with errors_shown(), progress_bar("Drawing the demo images") as progress:
            remember(Param.DATASET, store.demo(progress).name)
            st.rerun()

dataset_form.draw(unfolded=name is None)

if name is not None:
    with errors_shown():
        dataset = store.get(name)
        dataset_view.about(dataset, dataset.changed())
        dataset_view.draw_tabs(dataset)
