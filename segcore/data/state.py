"""What is kept about a dataset, how a check fills it, and how it is written and read."""

from __future__ import annotations

import json
import os
import time
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from segcore.config import DatasetConfig
from segcore.data.checks import check_dataset
from segcore.data.classes import ClassTable
from segcore.data.journal import Journal
from segcore.data.outlines import outline_stamps
from segcore.data.pairing import Pair, find_files, path_below
from segcore.data.report import CheckReport, ImageFacts
from segcore.data.splits import Split
from segcore.errors import ClassTableError, DatasetError, NotFoundError, WorkspaceError
from segcore.files import FileCache, describe_os_error, read_json, write_json
from segcore.progress import Progress

Sources = dict[str, dict[str, list[int]]]
"""For images and masks: path below the folder -> [bytes, time of change in ns], of every file there is; for outlines
that masks were drawn from the same by whole path."""


@dataclass(frozen=True)
class WholeSplit:
    """A split with the images that decisions took out of it, so that they find their parts again when undone."""

    fingerprint: str
    """Of what is left of it; once the dataset has another split, this one is history."""
    split: Split
    made: str
    """How it came about, in a few words."""
    before: str | None = None
    """While dataset.json and split.json are written: the fingerprint of the split that was there before."""

    def to_json(self) -> dict[str, Any]:
        return {
            "fingerprint": self.fingerprint,
            "split": self.split.to_json(),
            "made": self.made,
            "before": self.before,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> WholeSplit:
        return cls(value["fingerprint"], Split.from_json(value["split"]), value["made"], value.get("before"))


@dataclass(frozen=True)
class DatasetState:
    """What dataset.json holds."""

    config: DatasetConfig
    fingerprint: str
    report: CheckReport
    facts: tuple[ImageFacts, ...]
    sources: Sources
    """As they were when they were checked."""
    whole_split: WholeSplit | None = None
    """The split as it was before decisions left images out of it."""

    @property
    def cut_short(self) -> bool:
        """Whether who changed the dataset ended between writing this and the split that goes with it."""
        return self.whole_split is not None and self.whole_split.before is not None

    @cached_property
    def table(self) -> ClassTable:
        return ClassTable.of(self.config)

    @cached_property
    def by_name(self) -> dict[str, ImageFacts]:
        return {fact.name: fact for fact in self.facts}

    @cached_property
    def pairs(self) -> tuple[Pair, ...]:
        images, masks = self.config.images, self.config.masks
        return tuple(Pair(fact.name, images / fact.image, masks / fact.mask, fact.group) for fact in self.facts)

    def to_json(self) -> dict[str, Any]:
        return {
            "config": self.config.to_json(),
            "fingerprint": self.fingerprint,
            "checked": time.time(),
            "report": self.report.to_json(),
            "facts": [vars(fact) for fact in self.facts],
            "sources": self.sources,
            "whole_split": None if self.whole_split is None else self.whole_split.to_json(),
        }


def examine(
    config: DatasetConfig, progress: Progress, journal: Path | None = None, sources: Sources | None = None
) -> DatasetState:
    """Check a dataset and refuse what nothing can be learnt from.

    Args:
        config: the dataset.
        progress: counts pairs.
        journal: where looks at its files are kept, see `segcore.data.journal`.
        sources: what `list_sources` just returned, where it was asked.
    """
    table = ClassTable.of(config)
    if len(table.trained) < 2:
        raise ClassTableError(
            f"{len(table.trained)} of the {len(table.classes)} classes would be learnt; at least 2 are needed to tell "
            "apart. Ignore fewer classes, or add one (a background, for example).",
            field="classes",
        )
    if sources is None:
        sources = list_sources(config)  # before the check, so that what changes during it shows as changed
    result = check_dataset(config, progress, None if journal is None else Journal(journal))
    _refuse_useless(result.report, table)
    return DatasetState(config, result.fingerprint, result.report, result.facts, sources)


def _refuse_useless(report: CheckReport, table: ClassTable) -> None:
    excluded = [problem for problem in report.problems if problem.excluded]
    why = "; ".join(f"{kind}: {count}" for kind, count in report.problem_counts().items())
    if report.usable == 0:
        raise DatasetError(
            f"None of {report.images} images can be used ({why}). First: {excluded[0].message}", field="images"
        )
    if report.usable == 1:
        more = f" Excluded are: {why}. First: {excluded[0].message}" if excluded else ""
        raise DatasetError(
            f"Only 1 image with a mask can be used; at least 2 are needed, one to learn from and one to check "
            f"with.{more}",
            field="images",
        )
    seen = [info.name for info, count in zip(table.trained, report.class_pixels, strict=True) if count]
    if len(seen) == 1:
        raise DatasetError(
            f"All labelled pixels of all masks are {seen[0]!r}; there is nothing to tell apart. Check the class table "
            "and which classes are ignored.",
            field="classes",
        )


def list_sources(config: DatasetConfig) -> Sources:
    """Return size and time of every file there is, and of those that masks were drawn from."""
    listed: Sources = {}
    regexes = {"image_regex": config.image_regex, "mask_regex": config.mask_regex}
    images, masks = find_files(config.images, config.masks, **regexes)
    for part, folder, files in (("images", config.images, images), ("masks", config.masks, masks)):
        listed[part] = {}
        for file in files:
            try:
                stat = os.stat(file)  # noqa: PTH116 (twice as fast, and there may be 100,000 of them)
            except OSError:  # a dangling link, or gone since it was listed; the check says so
                continue
            name = os.fsencode(path_below(folder, file)).decode("utf-8", "backslashreplace")
            listed[part][name] = [stat.st_size, stat.st_mtime_ns]
    if outlines := outline_stamps(config.masks):
        listed["outlines"] = outlines
    return listed


def write_state(directory: Path, state: DatasetState, path: Path | None = None) -> None:
    """Write dataset.json, or another file of the dataset; sources inside the dataset's own directory by relative path,
    so that it can move."""
    value = state.to_json()
    for part, folder in (("images", state.config.images), ("masks", state.config.masks)):
        if folder.is_relative_to(directory):
            value["config"][part] = folder.relative_to(directory).as_posix()
    value[_CHECKSUM] = _checksum(value)
    path = path or directory / "dataset.json"
    try:
        path.parent.mkdir(exist_ok=True)
    except OSError as error:
        raise describe_os_error(error, path) from error
    write_json(path, value)


_CHECKSUM = "checksum"


def _checksum(value: dict[str, Any]) -> int:
    """Return a checksum of all of dataset.json but its own: a digit that changed would else pass for a count."""
    rest = {key: item for key, item in value.items() if key != _CHECKSUM}
    return zlib.crc32(json.dumps(rest, default=str, sort_keys=True).encode())


def _load(path: Path) -> DatasetState:
    directory = path.parent if path.name == "dataset.json" else path.parents[1]
    value = read_json(path)
    if value is None:
        raise NotFoundError(f"There is no dataset {directory.name!r} (any more).", field="dataset")
    if _CHECKSUM in value and value[_CHECKSUM] != _checksum(value):
        raise WorkspaceError(
            f"{path} is not as it was written: damaged, or changed by hand. Restore it from a copy, or remove the "
            f"dataset {directory.name!r} and add it again. Where the change is meant, delete its line {_CHECKSUM!r}."
        )
    try:
        places = {part: directory / value["config"][part] for part in ("images", "masks")}
        state = DatasetState(
            config=DatasetConfig.from_json({**value["config"], **places}),
            fingerprint=value["fingerprint"],
            report=CheckReport.from_json(value["report"]),
            facts=tuple(ImageFacts.from_json(fact) for fact in value["facts"]),
            sources=value["sources"],
            whole_split=WholeSplit.from_json(value["whole_split"]) if value.get("whole_split") else None,
        )
        _ = state.table  # which cannot be made of every list of classes
        return state
    except (KeyError, TypeError, ValueError, AttributeError, DatasetError) as error:
        raise WorkspaceError(
            f"{path} is not understood ({error!r}); perhaps another version wrote it. Remove the dataset "
            f"{directory.name!r} and add it again."
        ) from error


_states = FileCache(_load, entries=256)


def read_state(path: Path) -> DatasetState:
    """Return what the dataset.json at `path` holds; shared, not to be changed.

    Raises:
        NotFoundError: there is none.
    """
    return _states.get(path)
