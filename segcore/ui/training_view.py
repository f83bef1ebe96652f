"""The live part of the Training page: what its study does, and one run in detail."""

from __future__ import annotations

import streamlit as st

from segcore import figures
from segcore.errors import NotFoundError
from segcore.evaluation.studies import sound
from segcore.runs import Run, Study
from segcore.status import RunState, Status, Where
from segcore.store import RunStore
from segcore.text import duration, percent, plural
from segcore.ui import alarms, live_chart, mirror_line, previews, queue_waiting, training_facts, training_runs
from segcore.ui.components import (
    errors_shown,
    escape,
    name_unreadable,
    progress_share,
    progress_text,
    state_badge,
)
from segcore.ui.queue_actions import start_queue, stop, stop_button
from segcore.ui.state import Key


def most_interesting(store: RunStore, runs: list[Run]) -> str | None:
    """Return the name of the run to show first: one that trains, else the one that ended last."""
    rows = store.statuses(runs)
    for run, status in rows:
        if status.state is RunState.RUNNING:
            return run.name
    ended = [(status.ended or 0.0, run.name) for run, status in rows if status.state is not RunState.QUEUED]
    return max(ended)[1] if ended else None


def any_active(store: RunStore, study: Study) -> bool:
    """Whether a run of the study trains or waits."""
    return any(status.state.active for _, status in store.statuses(study.runs()))


def draw(store: RunStore, study: str, chosen: str | None) -> None:
    """Draw what is live: the study's runs in a table and the chosen one in detail."""
    with errors_shown():
        found, unreadable = sound(store.study(study).runs())
        name_unreadable(unreadable)
        rows = store.statuses(found)
        training_runs.counts(store, study, rows)
        training_runs.table(rows)
        training_facts.execution(store.study(study))
        mirror_line.draw(store, store.study(study))
        row = next((row for row in rows if row[0].name == chosen), None)
        if row is None and any(run.name == chosen for run in store.study(study).runs()):
            return  # it is named above
        if row is None:
            st.info("This run is not there any more. Choose another one above.", icon=":material/info:")
            return
        try:
            _detail(store, *row)
        except NotFoundError:
            st.info("This run has just been removed.", icon=":material/info:")


# One run -----------------------------------------------------------------------------------------------


def _detail(store: RunStore, run: Run, status: Status) -> None:
    epochs = run.config.recipe.epochs
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.subheader(escape(training_runs.label(run)), anchor=False, width="content")
        state_badge(status)
        _buttons(store, run, status)
    if status.state is RunState.RUNNING:
        st.progress(progress_share(status, epochs), text=escape(progress_text(status, epochs)))
        _silence(status)
    elif status.state is RunState.QUEUED:
        st.markdown(waiting_text(store, run))
    if status.state is not RunState.QUEUED or status.where is Where.HERE:
        _message(status)
    alarms.draw(run, status)
    records = run.epochs()
    if records:
        last = records[-1]
        baseline = status.majority_baseline
        st.markdown(
            f"{'Now' if status.state.active else 'At its end'}, after epoch {last.epoch}: "
            f"**{percent(last.val_pixel_accuracy)}** of the validation pixels are right"
            + (f" (always answering the most frequent class: {percent(baseline)})" if baseline is not None else "")
            + f", mean IoU **{percent(last.val_miou)}**.",
            help="IoU of a class: the pixels where mask and prediction both say it, divided by those where either "
            "does. The mean over all classes weighs rare classes like frequent ones.",
        )
    training_facts.draw(run, status)
    if records:
        loss, accuracy = figures.run_curves(
            run, majority=status.majority_baseline, longer_from=training_facts.extended_from(run)
        )
        left, right = st.columns(2)
        with left:
            live_chart.draw(loss, f"training.loss.{run.name}", alt="Loss by epoch, training and validation")
        with right:
            live_chart.draw(accuracy, f"training.accuracy.{run.name}", alt="Pixel accuracy by epoch")
        live_chart.watch()
    elif run.steps():
        live_chart.draw(figures.step_curve(run.steps()), f"training.steps.{run.name}", alt="Loss by training step")
        live_chart.watch()
    previews.draw(run)
    with st.expander("Log", icon=":material/terminal:"):
        text = run.log()
        if text:
            st.code(text, language=None, height=300)
        else:
            st.caption("Nothing was printed yet.")


def _silence(status: Status) -> None:
    """Say when a run that trains has not written anything for long."""
    if status.silence is not None:
        st.warning(
            f"It has given no sign of life for {duration(status.silence)}. A very slow step, a machine that was asleep "
            "or a stuck disk can be the cause. If it stays so, stop it, and press once more a minute later: then its "
            "process is ended, and it can be resumed from what it saved last.",
            icon=":material/hourglass_disabled:",
        )


def waiting_text(store: RunStore, run: Run) -> str:
    """Return when a waiting run starts, as far as that is known."""
    waiting = store.waiting()
    if run not in waiting:
        return "It is about to start."
    if store.queue_settings().paused:
        return "The queue is paused, so it does not start. Press **Go on** in the sidebar."
    status = run.status
    if status.standing:
        return "Once all of them have come so far it goes on, unless its backbone is clearly behind."
    if status.where is Where.CLUSTER:
        otherwise = queue_waiting.LATER if status.job is None else queue_waiting.SUBMITTED
        return escape(" ".join(filter(None, [status.message or otherwise, status.hint])))
    waiting = [other for other, state in store.statuses(waiting) if state.where is Where.HERE]
    if run not in waiting:
        return "It is about to start."
    before = waiting.index(run)
    if before == 0:
        return "It is the next one to start."
    return f"{plural(before, 'run')} will start before it; the sidebar changes the order."


def _buttons(store: RunStore, run: Run, status: Status) -> None:
    """What can be done with a run in its state."""
    if status.state is RunState.RUNNING:
        stop_button(store, run, status, Key.STOP)
    elif status.state is RunState.QUEUED:
        st.button(
            "Take out of the queue",
            key=Key.STOP,
            icon=":material/close:",
            help="It does not start; it can be queued again later.",
            on_click=stop,
            args=(store, run),
        )
    elif status.state.resumable:
        word, icon, help = _AGAIN[status.state] if status.epoch or status.step else _FROM_THE_START
        st.button(word, key=Key.RESUME, icon=icon, help=help, on_click=_resume, args=(store, run))


_AGAIN = {
    RunState.STOPPED: ("Resume", ":material/resume:", "Goes on where it was stopped."),
    RunState.INTERRUPTED: ("Retry", ":material/replay:", "Goes on from the last state that it saved."),
    RunState.FAILED: (
        "Retry",
        ":material/replay:",
        "Goes on from its last good state. Fix the cause shown below first, or it will fail again.",
    ),
}
_FROM_THE_START = ("Queue again", ":material/replay:", "Puts it at the end of the queue.")


def _resume(store: RunStore, run: Run) -> None:
    with errors_shown():
        store.requeue(run)
        start_queue(store)


def _message(status: Status) -> None:
    """Say why a run ended early, and what to do about it."""
    if not status.message:
        return
    text = escape(status.message) + (f"  \n{escape(status.hint)}" if status.hint else "")
    if status.state is RunState.FAILED:
        st.error(text, icon=":material/error:")
    elif status.state in (RunState.INTERRUPTED, RunState.STOPPED):
        st.warning(text, icon=":material/info:")
    else:
        st.info(text, icon=":material/info:")
