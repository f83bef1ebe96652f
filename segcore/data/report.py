"""What a check of a dataset found, in a form that is kept as JSON and shown on screen."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from segcore.data.histogram import Box
from segcore.decisions import SNAP_STEPS, Decision, Map, Reading, Value, describe_value

_DECISION: TypeAdapter[Decision] = TypeAdapter(Decision)


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
    images: tuple[str, ...] = ()
    """Names of usable images that it is about, where it is about some: all that `action` concerns, at most 1000."""
    action: Decision | None = None
    """What can be done about it here: to be handed to `Dataset.decide`. None where only the files can be mended."""

    def to_json(self) -> dict[str, Any]:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            **values,
            "file": None if self.file is None else displayable(self.file),
            "action": None if self.action is None else self.action.to_json(),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Problem:
        action = value.get("action")
        return cls(
            **{
                **value,
                "file": None if value["file"] is None else Path(value["file"]),
                "images": tuple(value.get("images", ())),
                "action": None if action is None else _DECISION.validate_python(action),
            }
        )


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
    box: Box | None = None
    """Where in the example all pixels of it are: (left, top, right, bottom); None where that is not known."""
    nearest: str | None = None
    """The class whose colour is nearest; None for values of index masks."""
    distance: float | None = None
    """How far that is: the length of the difference in RGB."""

    @property
    def text(self) -> str:
        return describe_value(self.value)

    @property
    def action(self) -> Map:
        """What can be done about it: it is the class whose colour is near, else it is to be ignored for good."""
        near = self.distance is not None and self.distance <= max(SNAP_STEPS)
        return Map(value=self.value, to=self.nearest if near else None)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> UnknownValue:
        raw, box = value["value"], value.get("box")
        return cls(
            **{
                **value,
                "value": raw if isinstance(raw, int) else tuple(raw),
                "box": None if box is None else tuple(box),
            }
        )


@dataclass(frozen=True)
class NearColors:
    """How many pixels of unknown colours are near a class's colour, and nearer to no other's."""

    name: str
    """The class."""
    pixels: tuple[int, ...]
    """Within each distance of `SNAP_STEPS`, in RGB."""


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
    near_colors: tuple[NearColors, ...] = ()
    """For each class whose colour unknown colours are near; there are such where masks are blended or compressed."""

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
            "near_colors": [asdict(value) for value in self.near_colors],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> CheckReport:
        return cls(
            **{
                **value,
                "problems": tuple(Problem.from_json(problem) for problem in value["problems"]),
                "unknown_colors": tuple(UnknownValue.from_json(unknown) for unknown in value["unknown_colors"]),
                "near_colors": tuple(
                    NearColors(near["name"], tuple(near["pixels"])) for near in value.get("near_colors", ())
                ),
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
    image_digest: str = ""
    """The first half of the hash of the image file's bytes: the same in byte for byte copies."""

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> ImageFacts:
        return cls(**{**value, "size": tuple(value["size"]), "class_pixels": tuple(value["class_pixels"])})


def displayable(path: Path) -> str:
    """Return a path as text; bytes that are no UTF-8, which a file name may hold, become '\ufffd'."""
    return str(path).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
