"""Adds up the unknown colours and values of many masks, in bounded memory: masks saved as JPEG have thousands each."""

from __future__ import annotations

import numpy as np

from segcore.data.classes import ClassTable
from segcore.data.histogram import COLOR, Box, Histogram, grouped
from segcore.data.lookups import nearest_colors, unpack
from segcore.data.report import NearColors, UnknownValue
from segcore.decisions import SNAP_STEPS, Value

_SHOWN = 50
"""So many unknown colours are listed at most."""
_PENDING = 2**20
"""Entries that wait to be brought together."""


_JOINS = (np.add, np.add, np.minimum)
"""Of pixels, masks and the first mask's place, for one colour or value."""


class UnknownTally:
    """All unknown colours and values of a dataset's masks."""

    def __init__(self) -> None:
        self.masks: list[str] = []
        """Names of the images whose masks have some."""
        self._sums = np.zeros((4, 0), np.int64)  # key, pixels, masks, place of the first mask in `masks`
        self._new: list[np.ndarray] = []
        self._waiting = 0
        self._boxes: dict[int, Box] = {}

    def add(self, histogram: Histogram, keys: np.ndarray, counts: np.ndarray, name: str) -> None:
        """Add what is unknown in one mask.

        Args:
            histogram: of the mask.
            keys: of the unknown entries: values, or colours beyond all values; (N,) int64.
            counts: their pixels.
            name: of the image.
        """
        if not len(keys):
            return
        new = grouped(np.stack([keys, counts, np.ones_like(keys), np.full_like(keys, len(self.masks))]), *_JOINS)
        new[2] = 1  # several values of a palette may be one colour
        self.masks.append(name)
        for key, box in histogram.boxes.items():
            self._boxes.setdefault(len(self.masks) - 1 << 32 | key, box)
        self._new.append(new)
        self._waiting += new.shape[1]
        if self._waiting > _PENDING:
            self._settle()

    def count(self) -> int:
        """How many different ones there are."""
        return int(self._settle().shape[1])

    def pixels(self) -> int:
        return int(self._settle()[1].sum())

    def shown(self, table: ClassTable) -> tuple[UnknownValue, ...]:
        """The most frequent ones."""
        sums = self._settle()
        order = np.lexsort((sums[0], sums[3], -sums[1]))[:_SHOWN]
        return tuple(self._entry(column, table) for column in sums[:, order].T.tolist())

    def near(self, table: ClassTable) -> tuple[NearColors, ...]:
        """How many pixels of unknown colours are near which class."""
        sums = self._settle()
        colors = sums[:, sums[0] >= COLOR]
        place, distance = nearest_colors(colors[0] - COLOR, [info.color for info in table.rows])
        classes = np.array(table.meaning.rows)[place] if len(place) else place
        found = []
        for position, info in enumerate(table.classes):
            mine = classes == position
            pixels = tuple(int(colors[1][mine & (distance <= step)].sum()) for step in SNAP_STEPS)
            if pixels[-1]:
                found.append(NearColors(info.name, pixels))
        return tuple(sorted(found, key=lambda entry: -entry.pixels[-1]))

    def _entry(self, column: list[int], table: ClassTable) -> UnknownValue:
        key, pixels, masks, first = column
        value: Value = key if key < COLOR else unpack(key - COLOR)
        nearest, distance = None, None
        if key >= COLOR:
            place, far = nearest_colors(np.array([key - COLOR]), [info.color for info in table.rows])
            nearest, distance = table.classes[table.meaning.rows[int(place[0])]].name, round(float(far[0]), 1)
        return UnknownValue(
            value, pixels, masks, self.masks[first], self._boxes.get(first << 32 | key), nearest, distance
        )

    def _settle(self) -> np.ndarray:
        if self._new:
            self._sums = grouped(np.concatenate([self._sums, *self._new], axis=1), *_JOINS)
            self._new, self._waiting = [], 0
            shown = set(self._sums[3].tolist()) if len(self._boxes) > _PENDING else None
            if shown is not None:
                self._boxes = {key: box for key, box in self._boxes.items() if key >> 32 in shown}
        return self._sums
