"""Which way each edge goes, before anything has a length: along rows, lanes and channels, around boxes.

Between two columns lies a channel, above every row a gap; lines that would meet there get tracks of their own. Lines
that carry the same features share a track, and so do lines that all end in the same join and begin nowhere else.

    vertical   from a box to its neighbour in the same column
    straight   along a row to the next box
    elbow      along a free row, then along a free column
    bend       along the row, through one channel, along the other row
    over       through a channel, the gap above the target's row and the channel before the target
    around     through the channel beside a column, back into it
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from segcore.figures.drawing.places import Place, Slot
from segcore.models.description import IMAGE, Edge

Kind = Literal["vertical", "straight", "elbow", "bend", "over", "around"]
Group = tuple[str, int, int]
"""What shares a track: ("from", source, 0), ("to", target, 0) or ("drop", source, target)."""
Tracks = dict[int, dict[Group, int]]
"""Channel (0 lies right of column 0) or gap (0 lies above the first row) -> the track of each group in it."""


@dataclass(frozen=True)
class Route:
    """The way of one edge."""

    edge: Edge
    kind: Kind
    channel: int = 0
    """Where it turns first; -1 left of the encoder."""
    group: Group = ("from", 0, 0)

    @property
    def drop(self) -> Group:
        """The group under which an `over` comes down to its target."""
        return ("drop", self.edge.source, self.edge.target)


@dataclass(frozen=True)
class Plan:
    """The ways of all edges of a network, and how many tracks they need where."""

    routes: tuple[Route, ...]
    channels: Tracks
    gaps: Tracks


class _Map:
    """Where boxes stand, in columns and rows counted from 0."""

    def __init__(self, places: Sequence[Place], slots: Sequence[Slot]) -> None:
        row_of = {slot: row for row, slot in enumerate(slots)}
        self.at = [(place.column, row_of[place.slot]) for place in places]
        self.taken = set(self.at)

    def of(self, source: int) -> tuple[int, int]:
        """Column and row; the image stands above all."""
        return (0, -1) if source == IMAGE else self.at[source]

    def free(self, columns: Iterable[int], rows: Iterable[int]) -> bool:
        """Whether no box stands where any of the columns meets any of the rows."""
        rows = list(rows)
        return not any((column, row) in self.taken for column in columns for row in rows)


def plan(places: Sequence[Place], edges: Sequence[Edge], slots: Sequence[Slot]) -> Plan:
    """Find a way for every edge."""
    boxes = _Map(places, slots)
    routes = _grouped([_route(boxes, edge) for edge in edges])
    channels: dict[int, dict[Group, list[float]]] = defaultdict(lambda: defaultdict(list))
    gaps: dict[int, dict[Group, list[float]]] = defaultdict(lambda: defaultdict(list))
    for route in routes:
        (column, row), (end, last) = boxes.of(route.edge.source), boxes.of(route.edge.target)
        if route.kind in ("bend", "around"):
            channels[route.channel][route.group] += [row, last]
        elif route.kind == "over":
            channels[column][route.group] += [row, last - 0.5]
            gaps[last][route.group] += [column, end]
            channels[end - 1][route.drop] += [last - 0.5, last]
    return Plan(
        tuple(routes),
        {channel: _tracks(spans, _channel_order) for channel, spans in channels.items()},
        {gap: _tracks(spans, _gap_order) for gap, spans in gaps.items()},
    )


def _route(boxes: _Map, edge: Edge) -> Route:
    (column, row), (end, last) = boxes.of(edge.source), boxes.of(edge.target)
    between_rows = range(min(row, last) + 1, max(row, last))
    between_columns = range(column + 1, end)
    group = ("from", edge.source, 0)
    if column == end:
        if boxes.free([column], between_rows):
            return Route(edge, "vertical")
        return Route(edge, "around", -1 if column == 0 else column, group)
    if row == last and boxes.free(between_columns, [row]):
        return Route(edge, "straight")
    if row != last and boxes.free([*between_columns, end], [row]) and boxes.free([end], between_rows):
        return Route(edge, "elbow")
    if row != last and boxes.free(between_columns, [row]):
        return Route(edge, "bend", end - 1, group)
    if row != last and boxes.free(between_columns, [last]):
        return Route(edge, "bend", column, group)
    return Route(edge, "over", column, group)


def _grouped(routes: list[Route]) -> list[Route]:
    """Let lines flow together that are joined in one place and go nowhere else."""
    leaving: dict[int, int] = defaultdict(int)
    arriving: dict[tuple[int, int, str], int] = defaultdict(int)
    for route in routes:
        if route.kind in ("bend", "around", "over"):
            leaving[route.edge.source] += 1
            arriving[route.edge.target, route.channel, route.edge.join] += route.kind != "over"
    return [
        replace(route, group=("to", route.edge.target, 0))
        if route.kind in ("bend", "around")
        and leaving[route.edge.source] == 1
        and arriving[route.edge.target, route.channel, route.edge.join] > 1
        else route
        for route in routes
    ]


def _channel_order(group: Group, span: list[float]) -> tuple[int, float]:
    """Which tracks lie left: what leaves here, of lines going up the one that begins highest; drops lie right."""
    up = span[0] > span[1]
    return (1 if group[0] == "drop" else 0, span[0] if up else -span[0])


def _gap_order(_: Group, span: list[float]) -> tuple[int, float]:
    """Which tracks lie low: short ways, as arcs inside arcs."""
    return (0, max(span) - min(span))


def _tracks(
    spans: dict[Group, list[float]], order: Callable[[Group, list[float]], tuple[int, float]]
) -> dict[Group, int]:
    """Give every group a track beyond those of all groups before it, in that order, that it would meet."""
    found: dict[Group, int] = {}
    for group, span in sorted(spans.items(), key=lambda item: order(*item)):
        met = [
            track for other, track in found.items() if min(span) <= max(spans[other]) and min(spans[other]) <= max(span)
        ]
        found[group] = max(met, default=-1) + 1
    return found
