"""What the backbones of a study cost, as a table and against the score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from segcore import figures
from segcore.evaluation.comparison import ResultRow
from segcore.evaluation.costs import COSTS
from segcore.figures.costs import measured_busy
from segcore.status import RunState
from segcore.text import UNKNOWN, duration
from segcore.ui import live_chart
from segcore.ui.charts_data import Shown
from segcore.ui.components import STATES, swatch
from segcore.ui.state import Key
from segcore.ui.tables import csv_text


def draw(shown: Shown) -> None:
    """Draw score against one cost, and the table of all."""
    rows, score = shown.judged, score_name(shown)
    measured = [key for key, cost in COSTS.items() if any(cost.value(row) is not None for row in rows)]
    if measured:
        _draw_against(shown, rows, measured)
    st.dataframe(
        table(rows, score),
        hide_index=True,
        width="stretch",
        height="content",
        key=f"charts.table:{shown.key}",
        column_config=COLUMNS | {score: SCORE},
    )
    if any(row.get("idle") is False for row in rows):
        st.caption("\\* measured while the machine was busy with something else, too: slower than it would be alone.")
    st.download_button(
        "Download the table as CSV",
        csv_text(csv_rows(shown.results)),
        file_name=f"{shown.study.name}.csv",
        mime="text/csv",
        key=Key.CHARTS_CSV,
        icon=":material/download:",
        on_click="ignore",
    )


def _draw_against(shown: Shown, rows: Sequence[ResultRow], measured: list[str]) -> None:
    if st.session_state.get(Key.CHARTS_COST) not in measured:  # another study, in which it is not measured
        st.session_state[Key.CHARTS_COST] = measured[0]
    cost = st.selectbox(
        "Score against", measured, format_func=lambda key: COSTS[key].title, key=Key.CHARTS_COST, width=360
    )
    chart = figures.cost_scatter(rows, cost, y_title=f"Validation {shown.findings.score_title}")
    live_chart.draw(
        chart,
        # A zoom means nothing any more when the axis becomes logarithmic.
        key=f"charts.against_cost:{shown.key}:{shown.findings.score}:{cost}:{chart.layout.xaxis.type}",
        alt=f"Validation {shown.findings.score_title} against {COSTS[cost].title}",
    )
    side = "left" if COSTS[cost].lower_is_better else "right"
    spread = f" Across: {COSTS[cost].spread}." if COSTS[cost].spread else ""
    st.caption(
        f"Up and to the {side} is better. The dotted steps join those that no other beats in both; the rest are grey, "
        f"going by the means alone. Upright: 95 % interval over {shown.over}.{spread}"
    )


def score_name(shown: Shown) -> str:
    """Return what heads the column of the chosen score: "mIoU", "Pixel accuracy", "IoU of roof"."""
    name = shown.findings.score_title
    return name if name == "mIoU" else name[0].upper() + name[1:]


SCORE = st.column_config.TextColumn(
    help="Mean over the finished seeds ± 95 % interval over seeds and images, n seeds; on the validation images, at "
    "the best epoch. It was chosen on the same images, so this is a little too high for every backbone."
)
COLUMNS: dict[str, Any] = {
    " ": st.column_config.ImageColumn(width=40),
    "Pixel accuracy": st.column_config.TextColumn(
        help="Share of the validation pixels with the right class, in that same epoch."
    ),
    "Alarm": st.column_config.TextColumn(
        help="Runs that answer one class everywhere, whatever the image shows; the Training page says which and what "
        "to try. Their scores are in the mean, as a backbone that collapses with some seeds is a worse choice."
    ),
    "Latency": st.column_config.TextColumn(
        "Latency (ms)", help="Time of one image: median, and what 95 % of the passes stay below. Measured here."
    ),
    "Throughput": st.column_config.TextColumn("Images/s", help="In batches, measured on the machine that trained it."),
    "Memory": st.column_config.NumberColumn("Memory (GiB)", format="%.2f", help="Most memory that training needed."),
    "To the best epoch": st.column_config.TextColumn(help="Mean training time of a run up to its best epoch."),
    "Training": st.column_config.TextColumn(help="Mean time that a finished run trained."),
    "Parameters": st.column_config.NumberColumn(
        "Parameters (M)", format="%.2f", help="Millions of numbers that training adjusts: backbone, decoder, head."
    ),
    "MACs": st.column_config.NumberColumn(
        "MACs (G)", format="%.2f", help="Billions of multiplications with addition for one image of the study's size."
    ),
    "MACs of backbone / decoder / head": st.column_config.TextColumn(
        "MACs: backbone / decoder / head", help="How the multiply-adds divide."
    ),
    "Best epoch": st.column_config.TextColumn(help="The epoch with the highest validation mIoU, one a finished run."),
    "Runs": st.column_config.TextColumn(help="Only finished runs enter the scores."),
}


def table(rows: Sequence[ResultRow], score: str = "mIoU") -> list[dict[str, Any]]:
    """Return the final table as people read it; columns that are empty throughout are left out.

    Args:
        rows: with the score in the place of the mIoU.
        score: what heads its column.
    """
    lines = [table_row(row, score) for row in rows]
    told = {key for line in lines for key, value in line.items() if value not in (None, "", UNKNOWN)}
    return [{key: value for key, value in line.items() if key in told} for line in lines]


def table_row(row: ResultRow, score: str = "mIoU") -> dict[str, Any]:
    """Return a row of the final table as people read it."""
    return {
        " ": swatch(rgb(row["color"])),
        "Backbone": row["title"],
        score: row["miou_text"],
        "Alarm": alarm_text(row),
        **({} if score == "Pixel accuracy" else {"Pixel accuracy": row["pixel_accuracy_text"]}),
        "Latency": _latency(row),
        "Throughput": UNKNOWN if row["throughput"] is None else f"{row['throughput']:.3g}{_busy(row, 'throughput')}",
        "Memory": row["peak_memory_mb"] / 1024 if row["peak_memory_mb"] else None,
        "To the best epoch": _minutes(row["minutes_to_best"]),
        "Training": _minutes(row["minutes"]),
        "Parameters": row["parameters"] / 1e6 if row["parameters"] else None,
        "MACs": row["macs"] / 1e9 if row["macs"] else None,
        "MACs of backbone / decoder / head": _parts(row),
        "Best epoch": ", ".join(map(str, row["best_epoch"])),
        "Runs": ", ".join(f"{count} {STATES[RunState(state)][0]}" for state, count in sorted(row["states"].items())),
    }


def _latency(row: ResultRow) -> str:
    if row["latency_ms"] is None:
        return UNKNOWN
    tail = "" if row["latency_p95_ms"] is None else f" (95 %: {row['latency_p95_ms']:.1f})"
    return f"{row['latency_ms']:.1f}{_busy(row, 'latency_ms')}{tail}"


def _busy(row: ResultRow, cost: str) -> str:
    return " *" if measured_busy(row, COSTS[cost]) else ""


def _minutes(minutes: float | None) -> str:
    return UNKNOWN if minutes is None else duration(60 * minutes)


def _parts(row: ResultRow) -> str:
    parts = [row["macs_encoder"], row["macs_decoder"], row["macs_head"]]
    if not row["macs"] or any(part is None for part in parts):
        return UNKNOWN
    return " / ".join(f"{100 * (part or 0) / row['macs']:.0f} %" for part in parts)


def alarm_text(row: ResultRow) -> str:
    """Return how many of a backbone's runs have collapsed: "⚠ 1 of 3 runs answers one class"; "" for none."""
    if not row["collapsed"]:
        return ""
    runs = sum(row["states"].values())
    if runs == 1:
        return "⚠ answers one class"
    return f"⚠ {row['collapsed']} of {runs} runs {'answers' if row['collapsed'] == 1 else 'answer'} one class"


def rgb(color: str) -> tuple[int, int, int]:
    """Return "#rrggbb" as three numbers, 0-255."""
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def csv_rows(rows: Sequence[ResultRow]) -> list[dict[str, object]]:
    """Return the final table with plain numbers: shares 0-1, minutes, counts; lists with blanks between."""
    flat = []
    for row in rows:
        values: dict[str, object] = {key: value for key, value in row.items() if key not in ("color", "states")}
        values["seeds"] = " ".join(map(str, row["seeds"]))
        values["best_epoch"] = " ".join(map(str, row["best_epoch"]))
        values |= {state.value: row["states"].get(state.value, 0) for state in RunState}
        flat.append(values)
    return flat
