"""What the tests of training share: a tiny dataset, a tiny network, and one way to train it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
import torch

from segcore.config import Recipe, StudyConfig
from segcore.data.loaders import Loaders, build_loaders
from segcore.data.prepared import Prepared, prepare
from segcore.data.splits import Split
from segcore.data.store import DatasetStore
from segcore.models.build import build
from segcore.models.profile import measure
from segcore.records import EpochRecord, StepRecord
from segcore.runs import Run
from segcore.store import RunStore
from segcore.training import provenance, worker
from segcore.training.group import Group
from segcore.training.loop import EpochResult, ValidationTick, fit
from segcore.training.precision import Mode
from segcore.training.state import TrainingState
from segcore.workspace import Workspace
from tests.factories import add_dataset
from tests.models.described import describe

CPU = torch.device("cpu")
ENCODER = "test_efficientnet"
"""The smallest that timm has, made for tests, and with the batch norm that exactness must survive."""
RECIPE = Recipe(epochs=3, image_size=32, batch_size=4)
TWO = RECIPE.model_copy(update={"epochs": 2})
TIMES = {"images_per_second", "seconds"}

Event = StepRecord | ValidationTick | EpochResult


@pytest.fixture(scope="package", autouse=True)
def costs_in_an_instant() -> Iterator[None]:
    """What networks cost is found once for all runs in this process, and their speed measured in two passes, not 46."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(provenance, "describe", describe)
        patch.setattr(provenance, "measure", partial(measure, rounds=1, warmup=0))
        yield


@pytest.fixture
def prepared(workspace: Workspace, tmp_path: Path) -> Prepared:
    return prepare(add_dataset(workspace, tmp_path / "source"), 32)


def loaders_of(prepared: Prepared, seed: int, recipe: Recipe = RECIPE, **options: Any) -> Loaders:
    """The first 6 images to train on (2 steps an epoch), the last 2 to validate."""
    split = Split(tuple(prepared.names[:6]), tuple(prepared.names[6:]))
    return build_loaders(prepared, split, recipe, seed=seed, **options)


def start(seed: int, recipe: Recipe = RECIPE, mode: Mode | None = None) -> TrainingState:
    mode = mode or Mode()
    torch.manual_seed(seed)
    model = mode.apply(build(ENCODER, weights="none", classes=3, image_size=32))
    return TrainingState.start(model, recipe, mode, pretrained=False)


def train(
    state: TrainingState, loaders: Loaders, seed: int, recipe: Recipe = RECIPE, mode: Mode | None = None
) -> Iterator[Event]:
    return fit(state, loaders, recipe, seed=seed, mode=mode or Mode(), group=Group(device=CPU), preview=(1,))


def without_times(record: EpochRecord) -> dict[str, object]:
    """What must not depend on the hour."""
    return {name: value for name, value in asdict(record).items() if name not in TIMES}


def records_of(events: list[Event]) -> list[dict[str, object]]:
    return [without_times(event.record) for event in events if isinstance(event, EpochResult)]


def same_weights(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def queue_run(
    store: RunStore, source: Path, *, seed: int = 0, study: str = "s", encoder: str = ENCODER, **changes: object
) -> Run:
    """Queue a run of the tiny network on the tiny dataset, written to `source`; `changes` are of its recipe.

    By default in plain fp32, as measuring what is fastest takes longer than such a run.
    """
    plain = {"epochs": 2, "image_size": 32, "batch_size": 4, "precision": "fp32", "memory_format": "contiguous"}
    datasets = DatasetStore(store.workspace)
    dataset = datasets.get("tiny") if source.exists() else add_dataset(store.workspace, source)
    assert dataset.split is not None
    config = StudyConfig(
        name=study,
        dataset="tiny",
        encoders=(encoder,),
        weights="none",
        seeds=(seed,),
        recipe=Recipe(**{**plain, **changes}),
    )
    return store.create_study(config, dataset.config, dataset.fingerprint, dataset.split)[0]


@pytest.fixture
def queue(store: RunStore, tmp_path: Path) -> Callable[..., Run]:
    """Queues runs in the test's own workspace; arguments as `queue_run`."""
    return partial(queue_run, store, tmp_path / "source")


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Run]:
    """Returns the run of that many epochs as it ends when nothing happens to it; trained once for all tests."""

    @cache
    def finished(epochs: int) -> Run:
        folder = tmp_path_factory.mktemp("undisturbed")
        run = queue_run(RunStore(Workspace(folder / "home")), folder / "source", epochs=epochs)
        assert worker.main([str(run.path)]) == 0
        return run

    return finished
