"""Dividing a dataset: what names its scenes, and the ways to make a split.

What is here works on a dataset that was added, without reading its masks again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from segcore.config import DatasetConfig
from segcore.data.building import exclusive
from segcore.data.dataset import Dataset
from segcore.data.deciding import restricted
from segcore.data.pairing import pair_dataset
from segcore.data.scenes import DISTANCE_METRES, GAP_SECONDS, groups_by_place, groups_by_time, read_shots
from segcore.data.splits import PARTS, Split, read_split_file, shares_text, split_by_group
from segcore.data.state import read_state, write_state
from segcore.errors import SplitError, nearest
from segcore.progress import Progress, silent


@dataclass(frozen=True)
class Grouping:
    """What names the scenes of a dataset."""

    groups: dict[str, str]
    """Image name -> scene."""
    config: DatasetConfig
    """The dataset's configuration with what names the scenes written down."""

    @property
    def scenes(self) -> int:
        """How many different ones there are."""
        return len(set(self.groups.values()))


def group_by_name(dataset: Dataset, regex: str) -> Grouping:
    """Scenes by a regular expression on the stem, see `DatasetConfig.group_regex`; new images follow it, too.

    Raises:
        ConfigError: it is no regular expression.
        DatasetError: it matches no image, or the files are gone.
    """
    return _by_file(dataset, {"group_regex": regex, "group_by_folder": False})


def group_by_folder(dataset: Dataset) -> Grouping:
    """Scenes by the folders that images are in; new images follow it, too.

    Raises:
        DatasetError: the files are gone.
    """
    return _by_file(dataset, {"group_regex": None, "group_by_folder": True})


def group_by_time(dataset: Dataset, gap: float = GAP_SECONDS, progress: Progress = silent) -> Grouping:
    """Scenes by pauses of more than `gap` seconds, see `scenes.groups_by_time`.

    Raises:
        SplitError: no image says when it was taken.
    """
    groups = groups_by_time(read_shots(files(dataset), progress), gap)
    return given(dataset, groups, f"time of exposure, pauses above {gap:g} s")


def group_by_place(dataset: Dataset, distance: float = DISTANCE_METRES, progress: Progress = silent) -> Grouping:
    """Scenes by places at most `distance` metres apart, see `scenes.groups_by_place`.

    Raises:
        SplitError: no image says where it was taken.
    """
    groups = groups_by_place(read_shots(files(dataset), progress), distance)
    return given(dataset, groups, f"GPS, at most {distance:g} m apart")


def given(dataset: Dataset, groups: Mapping[str, str], source: str) -> Grouping:
    """Scenes given image by image; `source` says in a few words where they come from."""
    config = dataset.config.model_copy(update={"groups_given": dict(groups), "groups_from": source})
    return Grouping(dict(groups), config)


def set_groups(dataset: Dataset, grouping: Grouping) -> None:
    """Make a grouping the dataset's own. Its split stays as it is: divide it anew to follow the new scenes.

    Raises:
        WorkspaceError: the dataset cannot be written.
    """
    with exclusive(dataset.lock_path, silent):
        state = read_state(dataset.path / "dataset.json")
        facts = tuple(replace(fact, group=grouping.groups.get(fact.name, fact.group)) for fact in state.facts)
        fields = ("group_regex", "group_by_folder", "groups_given", "groups_from")
        config = state.config.model_copy(update={field: getattr(grouping.config, field) for field in fields})
        report = replace(state.report, groups=len({fact.group for fact in facts}))
        write_state(dataset.path, replace(state, config=config, facts=facts, report=report))


def _by_file(dataset: Dataset, update: dict[str, Any]) -> Grouping:
    config = DatasetConfig(**{**dataset.config.model_dump(), **update, "groups_given": {}, "groups_from": ""})
    found = {pair.name: pair.group for pair in pair_dataset(config).pairs}
    return Grouping({name: found.get(name, group) for name, group in dataset.groups.items()}, config)


def files(dataset: Dataset) -> dict[str, Path]:
    """Return image name -> its file."""
    return {pair.name: pair.image for pair in dataset.pairs}


# Splits -------------------------------------------------------------------------------------------------


