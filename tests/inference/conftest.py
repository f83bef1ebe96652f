"""Trained runs with their datasets, small enough to be exported or judged in a second."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from segcore.config import Recipe, StudyConfig
from segcore.data.store import Dataset, DatasetStore
from segcore.inference.export import verify
from segcore.runs import Run, Study
from segcore.store import RunStore
from segcore.training import worker
from segcore.workspace import Workspace
from tests import factories

ENCODER = "test_efficientnet"


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measures latency in an instant."""
    monkeypatch.setattr(verify, "SECONDS", 0.05)


@pytest.fixture
def dataset(store: RunStore, tmp_path: Path) -> Dataset:
    return factories.add_dataset(store.workspace, tmp_path / "source", size=96)


@pytest.fixture
def run(store: RunStore, dataset: Dataset, brief: None) -> Run:
    return factories.make_run(store, encoder=ENCODER, weights="none", dataset=dataset, with_weights=True)


def set_geometry(run: Run, geometry: str) -> None:
    """Make a run one that was trained in that geometry."""
    recipe = run.config.recipe.model_copy(update={"geometry": geometry})
    run.write_config(run.config.model_copy(update={"recipe": recipe}))


@pytest.fixture(scope="session")
def bundle_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Gives the bundle of a run of that geometry, whose workspace is gone; not to be changed."""

    @cache
    def make(geometry: str) -> Path:
        from segcore.inference.export.writing import export

        root = tmp_path_factory.mktemp("bundle")
        workspace = Workspace(root / "home")
        workspace.ensure_writable()
        dataset = factories.add_dataset(workspace, root / "source", size=96)
        store = RunStore(workspace)
        run = factories.make_run(store, encoder=ENCODER, weights="none", dataset=dataset, with_weights=True)
        set_geometry(run, geometry)
        export(run, "bundle", root / "b")
        workspace.root.rename(root / "gone")
        return root / "b"

    return make


def train(home: Path, source: Path, geometry: str) -> Study:
    """Two seeds of a tiny network, trained for an epoch on 4 images; 2 to validate, 2 to test."""
    workspace = Workspace(home)
    dataset = DatasetStore(workspace).add(factories.write_dataset(source), val=0.25, test=0.25)
    assert dataset.split is not None
    recipe = Recipe(
        epochs=1, image_size=32, batch_size=4, precision="fp32", memory_format="contiguous", geometry=geometry
    )
    config = StudyConfig(
        name="s", dataset=dataset.name, encoders=(ENCODER,), weights="none", seeds=(0, 1), recipe=recipe
    )
    store = RunStore(workspace)
    for run in store.create_study(config, dataset.config, dataset.fingerprint, dataset.split):
        assert worker.main([str(run.path)]) == 0
    return store.study("s")


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Returns the workspace of a finished study; trained once for all tests."""

    @cache
    def home(geometry: str) -> Path:
        folder = tmp_path_factory.mktemp(f"trained-{geometry}")
        train(folder / "home", folder / "source", geometry)
        return folder / "home"

    return home
