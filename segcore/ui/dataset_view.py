"""The Dataset page: what a dataset is in a line, and its tabs."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from segcore.data.dataset import Dataset
from segcore.text import plural
from segcore.ui import (
    dataset_augment,
    dataset_classes,
    dataset_files,
    dataset_gallery,
    dataset_leakage,
    dataset_report,
    dataset_split,
)
from segcore.ui.components import errors_shown, progress_bar
from segcore.ui.state import Key, Param, open_tab, remember, remembered

TABS: dict[str, Callable[[Dataset], None]] = {
    "Browse": dataset_gallery.draw,
    "Classes": dataset_classes.draw,
    "Check": dataset_report.draw,
    "Split": dataset_split.draw,
    "Leakage": dataset_leakage.draw,
    "Augmentation": dataset_augment.draw,
    "Files": dataset_files.draw,
}
"""What each tab of the page draws."""


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
        facts.append(f":orange-badge[{plural(len(report.problems), 'problem')}, see Check]")
    if report.unknown_count:
        facts.append(f":orange-badge[{plural(report.unknown_count, 'unknown colour')}, see Check]")
    if dataset.config.decisions:
        facts.append(f":gray-badge[{plural(len(dataset.config.decisions), 'decision')}]")
    st.markdown(" · ".join(facts))
    if changed:
        st.warning("Files of this dataset were changed, added or removed since it was checked.")
        if st.button("Check the files again", key=Key.DATASET_CHECK, icon=":material/refresh:"):
            with errors_shown(), progress_bar("Checking every image and mask") as progress:
                dataset.refresh(progress)
                st.rerun()


def draw_tabs(dataset: Dataset) -> None:
    """Draw the open tab alone: what is not looked at costs nothing."""
    state, seen = st.session_state, "dataset.seen"
    if state.get(seen) not in (None, dataset.name) and remembered(Param.IMAGE) not in dataset.names:
        remember(Param.IMAGE, None)  # it is the other dataset's, and nobody misses it here
    state[seen] = dataset.name
    name, tab = open_tab(Key.DATASET_TAB, list(TABS))
    with tab, errors_shown():
        TABS[name](dataset)
