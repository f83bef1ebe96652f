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
    css,
    empty_figure,
    faded,
    figure,
    percents,
    plain,
    show_legend,
)

_CELL_OPACITY = ((0, 0.05), (0.02, 0.17), (0.45, 0.5), (0.5, 0.78), (1, 1.0))
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


def one_class_bars(
    info: ClassInfo, iou: Mapping[str, float], *, colors: Mapping[str, str], metric: str = "IoU"
) -> go.Figure:
    """Draw the score of one class, a bar a contender in its own colour, the highest on top.

    Args:
        info: the class.
        iou: name of the contender -> share 0-1, NaN where the class is absent.
        colors: "#rrggbb" of each contender.
    """
    kind = f"class-{metric}"
    known = {name: float(value) for name, value in iou.items() if value == value}
    if not known:
        return empty_figure(f"{plain(info.name)} is neither labelled nor predicted here.", kind=kind)
    order = sorted(known, key=known.__getitem__)
    names = [plain(name) for name in order]
    chart = figure(kind, height=100 + 30 * len(order), x_title=f"{metric} of {plain(info.name)}")
    chart.add_bar(
        x=percents(known[name] for name in order),
        y=names,
        orientation="h",
        marker={"color": [colors.get(name, ACCENT) for name in order], "line": {"color": OUTLINE, "width": 1}},
        text=[f"{100 * known[name]:.1f} %" for name in order],
        textposition="outside",
        cliponaxis=False,
        hovertemplate=f"<b>%{{y}}</b><br>{metric} %{{text}}<extra></extra>",
        name=metric,
        uid="contenders",
    )
    chart.update_xaxes(ticksuffix=" %", range=[0, 108])
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
        colorbar={"ticksuffix": " %", "thickness": 12, "outlinewidth": 0},
        hovertemplate="<b>%{y}</b> taken for <b>%{x}</b><br>%{z:.1f} % of its pixels (%{customdata:,})<extra></extra>",
        hoverongaps=False,
        name="confusion",
        uid="confusion",
    )
    _add_cell_texts(chart, shares, names)
    chart.update_xaxes(type="category", showgrid=False, tickangle=-45, constrain="domain")
    chart.update_yaxes(type="category", showgrid=False, autorange="reversed")
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
