"""More epochs for finished runs, saying plainly what that means."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import streamlit as st

from segcore.errors import SegcoreError
from segcore.evaluation.studies import sound
from segcore.runs import Run, Study
from segcore.status import RunState
from segcore.store import RunStore
from segcore.text import duration, plural
from segcore.ui import launch_recipe
from segcore.ui.components import escape, show_error
from segcore.ui.queue_actions import start_queue
from segcore.ui.state import Key
from segcore.ui.training_runs import label


def draw(store: RunStore, study: Study, chosen: str | None) -> None:
    """Draw the form that makes finished runs longer; nothing where no run has finished."""
    runs, _ = sound(study.runs())
    finished = [run for run, status in store.statuses(runs) if status.state is RunState.FINISHED]
    if not finished:
        return
    alone = next((run for run in finished if run.name == chosen), None)
    with st.expander("Train longer …", icon=":material/more_time:"):
        wanted = _which(study, runs, finished, alone)
        most = launch_recipe.bounds("epochs")[1]
        before = max(run.config.recipe.epochs for run in wanted)
        if before >= most:
            st.caption(f"These runs have {before:,} epochs, the most there can be.")
            return
        with st.container(horizontal=True, vertical_alignment="bottom"):
            epochs = st.number_input(
                "Epochs in all",
                min_value=before + 1,
                max_value=most,
                value=min(2 * before, most),
                key=Key.LONGER_EPOCHS.of(f"{study.name}:{before}"),
                help=f"They have {plural(before, 'epoch')} now.",
                width=160,
            )
            pressed = st.button(
                f"Train {'this run' if len(wanted) == 1 else plural(len(wanted), 'run')} longer",
                key=Key.LONGER,
                icon=":material/more_time:",
            )
        st.markdown(meaning(wanted, runs, int(epochs)))
    if pressed:
        try:
            store.extend(wanted, int(epochs))
            start_queue(store)
        except SegcoreError as error:
            show_error(error)
            return
        st.toast(f"{plural(len(wanted), 'run')} of study {escape(study.name)} in the queue", icon=":material/check:")
        st.rerun()


def _which(study: Study, runs: Sequence[Run], finished: list[Run], alone: Run | None) -> list[Run]:
    """Ask which runs are meant; the whole study first, as only equally long runs compare."""
    if alone is None or len(finished) == 1:
        return finished
    count = f"all {len(finished)}" if len(finished) == len(runs) else f"the {len(finished)} finished"
    every, one = f"{count[0].upper()}{count[1:]} runs of the study", f"Only {label(alone)}"
    choice = st.segmented_control(
        "Which runs",
        [every, one],
        default=every,
        key=Key.LONGER_WHICH.of(f"{study.name}:{alone.name}:{len(finished)}"),
        required=True,
    )
    return [alone] if choice == one else finished


def meaning(wanted: Sequence[Run], runs: Sequence[Run], epochs: int) -> str:
    """Return, as Markdown, what making the `wanted` of a study's `runs` longer means."""
    recipe = wanted[0].config.recipe
    texts = []
    left = _seconds(wanted, epochs)
    if left is not None:
        texts.append(f"About **{duration(left)}** more, one run after another.")
    if recipe.schedule == "constant":
        texts.append("Training goes on with the same learning rate.")
    else:
        texts.append(
            "The learning rate, which had fallen to nothing, **rises again** to where a plan of "
            f"{plural(epochs, 'epoch')} has it at this point. Scores usually drop for some epochs before they get "
            f"better, and the end is close to, but not the same as, a run of {plural(epochs, 'epoch')} from the start."
        )
    texts.append("The best weights so far are kept until an epoch does better. Each run's provenance notes it.")
    if len(wanted) < len(runs):
        rest = len(runs) - len(wanted)
        texts.append(
            f"The other {plural(rest, 'run')} of the study {'keeps its' if rest == 1 else 'keep their'} length: "
            "**runs of different length do not compare fairly**, and the charts will say so."
        )
    return " ".join(texts)


def _seconds(wanted: Sequence[Run], epochs: int) -> float | None:
    """Return how long the further epochs take, from those that each run has recorded."""
    total = 0.0
    for run in wanted:
        seconds = [record.seconds for record in run.epochs()]
        if not seconds:
            return None
        total += statistics.median(seconds) * (epochs - run.config.recipe.epochs)
    return total
