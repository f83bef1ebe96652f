"""What each class was taken for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from segcore.evaluation.metrics import pooled
from segcore.figures.theme import (
    ACCENT,
    add_cell_texts,
    empty_figure,
    faded,
    figure,
    plain,
)

_CELL_OPACITY = ((0, 0.05), (0.02, 0.12), (0.4999, 0.3), (0.5, 0.78), (1, 1.0))
"""Share of the row -> opacity of the cell: full enough for white texts from half on."""


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
    names = [plain(name) for name in names]
    totals = matrix.sum(axis=1)
    shares: list[list[float | None]] = [
        [100 * int(cell) / int(total) if total else None for cell in row]
        for row, total in zip(matrix, totals, strict=True)
    ]
    chart = figure("confusion", title=title, height=150 + 30 * len(names), x_title="Predicted", y_title="True")
    chart.add_heatmap(
        z=shares,
        x=names,
        y=names,
        customdata=matrix.tolist(),
        zmin=0,
        zmax=100,
        xgap=1,
        ygap=1,
        # From nothing to blue: an empty cell is the page itself, in light and dark. From half on it is full
        # enough for white texts.
        colorscale=[[share, faded("#2b6cb0", opacity)] for share, opacity in _CELL_OPACITY],
        showscale=False,
        hovertemplate="<b>%{y}</b> taken for <b>%{x}</b><br>%{z:.1f} % of its pixels (%{customdata:,})<extra></extra>",
        hoverongaps=False,
        name="confusion",
        uid="confusion",
    )
    cells = [
        (column, name, f"{share:.0f}", share >= 50)
        for name, row in zip(names, shares, strict=True)
        for column, share in zip(names, row, strict=True)
        if share is not None and share >= 0.5
    ]
    add_cell_texts(chart, cells)
    _add_targets(chart, shares, matrix, names)
    chart.update_xaxes(type="category", showgrid=False, tickangle=-45, constrain="domain")
    chart.update_yaxes(type="category", showgrid=False, autorange="reversed")
    return chart


def _add_targets(
    chart: go.Figure, shares: Sequence[Sequence[float | None]], matrix: np.ndarray, names: Sequence[str]
) -> None:
    """An invisible square over every cell with its classes [true, predicted] behind it: heat maps cannot be clicked."""
    places = [(t, p) for t, row in enumerate(shares) for p, share in enumerate(row) if share is not None]
    chart.add_scatter(
        x=[names[p] for _, p in places],
        y=[names[t] for t, _ in places],
        customdata=[[t, p, int(matrix[t, p]), shares[t][p]] for t, p in places],
        mode="markers",
        marker={"size": 26, "symbol": "square", "color": ACCENT, "opacity": 0},
        # Nothing on screen tells which cell was clicked but what stands below: no fading of the others.
        selected={"marker": {"opacity": 0}},
        unselected={"marker": {"opacity": 0}},
        hovertemplate="<b>%{y}</b> taken for <b>%{x}</b><br>%{customdata[3]:.1f} % of its pixels "
        "(%{customdata[2]:,})<extra></extra>",
        name="cells",
        uid="cells",
    )
