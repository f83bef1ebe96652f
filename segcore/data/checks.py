"""Looking at every file of a dataset once: what can be used, what cannot and why, and what is in it."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from segcore.config import DatasetConfig
from segcore.data.classes import ClassTable
from segcore.data.pairing import Pair, Pairing, pair_dataset
from segcore.data.parallel import ordered_map
from segcore.data.readers import (
    RawMask,
    Reading,
    choose_reading,
    image_size,
    pair_digest,
    read_bytes,
    read_image,
    read_raw_mask,
)
from segcore.data.report import CheckReport, ImageFacts, Problem, UnknownValue, describe_value
from segcore.errors import ImageReadError
from segcore.progress import Progress, silent
from segcore.text import printable

_SHOWN = 50
"""So many unknown colours are listed at most; masks saved as JPEG have thousands."""


@dataclass(frozen=True)
class CheckResult:
    """What a check found: the report for people, the facts for the store."""

    report: CheckReport
    facts: tuple[ImageFacts, ...]
    """Of the usable pairs, sorted by name."""
    fingerprint: str
    """Hash of the usable files' bytes, the class table and the meaning of mask values; not of where they are."""


def check_dataset(config: DatasetConfig, progress: Progress = silent) -> CheckResult:
    """Read every pair of a dataset once, in threads. What cannot be used is left out, counted and explained.

    Raises:
        DatasetError: the folders or the class table cannot be used at all.
    """
    table = ClassTable.of(config)
    pairing = pair_dataset(config)
    excluded = table.meaning.excluded
    looks = list(ordered_map(partial(_look, table=table, plain=ClassTable(config.classes)), pairing.pairs, progress))
    votes: Counter[Reading] = Counter()
    for look in looks:
        votes.update(look.known)
    reading = choose_reading({"colors": votes["colors"], "index": votes["index"]})
    facts, problems = [], list(_pairing_problems(pairing))
    unknown = _Unknown()
    # Excluded masks count among the unknown colours too: there most is to be learnt from seeing them.
    for pair, look in zip(pairing.pairs, looks, strict=True):
        if pair.name in excluded:
            problems.append(_left_out(pair))
            continue
        problem = look.problem
        if problem is None:
            counts = look.counts[reading]
            unknown.add(counts.unknown, pair.name)
            problem = _content_problem(pair, counts, table, reading)
            if problem is None or not problem.excluded:
                facts.append(_facts(pair, look, counts, config))
        if problem is not None:
            problems.append(problem)
    problems += _class_problems(facts, table)
    report = _report(pairing, facts, problems, unknown, reading, table)
    return CheckResult(report, tuple(facts), _fingerprint(facts, table, reading))


# One pair ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Counts:
    """Pixels of a mask under one reading."""

    classes: np.ndarray
    """(C,) int64."""
    ignored: int
    """Pixels of no class: ignored or unknown."""
    unknown: Counter[tuple[int, int, int]] | Counter[int]


@dataclass(frozen=True)
class _Look:
    """What one pair showed; either a problem, or the rest."""

    problem: Problem | None = None
    digest: str = ""
    size: tuple[int, int] = (0, 0)
    known: dict[Reading, int] = field(default_factory=dict)
    counts: dict[Reading, _Counts] = field(default_factory=dict)


def _look(pair: Pair, table: ClassTable, plain: ClassTable) -> _Look:
    """Read both files once: hash their bytes, decode them, count the pixels of each class."""
    kind, path = "unreadable image", pair.image
    try:
        image_bytes = read_bytes(pair.image)
        read_image(pair.image, max_side=64, data=image_bytes)  # to its end; a JPEG at an eighth, as that is faster
        size = image_size(pair.image, data=image_bytes)
        kind, path = "unreadable mask", pair.mask
        mask_bytes = read_bytes(pair.mask)
        mask = read_raw_mask(pair.mask, data=mask_bytes)
    except ImageReadError as error:
        return _Look(Problem(path, kind, str(error), excluded=True))
    if mask.size != size:
        return _Look(_size_problem(pair, size, mask.size))
    known = mask.known(plain)  # what masks are does not depend on what was decided of them
    counts: dict[Reading, _Counts] = {"colors": _count(mask, table, "colors")}
    counts["index"] = counts["colors"] if mask.rgb is not None else _count(mask, table, "index")
    return _Look(digest=pair_digest(image_bytes, mask_bytes), size=size, known=known, counts=counts)


