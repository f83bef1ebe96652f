"""A study keeps the classes and images it was launched with."""

from pathlib import Path

import numpy as np
import pytest

from segcore.config import RunConfig
from segcore.data import dividing
from segcore.data.dataset import Dataset
from segcore.data.launched import as_launched
from segcore.data.prepared import prepare
from segcore.data.store import DatasetStore
from segcore.decisions import Decision, Exclude, Merge, Rename
from segcore.errors import DatasetError
from segcore.store import RunStore
from segcore.workspace import Workspace
from tests.factories import add_dataset, make_run


def launched(workspace: Workspace, directory: Path) -> tuple[Dataset, RunConfig]:
    dataset = add_dataset(workspace, directory / "source")
    return dataset, make_run(RunStore(workspace), dataset=dataset).config


MERGE = Merge(names=("grass", "roof"), into="rest")


@pytest.mark.parametrize("decision", [MERGE, Exclude(images=("scene00_frame0",))], ids=["merged", "excluded"])
def test_a_study_launched_before_has_its_classes_and_images(
    workspace: Workspace, tmp_path: Path, decision: Decision
) -> None:
    dataset, config = launched(workspace, tmp_path)
    before = prepare(dataset, 32)
    labels = [before.label_map(place).copy() for place in range(len(before))]
    dataset.decide(decision)
    assert dataset.fingerprint != config.dataset_fingerprint
    old = as_launched(dataset, config.dataset, config.dataset_fingerprint)
    assert old.fingerprint == config.dataset_fingerprint and len(old.names) == 8
    assert old.config.trained_classes == config.dataset.trained_classes
    again = prepare(old, 32)
    assert again.path == before.path and not again.mended, "what was prepared is found, not built anew"
    assert all(np.array_equal(again.label_map(place), label) for place, label in enumerate(labels))
    assert DatasetStore(workspace).get("tiny").fingerprint == dataset.fingerprint, "the dataset is as it was decided"
    with pytest.raises(DatasetError, match="cannot be changed"):
        old.decide(MERGE)


def test_what_leaves_the_labels_alone_needs_no_version(workspace: Workspace, tmp_path: Path) -> None:
    dataset, config = launched(workspace, tmp_path)
    dataset.decide(Rename(name="roof", to="house"))
    assert as_launched(dataset, config.dataset, config.dataset_fingerprint) == dataset
    assert not (dataset.path / "versions").exists()


def test_other_files_are_no_version_of_the_study(workspace: Workspace, tmp_path: Path) -> None:
    dataset, config = launched(workspace, tmp_path)
    dataset.decide(MERGE)
    image = dataset.pairs[0].image
    image.write_bytes(dataset.pairs[1].image.read_bytes())
    with pytest.raises(DatasetError, match="have changed since the study was launched"):
        as_launched(dataset, config.dataset, config.dataset_fingerprint)


def test_a_study_launched_before_has_its_scenes(workspace: Workspace, tmp_path: Path) -> None:
    dataset, config = launched(workspace, tmp_path)
    before = dataset.groups
    dividing.set_groups(dataset, dividing.given(dataset, dict.fromkeys(dataset.names, "one"), "a map"))
    assert dataset.fingerprint == config.dataset_fingerprint
    old = as_launched(dataset, config.dataset, config.dataset_fingerprint)
    assert old.groups == before and set(dataset.groups.values()) == {"one"}
    dividing.set_groups(dataset, dividing.given(dataset, dict.fromkeys(dataset.names, "two"), "another"))
    assert as_launched(dataset, config.dataset, config.dataset_fingerprint) == old
    assert old.groups == before
    assert as_launched(dataset, dataset.config, config.dataset_fingerprint) == dataset
