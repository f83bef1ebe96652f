"""The Charts page, class by class: which classes the backbones find, and what they take the others for."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import streamlit as st

from segcore import figures
from segcore.errors import NotFoundError, SegcoreError
from segcore.evaluation.comparison import Contender
from segcore.evaluation.metrics import pooled, scores
from segcore.runs import Run, Study
from segcore.status import RunState
from segcore.ui import live_chart
from segcore.ui.state import Key, Param, choose

ALL = ""
"""In place of a class: all of them. Not in the URL."""


def draw(study: Study, found: Sequence[Contender], run_counts: Mapping[Run, np.ndarray]) -> None:
    """Draw the scores of all classes or of the chosen one, and the confusions of one backbone.

    Args:
        study: that the runs belong to.
        found: its contenders.
        run_counts: as from `run_counts`.
    """
    st.subheader("Which classes they find", anchor=False)
    gathered = {c.label: [run_counts[run] for run in c.runs if run in run_counts] for c in found}
    counts = {label: of_runs for label, of_runs in gathered.items() if of_runs}
    if not counts:
        st.caption("Shown as soon as a run has finished.")
        return
    known = [contender for contender in found if contender.label in counts]
    classes = study.dataset.trained_classes
    table = {contender.title: class_iou(counts[contender.label]) for contender in known}
    colors = {contender.title: contender.color for contender in known}
    names = [info.name for info in classes]
    chosen = choose(Param.CLASS, "Class", [ALL, *names], format_func=lambda name: name or "All classes")
    if chosen in names:
        place = names.index(chosen)
        live_chart.draw(
            figures.one_class_bars(classes[place], {name: iou[place] for name, iou in table.items()}, colors=colors),
            key=f"charts.class:{study.name}:{place}",
            alt=f"IoU of class {chosen} by backbone",
        )
    else:
        live_chart.draw(
            figures.class_iou_bars(classes, table, colors=colors),
            key=f"charts.classes:{study.name}:{len(table) > 1}",  # one backbone is drawn as bars, several as points
            alt="IoU of every class",
        )
    st.caption("IoU of each class on all validation images, at the best epoch, averaged over finished runs.")
    with st.expander("What each class is taken for", icon=":material/grid_on:"):
        _draw_confusion(study, known, counts, names)


def _draw_confusion(
    study: Study, known: Sequence[Contender], counts: dict[str, list[np.ndarray]], names: list[str]
) -> None:
    titles = {contender.label: contender.title for contender in known}
    if st.session_state.get(Key.CHARTS_CONFUSION) not in titles:  # another study, or its runs were removed
        st.session_state.pop(Key.CHARTS_CONFUSION, None)
    label = st.selectbox(
        "Backbone", list(titles), format_func=lambda label: titles.get(label, label), key=Key.CHARTS_CONFUSION
    )
    live_chart.draw(
        figures.confusion_heatmap(np.stack(counts[label]), names),
        key=f"charts.confusion:{study.name}:{label}",
        alt=f"Share of the pixels of each class that {titles[label]} takes for each class",
    )
    st.caption(
        "A row shows where the pixels of a true class went, in percent of them; on the diagonal they are right. All "
        "validation images of all finished runs together, at the best epoch."
    )


def run_counts(runs: Iterable[Run]) -> tuple[dict[Run, np.ndarray], dict[Run, SegcoreError]]:
    """Return the confusion counts (C, C) of each finished run over its validation images, and what is damaged."""
    counts: dict[Run, np.ndarray] = {}
    damaged: dict[Run, SegcoreError] = {}
    for run in runs:
        try:
            evaluation = run.evaluation() if run.state is RunState.FINISHED else None
        except NotFoundError:  # removed meanwhile
            continue
        except SegcoreError as error:
            damaged[run] = error
            continue
        if evaluation is not None:
            counts[run] = pooled(evaluation.counts)
    return counts, damaged


def class_iou(counts: Sequence[np.ndarray]) -> list[float]:
    """Return the IoU of each class, mean over runs; NaN where no run has one.

    Args:
        counts: (C, C) confusion counts of each run.
    """
    per_run = np.stack([scores(counted).iou for counted in counts])
    known = ~np.isnan(per_run)
    totals = np.where(known, per_run, 0.0).sum(axis=0)
    return [float(t / n) if n else math.nan for t, n in zip(totals, known.sum(axis=0), strict=True)]