def _count(mask: RawMask, table: ClassTable, reading: Reading) -> _Counts:
    labels, unknown = mask.labels(table, reading)
    counts = np.bincount(labels.ravel(), minlength=256)
    classes = counts[: len(table.trained)].astype(np.int64)
    return _Counts(classes, int(labels.size - classes.sum()), unknown)


def _facts(pair: Pair, look: _Look, counts: _Counts, config: DatasetConfig) -> ImageFacts:
    return ImageFacts(
        name=pair.name,
        image=pair.image.relative_to(config.images).as_posix(),
        mask=pair.mask.relative_to(config.masks).as_posix(),
        group=config.groups_given.get(pair.name, pair.group),
        size=look.size,
        digest=look.digest,
        class_pixels=tuple(int(count) for count in counts.classes),
        unlabelled=counts.ignored,
    )


# Problems ---------------------------------------------------------------------------------------------


def _size_problem(pair: Pair, image: tuple[int, int], mask: tuple[int, int]) -> Problem:
    turned = " One of them is turned; orientation notes (EXIF) are ignored." if image == mask[::-1] else ""
    return Problem(
        pair.mask,
        "size differs",
        f"The mask {pair.mask.name} has {mask[0]} × {mask[1]} pixels, its image {image[0]} × {image[1]}; they must be "
        f"the same. Export the mask again at the image's size.{turned}",
        excluded=True,
    )


def _content_problem(pair: Pair, counts: _Counts, table: ClassTable, reading: Reading) -> Problem | None:
    """Say what is wrong with what a readable mask shows."""
    unknown = sum(counts.unknown.values())
    lossy = pair.mask.suffix.lower() in (".jpg", ".jpeg")
    if counts.classes.sum() == 0 and unknown:
        (value, _), *_ = counts.unknown.most_common(1)
        expected = (
            f"rows of the class table, 0-{len(table.rows) - 1}, or 255 for ignore"
            if reading == "index"
            else "exactly the colours of the class table"
        )
        return Problem(
            pair.mask,
            "no known colour",
            f"No pixel of the mask {pair.mask.name} has a class; the most frequent is "
            f"{describe_value(value)}. Expected {expected}. "
            + ("JPEG blends colours: export masks as PNG." if lossy else "Correct the class table or the mask."),
            excluded=True,
        )
    if counts.classes.sum() == 0:
        return Problem(
            pair.mask,
            "nothing labelled",
            f"All pixels of the mask {pair.mask.name} are ignored, so there is nothing to learn from it.",
            excluded=True,
        )
    if unknown and lossy:
        return Problem(
            pair.mask,
            "lossy mask",
            f"The mask {pair.mask.name} is a JPEG, which blends colours: {unknown} pixels match no class and are "
            "ignored. Export masks as PNG.",
            excluded=False,
        )
    return None


def _left_out(pair: Pair) -> Problem:
    message = f"The image {pair.image.name} is left out, as you decided. Undo that decision to use it again."
    return Problem(pair.image, "left out", message, excluded=True)


def _pairing_problems(pairing: Pairing) -> Iterator[Problem]:
    for file in pairing.images_without_mask:
        message = f"The image {file.name} has no mask of the same stem. Add {file.stem}.png to the masks folder."
        yield Problem(file, "no mask", message, excluded=True)
    for file in pairing.masks_without_image:
        message = f"The mask {file.name} has no image of the same stem. Add the image, or remove the mask."
        yield Problem(file, "no image", message, excluded=True)
    for file in pairing.duplicates:
        message = (
            f"Several files have the stem {file.stem!r}, so it is open which belongs to which. Keep one, or put images "
            "and masks into sub-folders of the same names."
        )
        yield Problem(file, "repeated name", message, excluded=True)
    for file in pairing.unusable_names:
        message = (
            f"The name {printable(file.name, lines=False)} is too long (over 200 bytes), not valid text, or holds "
            "control characters. Rename the file."
        )
        yield Problem(file, "unusable name", message, excluded=True)
    for file in pairing.astray:
        message = (
            f"{file.name} is a link to {printable(os.path.realpath(file))}, outside the folders of this dataset; only "
            "what these hold is read. Put the file itself there, or name the folder that the link leads to."
        )
        yield Problem(file, "link out of the folder", message, excluded=True)
    if pairing.ungrouped:
        count, example = len(pairing.ungrouped), pairing.ungrouped[0]
        message = (
            f"The regular expression for groups does not match {count} image name{'s' if count > 1 else ''}, e.g. "
            f"{example!r}; each is a group of its own."
        )
        yield Problem(None, "ungrouped", message, excluded=False)


