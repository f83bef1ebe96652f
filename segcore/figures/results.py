"""What came out: scores with their intervals, score against cost, classes, confusions, where a network's cost lies."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go

from segcore.config import ClassInfo
from segcore.evaluation.comparison import ResultRow
from segcore.evaluation.metrics import pooled
from segcore.figures.theme import (
    ACCENT,
    CONTRAST,
    GRID,
    INK,
    OUTLINE,
    SYMBOLS,
    css,
    empty_figure,
    faded,
    figure,
    percents,
    show_legend,
)

Metric = Literal["miou", "pixel_accuracy"]
Cost = Literal["latency_ms", "parameters", "macs", "minutes"]

METRIC_TITLES: dict[Metric, str] = {"miou": "Best validation mIoU", "pixel_accuracy": "Validation pixel accuracy"}
COST_TITLES: dict[Cost, tuple[str, float]] = {
    "latency_ms": ("Time of one image, median (ms)", 1.0),
    "parameters": ("Parameters (million)", 1e-6),
    "macs": ("Multiply-adds of one image (billion)", 1e-9),
    "minutes": ("Training time of one run (min)", 1.0),
}
"""Axis title of each cost, and the factor into its unit."""
_NO_RESULT = "No run is finished yet."


def result_bars(rows: Sequence[ResultRow], metric: Metric = "miou", *, title: str | None = None) -> go.Figure:
    """Draw each contender's mean over seeds as a point with its 95 % interval, the highest mean on top.

    Points, not bars from zero: what matters is whether intervals overlap. Pixel accuracy comes with the
    majority-class line.
    """
    known = [row for row in reversed(rows) if row[metric] is not None]
    if not known:
        return empty_figure(_NO_RESULT, kind=f"results-{metric}", title=title)
    chart = figure(f"results-{metric}", title=title, height=100 + 34 * len(known), x_title=METRIC_TITLES[metric])
    for row in known:
        value = 100 * (row[metric] or 0.0)
        chart.add_scatter(
            x=[value],
            y=[row["label"]],
            error_x=_error(row, metric),
            mode="markers",
            marker={"color": row["color"], "size": 11, "symbol": "circle" if row["n"] > 1 else "circle-open"},
            hovertemplate=f"<b>{row['title']}</b><br>{_texts(row, metric)}<extra></extra>",
            name=row["title"],
            uid=f"result:{row['label']}",
        )
    majority = {row["majority_baseline"] for row in known} - {None}
    if metric == "pixel_accuracy" and len(majority) == 1:
        _add_majority(chart, 100 * (majority.pop() or 0.0), [row["label"] for row in known])
    chart.update_xaxes(ticksuffix=" %")
    # Labels are unique, titles need not be.
    chart.update_yaxes(tickvals=[row["label"] for row in known], ticktext=[row["title"] for row in known])
    return chart


def _add_majority(chart: go.Figure, level: float, labels: Sequence[str]) -> None:
    """A dashed line over all rows: a trace, so that the axis reaches to it, with markers that keep it off the edge."""
    chart.add_scatter(
        x=[level] * len(labels),
        y=list(labels),
        mode="lines+markers",
        line={"color": INK, "width": 1.6, "dash": "dash"},
        marker={"size": 14, "opacity": 0},
        hovertemplate=f"Always the most frequent class: {level:.1f} %<extra></extra>",
        name="Always the most frequent class",
        uid="majority",
    )
    chart.add_annotation(
        x=level,
        y=1,
        yref="paper",
        yanchor="bottom",
        xanchor="left",
        text=f"always the most frequent class: {level:.1f} %",
        showarrow=False,
        font={"size": 12},
        name="majority",
    )
    chart.update_layout(margin_t=max(chart.layout.margin.t, 26))


def _error(row: ResultRow, metric: Metric) -> dict[str, Any]:
    low = row["miou_low"] if metric == "miou" else row["pixel_accuracy_low"]
    high = row["miou_high"] if metric == "miou" else row["pixel_accuracy_high"]
    if low is None or high is None:
        return {"visible": False}
    mean = row[metric] or 0.0
    return {
        "type": "data",
        "symmetric": False,
        "array": [100 * (min(high, 1.0) - mean)],
        "arrayminus": [100 * (mean - max(low, 0.0))],
        "thickness": 2,
        "width": 6,
        "color": row["color"],
    }


def _texts(row: ResultRow, metric: Metric) -> str:
    return row["miou_text"] if metric == "miou" else row["pixel_accuracy_text"]


def cost_scatter(
    rows: Sequence[ResultRow], cost: Cost = "latency_ms", metric: Metric = "miou", *, title: str | None = None
) -> go.Figure:
    """Draw score against cost, a point a contender with its 95 % interval; up and to the left is better.

    The cost axis is logarithmic where the dearest costs more than ten times the cheapest.
    """
    name, factor = COST_TITLES[cost]
    kind = f"cost-{cost}-{metric}"
    known = [row for row in rows if row[metric] is not None and row[cost] is not None]
    if not known:
        message = "No run is finished yet." if all(row[metric] is None for row in rows) else "No cost is measured yet."
        return empty_figure(message, kind=kind, title=title)
    chart = figure(kind, title=title, height=400, x_title=name, y_title=METRIC_TITLES[metric])
    costs = [factor * float(row[cost] or 0) for row in known]
    logarithmic = min(costs) > 0 and max(costs) > 10 * min(costs)
    scores = [100 * (row[metric] or 0.0) for row in known]
    sides = _label_sides([math.log(value) if logarithmic else value for value in costs], scores)
    for row, x, y, side in zip(known, costs, scores, sides, strict=True):
        chart.add_scatter(
            x=[x],
            y=[y],
            error_y=_error(row, metric),
            mode="markers+text",
            text=[row["title"]],
            textposition=side,
            cliponaxis=False,
            marker={"color": row["color"], "size": 12, "line": {"color": OUTLINE, "width": 1}},
            hovertemplate=f"<b>{row['title']}</b><br>{_texts(row, metric)}<br>{name}: {x:.3g}<extra></extra>",
            name=row["title"],
            uid=f"cost:{row['label']}",
        )
    if logarithmic:
        chart.update_xaxes(type="log", dtick="D2")
    chart.update_yaxes(ticksuffix=" %")
    return chart


def _label_sides(x: Sequence[float], y: Sequence[float]) -> list[str]:
    """Choose for every point the side of its label that has most room, on a plot of about 700 x 320 px."""
    wide, high = 620 / ((max(x) - min(x)) or 1.0), 260 / ((max(y) - min(y)) or 1.0)
    points = [((a - min(x)) * wide, (b - min(y)) * high) for a, b in zip(x, y, strict=True)]
    # Centre of a label of about 90 px from its point, by side; the first is taken where room is equal.
    offsets = {"middle right": (56, 0), "middle left": (-56, 0), "top center": (0, 16), "bottom center": (0, -16)}
    taken: list[tuple[float, float]] = []
    sides = []
    for place, (px, py) in enumerate(points):
        others = [*points[:place], *points[place + 1 :], *taken]

        def room(
            side: str, px: float = px, py: float = py, others: list[tuple[float, float]] = others
        ) -> tuple[bool, float]:
            cx, cy = px + offsets[side][0], py + offsets[side][1]
            inside = -40 <= cx <= 620 + 10
            # A label is six times as wide as high: nearness counts by that measure.
            nearest = min((max(abs(cx - ox) / 6, abs(cy - oy)) for ox, oy in others), default=99.0)
            return inside, min(nearest, 18.0)

        side = max(offsets, key=room)
        sides.append(side)
        taken.append((px + offsets[side][0], py + offsets[side][1]))
    return sides


def class_iou_bars(
    classes: Sequence[ClassInfo],
    iou: Mapping[str, Sequence[float]],
    *,
    colors: Mapping[str, str] | None = None,
    metric: str = "IoU",
    title: str | None = None,
) -> go.Figure:
    """Draw the score of every class, highest mean on top: of one series as bars in class colours, of several as points.

    Args:
        classes: the trained classes.
        iou: name of the series -> one share a class, 0-1, NaN for an absent class ("absent" stands in its place).
        colors: "#rrggbb" of each series, where there are several.
    """
    kind = f"classes-{metric}"
    series = {name: percents(float(value) for value in values) for name, values in iou.items()}
    if not classes or not any(value is not None for values in series.values() for value in values):
        return empty_figure("No class is labelled or predicted here.", kind=kind, title=title)

    def mean(i: int) -> float:
        known = [value for values in series.values() if (value := values[i]) is not None]
        return sum(known) / len(known) if known else -1.0

    order = sorted(range(len(classes)), key=mean)
    chart = figure(kind, title=title, height=100 + 24 * len(classes), x_title=metric)
    names = [classes[i].name for i in order]
    if len(series) == 1:
        _add_class_bars(chart, [classes[i] for i in order], next(iter(series.values())), order, metric)
    else:
        for place, (name, values) in enumerate(series.items()):
            chart.add_scatter(
                x=[values[i] for i in order],
                y=names,
                mode="markers",
                marker={
                    "color": (colors or {}).get(name, ACCENT),
                    "size": 10,
                    "symbol": SYMBOLS[place % len(SYMBOLS)],
                    "line": {"color": OUTLINE, "width": 1},
                },
                hovertemplate=f"<b>%{{y}}</b><br>{metric} %{{x:.1f}} %<extra>{name}</extra>",
                name=name,
                uid=f"series:{name}",
            )
        show_legend(chart, len(series))
    chart.update_xaxes(ticksuffix=" %", range=[-2 if len(series) > 1 else 0, 108])
    chart.update_yaxes(categoryorder="array", categoryarray=names)
    return chart


def _add_class_bars(
    chart: go.Figure, classes: Sequence[ClassInfo], values: Sequence[float | None], order: Sequence[int], metric: str
) -> None:
    shown = [values[i] for i in order]
    chart.add_bar(
        x=[value or 0.0 for value in shown],
        y=[info.name for info in classes],
        orientation="h",
        marker={"color": [css(info.color) for info in classes], "line": {"color": OUTLINE, "width": 1}},
        text=["absent" if value is None else f"{value:.1f} %" for value in shown],
        textposition="outside",
        cliponaxis=False,
        hovertemplate=f"<b>%{{y}}</b><br>{metric} %{{text}}<extra></extra>",
        name=metric,
        uid="classes",
    )


def confusion_heatmap(counts: np.ndarray, names: Sequence[str], *, title: str | None = None) -> go.Figure:
    """Draw where the pixels of each true class went: a row a true class, shares of that row in percent.

    Args:
        counts: (C, C) or (N, C, C) confusion counts [t, p].
        names: of the C classes.

    Raises:
        ValueError: there are not as many names as classes.
    """
    matrix = pooled(counts)
    if len(names) != len(matrix):
        raise ValueError(f"{len(names)} names for {len(matrix)} classes")
    if not matrix.sum():
        return empty_figure("No labelled pixels.", kind="confusion", title=title)
    totals = matrix.sum(axis=1)
    shares: list[list[float | None]] = [
        [100 * int(cell) / int(total) if total else None for cell in row]
        for row, total in zip(matrix, totals, strict=True)
    ]
    chart = figure("confusion", title=title, height=150 + 30 * len(names), x_title="Predicted", y_title="True")
    chart.add_heatmap(
        z=shares,
        x=list(names),
        y=list(names),
        customdata=matrix.tolist(),
        zmin=0,
        zmax=100,
        xgap=1,
        ygap=1,
        # From nothing to blue: an empty cell is the page itself, in light and dark.
        colorscale=[[0, faded(ACCENT, 0.05)], [0.02, faded(ACCENT, 0.2)], [1, faded(ACCENT, 1.0)]],
        colorbar={"ticksuffix": " %", "thickness": 12, "outlinewidth": 0},
        hovertemplate="<b>%{y}</b> taken for <b>%{x}</b><br>%{z:.1f} % of its pixels (%{customdata:,})<extra></extra>",
        hoverongaps=False,
        name="confusion",
        uid="confusion",
    )
    _add_cell_texts(chart, shares, names)
    chart.update_xaxes(showgrid=False, tickangle=-45, constrain="domain")
    chart.update_yaxes(showgrid=False, autorange="reversed")
    return chart


def _add_cell_texts(chart: go.Figure, shares: Sequence[Sequence[float | None]], names: Sequence[str]) -> None:
    """Write the percent into the cells: white on full cells, in the page's text colour on faint ones.

    Plotly's own cell texts choose their colour as if a transparent cell were white, which fails on dark.
    """
    cells = [
        (name, column, share)
        for name, row in zip(names, shares, strict=True)
        for column, share in zip(names, row, strict=True)
        if share is not None and share >= 0.5
    ]
    for full, color in ((True, "#ffffff"), (False, None)):
        chosen = [cell for cell in cells if (cell[2] >= 50) is full]
        chart.add_scatter(
            x=[column for _, column, _ in chosen],
            y=[name for name, _, _ in chosen],
            text=[f"{share:.0f}" for _, _, share in chosen],
            mode="text",
            textfont={"size": 11, "color": color},
            hoverinfo="skip",
            name="percent",
            uid=f"texts:{full}",
        )


def cost_bars(
    parts: Mapping[str, Mapping[str, float]], quantity: Literal["parameters", "macs"], *, title: str | None = None
) -> go.Figure:
    """Draw how parameters or multiply-adds divide into encoder, decoder and head, a bar a network.

    Args:
        parts: title of the network -> {"encoder": …, "decoder": …, "head": …}, as plain counts.
    """
    name, factor = COST_TITLES[quantity]
    if not parts:
        return empty_figure("No network is chosen.", kind=f"parts-{quantity}", title=title)
    chart = figure(f"parts-{quantity}", title=title, height=110 + 40 * len(parts), x_title=name)
    networks = list(parts)[::-1]
    most = factor * max(sum(network.values()) for network in parts.values())
    for part, color in (("encoder", ACCENT), ("decoder", CONTRAST), ("head", INK)):
        values = [factor * float(parts[network].get(part, 0.0)) for network in networks]
        wholes = [factor * sum(parts[network].values()) or 1.0 for network in networks]
        chart.add_bar(
            x=values,
            y=networks,
            orientation="h",
            marker={"color": color, "line": {"color": GRID, "width": 1}},
            text=[f"{value:.3g}" if value > 0.08 * most else "" for value in values],
            textposition="inside",
            insidetextanchor="middle",
            textangle=0,
            textfont={"color": "#ffffff"},
            customdata=[100 * value / whole for value, whole in zip(values, wholes, strict=True)],
            hovertemplate=f"<b>%{{y}}</b><br>{part}: %{{x:.3g}} (%{{customdata:.1f}} %)<extra></extra>",
            name=part.capitalize(),
            uid=f"part:{part}",
        )
    chart.update_layout(barmode="stack", bargap=0.4, legend_traceorder="normal")
    show_legend(chart, 3)
    return chart
