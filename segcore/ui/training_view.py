"""The parts of the Training page: a study's runs, one run in detail, stopping, deleting, the trash."""

from __future__ import annotations

from functools import partial
from typing import Any

import streamlit as st

from segcore import figures
from segcore.errors import NotFoundError, SegcoreError
from segcore.models import catalog
from segcore.runs import Run, Study
from segcore.status import RunState, Status
from segcore.store import RunStore
from segcore.text import duration, percent, plural
from segcore.ui import live_chart, more_seeds, previews, readers
from segcore.ui.components import (
    STATES,
    confirm,
    errors_shown,
    escape,
    name_unreadable,
    progress_share,
    progress_text,
    size,
    state_badge,
)
from segcore.ui.sidebar import stop
from segcore.ui.state import Key, Param, remember


def label(run: Run) -> str:
    """Return how a run is called on screen: "ResNet-18, seed 0"."""
    try:
        config = run.config
    except SegcoreError:
        return run.name
    scratch = "" if config.weights == "pretrained" else " from scratch"
    return f"{catalog.title(config.encoder)}{scratch}, seed {config.seed}"


def labels(runs: list[Run]) -> dict[str, str]:
    """Return the label of each run by its name."""
    return {run.name: label(run) for run in runs}


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
        found, unreadable = readers.sound(store.study(study).runs())
        name_unreadable(unreadable)
        rows = store.statuses(found)
        _table(rows)
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


def _table(rows: list[tuple[Run, Status]]) -> None:
    """One line a run, the active first."""
    counts = [
        f"{sum(s.state is state for _, s in rows)} {STATES[state][0]}"
        for state in RunState
        if any(s.state is state for _, s in rows)
    ]
    st.caption(f"{plural(len(rows), 'run')}: {', '.join(counts)}")
    st.dataframe(
        [_table_row(run, status) for run, status in rows],
        hide_index=True,
        height=min(38 + 35 * max(1, len(rows)), 300),
        column_config={
            "progress": st.column_config.ProgressColumn("done", format="%.0f %%", min_value=0, max_value=100),
            "mIoU": st.column_config.NumberColumn("mean IoU, best so far", help=SCORE_HELP, format="%.1f %%"),
            "pixel accuracy": st.column_config.NumberColumn(
                "pixel accuracy, same epoch", help=SCORE_HELP, format="%.1f %%"
            ),
        },
        placeholder="–",
        key="training.table",
    )


SCORE_HELP = "On the validation images, after the epoch with the best mean IoU so far; it need not be the last one."


def _table_row(run: Run, status: Status) -> dict[str, Any]:
    config, records = run.config, run.epochs()
    best = max((e for e in records if e.val_miou == e.val_miou), key=lambda e: e.val_miou, default=None)
    return {
        "run": label(run),
        "state": STATES[status.state][0],
        "progress": 100 * progress_share(status, config.recipe.epochs),
        "epoch": f"{status.epoch} of {config.recipe.epochs}",
        "mIoU": 100 * best.val_miou if best else None,
        "pixel accuracy": 100 * best.val_pixel_accuracy if best else None,
        "time": duration(status.seconds) if status.seconds else "–",
        "left": duration(status.eta) if status.state is RunState.RUNNING else "",
    }


def _detail(store: RunStore, run: Run, status: Status) -> None:
    epochs = run.config.recipe.epochs
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.subheader(escape(label(run)), anchor=False, width="content")
        state_badge(status)
        _buttons(store, run, status)
    if status.state is RunState.RUNNING:
        st.progress(progress_share(status, epochs), text=escape(progress_text(status, epochs)))
    elif status.state is RunState.QUEUED:
        st.caption("It waits until the runs before it are done.")
    _message(status)
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
        loss, accuracy = figures.run_curves(run, majority=baseline)
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


def _buttons(store: RunStore, run: Run, status: Status) -> None:
    if status.state.active:
        stopping = status.state is RunState.RUNNING and run.stop_requested()
        st.button(
            "Stopping …" if stopping else "Stop",
            key=Key.STOP,
            icon=":material/stop_circle:",
            help="The run saves where it is and can be resumed later.",
            disabled=stopping,
            on_click=stop,
            args=(store, run),
        )
    elif status.state.resumable and st.button(
        "Resume", key=Key.RESUME, icon=":material/resume:", help="Goes on where it ended."
    ):
        with errors_shown():
            from segcore.launch.local import ensure_scheduler

            store.requeue(run)
            ensure_scheduler(store.workspace)
            st.rerun()


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


# Stopping, deleting, the trash -----------------------------------------------------------------------


def manage(store: RunStore, study: Study, chosen: str | None) -> None:
    """Draw what concerns the whole study, and deleting: outside of the live part, which would close a dialog."""
    runs = study.runs()
    more_seeds.draw(study)
    with st.expander("Stop or delete", icon=":material/delete:"), st.container(horizontal=True):
        if any_active(store, study) and st.button(
            "Stop all runs of this study", key=Key.STOP_STUDY, icon=":material/stop_circle:"
        ):
            for run in runs:
                stop(store, run)
            st.rerun()
        shown = next((run for run in runs if run.name == chosen), None)
        if shown is not None and st.button(f"Delete {label(shown)}", key=Key.DELETE, icon=":material/delete:"):
            confirm(
                f"Delete {label(shown)} of study {study.name}?",
                "Its records, weights and pictures go to the trash, from where they can be taken back.",
                "Delete the run",
                partial(_delete_run, store, shown),
            )
        if st.button("Delete the whole study", key=Key.DELETE_STUDY, icon=":material/delete:"):
            confirm(
                f"Delete study {study.name} with {plural(len(runs), 'run')}?",
                "Everything in it goes to the trash, from where it can be taken back.",
                "Delete the study",
                partial(_delete_study, store, study),
            )


def _delete_run(store: RunStore, run: Run) -> None:
    store.remove_run(run)
    remember(Param.RUN, None)


def _delete_study(store: RunStore, study: Study) -> None:
    store.remove_study(study)
    remember(Param.RUN, None)
    remember(Param.STUDY, None)


def trash(store: RunStore) -> None:
    """Draw what is in the trash and the button that empties it."""
    entries, occupied = store.workspace.trash_size()
    if not entries:
        return
    amount = f"{plural(entries, 'entry', 'entries')}, {size(occupied)}"
    with st.expander(f"Trash: {amount}", icon=":material/delete_sweep:"):
        st.caption(f"To take something back, move it from {escape(store.workspace.trash)} to where it was.")
        if st.button("Empty the trash", key=Key.TRASH_EMPTY, icon=":material/delete_forever:"):
            confirm(
                f"Delete {amount} for good?",
                "What is in the trash cannot be taken back afterwards.",
                "Delete for good",
                store.workspace.empty_trash,
            )
