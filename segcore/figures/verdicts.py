"""What is known of each pair of contenders: the matrix of verdicts."""

from __future__ import annotations

import math

import plotly.graph_objects as go

from segcore.evaluation.verdicts import Answer, Comparison, Verdict, points_text, sentence
from segcore.figures.theme import add_cell_texts, empty_figure, faded, figure, plain, tick_angle, wrapped

BETTER, WORSE, EQUIVALENT = "#2b6cb0", "#b45309", "#667085"
"""Blue against orange, and grey: told apart by the colour-blind; white texts have a contrast of at least 4.5 : 1."""
_MARKS = {Answer.EQUIVALENT: "=", Answer.CANNOT_TELL: "?"}


def verdict_matrix(comparison: Comparison, *, title: str | None = None) -> go.Figure:
    """Draw what is known of each pair: a cell says whether its row is better than its column, by how many points.

    ▲ better, ▼ worse, = equivalent, ? cannot tell; the best contender is the first row and column.
    """
    standings = comparison.standings
    if len(standings) < 2:
        message = "It takes two backbones with a finished run."
        return empty_figure(message, kind="verdicts", title=title, height=200)
    chart = figure("verdicts", title=title, height=110 + 40 * len(standings))
    labels = [standing.label for standing in standings]
    order = [[_cell(comparison, row, column) for column in labels] for row in labels]
    values = {"▼": 0, "?": 1, "=": 2, "▲": 3}
    steps = [faded(WORSE, 0.92), faded(EQUIVALENT, 0.1), faded(EQUIVALENT, 0.95), faded(BETTER, 0.95)]
    chart.add_heatmap(
        z=[[None if cell is None else values[cell[0]] for cell in row] for row in order],
        x=labels,
        y=labels,
        zmin=0,
        zmax=3,
        xgap=2,
        ygap=2,
        colorscale=[[at, color] for place, color in enumerate(steps) for at in (place / 4, (place + 1) / 4)],
        showscale=False,
        text=[["" if cell is None else cell[2] for cell in row] for row in order],
        hovertemplate="%{text}<extra></extra>",
        hoverongaps=False,
        name="verdicts",
        uid="verdicts",
    )
    cells = [
        (column, row, f"{cell[0]} {cell[1]}", cell[0] != "?")
        for row, of_row in zip(labels, order, strict=True)
        for column, cell in zip(labels, of_row, strict=True)
        if cell is not None
    ]
    add_cell_texts(chart, cells, size=13 if len(standings) < 9 else 11)
    names = [plain(standing.title) for standing in standings]
    axis = {
        "type": "category",
        "categoryorder": "array",
        "categoryarray": labels,
        "tickvals": labels,
        "ticktext": names,
        "showgrid": False,
    }
    chart.update_xaxes(**axis, side="top", tickangle=tick_angle(names), title_text="")
    chart.update_yaxes(**axis, autorange="reversed")
    return chart


def _cell(comparison: Comparison, row: str, column: str) -> tuple[str, str, str] | None:
    """Return mark, points and sentence of a cell; None on the diagonal."""
    verdict = comparison.verdict(row, column)
    if verdict is None:
        return None
    return _mark(verdict, row), _points(verdict), wrapped(sentence(verdict, comparison))


def _mark(verdict: Verdict, row: str) -> str:
    if verdict.answer is Answer.BETTER:
        return "▲" if verdict.first == row else "▼"
    return _MARKS[verdict.answer]


def _points(verdict: Verdict) -> str:
    """How far the two are apart, without a sign: the mark says which way."""
    return "–" if math.isnan(verdict.difference) else points_text(verdict.estimate).split(" ")[0]
