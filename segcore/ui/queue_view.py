"""The queue in the sidebar: what trains, what waits and in which order, pausing, and how many train at once."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import streamlit as st

from segcore.launch import cluster
from segcore.launch.local import scheduler_alive
from segcore.runqueue import QueueSettings
from segcore.runs import Run
from segcore.status import RunState, Status, Where
from segcore.store import RunStore
from segcore.text import duration, plural
from segcore.ui import alarms, queue_actions, queue_slots, queue_waiting, readers
from segcore.ui.components import (
    confirm,
    errors_shown,
    escape,
    name_unreadable,
    place_name,
    progress_share,
    progress_text,
)
from segcore.ui.state import Key

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
    if any(status.where is Where.CLUSTER for _, status in (*training, *waiting)):
        _cluster(store)
    for row in training:
        with errors_shown():
            _card(store, *row)
    if waiting and queue_waiting.draw(store, waiting):
        st.session_state[_ASK_CANCEL] = True
        st.rerun()
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
    followed = any(status.job is not None for _, status in training)
    if (waiting or followed) and not scheduler_alive(store.workspace):
        _stalled(store, len(waiting))
        return
    st.caption(headline([status for _, status in (*training, *waiting)], settings.slots))
    if waiting:
        _pause_button(store, "Pause the queue", ":material/pause:", paused=True)


def headline(statuses: Sequence[Status], slots: int) -> str:
    """Return how much trains and waits, and when this machine will be done: "1 training, 2 waiting · all done in …".

    How long the cluster takes nobody knows beforehand.
    """
    here = [status for status in statuses if status.where is Where.HERE]
    there = [status for status in statuses if status.where is Where.CLUSTER]
    parts = [_counts(here) + (" on this machine" if there else "")] if here else []
    left = time_left(here, slots) if any(status.state is RunState.QUEUED for status in here) else None
    if left:
        racing = any(status.rung is not None for status in here)  # some of it will not be done
        parts.append(f"{'done' if there else 'all done'} in {'at most ' if racing else ''}about {duration(left)}")
    parts += [f"{_counts(there)} on the cluster"] if there else []
    return " · ".join(parts)


def _counts(statuses: Sequence[Status]) -> str:
    training = sum(status.state is RunState.RUNNING for status in statuses)
    waiting = len(statuses) - training
    return ", ".join([f"{training} training"] * bool(training) + [f"{waiting} waiting"] * bool(waiting))


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


def _stalled(store: RunStore, waiting: int) -> None:
    """Say when nobody works on the queue, and offer to start again: the machine may have been restarted."""
    meaning = "What waits will not start." if waiting else "A run whose node is lost will not go on."
    st.warning(f"Nothing works on the queue: its process has ended. {meaning}", icon=":material/pause_circle:")
    if st.button("Go on", key=Key.QUEUE_START, icon=":material/play_arrow:", width="stretch"):
        with errors_shown():
            queue_actions.start_queue(store)


def _cluster(store: RunStore) -> None:
    """Say where the cluster does not answer: its runs then stand as they were last seen."""
    found = cluster.news(store.workspace)
    if found is not None and not found.answers and found.address == store.queue_settings().cluster:
        st.markdown(f":orange[:material/cloud_off: {escape(found.text)}] What is told of its runs is from before.")


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


def _card(store: RunStore, run: Run, status: Status) -> None:
    """A run that trains."""
    epochs = run.config.recipe.epochs
    with st.container(border=True, gap="xsmall"):
        with st.container(horizontal=True, wrap=False, vertical_alignment="center", gap="xsmall"):
            st.markdown(queue_waiting.title(run), width="stretch")
            queue_actions.stop_button(store, run, status, queue_actions.stop_key(run), type="tertiary")
        st.progress(progress_share(status, epochs), text=escape(progress_text(status, epochs)))
        st.caption(escape(" · ".join(filter(None, [f"study {run.study_name}", place_name(status)]))))
        if status.silence is not None:
            st.markdown(f":orange[:material/hourglass_disabled: no sign of life for {duration(status.silence)}]")
        alarm = alarms.flag(run, status)
        if alarm:
            st.markdown(f":red[:material/crisis_alert: {escape(alarm)}]")
