"""Hundreds of broken datasets: a clear error that names what is broken, or a correct result; never anything else."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from segcore.config import IGNORE_INDEX, DatasetConfig
from segcore.data.prepared import prepare
from segcore.data.store import Dataset, DatasetStore
from segcore.errors import DatasetError
from segcore.text import printable
from segcore.workspace import Workspace
from tests.data import fuzz

quick = {
    "deadline": None,
    "derandomize": True,
    "database": None,
    "suppress_health_check": list(HealthCheck),
    "phases": [Phase.generate],
}


@contextmanager
def folder_of_its_own() -> Iterator[Path]:
    """A folder for one example; hypothesis runs many in one test, which have one tmp_path."""
    root = Path(tempfile.mkdtemp())
    try:
        yield root
    finally:
        shutil.rmtree(root)


@pytest.fixture(autouse=True)
def without_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")  # about the damage
        yield


@settings(max_examples=400, **quick)
@given(plan=fuzz.plans(), prepared=st.booleans())
def test_a_broken_folder_is_refused_or_read_correctly(plan: fuzz.Plan, prepared: bool) -> None:
    with folder_of_its_own() as root:
        fuzz.build(plan, root / "source")
        before = fuzz.tree_hash(root)
        datasets = DatasetStore(Workspace(root / "home"))
        config = DatasetConfig(
            name="broken", images=root / "source/images", masks=root / "source/masks", classes=fuzz.TABLE
        )
        try:
            dataset = datasets.add(config, val=0.4)
        except DatasetError as error:
            assert len(plan.certain) < 2, error
            names = [printable(pair.name, lines=False) for pair in plan.pairs if pair.usable is False]
            assert (
                "source/" in str(error)
                or not names
                or any(name in printable(str(error), lines=False) for name in names)
            ), error
            assert not list(datasets.workspace.datasets.iterdir())
        else:
            assert len(plan.possible) >= 2
            check_what_was_found(plan, dataset)
            if prepared:
                check_what_is_trained_on(plan, dataset)
            assert {path.name for path in dataset.path.iterdir()} <= {
                "dataset.json", "split.json", "prepared", ".lock",
            }  # fmt: skip
        shutil.rmtree(root / "home")
        assert fuzz.tree_hash(root) == before


def check_what_was_found(plan: fuzz.Plan, dataset: Dataset) -> None:
    assert plan.certain <= set(dataset.names) <= plan.possible
    readable = all(pair.usable is not None for pair in plan.pairs)
    if readable:
        assert dataset.report.mask_reading == plan.style or all(
            plan_pair.mask in ("palette",) for plan_pair in plan.pairs if plan_pair.usable
        )
    for pair in plan.pairs:
        if pair.usable and readable:
            assert dataset.image_facts(pair.name).class_pixels == pair.pixels
            image, labels = dataset.read(pair.name)
            assert image.shape == (fuzz.SIDE, fuzz.SIDE, 3)
            assert np.array_equal(labels, truth(pair))
    told = {problem.file.name for problem in dataset.report.problems if problem.file and problem.excluded}
    for pair in plan.pairs:
        for fault in {pair.image_fault, pair.mask_fault} - fuzz.SILENT - fuzz.WORKLESS - {None}:
            assert any(name.startswith(shown(pair)) for name in told), (fault, told)


def check_what_is_trained_on(plan: fuzz.Plan, dataset: Dataset) -> None:
    found = prepare(dataset, fuzz.SIDE)
    assert found.names == dataset.names
    if all(pair.usable is not None for pair in plan.pairs):
        for pair in plan.pairs:
            if pair.usable:
                assert np.array_equal(found.label_map(found.index_of(pair.name)), truth(pair))


def truth(pair: fuzz.PlannedPair) -> np.ndarray:
    return np.where(pair.rows == 0, IGNORE_INDEX, pair.rows - 1)


def shown(pair: fuzz.PlannedPair) -> str:
    """The stem as dataset.json holds it."""
    return os.fsencode(pair.name).decode("utf-8", "replace")
