"""`suspects`: what it finds, prints and says in JSON, and how it says no."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from segcore.__main__ import main
from segcore.data.store import Dataset
from segcore.evaluation.ranking_suspects import table
from segcore.inference.suspects import Search
from segcore.runs import Run
from segcore.store import RunStore
from tests import factories


@pytest.fixture
def dataset(store: RunStore, tmp_path: Path) -> Dataset:
    return factories.add_dataset(store.workspace, tmp_path / "source", scenes=6)


@pytest.fixture
def runs(store: RunStore, dataset: Dataset) -> list[Run]:
    """Two backbones that have learnt nothing; the second has one run more, which nobody asks."""
    found = [factories.make_run(store, dataset=dataset, encoder=encoder, weights="none", with_weights=True)
             for encoder in (factories.LITE0, factories.RESNET18)]  # fmt: skip
    more = factories.make_run(store, dataset=dataset, encoder=factories.RESNET18, weights="none", seed=1)
    shutil.copy(found[1].best_weights, more.best_weights)
    return found


def test_json_has_all_that_the_search_found(
    runs: list[Run], dataset: Dataset, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["suspects", "study", "--json"]) == 0
    document = json.loads(capfd.readouterr().out)
    search = Search(tuple(runs), dataset)
    assert document["networks"] == [str(run.path) for run in runs]
    assert document["images"] == list(search.images) == list(search.found())
    expected = table(
        [place for row in search.found().values() for place in row], runs[0].config.dataset.trained_classes
    )
    assert sorted(document["places"], key=str) == sorted(expected, key=str)


def test_it_prints_the_weightiest_and_whose_agreement_they_are(
    runs: list[Run], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["suspects", "study", "--backbones", "resnet18,tf_efficientnet_lite0"]) == 0
    printed = capsys.readouterr()
    assert f"in {len(runs[0].split.val)} validation images" in printed.out and "mask says" in printed.out
    assert all(f"{run.name} (val mIoU" in printed.err for run in runs)


def test_an_image_that_cannot_be_read_is_said(
    runs: list[Run], dataset: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    name = runs[0].split.val[0]
    dataset.pair(name).image.write_bytes(b"no image")
    assert main(["suspects", "study"]) == 1
    assert f"Not looked at: {dataset.pair(name).image}" in capsys.readouterr().err


@pytest.mark.usefixtures("runs")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["suspects", "nobody"], "no study 'nobody'"),
        (["suspects", "study", "--backbones", "resnet81"], "--backbones: The study has no trained network of backbone"),
        (["suspects", "study", "--backbones", "resnet18"], "two of them are needed"),
    ],
)
def test_bad_input_is_said_in_a_line(capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    assert main(words) == 2
    assert said in capsys.readouterr().err
