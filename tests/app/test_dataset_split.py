"""The split and the leakage of the Dataset page: dividing, moving, versions, finding pairs and mending."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from segcore.config import DatasetConfig
from segcore.data import dividing, mending, synthetic
from segcore.data.dataset import Dataset
from segcore.data.split_versions import split_versions
from segcore.data.store import DatasetStore
from segcore.store import RunStore
from segcore.ui import dataset_divide
from segcore.ui.state import Key
from segcore.workspace import Workspace
from tests import factories
from tests.app.conftest import texts


@pytest.fixture
def dataset(workspace: Workspace, tmp_path: Path) -> Dataset:
    return factories.add_dataset(workspace, tmp_path / "source", scenes=4, frames=2)


@pytest.fixture
def flown(workspace: Workspace, tmp_path: Path) -> Dataset:
    """Overlapping frames of four generated scenes, divided image by image."""
    synthetic.generate(tmp_path / "flown", scenes=4, frames=3, size=192)
    folders = {part: tmp_path / "flown" / part for part in ("images", "masks")}
    config = DatasetConfig(name="flown", classes=synthetic.CLASSES, **folders)
    made = DatasetStore(workspace).add(config)
    dividing.split_at_random(made, val=0.4)
    return made


def _split(path: str) -> None:
    from segcore.data.dataset import Dataset
    from segcore.ui import dataset_split

    dataset_split.draw(Dataset(path))


def _moving(path: str, name: str, part: str) -> None:
    from segcore.data.dataset import Dataset
    from segcore.ui import dataset_split

    dataset_split._moving(Dataset(path), name, part)


def _leakage(path: str) -> None:
    from segcore.data.dataset import Dataset
    from segcore.ui import dataset_leakage

    dataset_leakage.draw(Dataset(path))


def open_split(dataset: Dataset) -> AppTest:
    return AppTest.from_function(_split, args=(str(dataset.path),), default_timeout=30).run()


def open_leakage(dataset: Dataset) -> AppTest:
    return AppTest.from_function(_leakage, args=(str(dataset.path),), default_timeout=30).run()


def divide(dataset: Dataset, way: str, **values: object) -> AppTest:
    app = open_split(dataset)
    app.selectbox(key=Key.SPLIT_BY).set_value(way).run()
    for key, value in values.items():
        widget = app.text_input if isinstance(value, str) else app.number_input
        widget(key=Key[key]).set_value(value)  # type: ignore[arg-type]
    app.button(key=Key.SPLIT).click().run()
    assert not app.exception
    return app


# The split ----------------------------------------------------------------------------------------------


def test_the_split_is_told_with_its_version_and_who_used_it(store: RunStore, dataset: Dataset) -> None:
    factories.make_run(store, study="first-look", dataset=dataset)
    app = open_split(dataset)
    assert not app.exception
    assert "first\\-look" in texts(app) and "begins version 2" in texts(app)
    table = app.dataframe[0].value
    assert list(table["part"]) == ["Training", "Validation"]
    assert list(table["images"]) == [6, 2] and list(table["scenes"]) == [3, 1]


def test_images_in_no_part_are_counted(dataset: Dataset) -> None:
    assert dataset.split is not None
    dataset.set_split(type(dataset.split)(dataset.split.train[:4], dataset.split.val))
    table = open_split(dataset).dataframe[0].value
    assert dict(zip(table["part"], table["images"], strict=True))["In no part"] == 2


def test_a_dataset_without_split_can_be_divided(dataset: Dataset) -> None:
    (dataset.path / "split.json").unlink()
    app = open_split(dataset)
    assert "no split yet" in texts(app)
    app.button(key=Key.SPLIT).click().run()
    assert dataset.split is not None and not app.exception


def test_every_way_to_divide_can_be_chosen(dataset: Dataset, tmp_path: Path) -> None:
    names = dataset.names
    (tmp_path / "lists.json").write_text(json.dumps({"train": names[:5], "val": names[5:]}))
    made = {}
    for way, values in {
        dataset_divide.GROUP: {},
        dataset_divide.NAME: {"SPLIT_REGEX": r"frame\d"},
        dataset_divide.RANDOM: {},
        dataset_divide.LISTS: {"SPLIT_LISTS": str(tmp_path / "lists.json")},
    }.items():
        app = divide(dataset, way, **values)
        assert not app.error, way
        made[way] = split_versions(dataset.path)[0].made
    assert made[dataset_divide.LISTS] == "lists of lists.json"
    assert set(dataset.groups.values()) == {"frame0", "frame1"}


@pytest.mark.parametrize(
    ("way", "values", "words"),
    [
        (dataset_divide.NAME, {"SPLIT_REGEX": "("}, "no regular expression"),
        (dataset_divide.NAME, {"SPLIT_REGEX": ""}, "Give a regular expression"),
        (dataset_divide.NAME, {"SPLIT_REGEX": "scene"}, "1 group"),
        (dataset_divide.FOLDER, {}, "1 group"),
        (dataset_divide.TIME, {"SPLIT_GAP": 5.0}, "when they were taken"),
        (dataset_divide.PLACE, {"SPLIT_DISTANCE": 5.0}, "where they were taken"),
        (dataset_divide.LISTS, {"SPLIT_LISTS": "/nowhere/lists.json"}, "no split file"),
        (dataset_divide.LISTS, {"SPLIT_LISTS": "~nosuchuser/x"}, "cannot be used as a path"),
    ],
)
def test_what_cannot_divide_is_said_and_changes_nothing(
    way: str, values: dict[str, object], words: str, dataset: Dataset
) -> None:
    split, groups = dataset.split, dataset.groups
    app = divide(dataset, way, **values)
    assert any(words in error.value.replace("\\", "") for error in app.error), [error.value for error in app.error]
    assert (dataset.split, dataset.groups) == (split, groups)


def test_the_command_line_and_the_screen_know_the_same_ways() -> None:
    from typing import get_args

    from segcore.cli.datasets_split import Way

    assert set(get_args(Way)) == set(dataset_divide.WAYS)


@pytest.mark.parametrize("whole", [True, False])
def test_a_scene_or_an_image_is_moved_by_hand(whole: bool, dataset: Dataset) -> None:
    assert dataset.split is not None
    name = dataset.split.train[0]
    app = AppTest.from_function(_moving, args=(str(dataset.path), name, "train"), default_timeout=30).run()
    app.toggle(key=Key.SPLIT_WHOLE).set_value(whole).run()
    app.button(key=Key.SPLIT_MOVE.of("test")).click().run()
    assert not app.exception
    assert len(dataset.split.test) == (2 if whole else 1) and name in dataset.split.test


def test_changes_that_no_study_used_can_be_taken_back(dataset: Dataset) -> None:
    assert dataset.split is not None
    first, groups = dataset.split, dataset.groups
    assert Key.SPLIT_UNDO not in {button.key for button in open_split(dataset).button}
    app = divide(dataset, dataset_divide.NAME, SPLIT_REGEX=r"frame\d")
    second = dataset.split
    app.selectbox(key=Key.SPLIT_BY).set_value(dataset_divide.RANDOM).run()
    app.button(key=Key.SPLIT).click().run()
    assert first != second != dataset.split and len(split_versions(dataset.path)) == 1
    app.button(key=Key.SPLIT_UNDO).click().run()
    assert dataset.split == second and set(dataset.groups.values()) == {"frame0", "frame1"}
    app.button(key=Key.SPLIT_UNDO).click().run()
    assert not app.exception
    assert dataset.split == first and dataset.groups == groups and not dataset.config.groups_from
    assert Key.SPLIT_UNDO not in {button.key for button in app.button}


def test_what_others_changed_since_is_not_taken_back(dataset: Dataset) -> None:
    app = divide(dataset, dataset_divide.NAME, SPLIT_REGEX=r"frame\d")
    assert Key.SPLIT_UNDO in {button.key for button in app.button}
    dividing.split_at_random(dataset, val=0.5)
    assert Key.SPLIT_UNDO not in {button.key for button in app.run().button}


def test_moving_the_last_validation_scene_is_refused(dataset: Dataset) -> None:
    before = dataset.split
    assert before is not None
    app = AppTest.from_function(_moving, args=(str(dataset.path), before.val[0], "val"), default_timeout=30).run()
    app.button(key=Key.SPLIT_MOVE.of("train")).click().run()
    assert "no val images" in app.error[0].value and dataset.split == before


def test_an_earlier_version_is_taken_up_again(store: RunStore, dataset: Dataset) -> None:
    first = dataset.split
    factories.make_run(store, dataset=dataset)
    dividing.split_at_random(dataset, val=0.5)
    app = open_split(dataset)
    assert any(box.label == "Versions (2)" for box in app.expander)
    app.selectbox(key=Key.SPLIT_VERSION).set_value(1)
    app.button(key=Key.SPLIT_AGAIN).click().run()
    assert not app.exception and dataset.split == first


def test_hostile_names_are_shown_as_they_are(workspace: Workspace, tmp_path: Path) -> None:
    config = factories.write_dataset(tmp_path / "source")
    for folder in (config.images, config.masks):
        path = folder / "scene00_frame0.png"
        path.rename(path.with_name("**[x](y)** :red[z].png"))
    dataset = DatasetStore(workspace).add(config.model_copy(update={"group_regex": None}))
    app = AppTest.from_function(_moving, args=(str(dataset.path), "**[x](y)** :red[z]", "train")).run()
    assert "**[x]" not in texts(app) and "\\*\\*" in texts(app)
    assert not open_split(dataset).exception


# Leakage ------------------------------------------------------------------------------------------------


def test_leaks_are_looked_for_shown_and_mended(flown: Dataset) -> None:
    app = open_leakage(flown)
    assert "have not been compared yet" in texts(app)
    app.button(key=Key.LEAKAGE_FIND).click().run()
    assert not app.exception
    found = mending.known_leakage(flown)
    assert found is not None and flown.split is not None
    score = found.score(flown.split)
    assert f"Leak score {100 * score.val:.0f} %" in texts(app) and f"{score.pairs} pairs stand" in texts(app)
    assert "12 scenes become 4" in texts(app)
    app.button(key=Key.LEAKAGE_MEND).click().run()
    assert not app.exception
    assert flown.report.groups == 4 and found.score(flown.split).val == 0
    assert "Leak score 0 %" in texts(app)
    assert Key.LEAKAGE_MEND not in {button.key for button in app.button}
    app.button(key=Key.SPLIT_UNDO).click().run()
    assert flown.report.groups == 12 and found.score(flown.split).val == score.val
    assert Key.LEAKAGE_MEND in {button.key for button in app.button}


def test_pages_of_pairs(flown: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segcore.ui.dataset_leakage.PAGE", 2)
    found = mending.find_leakage(flown)
    app = open_leakage(flown)
    for page in range(1, -(-len(found.across(flown.split)) // 2) + 1):  # type: ignore[arg-type]
        app.number_input(key=Key.LEAKAGE_PAGE).set_value(page).run()
        assert not app.exception
    assert sum("in common" in caption.value for caption in app.caption) in (1, 2)


def test_what_overlaps_altogether_is_said(flown: Dataset) -> None:
    mending.find_leakage(flown)
    path = flown.path / "leakage" / "found.json"
    value = json.loads(path.read_text())
    names = flown.names
    match = value["leaks"][0]["match"]
    value["leaks"] = [{"first": first, "second": second, "match": match} for first, second in pairwise(names)]
    path.write_text(json.dumps(value))
    app = open_leakage(flown)
    assert "12 scenes become 1" in app.error[0].value
    assert Key.LEAKAGE_MEND not in {button.key for button in app.button}
