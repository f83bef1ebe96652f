"""Contenders by classes: the IoU of each with its interval, and the difference from one of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from segcore.config import ClassInfo
from segcore.evaluation.statistics import Estimate
from segcore.evaluation.verdicts import points_text
from segcore.figures.theme import add_cell_texts, empty_figure, faded, figure, plain, tick_angle
from segcore.figures.verdicts import BETTER, WORSE

Columns = Mapping[str, Sequence[Estimate | None]]
"""Title of a contender -> one estimate a class, None where the class is in none of the images."""

_CELL_OPACITY = ((0, 0.05), (0.4999, 0.3), (0.5, 0.78), (1, 1.0))
"""Share -> opacity of the cell: full enough for white texts from half on."""
_ABSENT = "not in these images"


def class_map(classes: Sequence[ClassInfo], columns: Columns, *, title: str | None = None) -> go.Figure:
    """Draw the IoU of every class, a column a contender, the class with the highest mean on top.

    Args:
        classes: the trained classes.
        columns: estimates of the IoU, a share 0-1.
    """
    order = _order(classes, columns)
    if not order:
        return empty_figure("No class is labelled or predicted here.", kind="class-map", title=title)
    found = {i: [of_one[i] for of_one in columns.values()] for i in order}
    chart = _chart("class-map", classes, columns, order, title)
    _add_heatmap(
        chart,
        classes,
        columns,
        order,
        z=[[None if cell is None else 100 * cell.mean for cell in found[i]] for i in order],
        colors=[(share, faded(BETTER, opacity)) for share, opacity in _CELL_OPACITY],
        ends=(0.0, 100.0),
        hovers=[[_iou_hover(cell) for cell in found[i]] for i in order],
    )
    names, titles = _names(classes, order), [plain(name) for name in columns]
    texts = [
        (column, name, _iou_text(cell, wide=len(titles) < 7), cell is not None and cell.mean >= 0.5)
        for name, i in zip(names, order, strict=True)
        for column, cell in zip(titles, found[i], strict=True)
    ]
    add_cell_texts(chart, texts, size=12)
    return chart


def class_difference_map(
    classes: Sequence[ClassInfo], columns: Columns, reference: str, *, title: str | None = None
) -> go.Figure:
    """Draw by how much the IoU of every class lies above (blue) or below (orange) that of a reference, in points.

    A cell is pale where its own 95 % interval contains 0. These intervals are of each cell alone: among many cells
    some leave 0 out by chance.

    Args:
        classes: the trained classes.
        columns: estimates of contender - reference.
        reference: its title.
    """
    order = _order(classes, columns)
    if not order:
        message = "Nothing to compare: there are no common seeds with a score of any class."
        return empty_figure(message, kind="class-difference", title=title, height=200)
    found = {i: [of_one[i] for of_one in columns.values()] for i in order}
    most = max((abs(cell.mean) for cells in found.values() for cell in cells if cell is not None), default=0.0) or 1.0
    chart = _chart("class-difference", classes, columns, order, title)
    _add_heatmap(
        chart,
        classes,
        columns,
        order,
        z=[[None if cell is None else _strength(cell, most) for cell in found[i]] for i in order],
        colors=[(0.0, faded(WORSE, 1)), (0.25, faded(WORSE, 0.75)), (0.4, faded(WORSE, 0.2)), (0.5, faded(BETTER, 0)),
                (0.6, faded(BETTER, 0.2)), (0.75, faded(BETTER, 0.75)), (1.0, faded(BETTER, 1))],
        ends=(-1.0, 1.0),
        hovers=[[_difference_hover(cell, reference) for cell in found[i]] for i in order],
    )  # fmt: skip
    names, titles = _names(classes, order), [plain(name) for name in columns]
    texts = [
        (column, name, "–" if cell is None else f"{100 * cell.mean:+.1f}", cell is not None and clear(cell))
        for name, i in zip(names, order, strict=True)
        for column, cell in zip(titles, found[i], strict=True)
    ]
    add_cell_texts(chart, texts, size=12)
    return chart


def clear(estimate: Estimate) -> bool:
    """Whether the 95 % interval of a difference leaves 0 out; an estimate without an interval does not."""
    low, high = estimate.interval()
    return low > 0 or high < 0  # of NaN neither


def _strength(cell: Estimate, most: float) -> float:
    """Colour of a difference, -1 to 1: clear ones from half on by their size, others pale."""
    if not clear(cell):
        return math.copysign(0.1, cell.mean) if cell.mean else 0.0
    return math.copysign(0.5 + 0.5 * abs(cell.mean) / most, cell.mean)


def _order(classes: Sequence[ClassInfo], columns: Columns) -> list[int]:
    """Classes from the highest mean to the lowest, those in none of the images last; none where nothing is known."""

    def mean(i: int) -> float:
        known = [cell.mean for of_one in columns.values() if (cell := of_one[i]) is not None]
        return sum(known) / len(known) if known else -math.inf

    order = sorted(range(len(classes)), key=mean, reverse=True)
    return order if order and mean(order[0]) > -math.inf else []


def _names(classes: Sequence[ClassInfo], order: Sequence[int]) -> list[str]:
    return [plain(classes[i].name) for i in order]


def _chart(
    kind: str, classes: Sequence[ClassInfo], columns: Columns, order: Sequence[int], title: str | None
) -> go.Figure:
    chart = figure(kind, title=title, height=90 + 28 * len(order))
    names = _names(classes, order)
    # Said, as plotly takes classes that are called "1" and "200" for numbers.
    chart.update_xaxes(type="category", side="top", showgrid=False, tickangle=tick_angle(list(columns)))
    chart.update_yaxes(
        type="category", showgrid=False, autorange="reversed", categoryorder="array", categoryarray=names
    )
    return chart


def _add_heatmap(
    chart: go.Figure,
    classes: Sequence[ClassInfo],
    columns: Columns,
    order: Sequence[int],
    *,
    z: list[list[float | None]],
    colors: Sequence[tuple[float, str]],
    ends: tuple[float, float],
    hovers: list[list[str]],
) -> None:
    chart.add_heatmap(
        z=z,
        x=[plain(name) for name in columns],
        y=_names(classes, order),
        text=hovers,
        zmin=ends[0],
        zmax=ends[1],
        xgap=2,
        ygap=2,
        colorscale=[[at, color] for at, color in colors],
        showscale=False,
        hovertemplate="<b>%{y}</b> · %{x}<br>%{text}<extra></extra>",
        hoverongaps=True,
        name="classes",
        uid="classes",
    )


def _iou_text(cell: Estimate | None, *, wide: bool) -> str:
    if cell is None:
        return "–"
    return points_text(cell).removesuffix(" points") if wide else f"{100 * cell.mean:.0f}"


def _iou_hover(cell: Estimate | None) -> str:
    if cell is None:
        return _ABSENT
    return f"IoU {points_text(cell).removesuffix(' points')} % (n = {cell.seeds})"


def _difference_hover(cell: Estimate | None, reference: str) -> str:
    if cell is None:
        return _ABSENT
    low, high = cell.interval()
    ends = "" if math.isnan(low) else f"<br>95 % interval {100 * low:+.1f} to {100 * high:+.1f}"
    return f"{100 * cell.mean:+.1f} points from {plain(reference)}{ends}"
