"""The queue in the sidebar: what trains, what waits and in which order, pausing, and how many train at once."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import streamlit as st

from segcore.launch.local import scheduler_alive
from segcore.models import catalog
from segcore.runqueue import QueueSettings
from segcore.runs import Run
from segcore.status import RunState, Status
from segcore.store import RunStore
from segcore.text import duration, plural
from segcore.ui import alarms, queue_actions, queue_slots, readers
from segcore.ui.components import (
    confirm,
    device_name,
    errors_shown,
    escape,
    name_unreadable,
    progress_share,
    progress_text,
)
from segcore.ui.state import Key

WAITING_SHOWN = 5
"""Waiting runs in sight; the others are folded away."""
WAITING_LISTED = 50
"""Waiting runs that can be moved at all; the others are counted."""
_ASK_CANCEL = "queue.ask_cancel"

Row = tuple[Run, Status]


def draw() -> None:
    """Draw the queue; the body of a fragment that repeats itself."""
    store = RunStore()
    name_unreadable(store.unreadable_studies(), "study")
    rows, unreadable = readers.statuses(store.runs())
    name_unreadable(unreadable)
    settings = store.queue_settings()
    active = (row for row in rows if row[1].state.active)
    rows = sorted(active, key=lambda row: (row[1].queued, row[1].created, row[0].name))
    training = [row for row in rows if row[1].state is RunState.RUNNING]
    waiting = [row for row in rows if row[1].state is RunState.QUEUED]
    _headline(store, settings, training, waiting)
    for row in training:
        with errors_shown():
            _card(store, *row)
    if waiting:
        _waiting(store, waiting)
    with errors_shown():
        queue_slots.draw(store, settings)


def ask() -> None:
    """Ask the question that a button of the queue raised: outside of the fragment, whose timer would close it."""
    if not st.session_state.pop(_ASK_CANCEL, False):
        return
    store = RunStore()
    count = len(store.waiting())
    if count:
        confirm(
            f"Take {plural(count, 'waiting run')} out of the queue?",
            "What trains goes on. Each of them can be queued again on the Training page.",
            "Cancel what waits",
            lambda: queue_actions.cancel_waiting(store),
        )


# Above the list ----------------------------------------------------------------------------------------


def _headline(store: RunStore, settings: QueueSettings, training: Sequence[Row], waiting: Sequence[Row]) -> None:
    """Say how much there is to do, and pause or go on."""
    if settings.paused:
        st.warning(paused_text(len(training), len(waiting)), icon=":material/pause_circle:")
        _pause_button(store, "Go on", ":material/play_arrow:", paused=False)
        return
    if not training and not waiting:
        st.caption("Nothing is training.")
        return
    if waiting and not scheduler_alive(store.workspace):
        _stalled(store)
        return
    left = time_left([status for _, status in (*training, *waiting)], settings.slots)
    racing = any(status.rung is not None for _, status in (*training, *waiting))  # some of it will not be done
    counts = [f"{len(training)} training" if training else "", f"{len(waiting)} waiting" if waiting else ""]
    text = ", ".join(filter(None, counts))
    if left and waiting:
        text += f" · all done in {'at most ' if racing else ''}about {duration(left)}"
    st.caption(text)
    if waiting:
        _pause_button(store, "Pause the queue", ":material/pause:", paused=True)


def paused_text(training: int, waiting: int) -> str:
    """Return what it means now that the queue is paused."""
    text = "**The queue is paused.**"
    if training:
        text += f" What trains ({plural(training, 'run')}) goes on to its end."
    if waiting:
        return f"{text} Nothing new starts: {plural(waiting, 'run')} will wait until you press Go on."
    return f"{text} What you launch will wait until you press Go on."


def _pause_button(store: RunStore, label: str, icon: str, *, paused: bool) -> None:
    st.button(
        label,
        key=Key.QUEUE_PAUSE,
        icon=icon,
        width="stretch",
        help="What trains goes on; no waiting run starts until you press Go on." if paused else None,
        on_click=queue_actions.set_paused,
        args=(store, paused),
    )


def _stalled(store: RunStore) -> None:
    """Say when nobody works on the queue, and offer to start again: the machine may have been restarted."""
    st.warning(
        "Nothing works on the queue: its process has ended. What waits will not start.", icon=":material/pause_circle:"
    )
    if st.button("Go on", key=Key.QUEUE_START, icon=":material/play_arrow:", width="stretch"):
        with errors_shown():
            queue_actions.start_queue(store)


def time_left(statuses: Sequence[Status], slots: int) -> float | None:
    """Return the seconds until all of it is done, or None where the time of a waiting run is not known.

    Each waiting run, in the order given, takes the slot that is free first.
    """
    ends = [status.eta or 0.0 for status in statuses if status.state is RunState.RUNNING]
    ends += [0.0] * (slots - len(ends))
    heapq.heapify(ends)
    last = max(ends)
    for status in statuses:
        if status.state is not RunState.QUEUED:
            continue
        whole = status.predicted_after_epoch or status.predicted
        if whole is None:
            return None
        end = heapq.heappop(ends) + whole * (1 - progress_share(status, 1) if status.steps else 1)
        heapq.heappush(ends, end)
        last = max(last, end)
    return last


# The list ----------------------------------------------------------------------------------------------


def _title(run: Run) -> str:
    config = run.config
    return f"{escape(catalog.title(config.encoder))} · {config.repetition}"


def _card(store: RunStore, run: Run, status: Status) -> None:
    """A run that trains."""
    epochs = run.config.recipe.epochs
    with st.container(border=True, gap="xsmall"):
        with st.container(horizontal=True, wrap=False, vertical_alignment="center", gap="xsmall"):
            st.markdown(_title(run), width="stretch")
            queue_actions.stop_button(store, run, status, queue_actions.stop_key(run), type="tertiary")
        st.progress(progress_share(status, epochs), text=escape(progress_text(status, epochs)))
        place = f" · {device_name(status.device)}" if status.device not in (None, "cpu") else ""
        st.caption(f"study {escape(run.study_name)}{escape(place)}")
        if status.silence is not None:
            st.markdown(f":orange[:material/hourglass_disabled: no sign of life for {duration(status.silence)}]")
        alarm = alarms.flag(run, status)
        if alarm:
            st.markdown(f":red[:material/crisis_alert: {escape(alarm)}]")


def _waiting(store: RunStore, waiting: Sequence[Row]) -> None:
    """What waits, in its order; each line moves and cancels its run."""
    with st.container(gap="xxsmall"):
        shown = len(waiting) if len(waiting) <= WAITING_SHOWN + 1 else WAITING_SHOWN  # no fold for a single line
        study = None
        for place, row in enumerate(waiting[:shown]):
            study = _line(store, row, place, len(waiting), study)
        rest = waiting[shown:WAITING_LISTED]
        if rest:
            with st.expander(f"{plural(len(waiting) - shown, 'more run')} waiting"), st.container(gap="xxsmall"):
                for place, row in enumerate(rest, shown):
                    study = _line(store, row, place, len(waiting), study)
                if len(waiting) > WAITING_LISTED:
                    st.caption(f"and {len(waiting) - WAITING_LISTED:,} more")
    if len(waiting) > 1 and st.button(
        f"Cancel all {len(waiting)} waiting …",
        key=Key.QUEUE_CANCEL_ALL,
        icon=":material/playlist_remove:",
        type="tertiary",
    ):
        st.session_state[_ASK_CANCEL] = True
        st.rerun()


def _line(store: RunStore, row: Row, place: int, count: int, study_before: str | None) -> str:
    """One waiting run with its buttons, below the name of its study where that changes; return the study."""
    run, status = row
    if run.study_name != study_before:
        st.caption(f"waiting · study {escape(run.study_name)}")
    name = f"{run.study_name}/{run.name}"
    with errors_shown(), st.container(horizontal=True, wrap=False, vertical_alignment="center", gap="xxsmall"):
        race = f" · at epoch {status.epoch} (race)" if status.standing else ""
        st.markdown(f":small[{place + 1}\\. {_title(run)}{race}]", width="stretch")
        for key, icon, help, target in (
            (Key.QUEUE_FIRST, ":material/vertical_align_top:", "Train it next", 0),
            (Key.QUEUE_UP, ":material/arrow_upward:", "One place up", place - 1),
            (Key.QUEUE_DOWN, ":material/arrow_downward:", "One place down", place + 1),
        ):
            st.button(
                "",
                key=key.of(name),
                icon=icon,
                help=help,
                type="tertiary",
                disabled=target in (place, count) or target < 0,
                on_click=queue_actions.move,
                args=(store, run, target),
            )
        st.button(
            "",
            key=queue_actions.stop_key(run),
            icon=":material/close:",
            help="Take it out of the queue",
            type="tertiary",
            on_click=queue_actions.stop,
            args=(store, run),
        )
    return run.study_name
