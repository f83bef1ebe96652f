"""SVG as text: elements, escaped names, and how wide a text will be.

Drawings carry their light look as attributes, and classes beside them: a page may recolour `ink`, `muted`, `line`,
`skip`, `paper` and the others by its own style sheet, while a file taken away needs none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

FONT = "Source Sans, Source Sans Pro, Source Sans 3, Segoe UI, Helvetica, Arial, sans-serif"
LOOKS: dict[str, dict[str, str]] = {
    "ink": {"fill": "#15212a"},
    "muted": {"fill": "#51606b"},
    "line": {"stroke": "#51606b", "fill": "none"},
    "skip": {"stroke": "#b4540a", "fill": "none"},
    "line-head": {"fill": "#51606b"},
    "skip-head": {"fill": "#b4540a"},
    "differs": {"fill": "#b0186e"},
    "edge-of-box": {"stroke": "#15212a"},
    "paper": {"fill": "#ffffff"},
    "badge": {"fill": "#ffffff", "stroke": "#15212a"},
    "sheet": {"fill": "#ffffff", "stroke": "#9aa7af"},
}
"""Class -> how it looks without a style sheet: on white, with contrasts of 4.5 : 1 and more."""
Point = tuple[float, float]

# What XML 1.0 cannot hold, even escaped.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# Advance widths in parts of the font size, for the widest font that may stand in (DejaVu Sans), by groups of letters.
_WIDTHS = {"ijlI|'.,:;!·": 0.33, "frtJ()[]/- ²": 0.41, "mM%": 0.97, "wW@×≠+": 0.86, "…": 1.0}
_WIDTH_OF = {letter: width for letters, width in _WIDTHS.items() for letter in letters}


def clean(text: object) -> str:
    """Return `text` as it can stand in XML, between tags or in quotes."""
    return escape(_FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", str(text)), quote=True)


def tag(name: str, *children: str, look: str = "", **attributes: object) -> str:
    """Return an element; children are markup already, attributes are escaped here.

    Args:
        look: a key of `LOOKS`, which becomes its class; given attributes win over the look's.
        attributes: `data_stage` is written as data-stage; None leaves an attribute out.
    """
    values: dict[str, object] = {**({"class": look} if look else {}), **LOOKS.get(look, {})}
    values |= {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items()}
    written = "".join(f' {key}="{_value(value)}"' for key, value in values.items() if value is not None)
    return f"<{name}{written}>{''.join(children)}</{name}>" if children else f"<{name}{written}/>"


def _value(value: object) -> str:
    return number(value) if isinstance(value, float) else clean(value)


def number(value: float) -> str:
    """Return a length with no more digits than can be seen."""
    return f"{value:.1f}".removesuffix(".0")


def text(x: float, y: float, words: str, *, size: float, look: str = "ink", **attributes: object) -> str:
    """Return a line of text; (x, y) is where its baseline begins, unless `text_anchor` says otherwise."""
    return tag("text", clean(words), look=look, x=float(x), y=float(y), font_size=size, **attributes)


def rect(x: float, y: float, width: float, height: float, **attributes: object) -> str:
    """Return a rectangle."""
    return tag("rect", x=float(x), y=float(y), width=float(width), height=float(height), **attributes)  # type: ignore[arg-type]


def text_width(words: str, size: float, *, bold: bool = False) -> float:
    """Return about how wide a text is, rather too wide than too narrow."""
    parts = (_WIDTH_OF.get(letter, 0.72 if letter.isupper() else 0.625) for letter in words)
    return size * sum(parts) * (1.12 if bold else 1.0)


def shortened(words: str, width: float, size: float, *, bold: bool = False) -> str:
    """Return as much of a text as fits into `width`, with an ellipsis where it was cut."""
    if text_width(words, size, bold=bold) <= width:
        return words
    while words and text_width(f"{words}…", size, bold=bold) > width:
        words = words[:-1]
    return f"{words.rstrip()}…"


def wrapped(words: str, width: float, size: float) -> list[str]:
    """Break a text between words into lines no wider than `width`; a word that is wider by itself is cut."""
    lines = [""]
    for word in words.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and text_width(longer, size) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return [shortened(line, width, size) for line in lines]


def path(points: Sequence[Point], *, radius: float = 7.0) -> str:
    """Return the path data of a line through `points`, its corners rounded."""
    parts = [f"M{number(points[0][0])} {number(points[0][1])}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        arrive, leave = _towards(corner, before, radius), _towards(corner, after, radius)
        parts.append(f"L{_pair(arrive)}Q{_pair(corner)} {_pair(leave)}")
    parts.append(f"L{_pair(points[-1])}")
    return "".join(parts)


def _pair(point: Point) -> str:
    return f"{number(point[0])} {number(point[1])}"


def _towards(start: Point, end: Point, distance: float) -> Point:
    """The point at `distance` from start on the way to the end, or half-way where the way is short."""
    length = abs(end[0] - start[0]) + abs(end[1] - start[1])
    share = min(distance, length / 2) / length if length else 0.0
    return start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1])


def arrow_head(tip: Point, before: Point, look: str) -> str:
    """Return the head of an arrow that comes to `tip` from `before`, along one of the axes."""
    (x, y), length, half = tip, 6.5, 3.4
    dx = (x > before[0]) - (x < before[0])
    dy = 0 if dx else (y > before[1]) - (y < before[1])
    back = (x - length * dx, y - length * dy)
    corners = [tip, (back[0] - half * dy, back[1] - half * dx), (back[0] + half * dy, back[1] + half * dx)]
    return tag("polygon", look=look, points=" ".join(f"{number(a)},{number(b)}" for a, b in corners))


def document(width: float, height: float, *parts: str, title: str, paper: bool = True) -> str:
    """Return a whole drawing: one view box, so that texts and boxes scale together.

    Args:
        title: what a screen reader calls it.
        paper: whether it has a light background of its own.
    """
    background = rect(0, 0, width, height, look="paper") if paper else ""
    # xmlns makes it a file of its own; width and height give a browser its natural size.
    return tag(
        "svg",
        tag("title", clean(title)),
        background,
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {number(width)} {number(height)}",
        width=number(width),
        height=number(height),
        font_family=FONT,
        role="group",
        aria_label=title,
    )
