"""Deciding about a dataset on screen: applying decisions with a bar, and the list of those taken, each with Undo."""

from __future__ import annotations

import streamlit as st

from segcore.data.dataset import Dataset
from segcore.decisions import Decision
from segcore.errors import SegcoreError
from segcore.ui.components import escape, progress_bar, show_error
from segcore.ui.state import Key


def decide(dataset: Dataset, *decisions: Decision) -> None:
    """Take decisions and draw the page anew; where they do not hold, say why in this place."""
    try:
        with progress_bar("Reading what the decision concerns") as progress:
            dataset.decide(*decisions, progress=progress)
    except SegcoreError as error:
        show_error(error)
    else:
        st.rerun()


def history(dataset: Dataset) -> None:
    """Draw what was decided, in order; each can be taken back while no later one builds on it."""
    taken = dataset.config.decisions
    st.markdown(f"**Decided so far ({len(taken)})**" if taken else "**Decided so far: nothing**")
    if not taken:
        st.caption("Decisions are kept in dataset.json beside the class table. Your files are never changed.")
        return
    with st.container(border=True, gap="small"):
        for number, decision in enumerate(taken, 1):
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(f"{number}. {escape(decision.text)}")
                pressed = st.button(
                    "Undo",
                    key=Key.CHECK_UNDO.of(str(number)),
                    icon=":material/undo:",
                    help=f"Take back decision {number}.",
                    type="tertiary",
                )
            if pressed:
                _undo(dataset, number)


def _undo(dataset: Dataset, number: int) -> None:
    try:
        with progress_bar("Reading what the decision concerned") as progress:
            dataset.undo(number, progress)
    except SegcoreError as error:
        show_error(error)
    else:
        st.rerun()
