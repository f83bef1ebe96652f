"""What a backbone costs: score against cost, and where a network's cost lies."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import plotly.graph_objects as go

from segcore.evaluation.comparison import ResultRow
from segcore.evaluation.costs import COSTS, Cost, Metric, pareto
from segcore.figures.theme import (
    ACCENT,
    CONTRAST,
    GRID,
    INK,
    OUTLINE,
    empty_figure,
    figure,
    plain,
    show_legend,
)

METRIC_TITLES: dict[Metric, str] = {"miou": "Best validation mIoU", "pixel_accuracy": "Validation pixel accuracy"}
COST_TITLES: dict[str, tuple[str, float]] = {
    cost.key: (f"{cost.title} ({cost.unit})" if cost.unit else cost.title, cost.factor) for cost in COSTS.values()
}
"""Axis title of each cost, and the factor into its unit."""
_NO_RESULT = "No run is finished yet."


def _ends(row: ResultRow, metric: Metric) -> tuple[float, float] | None:
    """Return the ends of a score's interval as they are drawn, shares 0-1; None where there is none."""
    low = row["miou_low"] if metric == "miou" else row["pixel_accuracy_low"]
    high = row["miou_high"] if metric == "miou" else row["pixel_accuracy_high"]
    return None if low is None or high is None else (max(low, 0.0), min(high, 1.0))


def _error(row: ResultRow, metric: Metric) -> dict[str, Any]:
    ends, mean = _ends(row, metric), row[metric] or 0.0
    if ends is None:
        return {"visible": False}
    return {
        "type": "data",
        "symmetric": False,
        "array": [100 * (ends[1] - mean)],
        "arrayminus": [100 * (mean - ends[0])],
        "thickness": 2,
        "width": 6,
        "color": row["color"],
    }


def _texts(row: ResultRow, metric: Metric) -> str:
    return row["miou_text"] if metric == "miou" else row["pixel_accuracy_text"]


def cost_scatter(
    rows: Sequence[ResultRow],
    cost: str = "latency_ms",
    metric: Metric = "miou",
    *,
    y_title: str | None = None,
    title: str | None = None,
) -> go.Figure:
    """Draw score against cost, a point a contender with what is known of its spread on both axes.

    The step line is the frontier: what is highest for that cost or less. Contenders that another one dominates, being
    at least as good in both and better in one, are grey. An asterisk marks what was measured while the machine did
    something else, too. The cost axis is logarithmic where the dearest costs more than ten times the cheapest.

    Args:
        rows: from `result_table`.
        cost: a key of `costs.COSTS`.
        metric: what the cost is paid for.
        y_title: what it is called, where the rows hold another score in its place.
    """
    kind, asked = f"cost-{cost}-{metric}", COSTS[cost]
    known = [row for row in rows if row[metric] is not None and asked.value(row) is not None]
    if not known:
        message = _NO_RESULT if all(row[metric] is None for row in rows) else "No cost is measured yet."
        return empty_figure(message, kind=kind, title=title)
    chart = figure(
        kind, title=title, height=420, x_title=COST_TITLES[cost][0], y_title=y_title or METRIC_TITLES[metric]
    )
    costs = [asked.factor * (asked.value(row) or 0.0) for row in known]
    scores = [100 * (row[metric] or 0.0) for row in known]
    logarithmic = min(costs) > 0 and max(costs) > 10 * min(costs)
    places = [math.log(value) if logarithmic else value for value in costs]
    front = pareto(known, asked, metric)
    _add_frontier(
        chart, [(x, y) for row, x, y in zip(known, costs, scores, strict=True) if row["label"] in front], asked
    )
    names = [_cost_label(row, asked) for row in known]
    # The axis is as long as the intervals, which brings their means together.
    ends = [100 * end for row in known for end in _ends(row, metric) or ()]
    sides = _label_sides(places, scores, names, high=max(scores + ends) - min(scores + ends))
    for row, x, y, name, side in zip(known, costs, scores, names, sides, strict=True):
        color = row["color"] if row["label"] in front else DOMINATED
        chart.add_scatter(
            x=[x],
            y=[y],
            error_x=_cost_error(row, asked, color),
            error_y=_error(row, metric) | {"color": color},
            mode="markers+text",
            text=[plain(name)],
            textposition=side,
            textfont={"color": None if row["label"] in front else DOMINATED},
            cliponaxis=False,
            marker={"color": color, "size": 12, "line": {"color": OUTLINE, "width": 1}},
            hovertemplate=f"<b>{plain(row['title'])}</b><br>{_texts(row, metric)}<br>{_cost_text(row, asked)}"
            + ("" if row["label"] in front else "<br>another one is as good for less")
            + "<extra></extra>",
            name=plain(row["title"]),
            uid=f"cost:{row['label']}",
        )
    if logarithmic:
        chart.update_xaxes(type="log", dtick="D2")
    chart.update_yaxes(ticksuffix=" %")
    return chart


