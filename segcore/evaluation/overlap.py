"""Which images two datasets share: what a network has met of the images it is judged on, and which of them are sealed.

Images are told by the bytes of their files, whatever they are called and whatever dataset they stand in, with whatever
masks. An image that was saved anew, cut or resized is another one: that nobody can tell from here.
Nothing here imports torch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from segcore.data.dataset import Dataset
from segcore.data.store import DatasetStore
from segcore.errors import ImageReadError, NotFoundError, SealError, WorkspaceError
from segcore.evaluation import seal
from segcore.runs import Run, Study
from segcore.store import RunStore
from segcore.text import plural
from segcore.workspace import Workspace


@dataclass(frozen=True)
class Met:
    """Which of the images that a network is judged on it has met before."""

    trained: tuple[str, ...] = ()
    """It has learnt from these."""
    validated: tuple[str, ...] = ()
    """Its best epoch was chosen on these."""
    unknown: str = ""
    """Why it cannot be told of all images, in a sentence; "" where it can."""


def met(run: Run, dataset: Dataset, names: Sequence[str]) -> Met:
    """Return which of the images `names` of a dataset a run was trained and chosen on.

    Raises:
        NotFoundError: the run's study has lost its split.
    """
    config, split = run.config, run.split
    own = _dataset(run, config.dataset.name)
    gone = (
        f"The network's own dataset {config.dataset.name} is not here any more, so nobody can tell whether it has "
        "learnt from these images."
    )
    if own is None:
        return Met(unknown=gone)
    try:
        trained, validated = shared(dataset, names, own, split.train), shared(dataset, names, own, split.val)
    except ImageReadError:  # its files are
        return Met(unknown=gone)
    unknown = ""
    if own.fingerprint != config.dataset_fingerprint:
        unknown = (
            f"The network's own dataset {own.name} has changed since it learnt from it: it may have met more of these "
            "images than can be told now."
        )
    return Met(_in_order(names, trained), _in_order(names, validated), unknown)


def _in_order(names: Sequence[str], chosen: set[str]) -> tuple[str, ...]:
    return tuple(name for name in names if name in chosen)


def check_open(run: Run, dataset: Dataset, names: Sequence[str]) -> None:
    """Refuse to judge a run on images that are sealed test images of a study.

    Those of the run's own study have to be opened for it; those of another study have to be opened at all.

    Raises:
        SealError: they are sealed; says how to open them.
    """
    own = Study(run.path.parent)
    rest = set(names)
    if mine := _tested(own, dataset, rest):
        seal.check_opened(run)
        rest -= mine  # opened for this run, whoever else keeps them sealed
    for study in RunStore(Workspace(run.path.parents[2])).studies():
        try:
            if not rest or study.path == own.path or seal.opened(study):
                continue
            found = _tested(study, dataset, rest)
        except WorkspaceError:  # damaged: nobody could open it either
            continue
        if found:
            raise SealError(
                f"{plural(len(found), 'of these images is', 'of these images are')} sealed: test images of study "
                f"{study.name!r}. Open them first, by 'python -m segcore study open-test {study.name}' or the Charts "
                "page, or choose another part."
            )


def _tested(study: Study, dataset: Dataset, names: Iterable[str]) -> set[str]:
    """Return which of the images `names` are test images of a study."""
    if not study.split.test:
        return set()
    home = _dataset_of(Workspace(study.path.parents[1]), study.dataset.name)
    with suppress(ImageReadError):
        if home is not None:
            return shared(dataset, names, home, study.split.test)
    # Their files are gone from here; what is called alike in a dataset of that name is taken for the same.
    return set(names) & set(study.split.test) if dataset.name == study.dataset.name else set()


def _dataset(run: Run, name: str) -> Dataset | None:
    return _dataset_of(Workspace(run.path.parents[2]), name)


def _dataset_of(workspace: Workspace, name: str) -> Dataset | None:
    try:
        return DatasetStore(workspace).get(name)
    except NotFoundError:
        return None


def shared(dataset: Dataset, names: Iterable[str], other: Dataset, others: Iterable[str]) -> set[str]:
    """Return those of the images `names` whose files are, byte for byte, among the images `others` of `other`.

    Only files of equal size are read, once as long as they do not change.

    Raises:
        ImageReadError: a file is gone or cannot be read.
    """
    names, there = set(names), set(others)
    found = names & there if dataset == other else set()
    mine, theirs = _sizes(dataset, names - found), _sizes(other, there)
    for size in mine.keys() & theirs.keys():
        digests = {_digest(path) for _, path in theirs[size]}
        found |= {name for name, path in mine[size] if _digest(path) in digests}
    return found


def _sizes(dataset: Dataset, names: set[str]) -> dict[int, list[tuple[str, Path]]]:
    """Return the images `names`, as far as the dataset still has them, by the bytes of their files."""
    found: dict[int, list[tuple[str, Path]]] = {}
    for pair in dataset.pairs:
        if pair.name in names:
            found.setdefault(_stat(pair.image)[0], []).append((pair.name, pair.image))
    return found


def _stat(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except OSError as error:
        raise ImageReadError(f"{path} is not there any more ({error.strerror}). Check the dataset again.") from error
    return stat.st_size, stat.st_mtime_ns


def _digest(path: Path) -> bytes:
    return _digest_of(path, _stat(path))


@lru_cache(maxsize=65536)
def _digest_of(path: Path, _stamp: tuple[int, int]) -> bytes:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise ImageReadError(f"{path} cannot be read: {error.strerror}.") from error
