"""The legend of a drawing: what colour, size, shape and signs mean, with real numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from segcore.figures.drawing.labels import JOINS, SMALL_SIZE, TITLE_SIZE
from segcore.figures.drawing.layout import MARGIN
from segcore.figures.drawing.panel import CORNERS
from segcore.figures.drawing.scales import SHADES, SIDES, Shading, box_height, box_width, ramp
from segcore.figures.drawing.svg import arrow_head, rect, tag, text, text_width, wrapped
from segcore.models.description import NetworkDescription, PartName

_STEPS = 28
_RAMP_WIDTH, _BLOCK_HEIGHT, _BLOCK_GAP = 250.0, 62.0, 26.0
_UNITS = {"macs": "of a stage, for one image", "parameters": "of a stage",
          "activations": "kept by a stage for the backward pass, for one image"}  # fmt: skip
Block = tuple[float, Callable[[float, float], list[str]]]
"""Width of a piece of the legend, and what draws it from its upper left corner."""


def legend(networks: Sequence[NetworkDescription], shading: Shading, width: float) -> tuple[str, float]:
    """Return the legend of one or several drawings, and its height; its pieces flow into lines of `width`."""
    drawn: list[str] = []
    x, y = MARGIN, 10.0
    for wide, draw in (_ramp(shading), _sizes(networks), _shapes(), _signs(networks)):
        if x > MARGIN and x + wide > width - MARGIN:
            x, y = MARGIN, y + _BLOCK_HEIGHT
        drawn += draw(x, y)
        x += wide + _BLOCK_GAP
    return tag("g", *drawn, class_="legend"), y + _BLOCK_HEIGHT


def _heading(x: float, y: float, words: str, rest: str = "") -> list[str]:
    after = x + text_width(f"{words}  ", TITLE_SIZE, bold=True)
    return [
        text(x, y + 10, words, size=TITLE_SIZE, font_weight=700),
        *([text(after, y + 10, rest, size=SMALL_SIZE, look="muted")] if rest else []),
    ]


def _ramp(shading: Shading) -> Block:
    """The colours with real numbers."""
    words, rest = SHADES[shading.shade], _UNITS[shading.shade]
    wide = max(_RAMP_WIDTH + 30, text_width(f"{words}  ", TITLE_SIZE, bold=True) + text_width(rest, SMALL_SIZE))

    def draw(x: float, y: float) -> list[str]:
        step = _RAMP_WIDTH / _STEPS
        # A little wider than a step, so that no seam shows between two.
        colors = [rect(x + k * step, y + 17, step + 0.4, 11, fill=ramp((k + 0.5) / _STEPS)) for k in range(_STEPS)]
        ticks = []
        for share, words_here in shading.ticks:
            place = x + _RAMP_WIDTH * share
            anchor = {0.0: "start", 1.0: "end"}.get(share, "middle")
            ticks += [
                tag("path", look="line", d=f"M{place:.1f} {y + 28:.1f}v4", stroke_width=1),
                text(place, y + 42, words_here, size=SMALL_SIZE, look="muted", text_anchor=anchor),
            ]
        frame = rect(x, y + 17, _RAMP_WIDTH + 0.4, 11, look="edge-of-box", fill="none", stroke_width=0.8)
        return [*_heading(x, y, words, rest), *colors, frame, *ticks]

    return wide, draw


def _sizes(networks: Sequence[NetworkDescription]) -> Block:
    """Boxes of some sizes, and by what law they grow."""
    size = networks[0].image_size
    samples = [(64, size), (256, size // 4), (1024, size // 16)]
    law = wrapped(SIDES, 190, SMALL_SIZE)

    def draw(x: float, y: float) -> list[str]:
        drawn = _heading(x, y, "Width: channels, height: resolution")
        place = x
        for channels, height in samples:
            # At a quarter of their size, as rulers beside one another.
            wide, high = box_width(channels) / 3, box_height(height, size) / 3
            drawn.append(rect(place, y + 44 - high, wide, high, look="edge-of-box", fill="none", stroke_width=1))
            drawn.append(text(place, y + 55, f"{channels:,} · {height}²", size=8.5, look="muted"))
            place += max(wide, 54) + 8
        return [
            *drawn,
            *(text(place + 4, y + 26 + 12 * k, line, size=SMALL_SIZE, look="muted") for k, line in enumerate(law)),
        ]

    return 3 * 62 + 4 + max(text_width(line, SMALL_SIZE) for line in law), draw


def _shapes() -> Block:
    """How the parts are told apart."""
    names: dict[PartName, str] = {"encoder": "encoder", "decoder": "decoder", "head": "head"}

    def draw(x: float, y: float) -> list[str]:
        drawn = _heading(x, y, "Parts")
        for place, (part, name) in enumerate(names.items()):
            left = x + 62 * place
            drawn.append(
                rect(left + 3, y + 19, 40, 20, rx=CORNERS[part], look="edge-of-box", fill="none", stroke_width=1.3)
            )
            if part == "head":
                drawn.append(rect(left, y + 16, 46, 26, rx=3.5, look="edge-of-box", fill="none", stroke_width=1))
            drawn.append(text(left + 23, y + 55, name, size=SMALL_SIZE, look="muted", text_anchor="middle"))
        return drawn

    return 2 * 62 + 50, draw


def _signs(networks: Sequence[NetworkDescription]) -> Block:
    """Arrows, joins and, beside another network, what differs."""
    edges = [edge for network in networks for edge in network.edges]
    entries: list[tuple[str, str]] = [("line", "features")]
    if any(edge.skip for edge in edges):
        entries.append(("skip", "skip connection"))
    entries += [(sign, join) for join, sign in JOINS.items() if any(edge.join == join for edge in edges)]
    if len(networks) > 1:
        entries.append(("differs", "differs"))
    columns = [entries[k : k + 2] for k in range(0, len(entries), 2)]
    wides = [32 + max(text_width(words, SMALL_SIZE) for _, words in column) for column in columns]

    def draw(x: float, y: float) -> list[str]:
        drawn = _heading(x, y, "Signs")
        for column, wide in zip(columns, wides, strict=True):
            for row, (sign, words) in enumerate(column):
                middle = y + 25 + 18 * row
                drawn += [*_sign(sign, x, middle), text(x + 27, middle + 3.5, words, size=SMALL_SIZE, look="muted")]
            x += wide
        return drawn

    return sum(wides), draw


def _sign(sign: str, x: float, y: float) -> list[str]:
    if sign in ("line", "skip"):
        line = tag("path", look=sign, d=f"M{x:.1f} {y:.1f}h20", stroke_width=1.8)
        return [line, arrow_head((x + 22, y), (x, y), f"{sign}-head")]
    if sign == "differs":
        return [
            tag(
                "polygon",
                look="differs",
                points=f"{x + 6:.1f},{y - 5:.1f} {x + 17:.1f},{y - 5:.1f} {x + 17:.1f},{y + 6:.1f}",
            )
        ]
    disc = tag("circle", look="badge", cx=x + 12, cy=y, r=5.4, stroke_width=1)
    return [disc, text(x + 12, y + 3.4, sign, size=10, font_weight=700, text_anchor="middle")]
