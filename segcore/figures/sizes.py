"""Accuracy against the size of objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from segcore.evaluation.comparison import Contender
from segcore.evaluation.sizes import SizeRecall
from segcore.figures.theme import empty_figure, figure, mark, percents, plain, show_legend


def size_curves(
    contenders: Sequence[Contender], recall: Mapping[str, Sequence[SizeRecall]], *, title: str | None = None
) -> go.Figure:
    """Draw the share of the pixels that is found against the size of the object they belong to.

    A line a contender, mean over its seeds, with the 95 % interval over them.

    Args:
        contenders: in the order of the legend.
        recall: from `sizes.recall_by_size`, by label; contenders without are left out.
    """
    known = [contender for contender in contenders if recall.get(contender.label)]
    if not known:
        return empty_figure("No run was counted by the size of objects.", kind="sizes", title=title, height=200)
    chart = figure(
        "sizes",
        title=title,
        x_title="Size of the object: side of the square of its area, in pixels",
        y_title="Pixels found",
    )
    bins = [row.title for row in recall[known[0].label]]
    for place, contender in enumerate(known):
        rows = recall[contender.label]
        symbol, dash = mark(contender)
        means = percents(row.mean for row in rows)
        chart.add_scatter(
            x=[
                at + 0.06 * (place - (len(known) - 1) / 2) for at in range(len(bins))
            ],  # apart, or intervals hide others
            y=means,
            customdata=[[row.title, f"{row.pixels:,}"] for row in rows],
            error_y={
                "type": "data",
                "symmetric": False,
                "array": _arms(means, percents(min(row.high, 1.0) for row in rows)),
                "arrayminus": _arms(percents(max(row.low, 0.0) for row in rows), means),
                "thickness": 1.5,
                "width": 4,
                "color": contender.color,
            },
            mode="lines+markers",
            line={"color": contender.color, "width": 2, "dash": dash},
            marker={"symbol": symbol, "size": 8},
            hovertemplate=f"<b>{plain(contender.title)}</b> (n = {max(row.n for row in rows)})<br>%{{customdata[0]}} "
            "pixels of side: %{y:.1f} % found<br>%{customdata[1]} pixels in all<extra></extra>",
            legendgroup=contender.label,
            name=plain(contender.title),
            uid=f"sizes:{contender.label}",
        )
    chart.update_xaxes(tickvals=list(range(len(bins))), ticktext=[plain(name) for name in bins])
    chart.update_yaxes(ticksuffix=" %", rangemode="tozero")
    show_legend(chart, len(known))
    return chart


def _arms(low: Sequence[float | None], high: Sequence[float | None]) -> list[float]:
    """Lengths of one side's arms; 0 where nothing tells."""
    return [0.0 if a is None or b is None else b - a for a, b in zip(low, high, strict=True)]
