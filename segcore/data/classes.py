"""The class table: names and colours of the classes, and how mask values become training labels.

Training labels are 0 .. C-1 in the order of the table's classes without the ignored ones; 255 is
"counts nowhere". Masks are turned into labels before anything else happens to them, so that no
blended colour ever arises.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from segcore.config import IGNORE_INDEX, ClassInfo, DatasetConfig
from segcore.data.lookups import color_lookup, pack, unpack
from segcore.decisions import Color, Decision, replay
from segcore.errors import ClassTableError, ConfigError, nearest
from segcore.files import read_limited

_MAX_BYTES = 10**6
"""Of a class table: 255 rows of 4 kB."""
_HEADERS = {"name": "name", "class": "name", "r": "r", "red": "r", "g": "g", "green": "g", "b": "b", "blue": "b"}


class ClassTable:
    """The classes of a dataset, in the order of its table, and what was decided about them.

    Attributes:
        rows: what the masks hold: row i is the class of value i, its colour the one in the mask.
        classes: the classes after all decisions, ignored ones too; without decisions the rows.
        trained: those of them that are learnt, by label.
        row_labels: the label of each row, 255 where it is ignored.

    Raises:
        ClassTableError: no class, more than 255, a name or a colour that stands twice.
        ConfigError: the decisions do not fit the classes.
    """

    def __init__(self, classes: Sequence[ClassInfo], decisions: Sequence[Decision] = ()) -> None:
        self.rows = tuple(classes)
        if not self.rows:
            raise ClassTableError("The class table has no classes.", field="classes")
        if len(self.rows) > IGNORE_INDEX:
            raise ClassTableError(
                f"The class table has {len(self.rows)} classes; at most {IGNORE_INDEX} are possible.", field="classes"
            )
        _check_names(self.rows)
        self.meaning = replay(self.rows, tuple(decisions))
        self.classes, self.trained = self.meaning.classes, self.meaning.trained
        self.row_labels = tuple(self._label(position) for position in self.meaning.rows)
        _check_colors(self.rows, self.row_labels)

    @classmethod
    def of(cls, config: DatasetConfig) -> ClassTable:
        """Return the table of a dataset, with all that was decided about it."""
        return cls(config.classes, config.decisions)

    def __repr__(self) -> str:
        return f"ClassTable({', '.join(info.name for info in self.classes)})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ClassTable) and (self.rows, self.meaning) == (other.rows, other.meaning)

    def __hash__(self) -> int:
        return hash((self.rows, self.meaning))

    @classmethod
    def read_csv(cls, path: Path | str, ignore: Sequence[str] = ()) -> ClassTable:
        """Read a table with the columns name, r, g, b, as the Semantic Drone Dataset's class_dict_seg.csv.

        The header may be in any case and order; blanks around values, a byte order mark, semicolons or
        tabs for commas and further columns are accepted.

        Args:
            path: the CSV file.
            ignore: names of classes to leave out of loss and scores.

        Raises:
            ClassTableError: the file or the table it holds cannot be used.
        """
        path = Path(path)
        try:
            text = read_limited(path, _MAX_BYTES)
        except FileNotFoundError as error:
            raise ClassTableError(f"There is no class table {path}.", field="classes") from error
        except UnicodeDecodeError as error:
            raise ClassTableError(
                f"The class table {path} is no UTF-8 text. Save it as CSV (UTF-8).", field="classes"
            ) from error
        except OSError as error:
            raise ClassTableError(
                f"The class table {path} cannot be read: {error.strerror}.", field="classes"
            ) from error
        rows = _parse_rows(text, path)
        ignored = _match_names(ignore, [name for name, _ in rows])
        try:
            return cls([ClassInfo(name=name, color=color, ignore=name in ignored) for name, color in rows])
        except (ClassTableError, ConfigError) as error:
            raise ClassTableError(f"{path}: {error}", field="classes") from error

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the trained classes, by label."""
        return tuple(info.name for info in self.trained)

    def label_lookup(self) -> np.ndarray:
        """Return the label of each value of an index mask: uint8 of shape (65537,), 255 where there is none."""
        lookup = np.full(2**16 + 1, IGNORE_INDEX, np.uint8)
        lookup[: len(self.rows)] = self.row_labels
        for value, position in self.meaning.mapped:
            if isinstance(value, int):
                lookup[value] = self._label(position)
        return lookup

    def known_values(self) -> np.ndarray:
        """Return the values of index masks that mean something, also where they are ignored: (N,) int."""
        mapped = [value for value, _ in self.meaning.mapped if isinstance(value, int)]
        return np.array([*range(len(self.rows)), IGNORE_INDEX, *mapped])

    def color_labels(self, colors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (labels uint8, known bool) of shape (N,) for colours of shape (N, 3) uint8."""
        label_of, known = self.lookup()
        packed = pack(colors)
        return label_of[packed], known[packed]

    def colors_to_labels(self, rgb: np.ndarray) -> tuple[np.ndarray, Counter[Color]]:
        """Turn an RGB mask into labels; colours must match the table's exactly, or nearly where so decided.

        Args:
            rgb: HWC uint8.

        Returns:
            labels, HW uint8: 0 .. C-1, 255 for ignored classes and unknown colours; and the number of
            pixels of each unknown colour.
        """
        label_of, known = self.lookup()
        labels = np.empty(rgb.shape[:2], np.uint8)
        unlabelled = []
        rows = max(1, 2**20 // max(1, rgb.shape[1]))  # a million pixels at a time keeps the packed copy small
        for start in range(0, len(rgb), rows):
            packed = pack(rgb[start : start + rows])
            labels[start : start + rows] = label_of[packed]
            unlabelled.append(packed[labels[start : start + rows] == IGNORE_INDEX])
        values, counts = np.unique(np.concatenate(unlabelled or [np.zeros(0, np.int32)]), return_counts=True)
        unknown = ~known[values]
        return labels, Counter(
            {unpack(int(value)): int(count) for value, count in zip(values[unknown], counts[unknown], strict=True)}
        )

    def indices_to_labels(self, index: np.ndarray) -> tuple[np.ndarray, Counter[int]]:
        """Turn an index mask (value i = row i of the table, 255 = ignore) into labels.

        Args:
            index: HW, any unsigned integer type.

        Returns:
            labels, HW uint8, as of `colors_to_labels`; and the number of pixels of each unknown value.
        """
        wide = index if index.dtype == np.uint8 else np.minimum(index, np.uint32(2**16))
        known = np.zeros(2**16 + 1, bool)
        known[self.known_values()] = True
        values, counts = np.unique(index[~known[wide]], return_counts=True)
        unknown = Counter({int(value): int(count) for value, count in zip(values, counts, strict=True)})
        return self.label_lookup()[wide], unknown

    def _label(self, position: int | None) -> int:
        label = self.meaning.label(position)
        return IGNORE_INDEX if label is None else label

    def lookup(self) -> tuple[np.ndarray, np.ndarray]:
        """Return label and whether it is known of every packed colour; see `color_lookup`."""
        mapped = [(value, self._label(position)) for value, position in self.meaning.mapped if isinstance(value, tuple)]
        colors = (*(info.color for info in self.rows), *(color for color, _ in mapped))
        return color_lookup(colors, (*self.row_labels, *(label for _, label in mapped)), self.meaning.snap)


def palette(classes: Sequence[ClassInfo]) -> np.ndarray:
    """Return the colours of the trained classes by label: uint8 of shape (256, 3), black elsewhere."""
    colors = np.zeros((256, 3), np.uint8)
    for label, info in enumerate(info for info in classes if not info.ignore):
        colors[label] = info.color
    return colors


def _check_names(classes: Sequence[ClassInfo]) -> None:
    counts = Counter(info.name for info in classes)
    repeated = [name for name, count in counts.items() if count > 1]
    if repeated:
        raise ClassTableError(f"The class {repeated[0]!r} stands twice in the class table.", field="classes")


def _check_colors(classes: Sequence[ClassInfo], labels: Sequence[int]) -> None:
    """A colour may stand for several classes only where they are the same to learn, or none of them is learnt."""
    first: dict[Color, tuple[ClassInfo, int]] = {}
    for info, label in zip(classes, labels, strict=True):
        other, other_label = first.setdefault(info.color, (info, label))
        if other_label != label:
            raise ClassTableError(
                f"The classes {other.name!r} and {info.name!r} both have the colour {info.color}. Give each its own, "
                "in the table and in the masks, or remove one.",
                field="classes",
            )


def _match_names(wanted: Sequence[str], known: Sequence[str]) -> set[str]:
    """Return the names of the table meant by `wanted`; upper and lower case count only where they must."""
    matched = set()
    for name in wanted:
        same = [entry for entry in known if entry == name.strip()] or [
            entry for entry in known if entry.lower() == name.strip().lower()
        ]
        if len(same) != 1:
            raise ClassTableError(
                f"There is no class {name!r} to ignore; there are {', '.join(known)}.{nearest(name, known)}",
                field="ignore",
            )
        matched.add(same[0])
    return matched


def _parse_rows(text: str, path: Path) -> list[tuple[str, Color]]:
    """Return (name, colour) of each row of the CSV."""
    first_line = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(",;\t", key=first_line.count)
    try:
        reader = csv.reader(text.splitlines(), delimiter=delimiter, skipinitialspace=True)
        lines = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(map(str.strip, row))]
    except csv.Error as error:
        raise ClassTableError(f"{path} is no CSV: {error}.", field="classes") from error
    header = [_HEADERS.get(cell.lower(), "") for cell in lines[0][1]] if lines else []
    missing = [column for column in ("name", "r", "g", "b") if header.count(column) != 1]
    if missing:
        raise ClassTableError(
            f"{path} starts with {first_line.strip()[:80]!r}; expected a header with name, r, g and b once each "
            f"(here: {', '.join(missing)}).",
            field="classes",
        )
    if len(lines) - 1 > IGNORE_INDEX:  # before each of them is looked at
        raise ClassTableError(
            f"{path} has {len(lines) - 1} classes; at most {IGNORE_INDEX} are possible.", field="classes"
        )
    places = [header.index(column) for column in ("name", "r", "g", "b")]
    return [_parse_row(row, places, f"{path}, line {number}") for number, row in lines[1:]]


def _parse_row(row: list[str], places: list[int], where: str) -> tuple[str, Color]:
    try:
        name, *color = (row[place] for place in places)
        red, green, blue = (int(value) for value in color)
    except (IndexError, ValueError) as error:
        raise ClassTableError(
            f"{where}: {','.join(row)[:80]!r} is not a name and three whole numbers.", field="classes"
        ) from error
    return name, (red, green, blue)
