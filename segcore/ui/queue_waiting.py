"""What waits, in the sidebar: for this machine in an order that can be changed; for the cluster, with what it lacks."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from segcore.models import catalog
from segcore.runs import Run
from segcore.status import Status, Where
from segcore.store import RunStore
from segcore.text import plural
from segcore.ui import queue_actions
from segcore.ui.components import errors_shown, escape
from segcore.ui.state import Key

SHOWN = 5
"""Waiting runs in sight; the others are folded away."""
LISTED = 50
"""Waiting runs that can be moved at all; the others are counted."""
SUBMITTING = "It is about to be handed over to the cluster."

Row = tuple[Run, Status]


def title(run: Run) -> str:
    """Return how a run is called in the sidebar, as Markdown."""
    config = run.config
    return f"{escape(catalog.title(config.encoder))} · {config.repetition}"


def draw(store: RunStore, waiting: Sequence[Row]) -> bool:
    """Draw what waits, in its order; return whether all of it is to be cancelled."""
    places = [place for place, (_, status) in enumerate(waiting) if status.where is Where.HERE]
    on_cluster = [row for row in waiting if row[1].where is Where.CLUSTER]
    if places:
        _list([_Here(store, waiting, places, number) for number in range(len(places))])
    if on_cluster:
        _list([_There(store, row) for row in on_cluster])
    return len(waiting) > 1 and st.button(
        f"Cancel all {len(waiting)} waiting …",
        key=Key.QUEUE_CANCEL_ALL,
        icon=":material/playlist_remove:",
        type="tertiary",
    )


class _Here:
    """A run that waits for this machine; its buttons move and cancel it."""

    def __init__(self, store: RunStore, waiting: Sequence[Row], places: Sequence[int], number: int) -> None:
        self.store, self.places, self.number = store, places, number
        self.run, self.status = waiting[places[number]]

    @property
    def heading(self) -> str:
        return f"waiting · study {escape(self.run.study_name)}"

    def draw(self) -> None:
        name, places, number = f"{self.run.study_name}/{self.run.name}", self.places, self.number
        with st.container(horizontal=True, wrap=False, vertical_alignment="center", gap="xxsmall"):
            race = f" · at epoch {self.status.epoch} (race)" if self.status.standing else ""
            st.markdown(f":small[{number + 1}\\. {title(self.run)}{race}]", width="stretch")
            for key, icon, help, target in (
                (Key.QUEUE_FIRST, ":material/vertical_align_top:", "Train it next", 0),
                (Key.QUEUE_UP, ":material/arrow_upward:", "One place up", number - 1),
                (Key.QUEUE_DOWN, ":material/arrow_downward:", "One place down", number + 1),
            ):
                possible = 0 <= target < len(places) and target != number
                st.button(
                    "",
                    key=key.of(name),
                    icon=icon,
                    help=help,
                    type="tertiary",
                    disabled=not possible,
                    on_click=queue_actions.move,
                    # Its place among all that wait: those of the cluster stand between them.
                    args=(self.store, self.run, places[target] if possible else 0),
                )
            _cancel_button(self.store, self.run)


class _There:
    """A run that waits for the cluster, which decides on the order."""

    def __init__(self, store: RunStore, row: Row) -> None:
        self.store = store
        self.run, self.status = row

    @property
    def heading(self) -> str:
        reason = self.status.message or SUBMITTING
        return f"waiting for the cluster · study {escape(self.run.study_name)}  \n{escape(reason)}"

    def draw(self) -> None:
        with st.container(horizontal=True, wrap=False, vertical_alignment="center", gap="xxsmall"):
            race = f" · at epoch {self.status.epoch} (race)" if self.status.standing else ""
            st.markdown(f":small[{title(self.run)}{race}]", width="stretch")
            _cancel_button(self.store, self.run)


def _list(lines: Sequence[_Here] | Sequence[_There]) -> None:
    """Draw lines, each below its heading where that changes, the later ones folded away."""
    with st.container(gap="xxsmall"):
        shown = len(lines) if len(lines) <= SHOWN + 1 else SHOWN  # no fold for a single line
        heading = _some(lines[:shown], "")
        rest = lines[shown:LISTED]
        if rest:
            with st.expander(f"{plural(len(lines) - shown, 'more run')} waiting"), st.container(gap="xxsmall"):
                _some(rest, heading)
                if len(lines) > LISTED:
                    st.caption(f"and {len(lines) - LISTED:,} more")


def _some(lines: Sequence[_Here] | Sequence[_There], heading: str) -> str:
    """Draw lines below those with `heading`; return the last heading."""
    for line in lines:
        if line.heading != heading:
            heading = line.heading
            st.caption(heading)
        with errors_shown():
            line.draw()
    return heading


def _cancel_button(store: RunStore, run: Run) -> None:
    st.button(
        "",
        key=queue_actions.stop_key(run),
        icon=":material/close:",
        help="Take it out of the queue",
        type="tertiary",
        on_click=queue_actions.stop,
        args=(store, run),
    )
