"""The picture of a network: the U, drawn from its real stages.

A box is a stage: as tall as its feature maps are high, as wide as it has many channels. Stages of one resolution
stand on one level, the encoder on the left going down, the decoder on the right coming up, as in the U-Net
paper (https://arxiv.org/abs/1505.04597, figure 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Protocol

import plotly.graph_objects as go

from segcore.figures.theme import ACCENT, CONTRAST, OUTLINE, figure

COLORS = {"encoder": ACCENT, "decoder": CONTRAST, "head": "#8a94a3"}
"""Of the parts of a network, as in `figures.cost_bars`."""
_GAP = 0.5
"""Between two boxes or levels, in the picture's own unit: the tallest box is 4 high."""


class StageLike(Protocol):
    """What the picture needs of a stage of a network."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...  # encoder, decoder or head
    @property
    def channels(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def width(self) -> int: ...


class _Box:
    """One stage with its place: x of its left side, y of its middle."""

    def __init__(self, stage: StageLike, largest: int, most_channels: int) -> None:
        self.stage = stage
        # Square roots: a stage of 7 x 7 beside one of 256 x 256 would else be a dot, 2048 channels a wall.
        self.tall = max(0.35, 4.0 * sqrt(stage.height / largest))
        self.wide = max(0.18, 2.2 * sqrt(stage.channels / most_channels))
        self.x = self.y = 0.0

    @property
    def right(self) -> float:
        return self.x + self.wide


def network_figure(stages: Sequence[StageLike], *, title: str = "") -> go.Figure:
    """Return the picture of a network.

    Args:
        stages: in the order data flows: encoder, decoder, head.
        title: what a screen reader and the exported image call it.
    """
    largest = max(stage.height for stage in stages)
    most = max(stage.channels for stage in stages)
    boxes = [_Box(stage, largest, most) for stage in stages]
    encoder = [box for box in boxes if box.stage.kind == "encoder"]
    others = [box for box in boxes if box.stage.kind != "encoder"]
    levels = sorted({box.stage.height for box in boxes}, reverse=True)
    _place(encoder, others, levels)

    chart = figure("network", title=title or None, height=430)
    for box in boxes:
        chart.add_trace(_trace(box))
        _text(chart, f"{box.stage.channels:,}", x=box.x + box.wide / 2, y=box.y + box.tall / 2, yshift=8)
    _join(chart, encoder, others)
    for height in levels:
        level = next(box for box in boxes if box.stage.height == height)
        _text(chart, f"{level.stage.height} × {level.stage.width}", x=0, xref="paper", y=level.y, xanchor="right")
    right = max(box.right for box in boxes)
    chart.update_xaxes(visible=False, fixedrange=True, range=[-0.2, right + 0.2])
    chart.update_yaxes(visible=False, fixedrange=True)
    # The sizes stand in the margin, which is as wide on a small screen as on a large one.
    chart.update_layout(hovermode="closest", margin_l=76, margin_t=44 if title else 24)
    return chart


def _text(chart: go.Figure, text: str, **place: object) -> None:
    chart.add_annotation(text=text, showarrow=False, font={"size": 11}, **place)


def _place(encoder: list[_Box], others: list[_Box], levels: list[int]) -> None:
    """Give every box its place: one level a resolution, encoder left to right, then the rest."""
    top = 0.0
    for height in levels:
        row = [box for box in encoder + others if box.stage.height == height]
        tallest = max(box.tall for box in row)
        for box in row:
            box.y = top - tallest / 2
        top -= tallest + _GAP + 0.35  # the number of channels stands above a box
    x = 0.0
    for box in encoder + others:
        box.x = x
        x = box.right + _GAP


def _trace(box: _Box) -> go.Scatter:
    stage = box.stage
    low, high = box.y - box.tall / 2, box.y + box.tall / 2
    return go.Scatter(
        x=[box.x, box.right, box.right, box.x, box.x],
        y=[low, low, high, high, low],
        fill="toself",
        fillcolor=COLORS[stage.kind],
        line={"color": OUTLINE, "width": 1},
        mode="lines",
        hoveron="fills",
        hoverinfo="text",
        text=f"{stage.kind}: {stage.name}<br>{stage.channels:,} channels of {stage.height} × {stage.width}",
        name=stage.name,
        meta=stage.kind,
    )


def _join(chart: go.Figure, encoder: list[_Box], others: list[_Box]) -> None:
    """Draw the skip connections, level by level, and the way from the deepest stage into the decoder."""
    if not encoder or not others:
        return
    deepest = encoder[-1]
    for box in encoder[:-1]:
        # What comes in at full size has no features to pass on; its level may yet have a decoder stage.
        target = next(
            (o for o in others if o.stage.kind == "decoder" and o.stage.height == box.stage.height),
            None,
        )
        if target is not None and _is_feature(box):
            _arrow(chart, box.right, box.y, target.x, target.y, dash="dot", name="skip")
    first = others[0]
    _arrow(chart, deepest.right, deepest.y, first.x, first.y - first.tall / 4, dash="solid", name="up")


def _is_feature(box: _Box) -> bool:
    return box.stage.channels > 3


def _arrow(chart: go.Figure, x0: float, y0: float, x1: float, y1: float, *, dash: str, name: str) -> None:
    chart.add_shape(
        type="line",
        x0=x0,
        y0=y0,
        x1=x1,
        y1=y1,
        line={"color": OUTLINE, "width": 1.5, "dash": dash},
        layer="below",
        name=name,
    )
    # A short arrow head at the end of the line, whatever its length.
    chart.add_annotation(
        x=x1, y=y1, ax=-8, ay=0, showarrow=True, arrowhead=2, arrowsize=1.1, arrowwidth=1.2, arrowcolor=OUTLINE, text=""
    )
