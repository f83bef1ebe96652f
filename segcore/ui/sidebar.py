"""The sidebar of every page: the launch form and, below it, what runs and what waits."""

from __future__ import annotations

import streamlit as st

from segcore.launch.local import ensure_scheduler, scheduler_alive
from segcore.models import catalog
from segcore.runs import Run
from segcore.status import RunState, Status
from segcore.store import RunStore
from segcore.text import plural
from segcore.ui import launch_form, readers
from segcore.ui.components import (
    IDLE_SECONDS,
    errors_shown,
    escape,
    live,
    name_unreadable,
    progress_share,
    progress_text,
    show_error,
)
from segcore.ui.state import Key, Param, remember

WAITING_SHOWN = 5
"""Waiting runs listed by name; the others are counted."""

LIVE_PAGES = ("Training", "Charts")
"""Pages on which a new study is seen at once; from the others a launch leads to Training."""


def draw(page: str) -> None:
    """Draw the sidebar beside the page titled `page`."""
    problem = readers.workspace_problem()
    if problem is not None:
        show_error(problem)
        return
    st.subheader("Launch a study", anchor=False)
    launched: list[Run] = []
    with errors_shown():
        launched = launch_form.draw()
    if launched:
        _show_launched(launched, page)
    st.subheader("Running and waiting", anchor=False)
    # Also while nothing runs: a study may be launched in a terminal or another window.
    live(queue, active=readers.active_studies, idle_seconds=IDLE_SECONDS)


def _show_launched(runs: list[Run], page: str) -> None:
    """Lead to where the new runs are seen."""
    study = runs[0].study_name
    st.toast(f"{plural(len(runs), 'run')} of study {escape(study)} in the queue", icon=":material/check:")
    if page not in LIVE_PAGES:
        st.switch_page("pages/training.py", query_params={Param.STUDY.value: study})
    remember(Param.STUDY, study)
    st.rerun()


def queue() -> None:
    """List what trains and what waits, each with a button to stop it."""
    store = RunStore()
    name_unreadable(store.unreadable_studies(), "study")
    rows, unreadable = readers.statuses(store.runs())
    name_unreadable(unreadable)
    rows = sorted((row for row in rows if row[1].state.active), key=lambda row: row[1].queued)
    if not rows:
        st.caption("Nothing is training.")
        return
    training = [row for row in rows if row[1].state is RunState.RUNNING]
    waiting = [row for row in rows if row[1].state is RunState.QUEUED]
    if waiting and not training:
        _stalled(store)
    for run, status in [*training, *waiting[:WAITING_SHOWN]]:
        with errors_shown():
            _row(store, run, status)
    if len(waiting) > WAITING_SHOWN:
        st.caption(f"and {plural(len(waiting) - WAITING_SHOWN, 'more run')} waiting")


def _stalled(store: RunStore) -> None:
    """Say when nobody works on the queue, and offer to start again: the machine may have been restarted."""
    if scheduler_alive(store.workspace):
        return
    st.warning("Nothing works on the queue: its process has ended.", icon=":material/pause_circle:")
    if st.button("Go on", key=Key.QUEUE_START, icon=":material/play_arrow:", width="stretch"):
        with errors_shown():
            ensure_scheduler(store.workspace)


def _row(store: RunStore, run: Run, status: Status) -> None:
    config = run.config
    title = f"{escape(catalog.title(config.encoder))} · seed {config.seed}"
    epochs, training = config.recipe.epochs, status.state is RunState.RUNNING
    stopping = training and run.stop_requested()
    with st.container(border=True, gap="xsmall"):
        left, right = st.columns([5, 3], vertical_alignment="center")
        left.markdown(title)
        right.button(
            "Stopping" if stopping else "Stop",
            key=Key.STOP.of(f"sidebar/{run.study_name}/{run.name}"),
            on_click=stop,
            args=(store, run),
            disabled=stopping,
            type="tertiary",
            icon=":material/stop_circle:",
        )
        if training:
            st.progress(progress_share(status, epochs), text=escape(progress_text(status, epochs)))
        st.caption(f"study {escape(run.study_name)}" if training else f"waiting · study {escape(run.study_name)}")


def stop(store: RunStore, run: Run) -> None:
    """Stop a run from a button; one that ended or vanished meanwhile needs no stopping."""
    with errors_shown():
        store.stop(run)
