"""What came out of an opened test on the Charts page: scores, who was trained in their knowledge, the records."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import streamlit as st

from segcore.evaluation import acquainted, confirmation
from segcore.evaluation.confirmation import Confirmation, score_text
from segcore.evaluation.seal import Opening
from segcore.evaluation.studies import sound
from segcore.figures.test_scores import val_and_test
from segcore.runs import Study
from segcore.text import UNKNOWN, percent, plural
from segcore.ui import live_chart
from segcore.ui.components import escape
from segcore.ui.training_runs import label


def draw_scores(study: Study, found: Confirmation, late: dict[str, str]) -> None:
    """Draw the scores on both parts; `late` are the runs that came about in the knowledge of test scores."""
    st.markdown(escape(found.summary()))
    live_chart.draw(
        val_and_test(found), key=f"charts.test:{study.name}", alt="Validation and test mIoU of all backbones"
    )
    marked = {run.config.contender for run in sound(study.runs())[0] if run.name in late}
    st.dataframe(
        [
            {
                "backbone": pair.title,
                "validation mIoU": score_text(pair.val),
                "test mIoU": score_text(pair.test),
                "remark": _remark(pair, late=pair.val.label in marked),
            }
            for pair in found.pairs
        ],
        hide_index=True,
        width="stretch",
        key=f"charts.test.table:{study.name}",
    )
    st.caption(
        "Mean and 95 % interval over seeds and images; n counts the seeds."
        + (" Every fold's network predicts all test images; a seed's counts are those of its folds together."
           if study.folds else "")
    )  # fmt: skip
    if found.test.verdicts:
        with st.expander("What the test images say of each pair", icon=":material/balance:"):
            for text in found.sentences():
                st.markdown(escape(text))


def _remark(pair: confirmation.Pair, *, late: bool) -> str:
    parts = []
    if pair.test is not None and not pair.complete:
        parts.append("not all seeds have test scores")
    if late:
        parts.append("with runs trained after the opening")
    return "; ".join(parts)


def draw_late(study: Study, late: dict[str, str]) -> None:
    """Name the runs that came about in the knowledge of test scores."""
    if late:
        titles = {run.name: label(run) for run in study.runs()}
        lines = [f"{escape(titles.get(name, name))}: {mark}" for name, mark in late.items()]
        st.warning("  \n".join(["**In the knowledge of test scores**", *lines]), icon=":material/history:")


def draw_record(study: Study, opening: Opening, number: int, count: int) -> None:
    """Draw what was known when the test was opened."""
    title = f"What was known when it was opened{'' if count == 1 else f' ({number + 1} of {count})'}"
    with st.expander(f"{title}: {moment(opening.time)}", icon=":material/history_edu:"):
        runs = ", ".join(f"{n} {state}" for state, n in opening.states.items())
        st.markdown(
            f"{plural(len(opening.covers), 'run')} opened on {plural(opening.images, 'image')} · runs of the "
            f"study: {runs} · recipe {escape(opening.recipe.get('name', UNKNOWN))}, "
            f"{plural(int(opening.recipe.get('epochs', 0)), 'epoch')} · margin of {100 * opening.margin:g} % · "
            f"segcore {escape(opening.version)}"
        )
        if opening.leader:
            st.markdown(f"Ahead on the validation images: **{escape(opening.leader)}**.")
        st.dataframe(
            [{"backbone": row["title"], "validation mIoU": _scored(row)} for row in opening.contenders],
            hide_index=True,
            key=f"charts.test.record:{study.name}:{number}",
        )
        for verdict in opening.verdicts:
            st.markdown(escape(verdict["sentence"]))
        for text in _known_before(opening):
            st.markdown(f":material/visibility: {escape(text)}")


def _known_before(opening: Opening) -> Sequence[str]:
    """Say what was known of the test images themselves."""
    texts = [f"Test scores of {plural(opening.scored, 'run')} were known already."] if opening.scored else []
    texts += [acquainted.sentence(entry) for entry in opening.elsewhere]
    return texts or ["No test score was known, and no other study here had met the test images."]


def _scored(row: dict[str, Any]) -> str:
    mean, low, high = row["mean"], row["low"], row["high"]
    if mean is None or low is None or high is None:
        return f"{percent(mean)} (n = {row['n']})"
    return f"{percent(mean)}, {100 * low:.1f} to {100 * high:.1f} (n = {row['n']})"


def moment(seconds: float) -> str:
    """Return a time, in seconds since 1970, as "24 November 2026, 11:43"."""
    return time.strftime("%-d %B %Y, %H:%M", time.localtime(seconds))
