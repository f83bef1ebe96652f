"""`evaluate`: what it prints and lists, how it maps classes, and how it says no."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from segcore.__main__ import main
from segcore.config import ClassInfo
from segcore.data.splits import Split
from segcore.data.store import Dataset
from segcore.decisions import Merge
from segcore.runs import Run
from segcore.store import RunStore
from tests import factories

RUN = "study/mobilenetv3_small_050-scratch-seed0"
THEIRS = (
    ClassInfo(name="void", color=(0, 0, 0), ignore=True),
    ClassInfo(name="Paved Area", color=(1, 1, 1)),
    ClassInfo(name="vegetation", color=(2, 2, 2)),
    ClassInfo(name="water", color=(3, 3, 3)),
)


@pytest.fixture
def dataset(store: RunStore, tmp_path: Path) -> Dataset:
    return factories.add_dataset(store.workspace, tmp_path / "source")


@pytest.fixture
def run(store: RunStore, dataset: Dataset) -> Run:
    return factories.make_run(
        store, encoder="mobilenetv3_small_050", weights="none", dataset=dataset, with_weights=True
    )


@pytest.fixture
def other(store: RunStore, tmp_path: Path) -> Dataset:
    return factories.add_dataset(store.workspace, tmp_path / "other", name="other", classes=THEIRS, seed=3)


def test_it_prints_scores_by_class_and_what_they_are_of(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", RUN, "--part", "train"]) == 0
    printed = capsys.readouterr()
    assert "on tiny, 6 train images: mIoU" in printed.out
    assert all(info.name in printed.out for info in run.config.dataset.trained_classes)
    assert "6 of 6 images were trained on" in printed.err
    (name,) = run.reevaluation_names()
    assert name.startswith("tiny-train-") and f"Kept as {name}." in printed.err


def test_classes_are_mapped_and_the_mapping_is_shown(
    run: Run, other: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", RUN, "--dataset", "other", "--map", "vegetation=grass", "--map", "vegetation=roof"]
    assert main([*words, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [(one["name"], one["means"]) for one in document["classes"]] == [
        ("Paved Area", ["paved-area"]),
        ("vegetation", ["grass", "roof"]),
    ]
    assert document["not_known_to_the_network"] == ["water"] and document["not_in_the_dataset"] == []
    assert document["images"] == 2 and document["outdated"] == [] and document["trained_on"] == []
    assert Path(document["path"]).is_file()
    counts = run.reevaluation(document["name"]).counts
    assert document["left_out"] == pytest.approx(counts[:, 2].sum() / counts.sum())
    hits = np.trace(counts[:, :2, :2].sum(0)) + counts[:, 1, 2].sum()
    assert document["pixel_accuracy"] == pytest.approx(hits / counts[:, :2].sum())
    assert main([*words, "--map", "paved area="]) == 0
    printed = capsys.readouterr()
    assert "Not known to the network" in printed.err and "Paved Area, water" in printed.err
    assert "predicting them is wrong: paved-area" in printed.err


def test_classes_merged_since_the_launch_are_followed(
    run: Run, dataset: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", RUN, "--json"]) == 0
    before = json.loads(capsys.readouterr().out)
    dataset.decide(Merge(names=("grass", "roof"), into="rest"))
    assert main(["evaluate", RUN, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    means = {one["name"]: one["means"] for one in document["classes"]}
    assert means == {"paved-area": ["paved-area"], "rest": ["grass", "roof"]}
    assert document["not_known_to_the_network"] == document["not_in_the_dataset"] == []
    assert document["pixel_accuracy"] >= before["pixel_accuracy"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--map", "vegetation"], "--map: 'vegetation' is no pair of classes"),
        (["--map", "forest=grass"], "--map: The dataset has no class 'forest'"),
        (["--part", "every"], "--part: 'every' is no part of a split"),
        (["--dataset", "otter"], "--dataset: There is no dataset 'otter'"),
        (["--remove", "nothing"], "has no re-evaluation 'nothing'; there are: none"),
    ],
)
def test_bad_words_are_said_in_a_line(
    run: Run, other: Dataset, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    dataset = [] if "--dataset" in words else ["--dataset", "other"]
    assert main(["evaluate", RUN, *dataset, *words]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and said in printed.err and printed.err.count("\n") == 1
    assert run.reevaluation_names() == []


def test_sealed_images_are_refused_with_the_command_that_opens_them(
    store: RunStore, dataset: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dataset.split is not None
    train, val = dataset.split.train, dataset.split.val
    dataset.set_split(Split(train[:4], val, train[4:]))
    factories.make_run(store, encoder="mobilenetv3_small_050", weights="none", dataset=dataset, with_weights=True)
    assert main(["evaluate", RUN, "--part", "test"]) == 2
    assert "python -m segcore study open-test study" in capsys.readouterr().err


def test_the_list_and_what_is_removed_from_it(run: Run, other: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", RUN, "--list"]) == 0
    assert "has not been evaluated anew yet" in capsys.readouterr().err
    assert main(["evaluate", RUN, "--list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert main(["evaluate", RUN]) == main(["evaluate", RUN, "--dataset", "other"]) == 0
    capsys.readouterr()
    other.make_split(val=0.5, seed=1)
    assert main(["evaluate", RUN, "--list"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in run.reevaluation_names())
    assert "dataset other was divided anew since" in printed and "used to choose the best epoch" in printed
    assert main(["evaluate", RUN, "--list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["dataset"] for row in rows] == ["other", "tiny"]
    assert main(["evaluate", RUN, "--remove", rows[0]["name"]]) == 0
    assert run.reevaluation_names() == [rows[1]["name"]]
    run.reevaluation_path(rows[1]["name"]).write_bytes(b"")
    assert main(["evaluate", RUN, "--list"]) == 0
    assert "is damaged" in capsys.readouterr().err
