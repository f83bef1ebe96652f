"""Whole drawings: one network or two side by side, with their legend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from segcore.figures.drawing import differences
from segcore.figures.drawing.layout import layouts
from segcore.figures.drawing.legend import legend
from segcore.figures.drawing.panel import HEADER, panel
from segcore.figures.drawing.scales import Shade, Shading
from segcore.figures.drawing.svg import document, tag
from segcore.models.description import NetworkDescription

_LEAST_WIDTH = 430.0
_BETWEEN = 26.0


@dataclass(frozen=True)
class Sheet:
    """A drawing, as SVG text, whole and in pieces that a page can arrange by its width."""

    whole: str
    """Networks side by side, legend below, on a light background of its own: the file to take away."""
    panels: tuple[str, ...]
    """Each network by itself, all of one width and scale, with no background."""
    legends: tuple[str, str]
    """What the panels share, with no background: as wide as all of them, and for a narrow page."""


def draw_networks(networks: Sequence[NetworkDescription], shade: Shade = "macs") -> Sheet:
    """Draw one network, or two side by side at one scale with what differs marked.

    Rows are resolutions: the encoder goes down on the left, the decoder comes up on the right. Boxes are as wide as
    the cube root of their channels, as high as the cube root of their resolution, and coloured by what `shade` names.

    Raises:
        ValueError: no network, or more than two.
    """
    if not 1 <= len(networks) <= 2:
        raise ValueError(f"One network or two can be drawn, not {len(networks)}: choose which.")
    shading = Shading.of(networks, shade)
    drawn = layouts(networks, shade, differences.notes(networks, shade))
    width = max([_LEAST_WIDTH, *(layout.width for layout in drawn)])
    height = HEADER + max(layout.height for layout in drawn)
    panels = [panel(layout, shading, networks, place, width) for place, layout in enumerate(drawn)]
    titles = [network.title for network in networks]
    whole_width = width * len(panels) + _BETWEEN * (len(panels) - 1)
    below, deep = legend(networks, shading, whole_width)
    narrow, deeper = legend(networks, shading, _LEAST_WIDTH)
    side_by_side = [
        tag("g", one, transform=f"translate({place * (width + _BETWEEN):.0f} 0)") for place, one in enumerate(panels)
    ]
    under = tag("g", below, transform=f"translate(0 {height:.0f})")
    return Sheet(
        whole=document(whole_width, height + deep, *side_by_side, under, title=" and ".join(titles)),
        panels=tuple(
            document(width, height, one, title=title, paper=False) for one, title in zip(panels, titles, strict=True)
        ),
        legends=(
            document(whole_width, deep, below, title="Legend", paper=False),
            document(_LEAST_WIDTH, deeper, narrow, title="Legend", paper=False),
        ),
    )