def _class_problems(facts: Sequence[ImageFacts], table: ClassTable) -> Iterator[Problem]:
    pixels = np.array([fact.class_pixels for fact in facts]).sum(axis=0) if facts else np.zeros(0)
    missing = [info.name for info, count in zip(table.trained, pixels, strict=False) if count == 0]
    if missing:
        message = (
            f"No mask shows {', '.join(missing)}; nothing can be learnt about {'it' if len(missing) == 1 else 'them'}. "
            "Check the colours in the class table, or ignore these classes."
        )
        yield Problem(None, "class never seen", message, excluded=False)


# Totals -----------------------------------------------------------------------------------------------


class _Unknown:
    """Adds up the unknown colours and values of many masks."""

    def __init__(self) -> None:
        self._pixels: Counter[tuple[int, int, int] | int] = Counter()
        self._images: Counter[tuple[int, int, int] | int] = Counter()
        self._example: dict[tuple[int, int, int] | int, str] = {}

    def add(self, unknown: Counter[tuple[int, int, int]] | Counter[int], name: str) -> None:
        self._pixels.update(dict(unknown))
        self._images.update(unknown.keys())
        for value in unknown:
            self._example.setdefault(value, name)

    def shown(self) -> tuple[UnknownValue, ...]:
        return tuple(
            UnknownValue(value, pixels, self._images[value], self._example[value])
            for value, pixels in self._pixels.most_common(_SHOWN)
        )

    def count(self) -> int:
        return len(self._pixels)

    def pixels(self) -> int:
        return self._pixels.total()


def _report(
    pairing: Pairing,
    facts: Sequence[ImageFacts],
    problems: Sequence[Problem],
    unknown: _Unknown,
    reading: Reading,
    table: ClassTable,
) -> CheckReport:
    classes = np.array([fact.class_pixels for fact in facts], dtype=np.int64).reshape(len(facts), len(table.trained))
    sizes = Counter(fact.size for fact in facts)
    return CheckReport(
        images=pairing.images,
        usable=len(facts),
        groups=len({fact.group for fact in facts}),
        problems=tuple(problems),
        unknown_colors=unknown.shown(),
        unknown_count=unknown.count(),
        unknown_pixels=unknown.pixels(),
        class_pixels=tuple(int(count) for count in classes.sum(axis=0)),
        class_images=tuple(int(count) for count in (classes > 0).sum(axis=0)),
        unlabelled_pixels=sum(fact.unlabelled for fact in facts),
        sizes=tuple((width, height, count) for (width, height), count in sizes.most_common()),
        mask_reading=reading,
    )


def _fingerprint(facts: Sequence[ImageFacts], table: ClassTable, reading: Reading) -> str:
    """Return a hash of what the labels come from.

    Decisions that leave all labels as they are, as other names and colours, leave it as it is, too: what was prepared
    and trained stays valid.
    """
    classes = [(info.name, info.color, info.ignore) for info in table.rows]
    value = [classes, reading, [(fact.name, fact.digest) for fact in facts]]
    decided = _decided(table)
    if decided:
        value.append(decided)
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def _decided(table: ClassTable) -> list[object]:
    """Return what decisions change about the labels; empty where nothing."""
    meaning, plain = table.meaning, ClassTable(table.rows)
    mapped = [
        (value, label)
        for value, position in sorted(meaning.mapped, key=str)
        if (label := meaning.label(position)) is not None or (meaning.snap and isinstance(value, tuple))
    ]
    if not mapped and not meaning.snap and table.row_labels == plain.row_labels:
        return []
    return [table.row_labels, mapped, meaning.snap]
