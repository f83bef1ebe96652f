"""One network as a drawing: pictures, boxes, lines and words."""

from __future__ import annotations

from collections.abc import Sequence

from segcore.figures.drawing import differences, labels
from segcore.figures.drawing.labels import JOINS, SMALL_SIZE, TITLE_SIZE
from segcore.figures.drawing.layout import ICON, LABEL_SIDE, LINE, MARGIN, Box, Layout
from segcore.figures.drawing.pictures import scene
from segcore.figures.drawing.routes import Route
from segcore.figures.drawing.scales import Shading, amount, ink_on
from segcore.figures.drawing.svg import Point, arrow_head, clean, path, rect, shortened, tag, text, text_width
from segcore.models.description import NetworkDescription, PartName
from segcore.text import plural

HEADER = 62.0
"""Height of title and totals above a drawing."""
CORNERS: dict[PartName, float] = {"encoder": 1.5, "decoder": 9.0, "head": 1.5}
"""Radius of a box's corners: parts are told apart by shape, as colour tells the cost; a head has a second outline."""


def panel(layout: Layout, shading: Shading, networks: Sequence[NetworkDescription], place: int, width: float) -> str:
    """Return the drawing of one network with its header.

    Args:
        networks: all that stand side by side; this is `networks[place]`.
        width: room for the header.
    """
    network = layout.network
    noted = differences.notes(networks, shading.shade)[place]
    stages = [_stage(layout, box, shading, networks, place, box.index in noted) for box in layout.boxes]
    badges = _badges(layout)
    body = [*_lines(layout), *_pictures(layout), *stages, *badges]
    return tag(
        "g",
        *header(network, width),
        tag("g", *body, transform=f"translate(0 {HEADER:.0f})"),
        role="list",
        aria_label=network.title,
    )


def header(network: NetworkDescription, width: float) -> list[str]:
    """Return title and totals."""
    totals = (
        f"{network.image_size} × {network.image_size} pixels · {amount('parameters', network.parameters)} parameters",
        f"{amount('macs', network.macs)} multiply-adds · {amount('activations', network.activations)} activations",
    )
    room = width - 2 * MARGIN
    return [
        text(MARGIN, 24, shortened(network.title, room, 18, bold=True), size=18, font_weight=700),
        *(
            text(MARGIN, 42 + 15 * line, shortened(words, room, 11), size=11, look="muted")
            for line, words in enumerate(totals)
        ),
    ]


def _lines(layout: Layout) -> list[str]:
    """Every edge as an arrow; the way of the mask out of the head, too."""
    drawn = []
    for route, points in layout.lines:
        edge = route.edge
        look = "skip" if edge.skip else "line"
        drawn.append(
            tag(
                "g",
                tag("title", clean(labels.journey(layout.network, edge))),
                tag("path", look=look, d=path(points), stroke_width=1.9 if edge.skip else 1.6),
                arrow_head(points[-1], points[-2], f"{look}-head"),
                *_join_word(layout, route, points),
                class_="edge",
                data_edge=f"{edge.source}_{edge.target}",
            )
        )
    head = layout.boxes[-1]
    way = ((head.lane, head.y), (head.lane, MARGIN + ICON))
    out = [tag("path", look="line", d=path(way), stroke_width=1.6), arrow_head(way[1], way[0], "line-head")]
    return [*drawn, tag("g", *out, class_="way-out")]


def _join_word(layout: Layout, route: Route, points: Sequence[Point]) -> list[str]:
    """What happens to a skip connection's features, written on it where it is long enough."""
    start, end = points[0], points[-1]
    if route.kind != "straight" or not route.edge.skip:
        return []
    word = route.edge.join
    first = layout.boxes[route.edge.source].column == 0 and layout.boxes[route.edge.target].column == 1
    alone = not any(other.kind in ("bend", "over") and other.channel == 0 for other, _ in layout.lines)
    if not (word and first and alone):
        return []
    x = (start[0] + end[0] - 18) / 2
    return [text(x, start[1] - 5, word, size=SMALL_SIZE, look="skip-head", text_anchor="middle")]


def _pictures(layout: Layout) -> list[str]:
    (x, y), (mx, my), network = layout.image, layout.mask, layout.network
    side, anchor = (mx + ICON + 6, "start") if layout.mask_caption_right else (mx - 6, "end")
    return [
        scene(x, y, mask=False),
        text(x + ICON + 6, y + 12, "Image", size=TITLE_SIZE, font_weight=700),
        text(x + ICON + 6, y + 25, "3 channels", size=SMALL_SIZE, look="muted"),
        scene(mx, my, mask=True),
        text(side, my + 12, "Mask", size=TITLE_SIZE, font_weight=700, text_anchor=anchor),
        text(
            side,
            my + 25,
            plural(network.classes, "class", "classes"),
            size=SMALL_SIZE,
            look="muted",
            text_anchor=anchor,
        ),
    ]


