"""Which colours or values a mask holds, how many pixels have each, and where the strange ones are."""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass, field

import numpy as np

from segcore.config import IGNORE_INDEX
from segcore.data.classes import ClassTable
from segcore.data.lookups import color_lookup, pack
from segcore.data.readers import RawMask, choose_reading
from segcore.decisions import Reading

Box = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels; right and bottom lie just outside."""

_JOINS = (np.add, np.minimum, np.minimum, np.maximum, np.maximum)
"""Of pixels, left, top, right and bottom, for pixels of one colour."""
COLOR = 1 << 24
"""Added to a packed colour, this makes a key that no value of an index mask is."""
_BOXES = 16
"""Of so many strange colours, the most frequent, it is kept where they are."""
WHITE = 0xFFFFFF


@dataclass(frozen=True)
class Histogram:
    """What a mask holds; labels follow from it under any table, without the mask being read again."""

    colors: np.ndarray
    """(N,) int32: each colour there is, packed, once in RGB masks; of other masks the colour of each value."""
    counts: np.ndarray
    """(N,) int64: how many pixels have it."""
    values: np.ndarray | None = None
    """(N,) int32: the values of a mask that has values, each once."""
    boxes: dict[int, Box] = field(default_factory=dict)
    """Where strange ones are, by key."""

    def keys_of(self, reading: Reading) -> np.ndarray:
        """Return what stands for each entry, (N,) int64: its value, or its colour beyond all values."""
        if self.values is not None and reading == "index":
            return self.values.astype(np.int64)
        return self.colors.astype(np.int64) + COLOR

    @classmethod
    def of(cls, mask: RawMask, plain: ClassTable) -> Histogram:
        """Count the pixels of a mask.

        Args:
            mask: as its file holds it.
            plain: the class table, without decisions; what it does not have is strange.
        """
        if mask.rgb is not None:
            return _of_colors(mask.rgb, plain)
        assert mask.values is not None and mask.palette is not None
        counts = np.bincount(mask.values.ravel())
        values = np.flatnonzero(counts).astype(np.int32)
        colors = np.where(values < 256, pack(mask.palette)[np.minimum(values, 255)], WHITE).astype(np.int32)
        found = cls(colors, counts[values].astype(np.int64), values)
        strange = found.strange(plain, choose_reading(found.fits(plain)))
        for place in sorted(np.flatnonzero(strange), key=lambda place: -found.counts[place])[:_BOXES]:
            here = mask.values == values[place]
            rows, columns = np.flatnonzero(here.any(axis=1)), np.flatnonzero(here.any(axis=0))
            box = int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
            found.boxes[int(values[place])] = found.boxes[int(colors[place]) + COLOR] = box
        return found

    def fits(self, plain: ClassTable) -> dict[Reading, int]:
        """Return for each way to read the mask how many pixels then have a class; see `RawMask.known`."""
        if self.values is None:
            return {"colors": 1, "index": 0}
        by_color = ~self.strange(plain, "colors")
        return {
            "colors": int(self.counts[by_color].sum()),
            "index": int(self.counts[self.values < len(plain.rows)].sum()),
        }

    def strange(self, table: ClassTable, reading: Reading) -> np.ndarray:
        """Return which entries the table does not have: (N,) bool."""
        if self.values is not None and reading == "index":
            return ~np.isin(self.values, table.known_values())
        _, known = table.lookup()
        found = ~known[self.colors]
        return found if self.values is None else found | (self.values > 255)

    def beside(self, table: ClassTable, reading: Reading) -> np.ndarray:
        """Return which entries are no row of the table, whatever was decided about them: (N,) bool."""
        if self.values is not None and reading == "index":
            return self.values >= len(table.rows)
        return self.strange(ClassTable(table.rows), reading)

    def labels(self, table: ClassTable, reading: Reading) -> np.ndarray:
        """Return the label of each entry: (N,) uint8, 255 where it has none."""
        if self.values is not None and reading == "index":
            return table.label_lookup()[self.values]
        label_of, _ = table.lookup()
        found = label_of[self.colors]
        if self.values is not None:  # a 16-bit grey beyond 255 is no colour of 8 bits; shown as white
            found[self.values > 255] = IGNORE_INDEX
        return found

    def to_text(self) -> str:
        """Return it as one line of ASCII, without the boxes."""
        parts = [self.counts.astype("<i8"), self.colors.astype("<i4")]
        if self.values is not None:
            parts.append(self.values.astype("<i4"))
        return base64.b64encode(zlib.compress(b"".join(part.tobytes() for part in parts), 1)).decode()

    @classmethod
    def from_text(cls, text: str, entries: int, *, values: bool) -> Histogram:
        """Rebuild what `to_text` wrote; ValueError where that is damaged."""
        try:
            data = zlib.decompress(base64.b64decode(text, validate=True))
        except zlib.error as error:
            raise ValueError(str(error)) from error
        if len(data) != entries * (16 if values else 12):
            raise ValueError(f"{len(data)} bytes for {entries} entries")
        counts = np.frombuffer(data, "<i8", entries).astype(np.int64)
        colors = np.frombuffer(data, "<i4", entries, 8 * entries).astype(np.int32)
        found = np.frombuffer(data, "<i4", entries, 12 * entries).astype(np.int32) if values else None
        return cls(colors, counts, found)


def _of_colors(rgb: np.ndarray, plain: ClassTable) -> Histogram:
    colors = tuple(info.color for info in plain.rows)
    row_of, _ = color_lookup(colors, tuple(range(len(colors))))
    row_counts = np.zeros(256, np.int64)
    parts = [np.zeros((6, 0), np.int64)]
    rows = max(1, 2**20 // max(1, rgb.shape[1]))  # a million pixels at a time keeps the copies small
    for start in range(0, len(rgb), rows):
        packed = pack(rgb[start : start + rows])
        found = row_of[packed]
        row_counts += np.bincount(found.ravel(), minlength=256)
        down, right = np.nonzero(found == IGNORE_INDEX)
        here = packed[down, right].astype(np.int64)
        down += start
        parts.append(grouped(np.stack([here, np.ones_like(here), right, down, right + 1, down + 1]), *_JOINS))
    strange = grouped(np.concatenate(parts, axis=1), *_JOINS)
    seen = np.flatnonzero(row_counts[: len(colors)])
    table = pack(np.array(colors, np.uint8))[seen]
    shown = strange[:, np.argsort(-strange[1], kind="stable")[:_BOXES]].T.tolist()
    return Histogram(
        np.concatenate([table, strange[0].astype(np.int32)]),
        np.concatenate([row_counts[seen], strange[1]]),
        boxes={color + COLOR: (left, top, end, bottom) for color, _, left, top, end, bottom in shown},
    )


def grouped(columns: np.ndarray, *joins: np.ufunc) -> np.ndarray:
    """Bring columns of one key together.

    Args:
        columns: int (K, N); the first row holds the keys.
        joins: how each of the other rows is joined: `np.add`, `np.minimum`, `np.maximum`.

    Returns:
        (K, M) with M different keys, sorted.
    """
    if not columns.shape[1]:
        return columns
    columns = columns[:, np.argsort(columns[0], kind="stable")]
    starts = np.flatnonzero(np.diff(columns[0], prepend=-1))
    return np.stack(
        [columns[0, starts], *(join.reduceat(row, starts) for join, row in zip(joins, columns[1:], strict=True))]
    )
