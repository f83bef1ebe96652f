from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from segcore.config import Recipe
from segcore.data.loaders import batch_bounds, build_loaders, derive_seed
from segcore.data.prepared import Prepared, prepare
from segcore.data.splits import Split
from segcore.errors import SplitError
from segcore.workspace import Workspace
from tests.factories import add_dataset

RECIPE = Recipe(image_size=32, batch_size=2)


@pytest.fixture
def prepared(workspace: Workspace, tmp_path: Path) -> Prepared:
    return prepare(add_dataset(workspace, tmp_path / "source"), 32)


def drain(prepared: Prepared, *, seed: int = 0, epoch: int = 1, workers: int = 0) -> torch.Tensor:
    split = Split(tuple(prepared.names[:5]), tuple(prepared.names[5:]))
    loaders = build_loaders(prepared, split, RECIPE, seed=seed, workers=workers)
    return torch.cat([images for images, _ in loaders.train(epoch)])


def test_batches_are_raw_pixels_and_labels(prepared: Prepared) -> None:
    split = Split(tuple(prepared.names[:5]), tuple(prepared.names[5:]))
    loaders = build_loaders(prepared, split, RECIPE, seed=0)
    images, labels = next(iter(loaders.train(1)))
    assert (images.shape, images.dtype) == ((2, 3, 32, 32), torch.uint8)
    assert (labels.shape, labels.dtype) == ((2, 32, 32), torch.uint8)
    assert loaders.steps_per_epoch == len(list(loaders.train(1))) == 2
    found = torch.cat([images for images, _ in loaders.val()]).numpy()
    expected = [prepared.images[prepared.index_of(name)].transpose(2, 0, 1) for name in split.val]
    np.testing.assert_array_equal(found, np.stack(expected))


@pytest.mark.parametrize("epoch", [1, 2])
def test_workers_change_nothing(prepared: Prepared, epoch: int) -> None:
    assert torch.equal(drain(prepared, epoch=epoch), drain(prepared, epoch=epoch, workers=2))


def test_seeds_and_epochs_give_other_batches(prepared: Prepared) -> None:
    first = drain(prepared)
    assert torch.equal(first, drain(prepared))
    assert not torch.equal(first, drain(prepared, epoch=2))
    assert not torch.equal(first, drain(prepared, seed=1))


@pytest.mark.parametrize(
    ("length", "size", "bounds"),
    [(4, 2, [(0, 2), (2, 4)]), (5, 2, [(0, 2), (2, 5)]), (2, 8, [(0, 2)]), (9, 8, [(0, 9)]), (1, 8, [(0, 1)])],
)
def test_no_last_batch_of_one(length: int, size: int, bounds: list[tuple[int, int]]) -> None:
    assert batch_bounds(length, size) == bounds


def test_one_training_image_is_too_few(prepared: Prepared) -> None:
    split = Split(tuple(prepared.names[:1]), tuple(prepared.names[1:]))
    with pytest.raises(SplitError, match="1 training image"):
        build_loaders(prepared, split, RECIPE, seed=0)


def test_derived_seeds_differ() -> None:
    seeds = {derive_seed(a, b, c) for a in range(10) for b in range(10) for c in range(10)}
    assert len(seeds) == 1000
