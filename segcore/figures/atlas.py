"""All architectures in one picture: what each has in parameters and costs in multiply-adds."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from segcore.figures.theme import CONTRAST, INK, OUTLINE, empty_figure, faded, figure, plain, show_legend


@dataclass(frozen=True)
class Dot:
    """One architecture."""

    name: str
    title: str
    family: str
    color: str | None
    """"#rrggbb" where it is one of the backbones that have a colour of their own; the others are grey."""
    parameters: int
    macs: int
    details: tuple[str, ...] = ()
    """Further lines for whoever points at it."""


def atlas_scatter(dots: Sequence[Dot], *, chosen: Collection[str] = (), what: str = "") -> go.Figure:
    """Draw multiply-adds against parameters, both logarithmic.

    Args:
        dots: what to draw; those with a colour are in the legend by family, the others are small and grey.
        chosen: names that get a ring around them.
        what: whose parameters and multiply-adds they are: "encoder", "network".
    """
    kind = f"atlas-{what}"
    if not dots:
        return empty_figure("No architecture fits these filters.", kind=kind)
    of = f" of the {what}" if what else ""
    chart = figure(kind, height=440, x_title=f"Parameters{of} (million)", y_title=f"Multiply-adds{of} (billion)")
    _add(chart, [dot for dot in dots if dot.color is None], "all others")
    families: dict[str, list[Dot]] = {}
    for dot in dots:
        if dot.color is not None:
            families.setdefault(dot.family, []).append(dot)
    for family, members in families.items():
        _add(chart, members, family)
    ringed = sorted((dot for dot in dots if dot.name in chosen), key=lambda dot: dot.parameters)
    if ringed:
        chart.add_scatter(
            x=[dot.parameters / 1e6 for dot in ringed],
            y=[dot.macs / 1e9 for dot in ringed],
            mode="markers+text",
            text=[plain(dot.title) for dot in ringed],
            # In turn, as relatives stand close together.
            textposition=[("top center", "bottom center")[place % 2] for place in range(len(ringed))],
            marker={"symbol": "circle-open", "size": 18, "color": CONTRAST, "line": {"width": 3}},
            hoverinfo="skip",
            showlegend=False,
            name="chosen",
            uid="atlas:chosen",
        )
    chart.update_xaxes(type="log", dtick="D2" if _narrow([dot.parameters for dot in dots]) else 1)
    chart.update_yaxes(type="log", dtick="D2" if _narrow([dot.macs for dot in dots]) else 1)
    show_legend(chart, len(families) + 1)
    return chart


def _narrow(values: Sequence[int]) -> bool:
    """Whether a logarithmic axis needs more than its powers of ten to be read."""
    return max(values) < 300 * max(1, min(values))


def _add(chart: go.Figure, dots: Sequence[Dot], name: str) -> None:
    if not dots:
        return
    known = dots[0].color is not None
    chart.add_scatter(
        x=[dot.parameters / 1e6 for dot in dots],
        y=[dot.macs / 1e9 for dot in dots],
        mode="markers",
        marker={
            "color": [dot.color for dot in dots] if known else faded(INK, 0.45),
            "size": 11 if known else 6,
            "line": {"color": OUTLINE, "width": 1 if known else 0},
        },
        text=[_hover(dot) for dot in dots],
        hovertemplate="%{text}<extra></extra>",
        name=plain(name),
        uid=f"atlas:{name}",
    )


def _hover(dot: Dot) -> str:
    lines = [f"<b>{plain(dot.title)}</b>", plain(dot.family)]
    lines.append(f"{dot.parameters / 1e6:,.3g} million parameters, {dot.macs / 1e9:,.3g} billion multiply-adds")
    return "<br>".join([*lines, *map(plain, dot.details)])
