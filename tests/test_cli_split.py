"""`dataset split` and `dataset leakage`: what they change, print and refuse."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from segcore.__main__ import main
from segcore.cli import datasets_split
from segcore.config import DatasetConfig
from segcore.data import dividing, synthetic
from segcore.data.dataset import Dataset
from segcore.data.store import DatasetStore
from segcore.store import RunStore
from segcore.workspace import Workspace
from tests import factories

Call = Callable[..., Any]


@pytest.fixture
def json_of(capsys: pytest.CaptureFixture[str]) -> Call:
    def call(*words: str | Path) -> Any:
        capsys.readouterr()
        assert main([*map(str, words), "--json"]) == 0, capsys.readouterr().err
        return json.loads(capsys.readouterr().out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))

    return call


@pytest.fixture
def dataset(workspace: Workspace, tmp_path: Path) -> Dataset:
    return factories.add_dataset(workspace, tmp_path / "source", scenes=4, frames=2)


def test_the_split_is_shown_with_its_versions(
    store: RunStore, dataset: Dataset, json_of: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    factories.make_run(store, study="first", dataset=dataset)
    shown = json_of("dataset", "split", "tiny")
    assert dataset.split is not None
    assert shown["split"] == dataset.split.to_json() and shown["groups"] == dataset.groups
    (version,) = shown["versions"]
    assert (version["version"], version["studies"], version["val"]) == (1, ["first"], len(dataset.split.val))
    assert version["fingerprint"] == store.study("first").split.fingerprint
    assert shown["class_shares"][0]["test"] is None  # there are no test images
    assert main(["dataset", "split", "tiny"]) == 0
    printed = capsys.readouterr()
    assert "version 1" in printed.out and "used by first" in printed.err


def test_dividing_and_moving(store: RunStore, dataset: Dataset, json_of: Call) -> None:
    factories.make_run(store, study="first", dataset=dataset)
    shown = json_of("dataset", "split", "tiny", "--by", "group", "--val", "0.25", "--test", "0.25", "--seed", "3")
    assert [version["version"] for version in shown["versions"]] == [2, 1]
    assert len(shown["split"]["test"]) == 2
    scene = dataset.groups[shown["split"]["test"][0]]
    shown = json_of("dataset", "split", "tiny", "--move", f"{scene}=train")
    assert not shown["split"]["test"] and len(shown["split"]["train"]) == 6
    shown = json_of("dataset", "split", "tiny", "--by", "name", "--regex", r"frame\d", "--val", "0.5")
    assert set(shown["groups"].values()) == {"frame0", "frame1"}
    shown = json_of("dataset", "split", "tiny", "--version", "1")
    assert shown["versions"][0]["made"] == "version 1 again"
    shown = json_of("dataset", "split", "tiny", "--by", "random", "--val", "0.5")
    assert "both sides" in shown["warning"]


def test_lists_are_taken(dataset: Dataset, json_of: Call, tmp_path: Path) -> None:
    names = dataset.names
    (tmp_path / "lists.csv").write_text("\n".join([f"{names[0]},train", f"{names[1]},val"]))
    shown = json_of("dataset", "split", "tiny", "--by", "lists", "--file", tmp_path / "lists.csv")
    assert shown["split"] == {"train": [names[0]], "val": [names[1]], "test": []}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--by", "name", "--regex", "("], "no regular expression"),
        (["--by", "folder"], "1 group"),
        (["--by", "time"], "--by: None of the 8 images says when"),
        (["--by", "gps"], "says where"),
        (["--by", "time", "--gap", "0"], "--gap"),
        (["--by", "lists"], "--file"),
        (["--by", "group", "--val", "1.5"], "must be above 0 and below 1"),
        (["--by", "group", "--move", "scene00=val"], "at a time"),
        (["--val", "0.5"], "--val is for dividing anew: give --by group or name or folder or time"),
        (["--seed", "3"], "--seed is for dividing anew"),
        (["--by", "lists", "--test", "0.2"], "--test is for dividing anew"),
        (["--by", "gps", "--gap", "30"], "give --by time, too"),
        (["--move", "scene00=val", "--regex", "(s)"], "give --by name, too"),
        (["--move", "scene00"], "SCENE=PART"),
        (["--move", "scene00=valid"], "no part"),
        (["--move", "scenes00=val"], "Did you mean scene00"),
        (["--version", "9"], "--version: There is no version 9"),
    ],
)
def test_what_cannot_be_is_one_line_and_changes_nothing(
    words: list[str], said: str, dataset: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    split, groups = dataset.split, dataset.groups
    assert main(["dataset", "split", "tiny", *words]) == 2
    printed = capsys.readouterr()
    assert said in printed.err.splitlines()[-1] and not printed.out
    assert (dataset.split, dataset.groups) == (split, groups)


def test_the_defaults_that_the_help_names_are_those_of_the_library() -> None:
    hints = get_type_hints(datasets_split.split_dataset, include_extras=True)
    for option, function in (
        ("gap", dividing.group_by_time),
        ("distance", dividing.group_by_place),
        ("val", dividing.divide_by),
        ("test", dividing.split_at_random),
        ("seed", dividing.divide_by),
    ):
        default = inspect.signature(function).parameters[option].default
        assert hints[option].__metadata__[0].show_default == f"{default:g}"


def test_leaks_are_found_and_mended(
    workspace: Workspace, json_of: Call, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    synthetic.generate(tmp_path / "flown", scenes=4, frames=3, size=192)
    folders = {part: tmp_path / "flown" / part for part in ("images", "masks")}
    dataset = DatasetStore(workspace).add(DatasetConfig(name="flown", classes=synthetic.CLASSES, **folders))
    dividing.split_at_random(dataset, val=0.4)
    told = json_of("dataset", "leakage", "flown")
    assert told["score"]["val"] > 0.5 and told["score"]["test"] is None
    assert told["counts"]["overlap"] == len(told["pairs"]) >= 8
    parts = dataset.split.part_of()  # type: ignore[union-attr]
    assert all(pair["parts"] == [parts[pair["first"]], parts[pair["second"]]] for pair in told["pairs"])
    assert main(["dataset", "leakage", "flown"]) == 0
    printed = capsys.readouterr()
    assert "Leak score" in printed.out and "Comparing" not in printed.err  # what is known is not looked for again
    mended = json_of("dataset", "leakage", "flown", "--mend")
    assert mended["score"]["val"] == 0 and mended["score"]["pairs"] == 0
    assert (mended["mended"]["scenes_before"], mended["mended"]["scenes_after"]) == (12, 4)
    assert dataset.report.groups == 4
