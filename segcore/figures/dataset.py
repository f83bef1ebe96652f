"""What a dataset holds: the share of each class, in all images or in each part of the split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from segcore.config import ClassInfo
from segcore.figures.theme import (
    INK,
    OUTLINE,
    add_cell_texts,
    css,
    empty_figure,
    faded,
    figure,
    plain,
    show_legend,
    tick_angle,
)

_OPACITY = {"val": 0.6, "test": 0.3}
"""Parts of the split differ in strength, as colour says which class it is; training, or all images, is full."""

_PARTS = {"train": "Training", "val": "Validation", "test": "Test"}
"""Parts of the split as the screens name them."""

TOGETHER = "#1f7f93"
"""Colour of classes that stand together in every image."""


def class_share_bars(
    classes: Sequence[ClassInfo],
    pixels: Sequence[int] | Mapping[str, Sequence[int]],
    *,
    images: Sequence[int] | None = None,
    title: str | None = None,
) -> go.Figure:
    """Draw how many of the labelled pixels each class has, in the class's own colour, the largest on top.

    Args:
        classes: the trained classes.
        pixels: pixels a class; or such a list for each part of the split ("train", "val", "test"), drawn side by
            side, each as a share of its own part.
        images: in how many images each class occurs, for the hover text.
    """
    parts = dict(pixels) if isinstance(pixels, Mapping) else {"": pixels}
    parts = {part: [int(count) for count in counts] for part, counts in parts.items() if sum(counts)}
    if not classes or not parts:
        return empty_figure("No labelled pixels.", kind="class-shares", title=title)
    totals = [sum(counts[i] for counts in parts.values()) for i in range(len(classes))]
    order = sorted(range(len(classes)), key=lambda i: totals[i])  # plotly draws the first at the bottom
    row = 22 if len(parts) == 1 else 14 * len(parts) + 8
    chart = figure("class-shares", title=title, height=90 + row * len(classes), x_title="Share of labelled pixels")
    # Reversed, as plotly stacks the bars of a group upwards.
    for part, counts in reversed(parts.items()):
        shares = [100 * counts[i] / sum(counts) for i in order]
        hovers = [_hover(classes[i].name, counts[i], images[i] if images is not None else None) for i in order]
        chart.add_bar(
            x=shares,
            y=[plain(classes[i].name) for i in order],
            orientation="h",
            marker={
                "color": [css(classes[i].color) for i in order],
                "line": {"color": OUTLINE, "width": 1},
                "opacity": _OPACITY.get(part, 1.0),
            },
            text=[_share_text(share) for share in shares],
            textposition="outside",
            textangle=0,
            cliponaxis=False,
            customdata=hovers,
            hovertemplate=f"%{{customdata}}<extra>{_PARTS.get(part, part)}</extra>",
            name=_PARTS.get(part, part) or "all images",
            legendgroup=part,
            showlegend=False,
            uid=f"part:{part}",
        )
    # Room for the number behind the longest bar.
    longest = max(max(trace.x) for trace in chart.data if trace.type == "bar")
    chart.update_xaxes(ticksuffix=" %", range=[0, min(1.15 * longest, 112)])
    # Said, as plotly takes classes that are called "1" and "200" for numbers; names as long as a sentence are cut.
    names = [classes[i].name for i in order]
    ticks = {"tickvals": list(map(plain, names)), "ticktext": [plain(_short(name)) for name in names]}
    chart.update_yaxes(type="category", **ticks)
    chart.update_layout(barmode="group", bargap=0.25, bargroupgap=0.05)
    if len(parts) > 1:
        _add_part_legend(chart, list(parts))
    return chart


def _add_part_legend(chart: go.Figure, parts: Sequence[str]) -> None:
    """Grey entries: those of the bars themselves would have the colour of one class."""
    for part in parts:
        chart.add_scatter(
            x=[None],
            y=[None],
            mode="markers",
            marker={"color": INK, "opacity": _OPACITY.get(part, 1.0), "symbol": "square", "size": 12},
            legendgroup=part,
            hoverinfo="skip",
            name=_PARTS.get(part, part),
            uid=f"legend:{part}",
        )
    show_legend(chart, len(parts))


def _hover(name: str, pixels: int, images: int | None) -> str:
    where = "" if images is None else f"<br>in {images:,} images"
    return f"<b>{plain(name)}</b><br>{pixels:,} pixels{where}"


def _share_text(share: float) -> str:
    """Percent with two digits that say something, so that rare classes do not read 0.0 %."""
    if share == 0:
        return "none"
    return f"{share:.1f} %" if share >= 1 else f"{share:.2g} %" if share >= 0.01 else "< 0.01 %"


def _short(name: str) -> str:
    """Return a name of at most 24 letters: the beginning and the end of a longer one, where names differ."""
    return name if len(name) <= 24 else f"{name[:14].rstrip()}…{name[-8:].lstrip()}"


def co_occurrence_map(classes: Sequence[ClassInfo], images: np.ndarray, *, title: str | None = None) -> go.Figure:
    """Draw how often classes stand together: of the images that show the row's class, the share that show the column's.

    Args:
        classes: the trained classes.
        images: (C, C), in how many images each two are together; on the diagonal each one.
    """
    shown = [i for i in range(len(classes)) if images[i, i]]
    if len(shown) < 2:
        return empty_figure("Fewer than two classes occur.", kind="co-occurrence", title=title)
    names = [plain(classes[i].name) for i in shown]
    shares = [[float(images[row, column] / images[row, row]) for column in shown] for row in shown]
    hovers = [
        [
            f"Of {images[row, row]:,} images with <b>{plain(classes[row].name)}</b><br>"
            f"{images[row, column]:,} also show <b>{plain(classes[column].name)}</b>"
            for column in shown
        ]
        for row in shown
    ]
    chart = figure("co-occurrence", title=title, height=140 + 26 * len(shown))
    chart.add_heatmap(
        x=names,
        y=names,
        z=[[100 * share for share in row] for row in shares],
        colorscale=[(0, faded(TOGETHER, 0.04)), (1, TOGETHER)],
        zmin=0,
        zmax=100,
        showscale=False,
        xgap=1,
        ygap=1,
        customdata=hovers,
        hovertemplate="%{customdata}<extra></extra>",
        uid="together",
    )
    if len(shown) <= 12:
        texts = [
            (column, row, f"{100 * shares[i][j]:.0f}", shares[i][j] >= 0.5)
            for i, row in enumerate(names)
            for j, column in enumerate(names)
        ]
        add_cell_texts(chart, texts, size=12)
    # A name as long as a sentence would leave no room for the cells; whole it stands in the hover label.
    short = [plain(_short(classes[i].name)) for i in shown]
    ticks = {"type": "category", "tickvals": names, "ticktext": short}
    # More than 15 columns are too narrow at 800 px for names aslant.
    angle = -90 if len(short) > 15 else tick_angle(short)
    chart.update_xaxes(**ticks, side="top", tickangle=angle, title_text="also show (%)")
    chart.update_yaxes(**ticks, autorange="reversed", title={"text": "Images with", "standoff": 12})
    return chart
