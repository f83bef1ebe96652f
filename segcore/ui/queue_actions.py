"""What the buttons of the queue do, in the sidebar and on the Training page."""

from __future__ import annotations

import time
from typing import Literal

import streamlit as st

from segcore.clustered import has_jobs
from segcore.errors import NotFoundError, WorkspaceError
from segcore.launch.local import ensure_scheduler
from segcore.runqueue import HUNG_SECONDS
from segcore.runs import Run
from segcore.status import Status
from segcore.store import RunStore
from segcore.ui.components import errors_shown
from segcore.ui.state import Key


def set_paused(store: RunStore, paused: bool) -> None:
    """Pause the queue, or let it go on, also where its process has ended meanwhile."""
    with errors_shown():
        store.set_queue(paused=paused)
        if not paused:
            start_queue(store)


def start_queue(store: RunStore) -> None:
    """See that somebody works on what waits.

    Raises:
        LaunchError: the process that does so does not start.
    """
    if (store.waiting() and not store.queue_settings().paused) or has_jobs(store):
        ensure_scheduler(store.workspace)


def move(store: RunStore, run: Run, position: int) -> None:
    """Move a waiting run; one that has begun or vanished meanwhile stays where it is."""
    with errors_shown():
        if run in store.waiting():
            store.move(run, position)


def stop_button(
    store: RunStore, run: Run, status: Status, key: str, *, type: Literal["secondary", "tertiary"] = "secondary"
) -> None:
    """Draw the button that stops a run that trains; one that does not heed it can be ended the hard way."""
    asked = run.stop_requested_at()
    hung = asked is not None and time.time() - max(asked, status.heartbeat or 0.0) > HUNG_SECONDS
    word = "Stop" if asked is None else "End it" if hung else "Stopping …"
    st.button(
        word,
        key=key,
        on_click=stop,
        args=(store, run),
        disabled=asked is not None and not hung,
        type=type,
        icon=":material/dangerous:" if hung else ":material/stop_circle:",
        help="It has not answered for a minute. Its process is ended; what it saved last is kept."
        if hung
        else "It saves where it is and can be resumed later.",
    )


def stop_key(run: Run) -> str:
    """The key of the button that stops or cancels a run in the sidebar."""
    return Key.STOP.of(f"sidebar/{run.study_name}/{run.name}")


def stop(store: RunStore, run: Run) -> None:
    """Stop a run from a button; one that ended or vanished meanwhile needs no stopping."""
    with errors_shown():
        try:
            store.stop(run)
        except NotFoundError:
            return


def cancel_waiting(store: RunStore) -> None:
    """Take all that waits out of the queue, the last first, so that none of them starts in the meantime.

    Raises:
        WorkspaceError: one cannot be written.
    """
    for run in reversed(store.waiting()):
        try:
            store.stop(run)
        except WorkspaceError:
            if run.exists():
                raise
