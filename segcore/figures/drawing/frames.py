"""One block, or a row of single steps, as a frame of the drawing of a stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from segcore.figures.drawing.labels import SMALL_SIZE
from segcore.figures.drawing.scales import amount
from segcore.figures.drawing.steps import Span, follows, is_step, main_path, spans
from segcore.figures.drawing.svg import arrow_head, clean, path, rect, shortened, tag, text, text_width, wrapped
from segcore.models.description import Block, Operation, OperationKind
from segcore.text import scaled

KINDS: dict[OperationKind, tuple[str, str]] = {
    "conv": ("#cfe3f5", "convolution"),
    "depthwise": ("#d5efe6", "filter for each channel"),
    "linear": ("#fdf0b8", "linear layer"),
    "attention": ("#f6d5e5", "attention"),
    "gate": ("#fbdcc4", "gate that weighs channels"),
    "pool": ("#e3e6e9", "pooling"),
    "upsample": ("#f1f3f5", "enlarging"),
}
"""Kind of a step -> its tint (told apart by the colour-blind by their lightness and their words) and its name."""
MOST_STEPS = 16
"""Longer blocks are drawn shortened: the steps in the middle are counted."""
_WIDTH, _HEIGHT, _GAP, _PAD = 184.0, 34.0, 20.0, 14.0
_ASIDE = 140.0
"""Width of a step on a shortcut."""


@dataclass(frozen=True)
class Frame:
    """A drawn block."""

    markup: str
    width: float
    height: float
    dotted: bool
    """Whether a dotted line is in it."""
    notes: tuple[str, ...] = ()
    """What the drawing cannot show and the key has to say."""


def frame(chain: Sequence[tuple[Block, int]]) -> Frame:
    """Draw one block, or several single steps below one another."""
    if is_step(chain[0][0]):
        return _steps(chain)
    return _block(*chain[0])


def _steps(chain: Sequence[tuple[Block, int]]) -> Frame:
    """Steps that stand by themselves, each with its number."""
    drawn, dotted = [], False
    operations = [(block.operations[0], block, count) for block, count in chain if block.operations]
    for place, (operation, block, count) in enumerate(operations):
        y = place * (_HEIGHT + _GAP)
        if place:
            sure = follows(operations[place - 1][0], operation)
            dotted |= not sure
            drawn += _arrow(_WIDTH / 2, y - _GAP, y, dotted=not sure)
        drawn.append(_step(operation, 0.0, y, _WIDTH, block.name))
        if count > 1:
            drawn.append(_times(_WIDTH + 5, y + _HEIGHT / 2 + 5, count))
    many = any(count > 1 for _, _, count in operations)
    height = len(operations) * (_HEIGHT + _GAP) - _GAP
    return Frame(tag("g", *drawn), _WIDTH + (34 if many else 0), max(height, _HEIGHT), dotted)


def _block(block: Block, count: int) -> Frame:
    """A block with its main path, its shortcuts beside it and how often it is repeated."""
    found = spans(block)
    steps: list[Operation | int] = list(main_path(block))
    aside = [operation for operation in block.operations if operation.on_shortcut]
    notes = []
    if len(steps) > MOST_STEPS:
        # What a shortcut leads past may lie in the part that is left out.
        found = [] if not found or len(found) > 1 else [Span(found[0].kind, 0, MOST_STEPS - 1)]
        steps = [*steps[: MOST_STEPS - 2], len(steps) - MOST_STEPS + 1, steps[-1]]
    if (found is None or not found) and block.shortcuts:
        notes.append(f"{block.label} has {len(block.shortcuts)} shortcuts inside, which are not drawn.")
    found = found or []
    side = _ASIDE + 32 if aside and found else 34 if found else 0
    width = _PAD * 2 + _WIDTH + side
    names = wrapped(block.label, width - 2 * _PAD, 12.5)
    top = 20.0 + 15 * len(names)
    ys = _places(top + 28, steps, found)
    height = ys[-1] + _HEIGHT + _PAD + (26 if any(span.last == len(steps) - 1 for span in found) else 10)
    drawn, dotted = _main(top + 8, steps, ys, found)
    for span in found:
        drawn += _shortcut(span, ys, aside if span.kind == "projection" else [])
    title = [
        *(text(_PAD, 20 + 15 * k, name, size=12, font_weight=700) for k, name in enumerate(names)),
        text(_PAD, top, shortened(block.name, width - 2 * _PAD - (40 if count > 1 else 0), SMALL_SIZE),
             size=SMALL_SIZE, look="muted"),
        *([_times(width - _PAD, top + 1, count, anchor="end")] if count > 1 else []),
    ]  # fmt: skip
    # A shadow of further sheets says at a glance that there are several.
    sheets = [
        rect(shift, -shift, width, height, rx=6, look="sheet", stroke_width=1)
        for shift in ((6.0, 3.0) if count > 1 else ())
    ]
    outline = rect(0, 0, width, height, rx=6, look="sheet", stroke_width=1.2)
    account = (
        f"{block.label} ({block.name})",
        f"{count} of them in a row" if count > 1 else "once",
        f"hands on {block.channels:,} channels of {block.height} × {block.width}",
        f"{block.parameters:,} parameters, {scaled(block.macs)} multiply-adds each",
        f"shortcuts: {', '.join(block.shortcuts) or 'none'}",
    )
    whole = tag("g", tag("title", clean("\n".join(account))), *sheets, outline, *title, *drawn,
                class_="block", role="img", aria_label=". ".join(account))  # fmt: skip
    return Frame(whole, width + (6 if count > 1 else 0), height, dotted, tuple(notes))


def _places(first: float, steps: Sequence[Operation | int], found: Sequence[Span]) -> list[float]:
    """The upper edge of every step; where a shortcut comes back, there is room for the sum."""
    ys, y = [], first
    for place in range(len(steps)):
        ys.append(y)
        y += _HEIGHT + _GAP + (18 if any(span.last == place for span in found) else 0)
    return ys


def _main(
    top: float, steps: Sequence[Operation | int], ys: Sequence[float], found: Sequence[Span]
) -> tuple[list[str], bool]:
    """The main path from the frame's upper edge to its lower one; whether a line of it is dotted."""
    middle, drawn, dotted = _PAD + _WIDTH / 2, [], False
    drawn += _arrow(middle, top, ys[0], dotted=False)
    for place, step in enumerate(steps):
        if place:
            before = steps[place - 1]
            sure = isinstance(step, int) or isinstance(before, int) or follows(before, step)
            dotted |= not sure
            summed = any(span.last == place - 1 for span in found)
            drawn += _arrow(middle, ys[place - 1] + _HEIGHT + (23 if summed else 0), ys[place], dotted=not sure)
        if isinstance(step, int):
            words = f"… {step} more steps …"
            drawn.append(text(middle, ys[place] + _HEIGHT / 2 + 4, words, size=11, look="muted", text_anchor="middle"))
        else:
            drawn.append(_step(step, _PAD, ys[place], _WIDTH, step.name))
    return drawn, dotted


