"""Images of a dataset that show the same ground: found, and put into one scene so that no split divides them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from segcore.data import leakage
from segcore.data.building import exclusive
from segcore.data.dataset import Dataset
from segcore.data.dividing import Grouping, files, given, preview_split, set_groups, shares
from segcore.data.leakage import Leakage
from segcore.data.splits import Split
from segcore.errors import SplitError
from segcore.progress import Progress, silent
from segcore.text import plural


def find_leakage(dataset: Dataset, progress: Progress = silent) -> Leakage:
    """Compare all images of a dataset and return the pairs that show the same ground; see `leakage.find`.

    Raises:
        ImageReadError: an image is gone or damaged.
        WorkspaceError: what was found cannot be written.
    """
    with exclusive(_leakage_directory(dataset) / ".lock", progress):
        return leakage.find(files(dataset), _digests(dataset), _leakage_directory(dataset), progress)


def known_leakage(dataset: Dataset) -> Leakage | None:
    """Return what `find_leakage` found among the images as they are now; None where it has not been asked."""
    return leakage.read(_digests(dataset), _leakage_directory(dataset))


@dataclass(frozen=True)
class Mending:
    """What mending a split would do."""

    grouping: Grouping
    split: Split
    before: int
    """Scenes as they are."""
    moved: dict[str, tuple[str, str]]
    """Image name -> (part before, part after), of the images that change; before is "none" where there was no split."""


def preview_mending(dataset: Dataset, found: Leakage, *, seed: int = 0) -> Mending:
    """Put images that show the same ground into one scene, divide by these scenes in the present shares, keep nothing.

    Images that stand in no part of the present split stay out.

    Raises:
        SplitError: what is left are too few scenes: everything overlaps.
    """
    groups, present = dataset.groups, dataset.split
    merged = leakage.merged_groups(groups, found.leaks)
    before, after = len(set(groups.values())), len(set(merged.values()))
    old = present.part_of() if present else {}
    used = {name: group for name, group in merged.items() if present is None or name in old}
    val, test = shares(present)
    try:
        split = preview_split(dataset, used, val=val, test=test, seed=seed)
    except SplitError as error:
        raise SplitError(
            f"With all overlaps put together, {plural(before, 'scene')} become {after}: too few to divide. Judge on "
            "images of another flight, or divide by lists that leave out the images between the parts."
        ) from error
    moved = {name: (old.get(name, "none"), part) for name, part in split.part_of().items() if old.get(name) != part}
    source = f"overlaps found ({plural(len(found.leaks), 'pair')})"
    return Mending(given(dataset, merged, source), split, before, moved)


def mend(dataset: Dataset, mending: Mending) -> None:
    """Carry out what `preview_mending` proposed.

    Raises:
        WorkspaceError: the dataset cannot be written.
    """
    set_groups(dataset, mending.grouping)
    dataset.set_split(mending.split, "by scene, overlaps put together")


def _digests(dataset: Dataset) -> dict[str, str]:
    return {fact.name: fact.digest for fact in dataset.facts}


def _leakage_directory(dataset: Dataset) -> Path:
    return dataset.path / "leakage"
