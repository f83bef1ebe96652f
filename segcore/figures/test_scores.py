"""Opened test scores beside the validation scores that the choice was made on."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

from segcore.evaluation.confirmation import Confirmation, bounds, score_text
from segcore.evaluation.standings import Standing
from segcore.figures.theme import INK, empty_figure, figure, plain, show_legend

OFFSET = 0.16
"""How far the two marks of a contender stand from the middle of its row."""


def val_and_test(found: Confirmation, *, title: str | None = None) -> go.Figure:
    """Draw each contender's mIoU on val (open circle) and on test (filled), with 95 % intervals over seeds and images.

    The order is that of val, the highest on top: it is what was chosen by.
    """
    if not found.any_scored:
        return empty_figure("No test image is predicted yet.", kind="val-and-test", title=title)
    pairs = list(reversed(found.pairs))
    chart = figure("val-and-test", title=title, height=110 + 46 * len(pairs), x_title="mIoU (mean and 95 % interval)")
    for row, pair in enumerate(pairs):
        _add(chart, pair.val, row + OFFSET, part="validation")
        if pair.test is not None:
            _add(chart, pair.test, row - OFFSET, part="test")
    for part, symbol in (("validation", "circle-open"), ("test", "circle")):  # what the legend shows
        chart.add_scatter(
            x=[None],
            y=[None],
            mode="markers",
            marker={"color": INK, "size": 11, "symbol": symbol},
            name=f"{part} images",
            uid=f"part:{part}",
        )
    chart.update_xaxes(ticksuffix=" %")
    chart.update_yaxes(
        tickvals=list(range(len(pairs))), ticktext=[plain(pair.title) for pair in pairs], range=[-0.6, len(pairs) - 0.4]
    )
    show_legend(chart, 2)
    return chart


def _add(chart: go.Figure, standing: Standing, y: float, *, part: str) -> None:
    estimate, color = standing.estimate, standing.contender.color
    assert estimate is not None
    chart.add_scatter(
        x=[100 * estimate.mean],
        y=[y],
        error_x=_error(standing),
        mode="markers",
        marker={"color": color, "size": 11, "symbol": "circle" if part == "test" else "circle-open"},
        hovertemplate=f"<b>{plain(standing.title)}</b><br>{part} images: {score_text(standing)}<extra></extra>",
        name=plain(standing.title),
        showlegend=False,
        uid=f"{part}:{standing.label}",
    )


def _error(standing: Standing) -> dict[str, Any]:
    found = bounds(standing.estimate)
    if found is None or standing.estimate is None:
        return {"visible": False}
    mean = standing.estimate.mean
    return {
        "type": "data",
        "symmetric": False,
        "array": [100 * (found[1] - mean)],
        "arrayminus": [100 * (mean - found[0])],
        "thickness": 2,
        "width": 6,
        "color": standing.contender.color,
    }
