"""One dataset of a workspace: its pairs, what is known of them, its split."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from segcore.config import DatasetConfig
from segcore.data.building import exclusive
from segcore.data.classes import ClassTable
from segcore.data.deciding import (
    carried_over,
    check_images,
    settle,
    whole_split,
    with_decisions,
    with_left_out,
    without,
    write_both,
)
from segcore.data.journal import LOOKS
from segcore.data.pairing import Pair
from segcore.data.readers import read_image, read_mask
from segcore.data.report import CheckReport, ImageFacts, Problem
from segcore.data.split_checks import split_problems
from segcore.data.split_versions import drop_split, write_split
from segcore.data.splits import Split, folds_by_group, groups_across_parts, shares_text, split_by_group
from segcore.data.state import DatasetState, examine, list_sources, read_state, write_state
from segcore.decisions import Decision
from segcore.errors import DatasetError, NotFoundError, SplitError, nearest
from segcore.files import read_json
from segcore.progress import Progress, silent


class Dataset:
    """One dataset's directory. Cheap to make; every property reads the files as they are now."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def __repr__(self) -> str:
        return f"Dataset({str(self.path)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dataset) and self.path == other.path

    def __hash__(self) -> int:
        return hash(self.path)

    def exists(self) -> bool:
        """Whether this is (still) a dataset's directory."""
        return self.state_path.is_file()

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def state_path(self) -> Path:
        """The file that tells all that is known of it."""
        return self.path / "dataset.json"

    @property
    def _state(self) -> DatasetState:
        return read_state(self.state_path)

    @property
    def config(self) -> DatasetConfig:
        """Where the files are and how they are read; paths are absolute.

        Raises:
            NotFoundError: there is no such dataset (any more).
        """
        return self._state.config

    @property
    def fingerprint(self) -> str:
        """Hash of the usable files' bytes and the class table; the same wherever the files are."""
        return self._state.fingerprint

    @property
    def report(self) -> CheckReport:
        """What the last check found."""
        return self._state.report

    @property
    def facts(self) -> tuple[ImageFacts, ...]:
        """What is known of each usable pair, sorted by name."""
        return self._state.facts

    @property
    def table(self) -> ClassTable:
        return self._state.table

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The usable pairs, sorted by name."""
        return self._state.pairs

    @property
    def names(self) -> list[str]:
        """Names of the usable pairs, sorted."""
        return [fact.name for fact in self.facts]

    @property
    def groups(self) -> dict[str, str]:
        """Image name -> the group it belongs to."""
        return {fact.name: fact.group for fact in self.facts}

    def image_facts(self, name: str) -> ImageFacts:
        """Return what is known of one pair.

        Raises:
            NotFoundError: there is no usable pair of that name.
        """
        facts = self._state.by_name.get(name)
        if facts is None:
            raise NotFoundError(
                f"Dataset {self.name!r} has no image {name!r}.{nearest(name, self.names)}", field="image"
            )
        return facts

    def pair(self, name: str) -> Pair:
        """Return one pair.

        Raises:
            NotFoundError: there is no usable pair of that name.
        """
        facts, config = self.image_facts(name), self.config
        return Pair(name, config.images / facts.image, config.masks / facts.mask, facts.group)

    def class_pixels(self, name: str) -> np.ndarray:
        """Return the pixels of each trained class in one image: int64 of shape (C,)."""
        return np.array(self.image_facts(name).class_pixels, dtype=np.int64)

    def read(self, name: str, *, max_side: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return one image with its mask: HWC uint8 RGB, and training labels, HW uint8, 255 where ignored.

        Args:
            name: of the pair.
            max_side: shrink both so that the longer side has at most this many pixels.

        Raises:
            NotFoundError: there is no usable pair of that name.
            ImageReadError: a file is gone or damaged.
        """
        pair = self.pair(name)
        image = read_image(pair.image, max_side=max_side)
        height, width = image.shape[:2]
        labels, _ = read_mask(pair.mask, self.table, reading=self.report.mask_reading, size=(width, height))
        return image, labels

    # Split -----------------------------------------------------------------------------------------

    @property
    def split(self) -> Split | None:
        """The split that new studies take, or None."""
        path = self.path / "split.json"
        value = read_json(path)
        try:
            return None if value is None else Split.from_json(value)
        except SplitError as error:
            raise SplitError(f"{path}: {error} Divide the images anew.", field="split") from error

    def set_split(self, split: Split, made: str = "by hand") -> None:
        """Keep `split` for studies to come; those launched keep theirs. Images in no part are not used.

        A split that a study used stays among the earlier versions, see `split_versions`. Images that decisions left out
        may be named: they stand in their parts once that is undone. `made` says in a few words how the new one came
        about.

        Raises:
            SplitError: it names images that the dataset does not have, or train or val would be left empty.
        """
        left_out = self.config.meaning.excluded
        check_names(split, {*self.names, *left_out})
        if left_out.isdisjoint(split.part_of()):
            write_split(self.path, split, made)
            return
        with exclusive(self.lock_path, silent):
            state = self._state
            write_both(self.path, state, state, self.split, split, made)

    def make_split(self, val: float = 0.2, test: float = 0.0, seed: int = 0) -> Split:
        """Divide the images by group, balanced as `split_by_group` says, and keep that split.

        Raises:
            SplitError: there are too few groups.
        """
        split = auto_split(self.facts, val, test, seed)
        self.set_split(split, f"by scene, {shares_text(val, test)}, seed {seed}")
        return split

    def folds(self, k: int, split: Split) -> list[Split]:
        """Divide the train and val images of `split` into k folds by group; its test images stay sealed in each.

        Raises:
            SplitError: there are too few groups.
        """
        used = {*split.train, *split.val}
        facts = [fact for fact in self.facts if fact.name in used]
        groups, pixels = _contents(facts)
        return folds_by_group(groups, pixels, k, test=split.test)

    # Source ----------------------------------------------------------------------------------------

    def changed(self) -> bool:
        """Whether the source files are others than when they were checked, told by names, sizes and times.

        Also where whoever changed the dataset was killed on the way: `refresh` then brings that to its end.
        """
        if self._state.cut_short:
            return True
        try:
            return list_sources(self.config) != self._state.sources
        except DatasetError:  # a folder is gone
            return True

    def refresh(self, progress: Progress = silent) -> Dataset:
        """Check the files again where they changed, and return this dataset as it is now.

        Images that are gone leave the split; new ones join the part in which their group is, else train. Images
        that were in no part stay in none, and so do new images of their group. A split that loses its train or
        val images that way is dropped.

        Raises:
            DatasetError: the files cannot be used any more; the dataset stays as it was.
        """
        with exclusive(self.lock_path, progress):
            self._refresh(progress)
        return self

    def _refresh(self, progress: Progress) -> None:
        if self._state.cut_short:
            settle(self.path, self._state, self.split)
        if not self.changed():
            return
        before, split = self._state, self.split
        state = examine(before.config, progress, self.path / LOOKS)
        groups = {fact.name: fact.group for fact in state.facts}
        if split is None or groups == self.groups:
            write_state(self.path, replace(state, whole_split=before.whole_split))
            return
        after = carried_over(split, self.groups, groups)
        if after is None:
            drop_split(self.path)
            write_state(self.path, state)
            return
        whole, _ = whole_split(self.path, before, split)
        whole = with_left_out(after, whole, before.config.meaning.excluded)
        write_both(self.path, before, state, split, whole, "carried over, as files changed")

    # Decisions -------------------------------------------------------------------------------------

    def decide(self, *decisions: Decision, progress: Progress = silent) -> Dataset:
        """Add decisions about images and classes; only what they concern is read again. The files stay as they are.

        Images that are left out leave the split, and find their parts again when that is undone. Studies launched
        before keep the classes and images they were launched with.

        Args:
            decisions: see `segcore.decisions`.
            progress: counts images.

        Raises:
            ConfigError: a decision does not fit the classes as they are (field "decisions").
            NotFoundError: an image to leave out is not there (field "images").
            SplitError: the split's train or val would be left empty (field "split").
            DatasetError: nothing could be learnt from what is left. In every case all stays as it was.
        """
        with exclusive(self.lock_path, progress):
            self._refresh(progress)
            config = self.config
            check_images(decisions, {*self.names, *config.meaning.excluded})
            self._redecide(with_decisions(config, (*config.decisions, *decisions)), progress)
        return self

    def undo(self, number: int | None = None, progress: Progress = silent) -> Dataset:
        """Take back one decision, whichever; images that come back stand in the split as before.

        Args:
            number: of the decision in `config.decisions`, the first is 1; None for the last.
            progress: counts images.

        Raises:
            ConfigError: there is no such decision, or a later one builds on it (field "decisions").
            DatasetError: as of `decide`. In every case all stays as it was.
        """
        with exclusive(self.lock_path, progress):
            self._refresh(progress)
            self._redecide(without(self.config, number), progress)
        return self

    def _redecide(self, config: DatasetConfig, progress: Progress) -> None:
        """Check again with other decisions; all that can fail comes before the first write."""
        before, split = self._state, self.split
        state = examine(config, progress, self.path / LOOKS, before.sources)
        if split is None:
            write_state(self.path, state)
        else:
            write_both(self.path, before, state, split, *whole_split(self.path, before, split))

    def split_warning(self) -> str:
        """Return what makes judging on this split unsafe, in a sentence; "" where nothing is seen."""
        split, groups = self.split, self.groups
        if split is None:
            return ""
        judged = {groups[name] for name in split.val if name in groups}
        if len(judged) == 1 and len(split.val) > 1:
            return (
                f"All {len(split.val)} validation images show one scene, {judged.pop()}: results may not hold "
                "elsewhere. Raise the validation share, or bring images of more scenes."
            )
        shared = groups_across_parts(split, groups)
        if shared:
            return (
                f"Scenes stand on both sides of the split ({', '.join(shared[:3])}{', …' if len(shared) > 3 else ''}): "
                "scores will be higher than on scenes never seen."
            )
        return ""

    def split_problems(self) -> tuple[Problem, ...]:
        """Return what is wrong with how the images are divided: classes that a part lacks, copies on both sides."""
        split = self.split
        return () if split is None else split_problems(self.facts, self.config.trained_classes, split)

    @property
    def prepared_directory(self) -> Path:
        """Where decoded caches are kept; may be deleted at any time nothing trains."""
        return self.path / "prepared"

    @property
    def lock_path(self) -> Path:
        """Held while the dataset is checked again, prepared or removed."""
        return self.path / ".lock"

    def summary(self) -> dict[str, Any]:
        """The dataset as one flat, JSON-ready row: what listings print."""
        report, split, config = self.report, self.split, self.config
        return {
            "dataset": self.name,
            "images": report.images,
            "usable": report.usable,
            "excluded": report.excluded,
            "groups": report.groups,
            "classes": len(config.trained_classes),
            "train": len(split.train) if split else 0,
            "val": len(split.val) if split else 0,
            "test": len(split.test) if split else 0,
            "synthetic": config.synthetic,
            "fingerprint": self.fingerprint,
            "source": str(config.images),
            "path": str(self.path),
        }


def auto_split(facts: Sequence[ImageFacts], val: float, test: float, seed: int) -> Split:
    """Divide images by group, balanced as `split_by_group` says."""
    groups, pixels = _contents(facts)
    return split_by_group(groups, pixels, val=val, test=test, seed=seed)


def _contents(facts: Sequence[ImageFacts]) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """Return the group and the pixels of each class, (C,), of every image."""
    groups = {fact.name: fact.group for fact in facts}
    return groups, {fact.name: np.array(fact.class_pixels, dtype=np.int64) for fact in facts}


def check_names(split: Split, known: Collection[str]) -> None:
    """Raise `SplitError` where a split names an image that is not known."""
    for name in split.part_of():
        if name not in known:
            raise SplitError(f"The dataset has no image {name!r}.{nearest(name, known)}", field="split")
