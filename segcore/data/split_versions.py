"""The versions of a dataset's split: one that a study used is never lost, a change then begins the next version.

    split.json          the split that new studies take: its lists, its version and how it was made
    splits/0001.json    earlier versions that studies used, written once

Which studies used a version is read from the studies themselves: each keeps its split (see `segcore.runs`), and two
splits are the same where their fingerprints are.
"""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segcore.data.splits import Split
from segcore.errors import NotFoundError, SegcoreError
from segcore.files import describe_os_error, read_json, write_json
from segcore.runs import Study, subdirectories
from segcore.workspace import Workspace

FIRST = "when the dataset was added"
"""How a split was made whose file does not say so."""


@dataclass(frozen=True)
class SplitVersion:
    """One version of a dataset's split."""

    number: int
    split: Split
    made: str
    """How, in a few words."""
    when: float | None
    """Seconds since 1970; None where the file does not say."""
    studies: tuple[str, ...]
    """Names of the studies that train and judge on it, sorted."""

    @property
    def locked(self) -> bool:
        """Whether a change begins another version."""
        return bool(self.studies)


def write_split(directory: Path, split: Split, made: str) -> int:
    """Make `split` the one that new studies take, and return its version.

    Args:
        directory: of the dataset.
        split: the new split; one with the same lists as the present one leaves all as it is.
        made: how, in a few words.

    Raises:
        WorkspaceError: the files cannot be written, or the present split is damaged.
    """
    present = read_json(directory / "split.json")
    if present is not None and Split.from_json(present).fingerprint == split.fingerprint:
        return int(present.get("version", 1))
    number = _let_go(directory, present)
    write_json(directory / "split.json", {"version": number, "made": made, "when": time.time(), **split.to_json()})
    return number


def split_made(directory: Path) -> str:
    """Return in a few words how a dataset's present split came about."""
    return str((read_json(directory / "split.json") or {}).get("made") or FIRST)


def drop_split(directory: Path) -> None:
    """Leave the dataset without a split; one that a study used is kept among the earlier versions."""
    _let_go(directory, read_json(directory / "split.json"))
    (directory / "split.json").unlink(missing_ok=True)


def split_versions(directory: Path) -> list[SplitVersion]:
    """Return all versions of a dataset's split that there are, the present one first, then the latest.

    Raises:
        WorkspaceError: a file of them is damaged.
    """
    studies = studies_by_split(directory)
    paths = {number: directory / "splits" / f"{number:04d}.json" for number in _kept(directory)}
    found = []
    for path in (directory / "split.json", *(paths[number] for number in sorted(paths, reverse=True))):
        value = read_json(path)
        if value is not None:
            split = Split.from_json(value)
            found.append(
                SplitVersion(
                    number=int(value.get("version", 1)),
                    split=split,
                    made=str(value.get("made") or FIRST),
                    when=value.get("when"),
                    studies=studies.get(split.fingerprint, ()),
                )
            )
    return found


def split_version(directory: Path, number: int) -> SplitVersion:
    """Return one version of a dataset's split.

    Raises:
        NotFoundError: there is none of that number.
        WorkspaceError: a file of them is damaged.
    """
    versions = {version.number: version for version in split_versions(directory)}
    if number not in versions:
        known = ", ".join(map(str, sorted(versions))) or "none"
        raise NotFoundError(f"There is no version {number} of the split; there are: {known}.", field="version")
    return versions[number]


def studies_by_split(directory: Path) -> dict[str, tuple[str, ...]]:
    """Return fingerprint of a split -> names of the studies on the dataset of that directory that use it, sorted.

    Studies that cannot be read are left out: they keep their own split.
    """
    workspace = Workspace(directory.parent.parent)
    found: dict[str, list[str]] = defaultdict(list)
    for study in map(Study, sorted(subdirectories(workspace.studies))):
        try:
            if study.dataset.name == directory.name:
                found[study.split.fingerprint].append(study.name)
        except SegcoreError:
            continue
    return {fingerprint: tuple(names) for fingerprint, names in found.items()}


def _kept(directory: Path) -> list[int]:
    """Return the numbers of the versions that were kept."""
    return [int(path.stem) for path in (directory / "splits").glob("[0-9]*.json") if path.stem.isdigit()]


def _let_go(directory: Path, present: dict[str, Any] | None) -> int:
    """Keep the present split if a study used it; return the number that the next one gets."""
    if present is None:
        return max(_kept(directory), default=0) + 1
    number = int(present.get("version", 1))
    if Split.from_json(present).fingerprint not in studies_by_split(directory):
        return number
    try:
        (directory / "splits").mkdir(exist_ok=True)
    except OSError as error:
        raise describe_os_error(error, directory / "splits") from error
    write_json(directory / "splits" / f"{number:04d}.json", {**present, "version": number})
    return number + 1
