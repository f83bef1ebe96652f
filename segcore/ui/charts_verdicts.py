"""The verdicts of the Charts page: the matrix of pairs, a sentence for each, and the numbers behind it."""

from __future__ import annotations

import math
from typing import Any

import streamlit as st

from segcore import figures
from segcore.evaluation.document import pair_rows
from segcore.evaluation.report.results import p_text
from segcore.evaluation.verdicts import Answer, Comparison, Verdict, bootstrap_intervals, sentence
from segcore.text import UNKNOWN
from segcore.ui import live_chart, readers
from segcore.ui.charts_data import Shown
from segcore.ui.components import escape
from segcore.ui.state import Key
from segcore.ui.tables import csv_text

MARKS = {Answer.BETTER: "▲", Answer.EQUIVALENT: "=", Answer.CANNOT_TELL: "?"}


def draw(shown: Shown) -> None:
    """Draw all verdicts of each comparison."""
    for place, comparison in enumerate(shown.findings.comparisons):
        if len(shown.findings.comparisons) > 1:
            st.markdown(f"**Study {escape(shown.studies[place].name)}**")
        _draw(shown, comparison, place)


def _draw(shown: Shown, comparison: Comparison, place: int) -> None:
    if len(comparison.standings) < 2:
        st.caption("Verdicts are of pairs: shown as soon as two backbones have a finished run.")
        return
    live_chart.draw(
        figures.verdict_matrix(comparison),
        key=f"charts.verdicts:{shown.key}:{place}:{comparison.score}:{comparison.margin:g}",
        alt="For each pair of backbones: better, worse, equivalent or cannot tell",
    )
    st.caption(
        "Row against column: **▲** the row is better, **▼** it is worse, **=** the two are equivalent within "
        f"{100 * comparison.margin:g} point{'s' * (comparison.margin != 0.01)}, **?** cannot tell yet. The number says "
        "by how many points they differ. The chance of any false alarm among all pairs is held at 5 %."
    )
    with st.expander("Every pair in words", icon=":material/chat:"):
        st.markdown("\n".join(f"- {escape(sentence(v, comparison))}" for v in leader_first(comparison)))
    numbers = st.expander(
        "How sure, in numbers",
        icon=":material/functions:",
        key=Key.CHARTS_NUMBERS.of(f"{place}"),
        on_change="rerun",
    )
    if numbers.open:
        with numbers:
            _draw_numbers(comparison, place)


def leader_first(comparison: Comparison) -> list[Verdict]:
    """Return the verdicts, those that the leader takes part in first; else in the order of the means."""
    leader = comparison.standings[0].label
    return sorted(comparison.verdicts, key=lambda verdict: leader not in (verdict.first, verdict.second))


def _draw_numbers(comparison: Comparison, place: int) -> None:
    resampled = resampled_intervals(comparison)
    st.dataframe(
        [number_row(verdict, comparison, resampled) for verdict in leader_first(comparison)],
        hide_index=True,
        width="stretch",
        height="content",
        column_config=COLUMNS,
    )
    st.caption(
        "Differences and intervals in points, each interval of its pair alone. The verdict rests on the adjusted "
        "p-values; the bootstrap is a cross-check that needs no assumption about distributions, and is too narrow with "
        "few seeds."
    )
    st.download_button(
        "Download the verdicts as CSV",
        lambda: csv_text(_flat(row) for row in pair_rows(comparison)),
        file_name="verdicts.csv",
        mime="text/csv",
        key=Key.CHARTS_PAIRS_CSV.of(f"{place}"),
        icon=":material/download:",
        on_click="ignore",
    )


COLUMNS: dict[str, Any] = {
    "95 % interval": st.column_config.TextColumn(help="Over seeds and images, by variance components."),
    "p": st.column_config.TextColumn("p, no difference", help="Adjusted over all pairs by Holm's method."),
    "p equivalent": st.column_config.TextColumn(
        "p, equivalence", help="Of a difference as large as the margin; small means equivalent. Adjusted likewise."
    ),
    "Bootstrap": st.column_config.TextColumn(help="Two-level bootstrap of seeds and scenes, 10,000 resamples."),
    "Over folds": st.column_config.TextColumn(help="The corrected test of Nadeau and Bengio, over folds and seeds."),
}


def number_row(
    verdict: Verdict, comparison: Comparison, resampled: dict[frozenset[str], tuple[float, float]]
) -> dict[str, str]:
    """Return one verdict as the table has it, all in words."""
    row = {
        "Ahead": comparison.title(verdict.first),
        "Behind": comparison.title(verdict.second),
        "Verdict": f"{MARKS[verdict.answer]} {verdict.answer.value}",
        "Difference": _points(verdict.difference),
        "95 % interval": _interval(verdict.interval),
        "p": p_text(verdict.p_adjusted),
        "p equivalent": p_text(verdict.p_equivalent_adjusted),
        "Bootstrap": _interval(resampled.get(frozenset((verdict.first, verdict.second)), (math.nan, math.nan))),
        "Seeds": str(len(verdict.seeds)),
        "Images": f"{verdict.images:,}",
    }
    if any(other.folds is not None for other in comparison.verdicts):
        folds = verdict.folds
        row["Over folds"] = UNKNOWN if folds is None else f"{_points(folds.mean)} ({_interval(folds.interval())})"
    return row


def resampled_intervals(comparison: Comparison) -> dict[frozenset[str], tuple[float, float]]:
    """Return the bootstrap's interval of each pair; kept until a run's counts change."""
    stamps = tuple(
        readers.stamp(run.evaluation_path(comparison.part))
        for standing in comparison.standings
        for run in standing.contender.runs
        if run.evaluation_path(comparison.part).exists()
    )
    return _resampled(stamps, comparison.score, comparison.part, comparison)


@st.cache_data(max_entries=32, show_spinner="Resampling seeds and scenes …")
def _resampled(
    stamps: tuple[readers.Stamp, ...], score: object, part: str, _comparison: Comparison
) -> dict[frozenset[str], tuple[float, float]]:
    del stamps, score, part  # they are what the result is kept under
    return bootstrap_intervals(_comparison)


def _points(share: float) -> str:
    return UNKNOWN if math.isnan(share) else f"{100 * share:+.2f}"


def _interval(ends: tuple[float, float]) -> str:
    return UNKNOWN if math.isnan(ends[0]) else f"{100 * ends[0]:+.2f} to {100 * ends[1]:+.2f}"


def _flat(row: dict[str, Any]) -> dict[str, object]:
    """A row of plain cells: pairs of numbers and lists with blanks between."""
    return {
        key: " ".join(map(str, value)) if isinstance(value, list) else value
        for key, value in row.items()
        if key != "folds"
    }
