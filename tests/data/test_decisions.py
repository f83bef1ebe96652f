"""Decisions about images and classes: what masks then mean, undone as if they had never been."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import TypeAdapter

from segcore.config import ClassInfo, DatasetConfig
from segcore.data import deciding as module
from segcore.data.classes import ClassTable
from segcore.data.dataset import Dataset
from segcore.data.lookups import nearest_colors, pack
from segcore.data.prepared import prepare
from segcore.data.splits import Split
from segcore.data.store import DatasetStore
from segcore.decisions import (
    Decision,
    Exchange,
    Exclude,
    Ignore,
    Map,
    Merge,
    Read,
    Recolor,
    Rename,
    Snap,
    Use,
    in_order,
    replay,
)
from segcore.errors import ClassTableError, ConfigError, DatasetError, NotFoundError, SegcoreError, SplitError
from segcore.workspace import Workspace
from tests.factories import CLASSES, add_dataset

Make = Callable[..., DatasetConfig]
PINK = (255, 0, 255)
NEARLY_GRASS = (3, 104, 1)

# One decision of each kind on the dataset below, and whether it changes any label.
KINDS: tuple[tuple[Decision, bool], ...] = (
    (Exclude(images=("scene00_frame0",)), True),
    (Map(value=PINK, to="roof"), True),
    (Map(value=PINK), False),
    (Map(value=(1, 2, 3), to="roof"), False),
    (Snap(distance=8), True),
    (Snap(distance=1), False),
    (Rename(name="roof", to="house"), False),
    (Read(reading="colors"), False),
    (Exchange(names=("roof", "grass")), False),
    (Recolor(name="roof", color=(9, 9, 9)), False),
    (Merge(names=("roof", "grass"), into="rest"), True),
    (Ignore(names=("roof",)), True),
    (Use(names=("unlabeled",)), True),
    (Use(names=("roof",)), False),
)


@pytest.fixture
def dataset(workspace: Workspace, tiny_dataset: Make) -> Dataset:
    """Eight images; one mask has a pink square and a corner of a colour that is nearly grass."""
    config = tiny_dataset()
    path = config.masks / "scene01_frame0.png"
    pixels = np.asarray(Image.open(path)).copy()
    pixels[10:20, 10:20], pixels[40:44, 40:44] = PINK, NEARLY_GRASS
    Image.fromarray(pixels).save(path)
    return DatasetStore(workspace).add(config, val=0.25)


def all_labels(dataset: Dataset) -> dict[str, bytes]:
    return {name: dataset.read(name)[1].tobytes() for name in dataset.names}


def state(dataset: Dataset) -> dict[str, Any]:
    """All that is on the disk about a dataset, but the times of writing and what guards it."""
    files = {}
    for name in ("dataset.json", "split.json"):
        value = json.loads((dataset.path / name).read_text())
        files[name] = {key: entry for key, entry in value.items() if key not in ("checked", "checksum", "when")}
    return files


def test_there_is_a_case_of_every_kind() -> None:
    kinds = TypeAdapter(Decision).json_schema()["discriminator"]["mapping"].keys()
    assert {decision.kind for decision, _ in KINDS} == set(kinds)


@pytest.mark.parametrize(("decision", "changes"), KINDS, ids=lambda case: getattr(case, "text", None))
def test_the_fingerprint_differs_where_labels_do_and_only_there(
    dataset: Dataset, decision: Decision, changes: bool
) -> None:
    fingerprint, labels = dataset.fingerprint, all_labels(dataset)
    assert dataset.decide(decision) is dataset
    assert (all_labels(dataset) != labels) == changes
    assert (dataset.fingerprint != fingerprint) == changes


@pytest.mark.parametrize(("decision", "_changes"), KINDS, ids=lambda case: getattr(case, "text", None))
def test_undone_it_is_as_if_it_had_never_been(dataset: Dataset, decision: Decision, _changes: bool) -> None:
    dataset.make_split(val=0.5)  # which says in the file how it was made
    before, labels = state(dataset), all_labels(dataset)
    dataset.decide(decision)
    assert state(dataset) != before and dataset.config.decisions == (decision,)
    dataset.undo()
    assert state(dataset) == before and all_labels(dataset) == labels


def test_what_is_counted_is_what_is_read(dataset: Dataset) -> None:
    """Counts come from what was kept of each mask; labels from the masks themselves."""
    for decision, _ in KINDS[:5]:
        dataset.decide(decision)
    dataset.decide(Merge(names=("roof", "grass"), into="rest"), Use(names=("unlabeled",)))
    for name in dataset.names:
        _, labels = dataset.read(name)
        counts = np.bincount(labels.ravel(), minlength=256)
        assert dataset.class_pixels(name).tolist() == counts[: len(dataset.table.trained)].tolist()
    prepared = prepare(dataset, None)
    assert [prepared.label_map(place).tobytes() for place in range(len(prepared))] == list(all_labels(dataset).values())


def test_classes_become_fewer_and_any_step_can_be_taken_back(dataset: Dataset) -> None:
    dataset.decide(Rename(name="roof", to="house"), Recolor(name="house", color=(9, 9, 9)))
    dataset.decide(Merge(names=("house", "grass"), into="grass"), Exclude(images=("scene02_frame1",)))
    assert [(info.name, info.color) for info in dataset.config.trained_classes] == [
        ("paved-area", (128, 64, 128)),
        ("grass", (0, 102, 0)),
    ]
    assert [info.name for info in dataset.config.classes] == [info.name for info in CLASSES], "the masks' table stays"
    with pytest.raises(ConfigError, match=r"Decision 1 .* cannot be undone, as a later one builds on it") as caught:
        dataset.undo(1)
    assert caught.value.field == "decisions"
    dataset.undo(3).undo(2).undo(1)
    assert dataset.config.decisions == (Exclude(images=("scene02_frame1",)),)
    assert [info.name for info in dataset.table.trained] == ["paved-area", "grass", "roof"]
    with pytest.raises(ConfigError, match="There is no decision 2; there are 1 to 1"):
        dataset.undo(2)
    with pytest.raises(ConfigError, match="Nothing has been decided"):
        dataset.undo().undo()


BAD: tuple[tuple[Decision, type[SegcoreError], str], ...] = (
    (Rename(name="rof", to="house"), ConfigError, "there is no class 'rof'.*Did you mean roof"),
    (Rename(name="roof", to="grass"), ConfigError, "a class is called 'grass' already"),
    (Recolor(name="roof", color=(0, 102, 0)), ConfigError, "would both have the colour"),
    (Merge(names=("roof",), into="house"), ConfigError, "one class alone"),
    (Map(value=(0, 102, 0), to="roof"), ConfigError, "is the table's class 'grass'"),
    (Map(value=PINK, to="boat"), ConfigError, "there is no class 'boat'"),
    (Ignore(names=("roof", "grass")), ClassTableError, "1 of the 4 classes would be learnt"),
    (Exclude(images=("scene00_frame",)), NotFoundError, "There is no usable image 'scene00_frame'.*Did you mean"),
)


@pytest.mark.parametrize(("decision", "error", "words"), BAD, ids=lambda case: getattr(case, "text", None))
def test_what_cannot_be_changes_nothing(
    dataset: Dataset, decision: Decision, error: type[SegcoreError], words: str
) -> None:
    before = state(dataset)
    with pytest.raises(error, match=words) as caught:
        dataset.decide(Rename(name="paved-area", to="street"), decision)
    assert caught.value.field and state(dataset) == before


def test_the_last_image_to_judge_on_is_not_left_out(dataset: Dataset) -> None:
    before = state(dataset)
    assert dataset.split is not None
    with pytest.raises(SplitError, match="val part of the split would have no image left"):
        dataset.decide(Exclude(images=dataset.split.val))
    assert state(dataset) == before


def test_a_decision_that_is_cancelled_changes_nothing(dataset: Dataset) -> None:
    def cancel(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    before = state(dataset)
    with pytest.raises(KeyboardInterrupt):
        dataset.decide(Ignore(names=("roof",)), progress=cancel)
    assert state(dataset) == before


CHANGES: dict[str, Callable[[Dataset], Any]] = {
    "leave one out": lambda dataset: dataset.decide(Exclude(images=(dataset.names[2],))),
    "undo": lambda dataset: dataset.undo(1),
    "files came and went": lambda dataset: dataset.refresh(),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("last", range(3))
def test_who_is_killed_between_two_writes_leaves_what_is_then_brought_to_its_end(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch, change: str, last: int
) -> None:
    writes = 0

    def until_killed(real: Callable[..., Any]) -> Callable[..., Any]:
        def write(*args: Any) -> Any:
            nonlocal writes
            writes += 1
            if writes > last:
                raise KeyboardInterrupt
            return real(*args)

        return write

    split = dataset.make_split(val=0.5)
    if change != "leave one out":
        dataset.decide(Exclude(images=(dataset.names[0],)), Exclude(images=(dataset.names[1],)))
    if change == "files came and went":
        (dataset.config.images / f"{dataset.names[-1]}.png").unlink()
        for folder in (dataset.config.images, dataset.config.masks):
            shutil.copy(folder / f"{dataset.names[0]}.png", folder / "scene09_frame0.png")
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        for function in ("write_split", "write_state"):
            patched.setattr(module, function, until_killed(getattr(module, function)))
        CHANGES[change](dataset)
    assert dataset.split is not None
    assert set(dataset.split.part_of()) <= set(dataset.names) or dataset.changed()
    dataset.refresh()
    assert not dataset.changed() and set(dataset.split.part_of()) == set(dataset.names)
    while dataset.config.decisions:
        dataset.undo()
    assert set(dataset.split.part_of()) == set(dataset.names)
    stayed = {name: part for name, part in split.part_of().items() if name in dataset.names}
    assert stayed.items() <= dataset.split.part_of().items()


def test_a_split_made_after_somebody_was_killed_is_kept(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(module, "write_split", MagicMock(side_effect=KeyboardInterrupt))
        dataset.decide(Exclude(images=(dataset.names[0],)))
    made = dataset.make_split(val=0.5)
    assert dataset.refresh().split == made and not dataset.changed()


# The split ---------------------------------------------------------------------------------------------


def test_images_find_their_parts_again_in_any_order(dataset: Dataset) -> None:
    names = dataset.names[::-1]
    split = Split(tuple(names[:5]), tuple(names[5:7]), (names[7],))  # in an order of its own
    dataset.set_split(split)
    for name in (names[0], names[5], names[7]):
        dataset.decide(Exclude(images=(name,)))
    assert dataset.split == Split(split.train[1:], split.val[1:])
    dataset.undo(2)
    assert dataset.split == Split(split.train[1:], split.val)
    dataset.undo(1).undo()
    assert dataset.split == split and all(
        mine == own for mine, own in zip(dataset.split.part_of(), split.part_of(), strict=True)
    )


def test_a_split_made_meanwhile_is_kept(dataset: Dataset) -> None:
    """What comes back then is in no part, as it never was in that split."""
    name = dataset.names[0]
    dataset.decide(Exclude(images=(name,)))
    made = dataset.make_split(val=0.4)
    dataset.undo()
    assert dataset.split == made and name in dataset.names and name not in made.part_of()


def test_images_find_their_parts_again_though_files_came_and_went(dataset: Dataset) -> None:
    split = dataset.make_split(val=0.5)
    gone, excluded = dataset.names[0], split.val[0]
    dataset.decide(Exclude(images=(excluded,)))
    (dataset.config.images / f"{gone}.png").unlink()
    dataset.refresh().undo()
    assert dataset.split is not None
    assert dataset.split.part_of() == {name: part for name, part in split.part_of().items() if name != gone}


def test_changed_files_are_seen_before_a_decision(dataset: Dataset) -> None:
    dataset.decide(Exclude(images=("scene00_frame0",)))
    (dataset.config.images / "scene03_frame1.png").unlink()
    dataset.decide(Ignore(names=("roof",)))
    assert len(dataset.names) == 6 and dataset.report.problem_counts()["no image"] == 1
    assert dataset.split is not None and set(dataset.split.part_of()) == set(dataset.names)


# Meanings ----------------------------------------------------------------------------------------------


def test_a_merge_takes_the_place_and_colour_of_its_first_class_or_of_the_class_it_joins() -> None:
    merged = replay(CLASSES, (Merge(names=("roof", "paved-area"), into="built"),)).classes
    assert [(info.name, info.color) for info in merged] == [
        ("unlabeled", (0, 0, 0)),
        ("grass", (0, 102, 0)),
        ("built", (70, 70, 70)),
    ]
    joined = replay(CLASSES, (Merge(names=("roof", "paved-area"), into="unlabeled"),))
    assert joined.classes[0].ignore and [info.name for info in joined.trained] == ["grass"]
    used = replay(CLASSES, (Merge(names=("unlabeled", "roof"), into="rest"),))
    assert not used.classes[0].ignore, "ignored only where all of it was"


@pytest.mark.parametrize(
    ("wanted", "steps"),
    [
        ({"roof": "grass", "grass": "roof"}, 1),
        ({"roof": "grass", "grass": "unlabeled", "unlabeled": "roof"}, 2),
        ({"roof": "grass", "grass": "lawn"}, 2),
        ({"grass": "lawn", "roof": "grass", "paved-area": "roof"}, 3),
    ],
    ids=["two", "three", "chain", "long chain"],
)
def test_names_are_given_all_at_once(wanted: dict[str, str], steps: int) -> None:
    decisions = in_order([Rename(name=name, to=to) for name, to in wanted.items()])
    after = replay(CLASSES, tuple(decisions)).classes
    assert len(decisions) == steps
    assert [info.name for info in after] == [wanted.get(info.name, info.name) for info in CLASSES]
    assert [(info.color, info.ignore) for info in after] == [(info.color, info.ignore) for info in CLASSES]


def test_merged_classes_may_exchange_their_names() -> None:
    wanted = [Merge(names=("grass", "roof"), into="unlabeled"), Merge(names=("unlabeled", "paved-area"), into="grass")]
    after = replay(CLASSES, tuple(in_order(wanted)))
    assert [after.classes[place].name for place in after.rows] == ["grass", "grass", "unlabeled", "unlabeled"]


def test_index_masks_are_merged_and_mapped_too() -> None:
    table = ClassTable(CLASSES, (Merge(names=("grass", "roof"), into="rest"), Map(value=9, to="rest"), Map(value=300)))
    values = np.array([[0, 1, 2, 3, 9, 255, 8, 300, 65535]], np.uint16)
    labels, unknown = table.indices_to_labels(values)
    assert labels.tolist() == [[255, 0, 1, 1, 1, 255, 255, 255, 255]] and unknown == {8: 1, 65535: 1}
    small, strange = table.indices_to_labels(values[:, :7].astype(np.uint8))
    assert small.tolist() == labels[:, :7].tolist() and strange == {8: 1}


def test_masks_cannot_tell_classes_of_one_colour_apart() -> None:
    twins = (
        ClassInfo(name="a", color=(0, 0, 0), ignore=True),
        ClassInfo(name="b", color=(0, 0, 0), ignore=True),
        ClassInfo(name="c", color=(1, 1, 1)),
    )
    with pytest.raises(SegcoreError, match="both"):
        ClassTable(twins, (Recolor(name="b", color=(5, 5, 5)), Use(names=("b",))))
    both = ClassTable(twins, (Merge(names=("a", "b"), into="d"), Use(names=("d",))))
    assert both.row_labels == (0, 0, 1)


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_snapped_colours_are_those_of_a_plain_search(data: st.DataObject) -> None:
    byte = st.integers(0, 255)
    colors = data.draw(st.lists(st.tuples(byte, byte, byte), min_size=2, max_size=6, unique=True))
    distance = data.draw(st.sampled_from((1, 3, 20, 60)))
    infos = [ClassInfo(name=f"c{row}", color=color, ignore=row == 0) for row, color in enumerate(colors)]
    table = ClassTable(infos, (Snap(distance=distance),))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    around = np.array(colors)[rng.integers(0, len(colors), 300)] + rng.integers(-distance, distance + 1, (300, 3))
    rgb = np.clip(around, 0, 255).astype(np.uint8)
    labels, known = table.color_labels(rgb)
    place, far = nearest_colors(pack(rgb), colors)
    assert known.tolist() == (far <= distance).tolist()
    assert labels.tolist() == [
        table.row_labels[row] if near else 255 for row, near in zip(place, far <= distance, strict=True)
    ]


def test_decisions_survive_the_file_and_old_files_have_none(dataset: Dataset) -> None:
    dataset.decide(*(decision for decision, _ in KINDS[:7]))
    assert DatasetConfig.from_json(json.loads(json.dumps(dataset.config.to_json()))) == dataset.config
    old = dataset.config.to_json()
    del old["decisions"]
    assert DatasetConfig.from_json(old).decisions == ()


def test_no_file_is_read_again_for_other_classes(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segcore.data.checks.look_at", lambda *_: pytest.fail("a file was read again"))
    for (decision, _), (other, _) in pairwise(KINDS):
        dataset.decide(decision)
        dataset.undo()
        dataset.decide(other)
        dataset.undo()


def test_sources_are_never_touched(dataset: Dataset) -> None:
    folders = (dataset.config.images, dataset.config.masks)
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for folder in folders for path in folder.iterdir()}
    for decision, _ in KINDS:
        dataset.decide(decision)
        dataset.undo()
    after = {path: (path.read_bytes(), path.stat().st_mtime_ns) for folder in folders for path in folder.iterdir()}
    assert after == before


def test_all_becoming_one_class_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    dataset = add_dataset(workspace, tmp_path / "source")
    with pytest.raises(DatasetError, match="at least 2 are needed"):
        dataset.decide(Merge(names=("paved-area", "grass", "roof"), into="all"))
