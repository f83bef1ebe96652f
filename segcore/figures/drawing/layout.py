"""From places and ways to lengths: where every box stands and through which points every line runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from segcore.figures.drawing.labels import Label, label
from segcore.figures.drawing.places import Place, Slot, places, slots
from segcore.figures.drawing.routes import Group, Plan, Route, plan
from segcore.figures.drawing.scales import Shade, box_height, box_width
from segcore.figures.drawing.svg import Point
from segcore.models.description import IMAGE, NetworkDescription

LANE = 8.0
"""How far from a box's inner edge the lines up and down its column run."""
LABEL_SIDE = 16.0
"""How far from a box's inner edge its label begins, past the lane."""
LINE = 12.0
"""From one line of a label to the next."""
ICON = 62.0
"""Side of the pictures of image and mask."""
CAPTION = 74.0
"""Room for the words beside them."""
MARGIN = 14.0
_TRACK, _PORT = 9.0, 15.0
_STRAIGHT: Group = ("from", -2, 0)
"""Stands for the line along the row among those that enter a box."""
_ARROW = 15.0
"""Between a box and the label of the one below: the arrow's head."""
_SKIP_WIDTH, _CHANNEL_WIDTH = 96.0, 36.0
"""Least width of the channel right of the encoder, where joins are written out, and of the others."""


@dataclass(frozen=True)
class Box:
    """The rectangle of a stage."""

    index: int
    column: int
    x: float
    y: float
    width: float
    height: float
    label: Label

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def bottom(self) -> float:
        return self.y + self.height

    @property
    def middle(self) -> float:
        return self.y + self.height / 2

    @property
    def lane(self) -> float:
        """Where lines up and down its column run."""
        return self.right - LANE if self.column == 0 else self.x + LANE


@dataclass(frozen=True)
class Layout:
    """A network with all its lengths."""

    network: NetworkDescription
    boxes: tuple[Box, ...]
    lines: tuple[tuple[Route, tuple[Point, ...]], ...]
    image: Point
    """Upper left corner of the picture that goes in."""
    mask: Point
    """Upper left corner of the mask that comes out."""
    mask_caption_right: bool
    """Whether its caption stands right of it, because the image's caption leaves no room on its left."""
    width: float
    height: float


def layouts(
    networks: Sequence[NetworkDescription], shade: Shade, notes: Sequence[dict[int, str]] | None = None
) -> tuple[Layout, ...]:
    """Lay out networks in the same rows, so that equal resolutions stand at equal heights.

    Args:
        shade: the cost that stands beside each stage's name.
        notes: for each network, a further line for the labels of some stages.
    """
    notes = notes or [{} for _ in networks]
    drawings = [places(network) for network in networks]
    rows = slots(drawings)
    plans = [plan(drawing, network.edges, rows) for drawing, network in zip(drawings, networks, strict=True)]
    labels = [
        [label(network, index, shade, note.get(index, "")) for index in range(len(network.stages))]
        for network, note in zip(networks, notes, strict=True)
    ]
    tops = _tops(networks, rows, plans, lines=max(len(one.lines) for some in labels for one in some))
    return tuple(
        _Metric(network, drawing, rows, tops, ways, some).layout()
        for network, drawing, ways, some in zip(networks, drawings, plans, labels, strict=True)
    )


def _tops(
    networks: Sequence[NetworkDescription], rows: Sequence[Slot], plans: Sequence[Plan], lines: int
) -> list[float]:
    """The upper edge of every row's boxes."""
    tops, y = [], MARGIN + ICON
    for row, (height, _) in enumerate(rows):
        tracks = max(len(set(ways.gaps.get(row, {}).values())) for ways in plans)
        y += _ARROW + _TRACK * tracks + LINE * lines + 3
        tops.append(y)
        y += max(box_height(height, network.image_size) for network in networks)
    return tops


