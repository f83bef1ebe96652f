"""The sidebar of every page: the launch form and, below it, what runs and what waits."""

from __future__ import annotations

import streamlit as st

from segcore.runs import Run
from segcore.store import RunStore
from segcore.text import plural
from segcore.ui import launch_form, queue_view, readers
from segcore.ui.components import IDLE_SECONDS, errors_shown, escape, live, show_error
from segcore.ui.state import Param, remember

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
    live(queue_view.draw, active=readers.active_studies, idle_seconds=IDLE_SECONDS)
    with errors_shown():
        queue_view.ask()


def _show_launched(runs: list[Run], page: str) -> None:
    """Lead to where the new runs are seen."""
    study = runs[0].study_name
    paused = " The queue is paused." if RunStore().queue_settings().paused else ""
    st.toast(f"{plural(len(runs), 'run')} of study {escape(study)} in the queue.{paused}", icon=":material/check:")
    if page not in LIVE_PAGES:
        st.switch_page("pages/training.py", query_params={Param.STUDY.value: study})
    remember(Param.STUDY, study)
    st.rerun()
