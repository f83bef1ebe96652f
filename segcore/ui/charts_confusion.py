"""Confusion matrices on the Charts page: what each class is taken for, and in which images."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import numpy as np
import streamlit as st

from segcore import figures
from segcore.config import ClassInfo
from segcore.errors import SegcoreError
from segcore.evaluation import ranking
from segcore.evaluation.comparison import best_epoch
from segcore.evaluation.verdicts import Standing
from segcore.runs import Run
from segcore.text import percent, plural
from segcore.ui import live_chart
from segcore.ui.charts_data import Shown
from segcore.ui.components import escape
from segcore.ui.state import Key, Param

MOST_IMAGES = 6


def draw(shown: Shown, standings: Sequence[Standing], classes: tuple[ClassInfo, ...]) -> None:
    """Draw the confusions of one backbone; a click on a cell lists the images where they are largest."""
    names = [info.name for info in classes]
    titles = {standing.label: standing.title for standing in standings}
    if st.session_state.get(Key.CHARTS_CONFUSION) not in titles:  # another study, or its runs were removed
        st.session_state.pop(Key.CHARTS_CONFUSION, None)
    label = st.selectbox(
        "Backbone",
        list(titles),
        format_func=lambda label: titles.get(label, label),
        key=Key.CHARTS_CONFUSION,
        width=360,
    )
    standing = next(standing for standing in standings if standing.label == label)
    matrix = np.sum([cells.matrix for cells in standing.by_seed.values()], axis=0)
    clicked = live_chart.draw(
        figures.confusion_heatmap(matrix, names),
        key=f"charts.confusion:{shown.key}:{label}",
        alt=f"Share of the pixels of each class that {titles[label]} takes for each class",
        clickable=True,
    )
    st.caption(
        "A row shows where the pixels of a true class went, in percent of them; on the diagonal they are right. All "
        "validation images of all finished runs together, at the best epoch. Click a cell to see the images."
    )
    _take_click(clicked, len(names))
    _draw_images(standing, matrix, names)


def _take_click(clicked: tuple[int, int] | None, classes: int) -> None:
    """Let a new click on a cell set the choice of classes; one that was taken already must not undo a later choice."""
    if clicked == st.session_state.get(_TAKEN_CLICK):
        return
    st.session_state[_TAKEN_CLICK] = clicked
    if clicked is not None and max(clicked) < classes:
        st.session_state[Key.CHARTS_TRUE], st.session_state[Key.CHARTS_TAKEN] = clicked


_TAKEN_CLICK = "charts.confusion.click"


def _draw_images(standing: Standing, matrix: np.ndarray, names: list[str]) -> None:
    """Draw the choice of a confusion, and links to the images where it is largest."""
    worst = largest_confusion(matrix)
    if worst is None:
        return
    for key, default in ((Key.CHARTS_TRUE, worst[0]), (Key.CHARTS_TAKEN, worst[1])):
        if st.session_state.get(key) not in range(len(names)):
            st.session_state[key] = default
    with st.container(horizontal=True):
        options = {"options": range(len(names)), "format_func": lambda place: names[place], "width": 240}
        true = st.selectbox("Images in which true", key=Key.CHARTS_TRUE, **options)  # type: ignore[call-overload]
        taken = st.selectbox("was taken for", key=Key.CHARTS_TAKEN, **options)  # type: ignore[call-overload]
    if true == taken:
        st.caption("The two are the same class: that is no confusion.")
        return
    found = confused_images(standing, true, taken)
    if not found:
        st.caption(f"Nowhere: no pixel of {escape(names[true])} was taken for {escape(names[taken])}.")
        return
    found = found[:MOST_IMAGES]
    runs = runs_to_show(standing, [confused.image for confused in found])
    for confused in found:
        run = runs.get(confused.image)
        what = f"{plural(round(confused.pixels), 'pixel')}, {percent(confused.share)} of its {names[true]}"
        if run is None:
            st.markdown(f"{escape(confused.image)}: {escape(what)}")
            continue
        st.page_link(
            "pages/predictions.py",
            label=f"{escape(confused.image)}: {escape(what)}",
            icon=":material/image_search:",
            query_params={
                Param.STUDY.value: run.study_name,
                Param.RUN.value: run.name,
                Param.IMAGE.value: confused.image,
                Param.CLASS.value: names[true],
            },
        )
    if not runs:
        st.caption("No run of this backbone has kept its weights, so the Predictions page cannot show these images.")


def largest_confusion(matrix: np.ndarray) -> tuple[int, int] | None:
    """Return the two classes [true, predicted] between which most pixels went wrong; None where none did."""
    wrong = matrix - np.diag(np.diagonal(matrix))
    if not wrong.any():
        return None
    true, taken = np.unravel_index(int(wrong.argmax()), wrong.shape)
    return int(true), int(taken)


def confused_images(standing: Standing, true: int, taken: int) -> list[ranking.Confused]:
    """Return the images in which the contender's finished runs took class `true` for `taken`, most pixels first."""
    evaluations = []
    for run in _judged(standing):
        with suppress(SegcoreError):  # named above already
            evaluations.append(run.evaluation())
    return ranking.confused_images([found for found in evaluations if found is not None], true, taken)


def runs_to_show(standing: Standing, images: Sequence[str]) -> dict[str, Run]:
    """Return for each image the best of the contender's finished runs that was judged on it and has kept its weights.

    Images without such a run are left out; of folds, a run was judged on a share of the images.
    """
    having = [(record.val_miou, run) for run in _judged(standing)
              if run.best_weights.is_file() and (record := best_epoch(run)) is not None]  # fmt: skip
    having.sort(key=lambda row: row[0])  # of several the last, the best, stays
    return {image: run for _, run in having for image in images if run.config.fold is None or image in run.split.val}


def _judged(standing: Standing) -> list[Run]:
    return [run for run in standing.contender.runs if run.config.seed in standing.by_seed]