DOMINATED = "#9aa3ae"
"""Of contenders that another one beats in score and cost."""


def _add_frontier(chart: go.Figure, points: Sequence[tuple[float, float]], cost: Cost) -> None:
    """The best score for so much cost or less, as steps from one contender to the next."""
    if len(points) < 2:
        return
    x, y = zip(*sorted(points), strict=True)
    chart.add_scatter(
        x=list(x),
        y=list(y),
        mode="lines",
        # Up only where the dearer one stands; where more is better, the other way round.
        line={"color": INK, "width": 1.4, "dash": "dot", "shape": "hv" if cost.lower_is_better else "vh"},
        hoverinfo="skip",
        name="frontier",
        uid="frontier",
    )


def _cost_label(row: ResultRow, cost: Cost) -> str:
    return f"{row['title']} *" if measured_busy(row, cost) else row["title"]


def measured_busy(row: ResultRow, cost: Cost) -> bool:
    """Whether a contender's cost is a speed that was measured while the machine did something else, too."""
    return row.get("idle") is False and cost.key in ("latency_ms", "throughput")


def _cost_error(row: ResultRow, cost: Cost, color: str) -> dict[str, Any]:
    ends, value = cost.interval(row), cost.value(row)
    if ends is None or value is None:
        return {"visible": False}
    return {
        "type": "data",
        "symmetric": False,
        "array": [cost.factor * max(0.0, ends[1] - value)],
        "arrayminus": [cost.factor * max(0.0, value - max(0.0, ends[0]))],
        "thickness": 1.5,
        "width": 4,
        "color": color,
    }


def _cost_text(row: ResultRow, cost: Cost) -> str:
    value, ends = cost.factor * (cost.value(row) or 0.0), cost.interval(row)
    text = f"{cost.title}: {value:.3g} {cost.unit}".rstrip()
    if ends is not None:
        low, high = (cost.factor * end for end in ends)
        text += f"<br>{low:.3g} to {high:.3g}: {cost.spread}"
    return text + ("<br>* the machine was busy with something else, too" if measured_busy(row, cost) else "")


def _label_sides(x: Sequence[float], y: Sequence[float], labels: Sequence[str], *, high: float) -> list[str]:
    """Choose for every point the corner for its label that has most room and does not leave the plot.

    Corners, as the arms of the intervals take the sides. Reckoned for a plot of 360 x 260 px, as in a window of
    800 px: a wider one only has more room.

    Args:
        x: places along the axis of costs.
        y: scores.
        labels: one a point.
        high: how much of the score the axis shows.
    """
    width, edge = 360, 20
    across, up = width / ((max(x) - min(x)) or 1.0), 260 / (high or 1.0)
    points = [((a - min(x)) * across, (b - min(y)) * up) for a, b in zip(x, y, strict=True)]
    sides: list[str] = []
    taken: list[tuple[float, float, float]] = []  # centre and width of the labels so far
    for place, (px, py) in enumerate(points):
        size = 7.0 * len(labels[place])
        # Centre of the label by corner; the first is taken where room is equal.
        centres = {
            "top right": (px + 6 + size / 2, py + 14),
            "bottom right": (px + 6 + size / 2, py - 14),
            "top left": (px - 6 - size / 2, py + 14),
            "bottom left": (px - 6 - size / 2, py - 14),
        }
        others = [*((ox, oy, 12.0) for ox, oy in points[:place] + points[place + 1 :]), *taken]

        def room(
            side: str,
            centres: dict[str, tuple[float, float]] = centres,
            size: float = size,
            others: list[tuple[float, float, float]] = others,
        ) -> tuple[bool, float]:
            cx, cy = centres[side]
            inside = cx - size / 2 >= -edge and cx + size / 2 <= width + edge
            gaps = [max(abs(cx - ox) - (size + other) / 2, abs(cy - oy) - 14) for ox, oy, other in others]
            return inside, min([*gaps, 8.0])

        side = max(centres, key=room)
        sides.append(side)
        taken.append((*centres[side], size))
    return sides


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
    names = [plain(network) for network in networks]
    most = factor * max(sum(network.values()) for network in parts.values())
    for part, color in (("encoder", ACCENT), ("decoder", CONTRAST), ("head", INK)):
        values = [factor * float(parts[network].get(part, 0.0)) for network in networks]
        wholes = [factor * sum(parts[network].values()) or 1.0 for network in networks]
        chart.add_bar(
            x=values,
            y=names,
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
    chart.update_yaxes(type="category")
    chart.update_layout(barmode="stack", bargap=0.4, legend_traceorder="normal")
    show_legend(chart, 3)
    return chart
