"""Class by class: scores of each, and what each was taken for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from segcore.config import ClassInfo
from segcore.evaluation.metrics import pooled
from segcore.figures.theme import (
    ACCENT,
    OUTLINE,
    SYMBOLS,
    add_cell_texts,
    css,
    empty_figure,
    faded,
    figure,
    percents,
    plain,
    show_legend,
)

_CELL_OPACITY = ((0, 0.05), (0.02, 0.12), (0.4999, 0.3), (0.5, 0.78), (1, 1.0))
"""Share of the row -> opacity of the cell: full enough for white texts from half on."""


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
    names = [plain(classes[i].name) for i in order]
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
                hovertemplate=f"<b>%{{y}}</b><br>{metric} %{{x:.1f}} %<extra>{plain(name)}</extra>",
                name=plain(name),
                uid=f"series:{plain(name)}",
            )
        show_legend(chart, len(series))
    chart.update_xaxes(ticksuffix=" %", range=[-2 if len(series) > 1 else 0, 108])
    # Said, as plotly takes classes that are called "1" and "200" for numbers.
    chart.update_yaxes(type="category", categoryorder="array", categoryarray=names)
    return chart


def _add_class_bars(
    chart: go.Figure, classes: Sequence[ClassInfo], values: Sequence[float | None], order: Sequence[int], metric: str
) -> None:
    shown = [values[i] for i in order]
    chart.add_bar(
        x=[value or 0.0 for value in shown],
        y=[plain(info.name) for info in classes],
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