def preview_split(
    dataset: Dataset, groups: Mapping[str, str], *, val: float = 0.2, test: float = 0.0, seed: int = 0
) -> Split:
    """Divide the images by these groups, as `split_by_group` does, and keep nothing.

    Raises:
        SplitError: there are too few groups.
    """
    pixels = {name: dataset.class_pixels(name) for name in groups}
    return split_by_group(groups, pixels, val=val, test=test, seed=seed)


def divide_by(dataset: Dataset, grouping: Grouping, *, val: float = 0.2, test: float = 0.0, seed: int = 0) -> Split:
    """Make a grouping the dataset's own and divide by it; nothing is changed where it has too few scenes.

    Raises:
        SplitError: there are too few groups.
        WorkspaceError: the dataset cannot be written.
    """
    preview_split(dataset, grouping.groups, val=val, test=test, seed=seed)
    set_groups(dataset, grouping)
    return dataset.make_split(val=val, test=test, seed=seed)


def split_at_random(dataset: Dataset, *, val: float = 0.2, test: float = 0.0, seed: int = 0) -> Split:
    """Divide image by image, as if each were a scene of its own, and keep that split.

    Frames of one scene then stand on both sides, and scores are too good; it is here to show by how much, and for
    images that really have nothing to do with each other.

    Raises:
        SplitError: there are too few images.
    """
    split = preview_split(dataset, {name: name for name in dataset.names}, val=val, test=test, seed=seed)
    dataset.set_split(split, f"image by image, {shares_text(val, test)}, seed {seed}")
    return split


def split_by_lists(dataset: Dataset, path: Path) -> Split:
    """Take a split from a file or folder of lists, see `read_split_file`, and keep it.

    The lists may name images that cannot be used, or were left out, as those of a published dataset do.

    Raises:
        SplitError: the lists are not understood, or name images that are not there.
        DatasetError: the dataset's files are gone.
    """
    split = read_split_file(path, [pair.name for pair in pair_dataset(dataset.config).pairs])
    dataset.set_split(restricted(split, {*dataset.names, *dataset.config.meaning.excluded}), f"lists of {path.name}")
    return split


def move(dataset: Dataset, what: str, part: str) -> Split:
    """Move a scene, or an image, of that name into another part of the split, and keep the result.

    Raises:
        SplitError: there is no such scene or image, no such part, or train or val would be left empty.
    """
    split = dataset.split
    if split is None:
        raise SplitError("The dataset has no split yet. Divide it first.", field="move")
    if part not in PARTS:
        raise SplitError(f"{part!r} is no part; the parts are {', '.join(PARTS)}.", field="move")
    groups = dataset.groups
    names = [name for name, group in groups.items() if group == what] or [name for name in groups if name == what]
    if not names:
        known = {*groups, *groups.values()}
        raise SplitError(f"There is no scene and no image {what!r}.{nearest(what, known)}", field="move")
    moved = split.moved(names, part)
    dataset.set_split(moved, f"by hand: {what} to {part}")
    return moved


def class_shares(dataset: Dataset, split: Split | None) -> list[dict[str, Any]]:
    """Return one row a class: its name, its share of the labelled pixels of all images and of each part, 0-1.

    A part without images, or without labelled pixels, has NaN.
    """
    columns = {"all": dataset.names, **{part: getattr(split, part) if split else () for part in PARTS}}
    rows: list[dict[str, Any]] = [{"class": info.name} for info in dataset.table.trained]
    for part, names in columns.items():
        pixels = class_pixels(dataset, names)
        for row, count in zip(rows, pixels, strict=True):
            row[part] = float(count / pixels.sum()) if pixels.sum() else float("nan")
    return rows


def class_pixels(dataset: Dataset, names: Iterable[str]) -> np.ndarray:
    """Return the pixels of each trained class in these images together, (C,) int64; names it lacks count nothing."""
    wanted = set(names)
    found = [fact.class_pixels for fact in dataset.facts if fact.name in wanted]
    return np.array(found, dtype=np.int64).reshape(len(found), len(dataset.table.trained)).sum(axis=0)


def shares(split: Split | None) -> tuple[float, float]:
    """Return the shares of val and test that a split has; a fifth and none without one."""
    if split is None:
        return 0.2, 0.0
    total = len(split.train) + len(split.val) + len(split.test)
    return len(split.val) / total, len(split.test) / total
