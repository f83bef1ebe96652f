"""Which stage stands in which column and row.

Rows are resolutions, the finest on top; where stages of one resolution stand above one another, a row has several
levels. Column 0 is the encoder, going down. A stage of the decoder stands as far left as it can: above what it reads
where that is free, which draws a U-Net as two columns and a U-Net++ as the triangle of its paper.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from segcore.models.description import NetworkDescription, Stage

Slot = tuple[int, int]
"""Height of the feature maps in pixels, and the level within their row, 0 on top."""


@dataclass(frozen=True)
class Place:
    """Where a stage stands."""

    column: int
    slot: Slot


def places(network: NetworkDescription) -> tuple[Place, ...]:
    """Return a place for every stage of a network, no two the same."""
    grid = _Grid(network)
    for index in range(len(network.stages)):
        grid.put(index)
    grid.sort_stacks()
    return tuple(Place(*place) for place in grid.found)


def slots(drawings: Sequence[tuple[Place, ...]]) -> tuple[Slot, ...]:
    """Return all slots that several drawings need, from top to bottom."""
    return tuple(
        sorted({place.slot for drawing in drawings for place in drawing}, key=lambda slot: (-slot[0], slot[1]))
    )


class _Grid:
    """Places found so far."""

    def __init__(self, network: NetworkDescription) -> None:
        self.stages = network.stages
        self.found: list[tuple[int, Slot]] = []
        self._read: dict[int, list[int]] = defaultdict(list)
        for edge in network.edges:
            if edge.source >= 0:
                self._read[edge.target].append(edge.source)
        self._levels: dict[int, int] = defaultdict(int)
        for stage in self.stages:
            self._levels[stage.height] += stage.kind == "encoder"
        self._stacks: dict[tuple[int, int], list[int]] = {}

    def put(self, index: int) -> None:
        """Find the place of the next stage."""
        stage = self.stages[index]
        if stage.kind == "encoder":
            level = sum(other.kind == "encoder" and other.height == stage.height for other in self.stages[:index])
            self.found.append((0, (stage.height, level)))
            return
        before = [source for source in self._read[index] if self.stages[source].kind != "encoder"]
        column = max([1, *(self._column_above(source, stage) for source in before)])
        while not self._has_room(column, index):
            column += 1
        stack = self._stacks.setdefault((column, stage.height), [])
        stack.append(index)
        self.found.append((column, (stage.height, self._level(column, index))))

    def _column_above(self, source: int, stage: Stage) -> int:
        """The column in which `stage` may stand, as far as its source says: the same one where it can rise there."""
        column, (height, level) = self.found[source]
        between = [
            other
            for other in self._in_column(column)
            if height < self.stages[other].height < stage.height and not self._alike(other, source)
        ]
        rises = stage.height > height and not between
        # Encoders that keep their resolution leave levels free above their last stage.
        rises |= stage.height == height and level > 0 and (column, (height, level - 1)) not in self.found
        return column if rises else column + 1

    def _has_room(self, column: int, index: int) -> bool:
        stack = self._stacks.get((column, self.stages[index].height), [])
        if not stack:
            return True
        if stack == self._read[index][-1:]:
            return self.found[stack[0]][1][1] > 0
        return all(self._alike(other, index) and other not in self._read[index] for other in stack)

    def _alike(self, one: int, other: int) -> bool:
        """Whether two stages are siblings: of one list of modules, as an FPN's branches to one resolution."""
        names = [self.stages[index].name.rpartition(".")[0] for index in (one, other)]
        return names[0] == names[1] != ""

    def _in_column(self, column: int) -> list[int]:
        return [index for index, (place, _) in enumerate(self.found) if place == column]

    def _level(self, column: int, index: int) -> int:
        """The level in its row: beside what it reads there, else the lowest, to which the way up comes first."""
        height = self.stages[index].height
        taken = {slot[1] for place, slot in self.found if place == column and slot[0] == height}
        beside = [self.found[source] for source in self._read[index] if self.stages[source].height == height]
        for place, (_, level) in sorted(beside, reverse=True):
            wanted = level - 1 if place == column else level
            if wanted >= 0 and wanted not in taken:
                return wanted
        lowest = max(1, self._levels[height]) - 1
        return next(level for level in (*range(lowest, -1, -1), *range(lowest + 1, 99)) if level not in taken)

    def sort_stacks(self) -> None:
        """Order siblings of one resolution by what they read, the finest on top: their arrows do not cross."""
        for (column, height), stack in self._stacks.items():
            if len(stack) > 1 and all(self._alike(stack[0], index) for index in stack):
                for level, index in enumerate(sorted(stack, key=self._finest_read, reverse=True)):
                    self.found[index] = (column, (height, level))

    def _finest_read(self, index: int) -> int:
        return max((self.stages[source].height for source in self._read[index]), default=0)
