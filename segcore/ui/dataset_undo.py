"""Taking back what was changed in a dataset's split: scenes and parts as they were, as long as the visit lasts.

A split that a study used becomes a version that can be taken up again. One that no study used is replaced, and with it
what was moved by hand: this is where it comes back from.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import streamlit as st

from segcore.data.dataset import Dataset
from segcore.data.dividing import Grouping, set_groups
from segcore.data.split_versions import drop_split, split_made
from segcore.data.splits import Split
from segcore.errors import SegcoreError
from segcore.ui.components import show_error
from segcore.ui.state import Key

KEPT = 50
"""So many changes can be taken back."""


@dataclass(frozen=True)
class _Standing:
    """How a dataset is divided."""

    split: Split | None
    made: str
    grouping: Grouping

    def same_as(self, other: _Standing) -> bool:
        return self.split == other.split and self.grouping.groups == other.grouping.groups


def _standing(dataset: Dataset) -> _Standing:
    return _Standing(dataset.split, split_made(dataset.path), Grouping(dataset.groups, dataset.config))


def _changes(dataset: Dataset) -> list[tuple[_Standing, _Standing]]:
    """What was before and after each change, in order."""
    found: list[tuple[_Standing, _Standing]] = st.session_state.setdefault(f"dataset.split.changes:{dataset.path}", [])
    return found


@contextmanager
def undoable(dataset: Dataset) -> Iterator[None]:
    """Note what a change of scenes and split inside replaces; one that fails leaves no note."""
    before = _standing(dataset)
    yield
    after = _standing(dataset)
    if not before.same_as(after):
        changes = _changes(dataset)
        changes.append((before, after))
        del changes[:-KEPT]


def draw(dataset: Dataset) -> None:
    """Draw the button that takes back the last change; nothing where none was made here, or others were made since."""
    changes = _changes(dataset)
    if not changes:
        return
    before, after = changes[-1]
    if not after.same_as(_standing(dataset)):
        changes.clear()
        return
    if st.button(
        "Undo the last change",
        key=Key.SPLIT_UNDO,
        icon=":material/undo:",
        help="Scenes and parts become what they were before.",
    ):
        try:
            _go_back(dataset, before)
        except SegcoreError as error:
            show_error(error)
        else:
            changes.pop()
            st.rerun()


def _go_back(dataset: Dataset, before: _Standing) -> None:
    set_groups(dataset, before.grouping)
    if before.split is None:
        drop_split(dataset.path)
    else:
        dataset.set_split(before.split, before.made)