class _Metric:
    """Lengths of one network."""

    def __init__(
        self,
        network: NetworkDescription,
        drawing: Sequence[Place],
        rows: Sequence[Slot],
        tops: Sequence[float],
        ways: Plan,
        labels: Sequence[Label],
    ) -> None:
        self.network, self.ways, self.rows = network, ways, rows
        self.tops, self.drawing, self.labels = tops, drawing, labels
        self._extents = self._columns()
        self.boxes = [self._box(index) for index in range(len(drawing))]
        self._ports = self._entries()
        self._level: dict[int, list[Route]] = defaultdict(list)
        for route in ways.routes:
            if route.kind in ("straight", "elbow"):
                self._level[route.edge.source].append(route)

    def _columns(self) -> list[tuple[float, float]]:
        """Left and right end of every column's boxes and labels."""
        count = max(place.column for place in self.drawing) + 1
        x = MARGIN + (_TRACK * self._tracks(-1) + 6 if self._tracks(-1) else 0)
        found = []
        for column in range(count):
            members = [index for index, place in enumerate(self.drawing) if place.column == column]
            wide = [max(box_width(self.network.stages[i].channels), LABEL_SIDE + self.labels[i].width) for i in members]
            # The pictures stand above the first and the last column.
            x, left = x + max([ICON, *wide] if column in (0, count - 1) else wide), x
            found.append((left, x))
            x += max(_SKIP_WIDTH if column == 0 else _CHANNEL_WIDTH, _TRACK * self._tracks(column) + 32)
        return found

    def _tracks(self, channel: int) -> int:
        return len(set(self.ways.channels.get(channel, {}).values()))

    def _box(self, index: int) -> Box:
        place, stage = self.drawing[index], self.network.stages[index]
        width, height = box_width(stage.channels), box_height(stage.height, self.network.image_size)
        left, right = self._extents[place.column]
        top = self.tops[self.rows.index(place.slot)]
        return Box(
            index, place.column, right - width if place.column == 0 else left, top, width, height, self.labels[index]
        )

    def _channel(self, channel: int, group: Group) -> float:
        """The x of a group's track in a channel."""
        track = self.ways.channels[channel][group]
        if channel < 0:
            return self._extents[0][0] - 6 - _TRACK * track
        return self._extents[channel][1] + 10 + _TRACK * track

    def _gap(self, row: int, group: Group) -> float:
        """The y of a group's track in the gap above a row."""
        lines = max(len(one.lines) for one in self.labels)
        return self.tops[row] - LINE * lines - 8 - _TRACK * self.ways.gaps[row][group]

    def _row(self, index: int) -> int:
        return -1 if index == IMAGE else self.rows.index(self.drawing[index].slot)

    def _entries(self) -> dict[tuple[int, Group], float]:
        """The y at which each group enters each target from the left, so that lines do not cross there."""
        above: dict[int, dict[Group, float]] = defaultdict(dict)
        below: dict[int, dict[Group, float]] = defaultdict(dict)
        straight = {route.edge.target for route in self.ways.routes if route.kind == "straight"}
        for route in self.ways.routes:
            target = route.edge.target
            if route.kind == "over":
                above[target][route.drop] = self._channel(self.drawing[target].column - 1, route.drop)
            elif route.kind == "bend":
                side = above if self._row(route.edge.source) < self._row(target) else below
                side[target][route.group] = self._channel(route.channel, route.group)
        found: dict[tuple[int, Group], float] = {}
        for target in {*above, *below, *straight}:
            # From above, the line furthest left turns in lowest; from below, highest.
            first = sorted(above[target], key=lambda group: -above[target][group])
            second = [group for group in sorted(below[target], key=below[target].__getitem__) if group not in first]
            box = self.boxes[target]
            ports: list[Group | None] = [*first, *([None] if target in straight else []), *second]
            middle = (len(ports) - 1) / 2
            step = min(_PORT, (box.height - 14) / max(1, len(ports) - 1))
            for place, group in enumerate(ports):
                found[target, group or _STRAIGHT] = box.middle + step * (place - middle)
        return found

    def _exit(self, route: Route) -> float:
        """The y at which a line leaves its source to the right."""
        source, target = route.edge.source, route.edge.target
        box = self.boxes[source]
        if route.kind == "straight":
            return self._ports[target, _STRAIGHT]
        if route.kind == "elbow":
            return box.middle
        beside = [self._exit(other) for other in self._level.get(source, ())]
        if not beside:
            return box.middle
        if self._row(target) > self._row(source):
            return min(max(beside) + 9, box.bottom - 5)
        return max(min(beside) - 9, box.y + 5)

    def _points(self, route: Route) -> tuple[Point, ...]:
        """The corners of a line."""
        source, target = route.edge.source, self.boxes[route.edge.target]
        if route.kind == "vertical":
            x = target.lane
            if source == IMAGE:
                return (x, MARGIN + ICON), (x, target.y)
            box = self.boxes[source]
            return ((x, box.bottom), (x, target.y)) if box.y < target.y else ((x, box.y), (x, target.bottom))
        if route.kind == "around":
            return self._around(route)
        start = (self.boxes[source].right, self._exit(route))
        if route.kind == "straight":
            return start, (target.x, start[1])
        if route.kind == "elbow":
            return start, (target.lane, start[1]), (target.lane, target.bottom if target.y < start[1] else target.y)
        x = self._channel(route.channel, route.group)
        if route.kind == "bend":
            y = self._ports[route.edge.target, route.group]
            return start, (x, start[1]), (x, y), (target.x, y)
        gap, last = self._gap(self._row(route.edge.target), route.group), self._channel(target.column - 1, route.drop)
        y = self._ports[route.edge.target, route.drop]
        return start, (x, start[1]), (x, gap), (last, gap), (last, y), (target.x, y)

    def _around(self, route: Route) -> tuple[Point, ...]:
        target, x = self.boxes[route.edge.target], self._channel(route.channel, route.group)
        side = target.x if route.channel < 0 else target.right
        if route.edge.source == IMAGE:
            return (
                (self._extents[0][1] - ICON, MARGIN + ICON / 2),
                (x, MARGIN + ICON / 2),
                (x, target.middle),
                (side, target.middle),
            )
        source = self.boxes[route.edge.source]
        begin = source.x if route.channel < 0 else source.right
        return (begin, source.middle), (x, source.middle), (x, target.middle), (side, target.middle)

    def layout(self) -> Layout:
        """Everything with its lengths."""
        head, image = self.boxes[-1], self._extents[0][1] - ICON
        beyond = head.x - image < 2 * (ICON + CAPTION)
        last = len(self._extents) - 1
        outside = _TRACK * self._tracks(last) + (10 if self._tracks(last) else 0)
        return Layout(
            self.network,
            tuple(self.boxes),
            tuple((route, self._points(route)) for route in self.ways.routes),
            image=(image, MARGIN),
            mask=(head.x, MARGIN),
            mask_caption_right=beyond,
            width=max(self._extents[-1][1] + outside, head.x + ICON + CAPTION * beyond) + MARGIN,
            height=max(box.bottom for box in self.boxes) + MARGIN,
        )
