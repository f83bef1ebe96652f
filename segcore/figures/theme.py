"""What all figures share: greys that read on white and on near-black, margins, hover labels, marks of contenders."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from textwrap import wrap
from typing import Any, Literal

import plotly.graph_objects as go

from segcore.evaluation.comparison import Contender
from segcore.models import catalog

INK = "#747c87"
"""Texts and reference lines: contrast of 4.2 : 1 on white and 4.4 : 1 on #0e1117."""
GRID = "rgba(128, 136, 148, 0.22)"
OUTLINE = "rgba(128, 136, 148, 0.75)"
"""Around what has a class's own colour, which may be black or white."""
ACCENT = "#3b82c4"
"""Of what belongs to no backbone and no class."""
CONTRAST = "#d9822b"
"""Stands beside ACCENT: validation beside training; told apart by the colour-blind."""
TRANSPARENT = "rgba(0, 0, 0, 0)"

# Backbones of one family differ in shade alone: the mark tells them apart where shades are close.
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "star", "triangle-down", "pentagon")
Dash = Literal["solid", "dot"]

_TEMPLATE = go.layout.Template(
    layout={
        "font": {"color": INK, "size": 13, "family": "Source Sans Pro, Source Sans, Segoe UI, Arial, sans-serif"},
        "paper_bgcolor": TRANSPARENT,
        "plot_bgcolor": TRANSPARENT,
        "hoverlabel": {"namelength": -1},
    }
)


def figure(
    kind: str, *, title: str | None = None, height: int = 380, x_title: str | None = None, y_title: str | None = None
) -> go.Figure:
    """Return an empty figure in the style of all; `kind` says which chart it is, for ever: zoom is kept under it."""
    axis: dict[str, Any] = {
        "gridcolor": GRID,
        "zeroline": False,
        "linecolor": GRID,
        "ticks": "",
        "automargin": True,
    }
    return go.Figure(
        layout={
            "template": _TEMPLATE,
            "uirevision": kind,
            "height": height,
            "autosize": True,
            "paper_bgcolor": TRANSPARENT,
            "plot_bgcolor": TRANSPARENT,
            "margin": {"l": 8, "r": 16, "t": 44 if title else 16, "b": 8},
            "title": {"text": title or "", "x": 0, "xref": "paper", "font": {"size": 15}, "y": 0.98, "yanchor": "top"},
            # Plotly takes the hover label's background from the transparent paper, unless told.
            "hoverlabel": {
                "bgcolor": "rgba(28, 33, 41, 0.96)",
                "bordercolor": OUTLINE,
                "font": {"color": "#f2f4f7", "size": 12},
                "align": "left",
                "namelength": -1,
            },
            "xaxis": {**axis, "title": {"text": x_title or "", "standoff": 8, "font": {"size": 13}}},
            "yaxis": {**axis, "title": {"text": y_title or "", "standoff": 8, "font": {"size": 13}}},
            "showlegend": False,
            "modebar": {"bgcolor": TRANSPARENT},  # on touch screens it is always in sight
        }
    )


def show_legend(chart: go.Figure, entries: int) -> None:
    """Put the legend under the plot, in rows, and make the figure higher by what they need at 800 px."""
    chart.update_layout(
        showlegend=True,
        legend={
            "orientation": "h",
            "yref": "container",
            "y": 0,
            "yanchor": "bottom",
            "x": 0,
            "xanchor": "left",
            "bgcolor": TRANSPARENT,
            "itemsizing": "constant",
        },
        height=chart.layout.height + 22 * -(-entries // 4),
    )


def empty_figure(message: str, *, kind: str = "empty", title: str | None = None, height: int = 380) -> go.Figure:
    """Return a figure that says in one sentence why it shows nothing."""
    chart = figure(kind, title=title, height=height)
    chart.update_xaxes(visible=False)
    chart.update_yaxes(visible=False)
    chart.add_annotation(
        text=message, xref="paper", yref="paper", x=0.5, y=0.5, showarrow=False, font={"size": 14}, name="empty"
    )
    return chart


def mark(contender: Contender) -> tuple[str, Dash]:
    """Return marker symbol and line dash of a contender: the symbol by its place in its family, dots from scratch."""
    backbone = catalog.find(contender.encoder)
    if backbone is None:
        place = zlib.crc32(contender.encoder.encode())
    else:
        family = [other.name for other in catalog.BACKBONES.values() if other.family == backbone.family]
        place = family.index(backbone.name)
    return SYMBOLS[place % len(SYMBOLS)], "dot" if contender.weights == "none" else "solid"


def add_cell_texts(chart: go.Figure, cells: Sequence[tuple[str, str, str, bool]], *, size: int = 11) -> None:
    """Write texts into the cells of a heat map: white on full cells, in the page's text colour on faint ones.

    Plotly's own cell texts choose their colour as if a transparent cell were white, which fails on dark.

    Args:
        cells: column, row, text and whether the cell is full.
    """
    for full, color in ((True, "#ffffff"), (False, None)):
        chosen = [cell for cell in cells if cell[3] is full]
        chart.add_scatter(
            x=[column for column, _, _, _ in chosen],
            y=[row for _, row, _, _ in chosen],
            text=[text for _, _, text, _ in chosen],
            mode="text",
            textfont={"size": size, "color": color},
            # Where cells can be clicked, the others are not to fade.
            unselected={"textfont": {"color": color or INK}},
            hoverinfo="skip",
            name="texts",
            uid=f"texts:{full}",
        )


def tick_angle(names: Sequence[str]) -> int:
    """Return how column names are turned: not at all where they fit side by side at 800 px, else aslant."""
    return 0 if 7 * max(map(len, names), default=0) * len(names) < 400 else -35


def plain(text: str) -> str:
    """Return a name so that plotly draws it letter by letter: a class may be called "<b>" or "%{x}"."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("%{", "%&#123;")


def wrapped(text: str) -> str:
    """Break a sentence into lines of a hover label."""
    return "<br>".join(plain(line) for line in wrap(text, 64))


def css(color: Iterable[int]) -> str:
    """Write an RGB triple, 0-255, as "#rrggbb"."""
    red, green, blue = color
    return f"#{red:02x}{green:02x}{blue:02x}"


def faded(color: str, opacity: float) -> str:
    """Return "#rrggbb" as rgba with that opacity."""
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {opacity})"


def percents(values: Iterable[float | None]) -> list[float | None]:
    """Shares 0-1 as percent in plain floats; None for None and NaN (a gap in a line, null in JSON)."""
    return [None if value is None or value != value else 100 * float(value) for value in values]
