"""The runs of a study in a table, what they are called, and retrying those that failed."""

from __future__ import annotations

from typing import Any

import streamlit as st

from segcore.errors import SegcoreError
from segcore.models import catalog
from segcore.runs import Run
from segcore.status import RunState, Status, Where
from segcore.store import RunStore
from segcore.text import duration, plural
from segcore.ui import alarms
from segcore.ui.components import STATES, errors_shown, place_name, progress_share
from segcore.ui.queue_actions import start_queue
from segcore.ui.state import Key


def label(run: Run) -> str:
    """Return how a run is called on screen: "ResNet-18, seed 0", with its fold where it has one."""
    try:
        config = run.config
    except SegcoreError:
        return run.name
    scratch = "" if config.weights == "pretrained" else " from scratch"
    return f"{catalog.title(config.encoder)}{scratch}, {config.repetition}"


def labels(runs: list[Run]) -> dict[str, str]:
    """Return the label of each run by its name."""
    return {run.name: label(run) for run in runs}


def counts(store: RunStore, study: str, rows: list[tuple[Run, Status]]) -> None:
    """Count the runs by state; what failed can be retried at once."""
    words = [
        f"{sum(s.state is state for _, s in rows)} {STATES[state][0]}"
        for state in RunState
        if any(s.state is state for _, s in rows)
    ]
    broken = sum(status.state in (RunState.FAILED, RunState.INTERRUPTED) for _, status in rows)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f"{plural(len(rows), 'run')}: {', '.join(words)}", width="content")
        if broken:
            st.button(
                f"Retry {plural(broken, 'run')} that ended early",
                key=Key.RETRY_ALL,
                icon=":material/replay:",
                help="Puts every failed and interrupted run of this study back into the queue. Each goes on from its "
                "last good state; what failed for a lasting reason will fail again.",
                on_click=_retry_all,
                args=(store, study),
            )


def _retry_all(store: RunStore, study: str) -> None:
    with errors_shown():
        store.requeue_failed(study)
        start_queue(store)


def table(rows: list[tuple[Run, Status]]) -> None:
    """One line a run, in the order in which they were launched; columns for cluster and alarms where there is one."""
    lines = [_table_row(run, status) for run, status in rows]
    empty = {name for name in ("where", "alarm") if not any(line[name] for line in lines)}
    lines = [{key: value for key, value in line.items() if key not in empty} for line in lines]
    st.dataframe(
        lines,
        hide_index=True,
        height=min(38 + 35 * max(1, len(rows)), 300),
        column_config={
            "progress": st.column_config.ProgressColumn("done", format="%.0f %%", min_value=0, max_value=100),
            "alarm": st.column_config.TextColumn(
                "alarm", width="medium", help="A network that answers one class everywhere has learnt nothing."
            ),
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
    alarm = alarms.flag(run, status)
    return {
        "run": label(run),
        "state": f"{STATES[status.state][0]} (race)" if status.standing else STATES[status.state][0],
        "where": place_name(status) if status.where is Where.CLUSTER else "",
        "alarm": f"⚠ {alarm}" if alarm else "",
        "progress": 100 * progress_share(status, config.recipe.epochs),
        "epoch": f"{status.epoch} of {config.recipe.epochs}",
        "mIoU": 100 * best.val_miou if best else None,
        "pixel accuracy": 100 * best.val_pixel_accuracy if best else None,
        "time": duration(status.seconds) if status.seconds else "–",
        "left": duration(status.eta) if status.state is RunState.RUNNING else "",
    }