def _stage(
    layout: Layout, box: Box, shading: Shading, networks: Sequence[NetworkDescription], place: int, differs: bool
) -> str:
    """A box with its words; all that is known of it is its title, for tooltips and screen readers."""
    stage = layout.network.stages[box.index]
    account = [*labels.account(layout.network, box.index), *differences.account(networks, place, box.index)]
    color = shading.color(stage)
    radius = CORNERS[stage.kind]
    shape = [rect(box.x, box.y, box.width, box.height, rx=radius, fill=color, look="edge-of-box", stroke_width=1.3)]
    if stage.kind == "head":
        shape.insert(0, rect(box.x - 3, box.y - 3, box.width + 6, box.height + 6, rx=3.5, look="edge-of-box",
                             fill="none", stroke_width=1))  # fmt: skip
    return tag(
        "g",
        tag("title", clean("\n".join(account))),
        # The whole neighbourhood of a small box answers to the pointer.
        *shape,
        *([_mark(box)] if differs else []),
        *_inside(box, f"{stage.channels:,}", labels.size(stage), ink_on(color)),
        *_beside(box),
        class_=f"stage {stage.kind}",
        role="listitem",
        data_stage=box.index,
        aria_label=". ".join(account),
    )


def _mark(box: Box) -> str:
    """A folded corner for a stage that differs: upper outer corner."""
    inner = 11.0
    x = box.x if box.column == 0 else box.right
    sign = 1 if box.column == 0 else -1
    points = f"{x:.1f},{box.y:.1f} {x + sign * inner:.1f},{box.y:.1f} {x:.1f},{box.y + inner:.1f}"
    return tag("polygon", look="differs", points=points, class_="differs mark")


def _inside(box: Box, channels: str, size: str, ink: str) -> list[str]:
    """Channels and size on the box, in two lines or, in a low one, side by side."""
    x = box.x + box.width / 2
    for large, small, lines in ((13.0, 10.0, 25.0), (11.0, 9.0, 21.0)):
        widest = max(text_width(channels, large, bold=True), text_width(size, small))
        if box.height >= lines and box.width >= widest + 4:
            # Digits are 0.72 of the font size high; 3 px between the lines.
            first = box.middle + (0.72 * (large - small) - 3) / 2
            return [
                text(x, first, channels, size=large, font_weight=700, look="", fill=ink, text_anchor="middle"),
                text(x, first + 3 + 0.72 * small, size, size=small, look="", fill=ink, text_anchor="middle"),
            ]
    words = f"{channels} · {size}"
    if text_width(words, 10, bold=True) + 4 <= box.width:
        return [text(x, box.middle + 3.5, words, size=10, font_weight=700, look="", fill=ink, text_anchor="middle")]
    # Too narrow for any text: on the free side of the lane, in the page's own colour.
    outer, anchor = (box.x - 5, "end") if box.column == 0 else (box.right + 5, "start")
    return [text(outer, box.middle + 3.5, words, size=10, font_weight=700, text_anchor=anchor)]


def _beside(box: Box) -> list[str]:
    """The label above the box, past the lane."""
    inner, anchor = (box.right - LABEL_SIDE, "end") if box.column == 0 else (box.x + LABEL_SIDE, "start")
    label, first = box.label, box.y - 5 - LINE * (len(box.label.lines) - 1)
    words = tag(
        "text",
        tag("tspan", clean(label.title), font_weight=700, font_size=TITLE_SIZE),
        tag("tspan", f"\u00a0 {clean(label.cost)}", font_size=SMALL_SIZE),
        look="ink",
        x=inner,
        y=first,
        text_anchor=anchor,
    )
    further = []
    for line, content in enumerate(label.lines[1:], 1):
        look = "differs" if content.startswith("≠") or content == differences.ONLY_HERE else "muted"
        further.append(text(inner, first + LINE * line, content, size=SMALL_SIZE, look=look, text_anchor=anchor))
    return [words, *further]


def _badges(layout: Layout) -> list[str]:
    """A small disc wherever features are joined: once for each way into a box."""
    seen, drawn = set(), []
    for route, points in layout.lines:
        sign = JOINS.get(route.edge.join)
        (x, y), before = points[-1], points[-2]
        dx = (before[0] > x) - (before[0] < x)
        dy = 0 if dx else (before[1] > y) - (before[1] < y)
        place = (x + 13 * dx, y + 13 * dy)
        key = (round(place[0]), round(place[1]))
        if sign is None or key in seen:
            continue
        seen.add(key)
        disc = tag("circle", look="badge", cx=place[0], cy=place[1], r=5.4, stroke_width=1)
        letter = text(place[0], place[1] + 3.4, sign, size=10, font_weight=700, text_anchor="middle")
        drawn.append(tag("g", disc, letter, class_="join"))
    return drawn
