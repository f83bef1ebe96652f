"""Where the backbones differ: class by class, by the size of objects, and in what they take for what."""

from __future__ import annotations

import streamlit as st

from segcore import figures
from segcore.config import ClassInfo
from segcore.evaluation.classwise import class_differences
from segcore.evaluation.findings import class_estimates
from segcore.evaluation.sizes import recall_by_size
from segcore.evaluation.verdicts import Standing
from segcore.ui import charts_confusion, live_chart
from segcore.ui.charts_data import Shown
from segcore.ui.state import Key, Param, choose

IOU = ""
"""In place of a reference: the scores themselves. Not in the URL."""


def draw(shown: Shown) -> None:
    """Draw the scores of all classes, what is found of small and large objects, and the confusions of one backbone."""
    standings = shown.findings.standings
    if not standings:
        st.caption("Shown as soon as a run has finished.")
        return
    classes = shown.study.dataset.trained_classes
    if any(study.dataset.trained_classes != classes for study in shown.studies):
        standings = [s for s in standings if s.contender.study == shown.study.name]
        st.caption("The class tables differ, so this is of the first study alone.")
    _draw_map(shown, standings, classes)
    _draw_sizes(shown, standings, classes)
    st.subheader("What each class is taken for", anchor=False)
    charts_confusion.draw(shown, standings, classes)


def _draw_map(shown: Shown, standings: list[Standing], classes: tuple[ClassInfo, ...]) -> None:
    titles = {standing.label: standing.title for standing in standings}
    reference = IOU
    if len(standings) > 1:
        reference = choose(
            Param.REFERENCE,
            "Show",
            [IOU, *titles],
            format_func=lambda label: f"Difference from {titles[label]}" if label in titles else "IoU of every class",
        ) or IOU  # fmt: skip
    if reference == IOU:
        live_chart.draw(
            figures.class_map(classes, {s.title: class_estimates(s, len(classes)) for s in standings}),
            key=f"charts.classes:{shown.key}",
            alt="IoU of every class by backbone",
        )
        st.caption(
            f"IoU in percent on all validation images, at the best epoch: mean and 95 % interval over {shown.over}. "
            "– stands for a class that is in none of these images."
        )
        return
    against = next(standing for standing in standings if standing.label == reference)
    others = [standing for standing in standings if standing.label != reference]
    differences = {s.title: class_differences(s, against, len(classes)) for s in others}
    live_chart.draw(
        figures.class_difference_map(classes, differences, against.title),
        key=f"charts.class_differences:{shown.key}:{reference}",
        alt=f"Difference of the IoU of every class from that of {against.title}",
    )
    st.caption(
        "In points of IoU, over the common seeds: blue is above the reference, orange below. Pale cells may well be "
        "zero, as their 95 % interval contains it. Each interval is of its cell alone: of twenty cells without any "
        "difference about one looks clear by chance."
    )


def _draw_sizes(shown: Shown, standings: list[Standing], classes: tuple[ClassInfo, ...]) -> None:
    st.subheader("Small and large objects", anchor=False)
    contenders = [standing.contender for standing in standings]
    if not recall_by_size(contenders):
        st.caption("These runs were judged by an earlier version, which did not count by the size of objects.")
        return
    names = [info.name for info in classes]
    if st.session_state.get(Key.CHARTS_SIZE_CLASS) not in [None, *range(len(names))]:
        st.session_state.pop(Key.CHARTS_SIZE_CLASS, None)
    index = st.selectbox(
        "Objects of class",
        [None, *range(len(names))],
        format_func=lambda place: "All classes" if place is None else names[place],
        key=Key.CHARTS_SIZE_CLASS,
        width=280,
    )
    recall = recall_by_size(contenders, class_index=index)
    live_chart.draw(
        figures.size_curves(contenders, recall),
        key=f"charts.sizes:{shown.key}:{index}",
        alt="Share of the pixels found by the size of the object they belong to",
    )
    st.caption(
        "Share of the pixels that is found, by the size of the object that they belong to; 95 % intervals over seeds. "
        "An object is a connected region of one class in the mask. Small ones are what a coarse network loses first."
    )
    if len(recall) < len(contenders):
        st.caption("Backbones whose runs were judged by an earlier version, without sizes, are left out.")
