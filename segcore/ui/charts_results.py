"""The answer of the Charts page: which backbone is ahead, how sure that is, and what each one costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from segcore import figures
from segcore.evaluation.comparison import ResultRow
from segcore.figures.results import COST_TITLES
from segcore.runs import Study
from segcore.status import RunState
from segcore.text import duration, percent
from segcore.ui import live_chart
from segcore.ui.components import STATES, escape, swatch
from segcore.ui.state import Key
from segcore.ui.tables import csv_text


def answer(rows: Sequence[ResultRow], majority: float | None) -> str:
    """Return, as Markdown, which backbone is ahead and how sure that is; `rows` as from `result_table`."""
    done = [row for row in rows if row["miou"] is not None]
    if not done:
        return "No run of this study has finished yet. The answer appears here as soon as one has."
    first = done[0]
    lead = f"**{escape(first['title'])}** has the highest mean validation mIoU: **{escape(first['miou_text'])}**."
    parts = [lead, _doubt(done)]
    accuracy = first["pixel_accuracy"]
    if majority is not None and accuracy is not None and accuracy <= majority:
        parts.append(
            f"But its pixel accuracy of {percent(accuracy)} is no better than always answering the most frequent "
            f"class ({percent(majority)}): it has learnt nothing useful yet. More epochs may help."
        )
    return " ".join(parts)


def _doubt(done: Sequence[ResultRow]) -> str:
    """Say how far the order of finished contenders, the best first, can be trusted."""
    first, others = done[0], done[1:]
    if not others:
        return "It is the only backbone with a result, so there is nothing to compare it with yet."
    single = [row for row in done if row["n"] < 2]
    if len(single) == len(done):
        return (
            "Is it sure? **One seed each: cannot tell how sure.** Another seed may turn the order around; ask for 3 "
            "or more seeds on the Training page to see."
        )
    if single:
        names = ", ".join(escape(row["title"]) for row in single)
        return f"Is it sure? **Cannot tell yet:** there is only one seed of {names}."
    low = first["miou_low"]
    near = [row for row in others if low is None or row["miou_high"] is None or row["miou_high"] >= low]
    if near:
        names = ", ".join(escape(row["title"]) for row in near)
        return (
            f"Is it sure? **Cannot tell yet:** its 95 % interval overlaps with that of {names}. "
            "More seeds make the intervals narrower."
        )
    return (
        "Is it sure? Its 95 % interval lies above all others, so **other seeds would hardly change the order**. What "
        "other validation images would say is not in these intervals."
    )


def draw_results(study: Study, rows: Sequence[ResultRow]) -> None:
    """Draw the final result as a picture, as a table with its costs, and against one cost."""
    live_chart.draw(
        figures.result_bars(rows),
        key=f"charts.results:{study.name}",
        alt="Validation mIoU of every backbone",
    )
    if all(row["n"] < 2 for row in rows):
        st.caption("One seed: cannot tell how sure. With several seeds the 95 % interval of the mean is drawn.")
    st.subheader("Results and what they cost", anchor=False)
    lines = [table_row(row) for row in rows]
    if not any(line["Alarm"] for line in lines):
        lines = [{key: value for key, value in line.items() if key != "Alarm"} for line in lines]
    st.dataframe(
        lines,
        hide_index=True,
        width="stretch",
        height="content",
        key=f"charts.table:{study.name}",
        column_config=COLUMNS,
    )
    st.download_button(
        "Download the table as CSV",
        csv_text(csv_rows(rows)),
        file_name=f"{study.name}.csv",
        mime="text/csv",
        key=Key.CHARTS_CSV,
        icon=":material/download:",
        on_click="ignore",
    )
    cost = st.segmented_control(
        "Score against",
        list(COST_TITLES),
        default="latency_ms",
        format_func=lambda name: COST_TITLES[name][0],
        key=Key.CHARTS_COST,
        required=True,
        persist_state="session",
    )
    chart = figures.cost_scatter(rows, cost or "latency_ms")
    live_chart.draw(
        chart,
        # A zoom means nothing any more when the axis becomes logarithmic.
        key=f"charts.against_cost:{study.name}:{cost}:{chart.layout.xaxis.type}",
        alt="Validation mIoU against cost, up and to the left is better",
    )
    st.caption("Up and to the left is better: a higher score for less.")


COLUMNS: dict[str, Any] = {
    " ": st.column_config.ImageColumn(width=40),
    "mIoU": st.column_config.TextColumn(
        help="Validation mIoU of the best epoch: mean over the finished runs ± 95 % interval, n runs. The epoch was "
        "chosen on the same images, so it is a little too high for every backbone."
    ),
    "Pixel accuracy": st.column_config.TextColumn(
        help="Share of the validation pixels with the right class, in that same epoch."
    ),
    "Alarm": st.column_config.TextColumn(
        help="Runs that answer one class everywhere, whatever the image shows; the Training page says which and what "
        "to try. Their scores are in the mean, as a backbone that collapses with some seeds is a worse choice."
    ),
    "Runs": st.column_config.TextColumn(help="Only finished runs enter the scores."),
    "Parameters": st.column_config.NumberColumn(
        "Parameters (M)", format="%.2f", help="Millions of numbers that training adjusts: backbone, decoder, head."
    ),
    "MACs": st.column_config.NumberColumn(
        "MACs (G)", format="%.2f", help="Billions of multiplications with addition for one image of the study's size."
    ),
    "Latency": st.column_config.NumberColumn(
        "Latency (ms)", format="%.1f", help="Median time of one image, measured on the machine that trained it."
    ),
    "Training": st.column_config.TextColumn(help="Mean time that a finished run trained."),
    "Best epoch": st.column_config.TextColumn(help="The epoch with the highest validation mIoU, one a finished run."),
}


def table_row(row: ResultRow) -> dict[str, Any]:
    """Return a row of the final table as people read it."""
    return {
        " ": swatch(rgb(row["color"])),
        "Backbone": row["title"],
        "mIoU": row["miou_text"],
        "Alarm": alarm_text(row),
        "Pixel accuracy": row["pixel_accuracy_text"],
        "Parameters": row["parameters"] / 1e6 if row["parameters"] else None,
        "MACs": row["macs"] / 1e9 if row["macs"] else None,
        "Latency": row["latency_ms"],
        "Training": duration(row["minutes"] * 60) if row["minutes"] is not None else "–",
        "Best epoch": ", ".join(map(str, row["best_epoch"])),
        "Runs": ", ".join(f"{count} {STATES[RunState(state)][0]}" for state, count in sorted(row["states"].items())),
    }


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