def _shortcut(span: Span, ys: Sequence[float], aside: Sequence[Operation]) -> list[str]:
    """The way past some steps to the sum behind them."""
    middle = _PAD + _WIDTH / 2
    begin, y = ys[span.first] - (12 if span.first == 0 else 9), ys[span.last] + _HEIGHT + 15
    side = _PAD + _WIDTH + (16 + _ASIDE / 2 if aside else 18)
    points = [(middle, begin), (side, begin), (side, y), (middle + 8, y)]
    drawn = [
        tag("circle", look="line-head", cx=middle, cy=begin, r=2.2),
        tag("path", look="skip", d=path(points), stroke_width=1.8),
        arrow_head(points[-1], points[-2], "skip-head"),
        tag("path", look="line", d=path([(middle, ys[span.last] + _HEIGHT), (middle, y - 7)]), stroke_width=1.6),
        tag("circle", look="badge", cx=middle, cy=y, r=7.5, stroke_width=1.2),
        text(middle, y + 4.2, "+", size=13, font_weight=700, text_anchor="middle"),
    ]
    if aside:
        room = y - begin
        step = min(_HEIGHT + 8, room / (len(aside) + 0.5))
        first = begin + (room - step * len(aside)) / 2 + (step - _HEIGHT) / 2
        drawn += [_step(one, side - _ASIDE / 2, first + k * step, _ASIDE, one.name) for k, one in enumerate(aside)]
    else:
        at = (begin + y) / 2
        turned = f"rotate(-90 {side + 10:.1f} {at:.1f})"
        drawn.append(text(side + 10, at, span.kind, size=9, look="skip-head", text_anchor="middle", transform=turned))
    return drawn


def _step(operation: Operation, x: float, y: float, width: float, name: str) -> str:
    """One operation as a box: what it is, and below what it costs."""
    color, kind = KINDS[operation.kind]
    size = f"{operation.height}²" if operation.height == operation.width else f"{operation.height}×{operation.width}"
    # The products of attention have no place in the picture: rows of queries and keys.
    parts = ([] if operation.kind == "attention" else [size]) + (
        [f"{amount('macs', operation.macs)} MACs"] if operation.macs else []
    )
    account = (
        f"{operation.label}: {kind}" + (f" ({name})" if name else ""),
        f"hands on {operation.channels:,} channels of {operation.height} × {operation.width}",
        f"{operation.parameters:,} parameters, {scaled(operation.macs)} multiply-adds",
    )
    middle, ink = x + width / 2, "#0c161c"
    large = next((size for size in (11.0, 10.0, 9.0) if text_width(operation.label, size, bold=True) <= width - 8), 8.5)
    return tag(
        "g",
        tag("title", clean("\n".join(account))),
        rect(x, y, width, _HEIGHT, rx=4, fill=color, look="edge-of-box", stroke_width=1.1),
        text(middle, y + 15, shortened(operation.label, width - 8, large, bold=True), size=large, font_weight=700,
             look="", fill=ink, text_anchor="middle"),
        text(middle, y + 27, shortened(" · ".join(parts), width - 8, 9.5), size=9.5, look="", fill="#36444e",
             text_anchor="middle"),
        class_=f"step {operation.kind}",
        role="img",
        aria_label=". ".join(account),
    )  # fmt: skip


def _arrow(x: float, start: float, end: float, *, dotted: bool) -> list[str]:
    line = tag("path", look="line", d=path([(x, start), (x, end)]), stroke_width=1.6,
               stroke_dasharray="2 3" if dotted else None)  # fmt: skip
    return [line, arrow_head((x, end), (x, start), "line-head")]


def _times(x: float, y: float, count: int, anchor: str = "start") -> str:
    return text(x, y, f"× {count}", size=14, look="skip-head", font_weight=700, text_anchor=anchor)
