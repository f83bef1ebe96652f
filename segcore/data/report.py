"""What a check of a dataset found, in a form that is kept as JSON and shown on screen."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from segcore.data.readers import Reading

Value = tuple[int, int, int] | int


@dataclass(frozen=True)
class Problem:
    """Something a person should know of."""

    file: Path | None
    """The file it is about; None where it is about the whole dataset."""
    kind: str
    """A few words, the same for the same trouble: "no mask", "size differs", …"""
    message: str
    """What came, what was expected, what to do next. Holds file names as they are: plain text, not markup."""
    excluded: bool
    """Whether the file is left out because of it."""

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "file": None if self.file is None else displayable(self.file)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Problem:
        return cls(**{**value, "file": None if value["file"] is None else Path(value["file"])})


@dataclass(frozen=True)
class UnknownValue:
    """A colour, or a value of an index mask, that the class table does not have; its pixels are ignored."""

    value: Value
    """(r, g, b), or the value."""
    pixels: int
    images: int
    """How many masks have it."""
    example: str
    """Name of an image whose mask has it."""

    @property
    def text(self) -> str:
        return describe_value(self.value)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> UnknownValue:
        raw = value["value"]
        return cls(**{**value, "value": raw if isinstance(raw, int) else tuple(raw)})


@dataclass(frozen=True)
class CheckReport:
    """What a dataset holds. Counts of pixels and classes are over the usable pairs; classes are the trained
    ones, by label."""

    images: int
    """Image files found, paired or not."""
    usable: int
    """Pairs that can be learnt from."""
    groups: int
    problems: tuple[Problem, ...]
    unknown_colors: tuple[UnknownValue, ...]
    """The most frequent ones, of all readable masks."""
    unknown_count: int
    """How many different ones there are."""
    unknown_pixels: int
    class_pixels: tuple[int, ...]
    class_images: tuple[int, ...]
    """For each class in how many masks it is."""
    unlabelled_pixels: int
    """Pixels that count nowhere: of ignored classes, of unknown colours, or marked as ignore."""
    sizes: tuple[tuple[int, int, int], ...]
    """(width, height, images), the most frequent first."""
    mask_reading: Reading
    """How palette and single-channel masks are read: as colours of the class table or as its rows."""

    @property
    def labelled_share(self) -> float:
        """Share of the pixels that have a trained class, 0-1; NaN without pixels."""
        labelled = sum(self.class_pixels)
        total = labelled + self.unlabelled_pixels
        return labelled / total if total else float("nan")

    @property
    def class_shares(self) -> tuple[float, ...]:
        """Share of each class among the labelled pixels, 0-1; NaN without pixels."""
        labelled = sum(self.class_pixels)
        return tuple(count / labelled if labelled else float("nan") for count in self.class_pixels)

    @property
    def excluded(self) -> int:
        """Images that were found but cannot be used."""
        return self.images - self.usable

    def problem_counts(self) -> dict[str, int]:
        """Return how many problems there are of each kind, the most frequent first."""
        return dict(Counter(problem.kind for problem in self.problems).most_common())

    def to_json(self) -> dict[str, Any]:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            **values,
            "problems": [problem.to_json() for problem in self.problems],
            "unknown_colors": [asdict(value) for value in self.unknown_colors],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> CheckReport:
        return cls(
            **{
                **value,
                "problems": tuple(Problem.from_json(problem) for problem in value["problems"]),
                "unknown_colors": tuple(UnknownValue.from_json(unknown) for unknown in value["unknown_colors"]),
                "class_pixels": tuple(value["class_pixels"]),
                "class_images": tuple(value["class_images"]),
                "sizes": tuple((width, height, count) for width, height, count in value["sizes"]),
            }
        )


@dataclass(frozen=True)
class ImageFacts:
    """What is known of one usable pair."""

    name: str
    image: str
    """Path below the images folder, with forward slashes."""
    mask: str
    """Path below the masks folder."""
    group: str
    size: tuple[int, int]
    """(width, height)."""
    digest: str
    """Hash of both files' bytes."""
    class_pixels: tuple[int, ...]
    """Pixels of each trained class, by label."""
    unlabelled: int
    """Pixels that count nowhere."""

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> ImageFacts:
        return cls(**{**value, "size": tuple(value["size"]), "class_pixels": tuple(value["class_pixels"])})


def describe_value(value: Value) -> str:
    """Return an unknown colour or value as text."""
    return f"value {value}" if isinstance(value, int) else f"colour {value}"


def displayable(path: Path) -> str:
    """Return a path as text; bytes that are no UTF-8, which a file name may hold, become '\ufffd'."""
    return str(path).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
