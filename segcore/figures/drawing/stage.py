"""A stage opened: its blocks with their steps and shortcuts, in the manner of the papers' figures."""

from __future__ import annotations

from segcore.figures.drawing import labels
from segcore.figures.drawing.frames import KINDS, Frame, frame
from segcore.figures.drawing.layout import MARGIN
from segcore.figures.drawing.scales import amount
from segcore.figures.drawing.steps import chains
from segcore.figures.drawing.svg import arrow_head, document, path, rect, shortened, tag, text, text_width, wrapped
from segcore.models.description import IMAGE, NetworkDescription, Stage

WIDEST = 980.0
"""Frames beyond this width begin a new line."""
_BETWEEN, _LINE_GAP = 34.0, 40.0
_DOTTED = (
    "Dotted: takes other features than the step before it hands on, or more than these: "
    "a parallel path, or features that are joined here."
)


def stage_svg(network: NetworkDescription, index: int, *, paper: bool = True) -> str:
    """Draw a stage opened into its blocks; equal blocks in a row are drawn once, with their number.

    Args:
        index: into `network.stages`.
        paper: whether the drawing has a light background of its own, as a file needs.

    Raises:
        IndexError: there is no such stage.
    """
    stage = network.stages[index]
    frames = [frame(chain) for chain in chains(stage.repeats)]
    body, width, height = _arranged(frames)
    width = max(width, 430.0)
    key, deep = _key(stage, frames, width)
    title = f"{network.stage_title(index)} of {network.title}"
    header, top = _header(network, index, title, width)
    return document(
        width,
        top + height + deep,
        *header,
        tag("g", *body, transform=f"translate(0 {top:.0f})"),
        tag("g", *key, transform=f"translate(0 {top + height:.0f})"),
        title=title,
        paper=paper,
    )


def _arranged(frames: list[Frame]) -> tuple[list[str], float, float]:
    """Frames from left to right in lines, with arrows from one to the next; width and height of it all."""
    drawn: list[str] = []
    arrows: list[str] = []
    x, y, deepest, widest = MARGIN, 0.0, 0.0, 0.0
    for place, one in enumerate(frames):
        turned = place > 0 and x + one.width > WIDEST
        if turned:
            begin = (x - _BETWEEN, y + 16)
            x, y, deepest = MARGIN, y + deepest + _LINE_GAP, 0.0
            between = y - _LINE_GAP / 2
            points = [begin, (begin[0] + 12, begin[1]), (begin[0] + 12, between), (x + 20, between), (x + 20, y)]
            widest = max(widest, begin[0] + 14)
        else:
            points = [(x - _BETWEEN, y + 16), (x, y + 16)]
        if place:
            arrows.append(tag("path", look="line", d=path(points), stroke_width=1.6))
            arrows.append(arrow_head(points[-1], points[-2], "line-head"))
        drawn.append(tag("g", one.markup, transform=f"translate({x:.1f} {y:.1f})"))
        x += one.width + _BETWEEN
        deepest = max(deepest, one.height)
        widest = max(widest, x - _BETWEEN)
    return [*drawn, *arrows], widest + MARGIN, y + deepest + 14


def _header(network: NetworkDescription, index: int, title: str, width: float) -> tuple[list[str], float]:
    """Name, what comes in and goes out, and what it costs; and how high all that is."""
    stage, room = network.stages[index], width - 2 * MARGIN
    sources = [edge for edge in network.edges if edge.target == index]
    names = [
        f"{'the image' if edge.source == IMAGE else network.stage_title(edge.source)} "
        f"({edge.channels:,} × {labels.size(edge)})"
        for edge in sources
    ]
    joins = sorted({edge.join for edge in sources if edge.join})
    lines = [
        *wrapped(f"Takes {', '.join(names)}" + (f": {' and '.join(joins)}" if joins else ""), room, 11),
        f"Hands on {stage.channels:,} channels of {stage.height} × {stage.width}",
        f"{amount('parameters', stage.parameters)} parameters · {amount('macs', stage.macs)} multiply-adds · "
        f"{amount('activations', stage.activations)} activations",
    ]
    drawn = [
        text(MARGIN, 25, shortened(title, room, 16, bold=True), size=16, font_weight=700),
        *(text(MARGIN, 45 + 16 * place, line, size=11, look="muted") for place, line in enumerate(lines)),
    ]
    return drawn, 50.0 + 16 * len(lines)


def _key(stage: Stage, frames: list[Frame], width: float) -> tuple[list[str], float]:
    """What the colours of the steps mean, and dotted lines where there are any."""
    kinds = {operation.kind for block in stage.blocks for operation in block.operations}
    drawn, x, y = [], MARGIN, 12.0
    for kind, (color, words) in KINDS.items():
        wide = 22 + text_width(words, labels.SMALL_SIZE) + 14
        if kind not in kinds:
            continue
        if x + wide > width:
            x, y = MARGIN, y + 18
        drawn.append(rect(x, y - 10, 14, 12, rx=2, fill=color, look="edge-of-box", stroke_width=0.8))
        drawn.append(text(x + 20, y, words, size=labels.SMALL_SIZE, look="muted"))
        x += wide
    notes = [note for one in frames for note in one.notes]
    said = [*dict.fromkeys(notes), *([_DOTTED] if any(one.dotted for one in frames) else [])]
    for line in (part for note in said for part in wrapped(note, width - 2 * MARGIN, labels.SMALL_SIZE)):
        y += 16
        drawn.append(text(MARGIN, y, line, size=labels.SMALL_SIZE, look="muted"))
    return drawn, y + 14
