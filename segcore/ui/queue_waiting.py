"""What waits, in the sidebar: in an order that can be changed, until the cluster has it; then with what it lacks."""

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
SUBMITTED = "It has just been handed over."
LATER = "It is handed over to the cluster once those before it have found room."

Row = tuple[Run, Status]


def title(run: Run) -> str:
    """Return how a run is called in the sidebar, as Markdown."""
    config = run.config
    return f"{escape(catalog.title(config.encoder))} · {config.repetition}"


def draw(store: RunStore, waiting: Sequence[Row]) -> bool:
    """Draw what waits, in its order; return whether all of it is to be cancelled."""
    lines = [_Line(store, run, status) for run, status in waiting]
    here = [place for place, line in enumerate(lines) if line.status.where is Where.HERE]
    handed_over = [place for place, line in enumerate(lines) if line.status.job is not None]
    later = [place for place in range(len(lines)) if place not in {*here, *handed_over}]
    for places in (here, later):
        for line, place in enumerate(places):
            lines[place].among(places, line)
    for places in (here, handed_over, later):
        if places:
            _list([lines[place] for place in places])
    return len(waiting) > 1 and st.button(
        f"Cancel all {len(waiting)} waiting …",
        key=Key.QUEUE_CANCEL_ALL,
        icon=":material/playlist_remove:",
        type="tertiary",
    )


class _Line:
    """One waiting run."""

    def __init__(self, store: RunStore, run: Run, status: Status) -> None:
        self.store, self.run, self.status = store, run, status
        self._places: Sequence[int] = ()
        self._number = 0

    def among(self, places: Sequence[int], number: int) -> None:
        """Let it change places with others: those of the queue in `places`, of which it has the one at `number`."""
        self._places, self._number = places, number

    @property
    def heading(self) -> str:
        """What it stands below, as Markdown."""
        study = f"study {escape(self.run.study_name)}"
        if self.status.where is Where.HERE:
            return f"waiting · {study}"
        if self.status.job is None:
            return f"next for the cluster · {study}"
        return f"waiting on the cluster · {study}  \n{escape(self.status.message or SUBMITTED)}"

    def draw(self) -> None:
        """Draw its name and the buttons that move and cancel it; once the cluster has it, it cannot be moved."""
        with st.container(horizontal=True, wrap=False, vertical_alignment="center", gap="xxsmall"):
            number = f"{self._number + 1}\\. " if self._places else ""
            race = f" · at epoch {self.status.epoch} (race)" if self.status.standing else ""
            st.markdown(f":small[{number}{title(self.run)}{race}]", width="stretch")
            if self._places:
                self._moves()
            st.button(
                "",
                key=queue_actions.stop_key(self.run),
                icon=":material/close:",
                help="Take it out of the queue",
                type="tertiary",
                on_click=queue_actions.stop,
                args=(self.store, self.run),
            )

    def _moves(self) -> None:
        name = f"{self.run.study_name}/{self.run.name}"
        for key, icon, help, target in (
            (Key.QUEUE_FIRST, ":material/vertical_align_top:", "Train it next", 0),
            (Key.QUEUE_UP, ":material/arrow_upward:", "One place up", self._number - 1),
            (Key.QUEUE_DOWN, ":material/arrow_downward:", "One place down", self._number + 1),
        ):
            possible = 0 <= target < len(self._places) and target != self._number
            st.button(
                "",
                key=key.of(name),
                icon=icon,
                help=help,
                type="tertiary",
                disabled=not possible,
                on_click=queue_actions.move,
                args=(self.store, self.run, self._places[target] if possible else 0),
            )


def _list(lines: Sequence[_Line]) -> None:
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


def _some(lines: Sequence[_Line], heading: str) -> str:
    """Draw lines below those with `heading`; return the last heading."""
    for line in lines:
        if line.heading != heading:
            heading = line.heading
            st.caption(heading)
        with errors_shown():
            line.draw()
    return heading
