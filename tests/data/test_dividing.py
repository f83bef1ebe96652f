"""Naming scenes anew, moving them, versions of splits that studies used, and mending leaks."""

from __future__ import annotations

import json
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from segcore.config import DatasetConfig
from segcore.data import dividing, mending, synthetic
from segcore.data.dataset import Dataset
from segcore.data.leakage import Leak, Leakage, Match
from segcore.data.split_versions import FIRST, drop_split, split_version, split_versions, studies_by_split
from segcore.data.splits import Split, groups_across_parts
from segcore.data.store import DatasetStore
from segcore.decisions import Exclude
from segcore.errors import ConfigError, DatasetError, NotFoundError, SplitError
from segcore.store import RunStore
from segcore.workspace import Workspace
from tests import factories

OVERLAP = Match("overlap", 0.9, 40, 0.4, mirrored=False)


@pytest.fixture
def dataset(workspace: Workspace, tmp_path: Path) -> Dataset:
    """Four scenes of two frames."""
    return factories.add_dataset(workspace, tmp_path / "source", scenes=4, frames=2)


def launch(store: RunStore, dataset: Dataset, study: str) -> None:
    factories.make_run(store, study=study, dataset=dataset)


# Scenes -------------------------------------------------------------------------------------------------


def test_scenes_are_named_anew_without_reading_a_mask(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segcore.data.readers._opened", lambda *_, **__: pytest.fail("a file was read"))
    fingerprint, split = dataset.fingerprint, dataset.split
    dividing.set_groups(dataset, dividing.group_by_name(dataset, r"frame\d"))
    assert set(dataset.groups.values()) == {"frame0", "frame1"} and dataset.report.groups == 2
    assert dataset.config.group_regex == r"frame\d"
    assert (dataset.fingerprint, dataset.split) == (fingerprint, split)
    assert "both sides" in dataset.split_warning()


def test_scenes_given_stay_when_files_change(dataset: Dataset) -> None:
    names = dataset.names
    grouping = dividing.given(dataset, {name: "north" if name < names[3] else "south" for name in names}, "a map")
    dividing.set_groups(dataset, grouping)
    (dataset.config.images / f"{names[0]}.png").touch()
    assert dataset.changed()
    dataset.refresh()
    assert dataset.groups[names[0]] == "north" and dataset.groups[names[-1]] == "south"
    assert dataset.config.groups_from == "a map"
    assert DatasetConfig.from_json(dataset.config.to_json()) == dataset.config


def test_images_that_come_join_the_scene_that_their_own_was_put_into(dataset: Dataset) -> None:
    """Else an image that was left out while overlaps were mended would stand on the other side of the split."""
    dataset.decide(Exclude(images=("scene02_frame0",)))
    joined = {name: group.replace("scene02", "scene01") for name, group in dataset.groups.items()}
    dividing.set_groups(dataset, dividing.given(dataset, joined, "overlaps found"))
    split = dataset.make_split(val=0.5)
    dataset.undo()
    for folder in (dataset.config.images, dataset.config.masks):
        for scene in (2, 7):
            shutil.copy(folder / "scene02_frame0.png", folder / f"scene{scene:02d}_frame9.png")
    dataset.refresh()
    groups = dataset.groups
    assert {name: groups[name] for name in ("scene02_frame0", "scene02_frame9", "scene07_frame9")} == {
        "scene02_frame0": "scene01",
        "scene02_frame9": "scene01",
        "scene07_frame9": "scene07",
    }
    assert dataset.split is not None
    assert dataset.split.part_of()["scene02_frame9"] == split.part_of()["scene01_frame0"]


def test_images_of_a_scene_that_was_taken_apart_stand_alone(dataset: Dataset) -> None:
    given = {name: f"pass {number}" for number, name in enumerate(dataset.names)}
    dividing.set_groups(dataset, dividing.given(dataset, given, "time of exposure"))
    for folder in (dataset.config.images, dataset.config.masks):
        shutil.copy(folder / "scene02_frame0.png", folder / "scene02_frame9.png")
    assert dataset.refresh().groups == {**given, "scene02_frame9": "scene02"}


def test_naming_by_file_forgets_scenes_that_were_given(dataset: Dataset) -> None:
    dividing.set_groups(dataset, dividing.given(dataset, dict.fromkeys(dataset.names, "one"), "a map"))
    dividing.set_groups(dataset, dividing.group_by_folder(dataset))
    assert dataset.config.group_by_folder and not dataset.config.groups_given and not dataset.config.groups_from
    assert set(dataset.groups.values()) == {"."}


@pytest.mark.parametrize(("regex", "error"), [("(", ConfigError), ("nothing like it", DatasetError)])
def test_expressions_that_name_nothing_change_nothing(regex: str, error: type[Exception], dataset: Dataset) -> None:
    before = dataset.groups
    with pytest.raises(error, match=r"regular expression|no regular"):
        dividing.group_by_name(dataset, regex)
    assert dataset.groups == before


def test_datasets_of_earlier_versions_have_no_scenes_given(dataset: Dataset) -> None:
    path = dataset.path / "dataset.json"
    value = json.loads(path.read_text())
    for field in ("groups_given", "groups_from"):
        del value["config"][field]
    value.pop("checksum", None)  # so that the change counts as meant
    path.write_text(json.dumps(value))
    assert dataset.config.groups_given == {} and len(set(dataset.groups.values())) == 4


# Splits -------------------------------------------------------------------------------------------------


def test_a_scene_and_an_image_are_moved(dataset: Dataset) -> None:
    scene = dataset.groups[dataset.split.train[0]]  # type: ignore[union-attr]
    moved = dividing.move(dataset, scene, "test")
    assert {dataset.groups[name] for name in moved.test} == {scene} and len(moved.test) == 2
    moved = dividing.move(dataset, moved.test[0], "val")
    assert len(moved.test) == 1 and dataset.split == moved
    assert groups_across_parts(moved, dataset.groups) == (scene,)


@pytest.mark.parametrize(("what", "part"), [("scene0x", "val"), ("scene00", "valid"), (None, "train")])
def test_moves_that_cannot_be_are_refused(what: str | None, part: str, dataset: Dataset) -> None:
    before = dataset.split
    assert before is not None
    with pytest.raises(SplitError):
        dividing.move(dataset, what or dataset.groups[before.val[0]], part)  # the last one leaves val empty
    assert dataset.split == before


def test_image_by_image_tears_scenes_apart_and_lists_do_as_they_say(dataset: Dataset, tmp_path: Path) -> None:
    split = dividing.split_at_random(dataset, val=0.5, seed=3)
    assert groups_across_parts(split, dataset.groups) and len(split.val) == 4
    names = dataset.names
    (tmp_path / "lists.json").write_text(json.dumps({"train": names[:1], "val": names[1:2], "test": names[2:4]}))
    assert dividing.split_by_lists(dataset, tmp_path / "lists.json") == Split(
        tuple(names[:1]), tuple(names[1:2]), tuple(names[2:4])
    )
    assert split_versions(dataset.path)[0].made == "lists of lists.json"


def test_class_shares_add_up_in_every_part(dataset: Dataset) -> None:
    rows = dividing.class_shares(dataset, dataset.split)
    assert [row["class"] for row in rows] == [info.name for info in dataset.table.trained]
    for part in ("all", "train", "val"):
        assert sum(row[part] for row in rows) == pytest.approx(1)
    assert all(np.isnan(row["test"]) for row in rows)
    own = np.sum([dataset.class_pixels(name) for name in dataset.split.val], axis=0)  # type: ignore[union-attr]
    assert [row["val"] for row in rows] == pytest.approx(list(own / own.sum()))


def test_an_image_left_out_may_stand_in_lists_and_earlier_versions(
    dataset: Dataset, store: RunStore, tmp_path: Path
) -> None:
    first, name = dataset.split, dataset.names[0]
    assert first is not None
    launch(store, dataset, "s")
    dataset.decide(Exclude(images=(name,)))
    second = dataset.make_split(val=0.5)
    dataset.set_split(split_version(dataset.path, 1).split, "version 1 again")
    assert dataset.split is not None and dataset.split.part_of().items() == first.part_of().items() - {
        (name, first.part_of()[name])
    }
    dataset.undo()
    assert dataset.split == first
    (dataset.config.masks / f"{dataset.names[-1]}.png").write_bytes(b"damaged")
    dataset.decide(Exclude(images=(name,)))
    listed = {part: [*getattr(second, part)] for part in ("train", "val")}
    listed["train"].append(name)
    (tmp_path / "lists.json").write_text(json.dumps(listed))
    dividing.split_by_lists(dataset, tmp_path / "lists.json")
    assert dataset.split is not None and set(dataset.split.part_of()) == set(dataset.names)
    dataset.undo()
    assert set(dataset.split.part_of()) == set(dataset.names) and dataset.split.part_of()[name] == "train"
    with pytest.raises(SplitError, match="no image left beside those that are left out"):
        dataset.decide(Exclude(images=dataset.split.val))


# Versions -----------------------------------------------------------------------------------------------


def test_a_split_that_no_study_used_is_changed_in_place(dataset: Dataset) -> None:
    dividing.split_at_random(dataset, val=0.5)
    (version,) = split_versions(dataset.path)
    assert version.number == 1 and not version.locked and version.split == dataset.split
    assert version.made == "image by image, 50 % val, seed 0"


def test_a_split_that_a_study_used_is_kept_and_a_change_begins_the_next(store: RunStore, dataset: Dataset) -> None:
    first = dataset.split
    launch(store, dataset, "study-a")
    second = dividing.split_at_random(dataset, val=0.4)
    third = dividing.split_at_random(dataset, val=0.5)  # nothing used the second
    launch(store, dataset, "study-b")
    launch(store, dataset, "study-c")
    dataset.make_split(val=0.25, test=0.25)
    versions = split_versions(dataset.path)
    assert [version.number for version in versions] == [3, 2, 1]
    assert [version.split for version in versions] == [dataset.split, third, first]
    assert [version.studies for version in versions] == [(), ("study-b", "study-c"), ("study-a",)]
    assert second != third
    assert store.study("study-a").split == first  # studies keep what they began with


def test_the_same_split_again_is_no_new_version(store: RunStore, dataset: Dataset) -> None:
    launch(store, dataset, "study-a")
    assert dataset.split is not None
    dataset.set_split(Split(dataset.split.train[::-1], dataset.split.val))
    assert [version.number for version in split_versions(dataset.path)] == [1]


def test_an_earlier_version_can_be_taken_up_again(store: RunStore, dataset: Dataset) -> None:
    first = dataset.split
    launch(store, dataset, "study-a")
    dividing.split_at_random(dataset, val=0.5)
    dataset.set_split(split_version(dataset.path, 1).split, "version 1 again")
    now, kept = split_versions(dataset.path)
    assert (now.number, now.split, now.studies) == (2, first, ("study-a",))
    assert (kept.number, kept.split) == (1, first)
    with pytest.raises(NotFoundError, match="there are: 1, 2"):
        split_version(dataset.path, 7)


def test_files_that_change_keep_the_split_that_a_study_used(store: RunStore, dataset: Dataset) -> None:
    first = dataset.split
    assert first is not None
    launch(store, dataset, "study-a")
    (dataset.config.images / f"{first.train[0]}.png").unlink()
    dataset.refresh()
    assert [version.number for version in split_versions(dataset.path)] == [2, 1]
    assert split_version(dataset.path, 1).split == first
    drop_split(dataset.path)
    assert dataset.split is None
    dataset.make_split()
    assert split_versions(dataset.path)[0].number == 2


def test_split_files_of_earlier_versions_are_read(dataset: Dataset) -> None:
    assert dataset.split is not None
    (dataset.path / "split.json").write_text(json.dumps(dataset.split.to_json()))
    (version,) = split_versions(dataset.path)
    assert (version.number, version.made, version.when) == (1, FIRST, None)


def test_studies_on_other_datasets_and_damaged_ones_lock_nothing(store: RunStore, dataset: Dataset) -> None:
    launch(store, dataset, "mine")
    factories.make_run(store, study="other", dataset=factories.fake_dataset("another"))
    launch(store, dataset, "damaged")
    (store.study("damaged").path / "split.json").write_text('{"train": 3}')
    assert dataset.split is not None
    assert studies_by_split(dataset.path) == {dataset.split.fingerprint: ("mine",)}


# Leaks --------------------------------------------------------------------------------------------------


def test_mending_puts_overlaps_into_one_scene(dataset: Dataset) -> None:
    split = dataset.split
    assert split is not None
    leaks = (Leak(split.train[0], split.val[0], OVERLAP),)
    found = Leakage(leaks, 8, 28)
    plan = mending.preview_mending(dataset, found)
    assert dataset.split == split and len(set(dataset.groups.values())) == plan.before == 4
    mending.mend(dataset, plan)
    assert plan.grouping.scenes == dataset.report.groups == 3
    assert dataset.split is not None and found.score(dataset.split).pairs == 0
    assert groups_across_parts(dataset.split, dataset.groups) == ()
    assert dataset.groups[split.train[0]] == dataset.groups[split.val[0]]
    changed = {name: (split.part_of()[name], part) for name, part in dataset.split.part_of().items()}
    assert plan.moved == {name: parts for name, parts in changed.items() if parts[0] != parts[1]}


def test_mending_leaves_out_what_was_left_out(dataset: Dataset) -> None:
    names = dataset.names
    dataset.set_split(Split(tuple(names[:3]), tuple(names[3:6])))
    mending.mend(dataset, mending.preview_mending(dataset, Leakage((), 8, 28)))
    assert dataset.split is not None and sorted(dataset.split.part_of()) == names[:6]


def test_what_overlaps_altogether_cannot_be_divided(dataset: Dataset) -> None:
    names = dataset.names
    chain = tuple(Leak(*pair, OVERLAP) for pair in pairwise(names))
    with pytest.raises(SplitError, match="4 scenes become 1"):
        mending.preview_mending(dataset, Leakage(chain, 8, 28))


@pytest.fixture
def flown(workspace: Workspace, tmp_path: Path) -> Dataset:
    """Overlapping frames of four generated scenes whose names do not tell the scene."""
    synthetic.generate(tmp_path / "flown", scenes=4, frames=3, size=192)
    for part in ("images", "masks"):
        for number, path in enumerate(sorted((tmp_path / "flown" / part).iterdir())):
            path.rename(path.with_name(f"{number * 5 % 12}{path.suffix}"))
    config = DatasetConfig(
        name="flown", images=tmp_path / "flown/images", masks=tmp_path / "flown/masks", classes=synthetic.CLASSES
    )
    return DatasetStore(workspace).add(config, val=0.4)


def test_frames_of_unknown_scenes_are_found_and_mended(flown: Dataset) -> None:
    assert mending.known_leakage(flown) is None and flown.report.groups == 12
    split = dividing.split_at_random(flown, val=0.5, seed=1)
    found = mending.find_leakage(flown)
    assert mending.known_leakage(flown) == found
    assert found.score(split).val > 0
    mending.mend(flown, mending.preview_mending(flown, found))
    assert flown.report.groups == 4
    assert flown.split is not None and found.score(flown.split).val == 0


def test_cancelling_the_search_leaves_the_dataset_as_it_is(flown: Dataset) -> None:
    class Cancelled(Exception):
        pass

    def progress(done: int, total: int) -> None:
        if done == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        mending.find_leakage(flown, progress)
    assert mending.known_leakage(flown) is None
    assert mending.find_leakage(flown).images == 12
