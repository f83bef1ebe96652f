from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from segcore.config import Recipe
from segcore.data.augment import derive_seed
from segcore.data.loaders import Batch, batch_bounds, build_loaders
from segcore.data.prepared import Pixels, Prepared, prepare
from segcore.data.splits import Split
from segcore.data.store import Dataset
from segcore.errors import ConfigError, SplitError
from segcore.workspace import Workspace
from tests.factories import add_dataset

RECIPE = Recipe(image_size=32, batch_size=2)


@pytest.fixture
def dataset(workspace: Workspace, tmp_path: Path) -> Dataset:
    return add_dataset(workspace, tmp_path / "source")


@pytest.fixture
def prepared(dataset: Dataset) -> Prepared:
    return prepare(dataset, 32)


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
    expected = [prepared.image(prepared.index_of(name)).transpose(2, 0, 1) for name in split.val]
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


# Crops -------------------------------------------------------------------------------------------------

CROPS = Recipe(image_size=32, batch_size=3, geometry="crop", crops_per_image=2)


@pytest.fixture
def native(dataset: Dataset) -> Prepared:
    return prepare(dataset, None)


def crops_of(native: Prepared, *, seed: int = 0, epoch: int = 1, workers: int = 0) -> list[Batch]:
    split = Split(tuple(native.names[:5]), tuple(native.names[5:]))
    return list(build_loaders(native, split, CROPS, seed=seed, workers=workers).train(epoch))


def test_crops_are_at_native_scale_and_each_another(native: Prepared) -> None:
    split = Split(tuple(native.names[:5]), tuple(native.names[5:]))
    plain = CROPS.model_copy(update={"augmentation": "none"})
    loaders = build_loaders(native, split, plain, seed=0)
    batches = list(loaders.train(1))
    assert loaders.steps_per_epoch == 3 and [len(images) for images, _ in batches] == [3, 3, 4]
    images, labels = (torch.cat(part).numpy() for part in zip(*batches, strict=True))
    assert images.shape == (10, 3, 32, 32) and labels.shape == (10, 32, 32)
    assert len({image.tobytes() for image in images}) == 10
    whole = [native.image(index).transpose(2, 0, 1) for index in range(5)]
    places = [(image, top, left) for image in whole for top in range(33) for left in range(33)]
    known = {image[:, top : top + 32, left : left + 32].tobytes() for image, top, left in places}
    assert all(image.tobytes() in known for image in images)


def test_crops_depend_on_seed_and_epoch_not_on_workers(native: Prepared) -> None:
    first = torch.cat([images for images, _ in crops_of(native)])
    for same in (crops_of(native), crops_of(native, workers=2)):
        assert torch.equal(first, torch.cat([images for images, _ in same]))
    for other in (crops_of(native, seed=1), crops_of(native, epoch=2)):
        assert not torch.equal(first, torch.cat([images for images, _ in other]))


def test_validation_of_crops_is_over_whole_images(native: Prepared, prepared: Prepared) -> None:
    split = Split(tuple(native.names[:5]), tuple(native.names[5:]))
    loaders = build_loaders(native, split, CROPS, seed=0)
    assert loaders.window == 32
    found = list(loaders.val())
    assert len(found) == 3
    for (images, labels), name in zip(found, split.val, strict=True):
        assert np.array_equal(images[0].numpy().transpose(1, 2, 0), native.image(native.index_of(name)))
        assert np.array_equal(labels[0].numpy(), native.label_map(native.index_of(name)))
    assert build_loaders(prepared, split, RECIPE, seed=0).window is None


# Entering an epoch, and sharing it ---------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_can_be_entered_anywhere_without_making_what_was_before(
    native: Prepared, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    split = Split(tuple(native.names[:5]), tuple(native.names[5:]))
    loaders = build_loaders(native, split, CROPS, seed=0, workers=workers)
    whole = list(loaders.train(2))
    read: list[int] = []
    image = Pixels.image
    monkeypatch.setattr(Pixels, "image", lambda self, index: (read.append(index), image(self, index))[1])
    for skip in range(4):
        read.clear()
        rest = list(loaders.train(2, skip))
        assert len(rest) == 3 - skip
        for (images, labels), (expected, expected_labels) in zip(rest, whole[skip:], strict=True):
            assert torch.equal(images, expected) and torch.equal(labels, expected_labels)
        assert workers or len(read) == sum(len(images) for images, _ in whole[skip:])
    assert loaders.steps_per_epoch == 3
    again = list(loaders.train(2))
    assert all(torch.equal(one[0], other[0]) for one, other in zip(again, whole, strict=True))


@pytest.mark.parametrize("world", [2, 3])
def test_processes_share_every_batch_of_one_process(native: Prepared, world: int) -> None:
    split = Split(tuple(native.names[:5]), tuple(native.names[5:]))
    recipe = CROPS.model_copy(update={"batch_size": 10, "crops_per_image": 4})
    (alone, rest) = list(build_loaders(native, split, recipe, seed=0).train(1))
    shares = [
        list(build_loaders(native, split, recipe, seed=0, rank=rank, world=world).train(1)) for rank in range(world)
    ]
    for step, whole in enumerate((alone, rest)):
        assert torch.equal(torch.cat([share[step][0] for share in shares]), whole[0])
        assert torch.equal(torch.cat([share[step][1] for share in shares]), whole[1])
        assert min(len(share[step][0]) for share in shares) >= 2


def test_a_last_batch_that_cannot_be_shared_joins_the_one_before(prepared: Prepared) -> None:
    split = Split(tuple(prepared.names[:7]), tuple(prepared.names[7:]))
    recipe = RECIPE.model_copy(update={"batch_size": 4})
    shares = [list(build_loaders(prepared, split, recipe, seed=0, rank=rank, world=2).train(1)) for rank in range(2)]
    assert [[len(images) for images, _ in share] for share in shares] == [[4], [3]]


@pytest.mark.parametrize("world", [1, 2])
def test_each_validation_image_is_given_to_one_process(prepared: Prepared, world: int) -> None:
    split = Split(tuple(prepared.names[:4]), tuple(prepared.names[4:]))
    recipe = RECIPE.model_copy(update={"batch_size": 10})
    found: dict[int, torch.Tensor] = {}
    for rank in range(world):
        loaders = build_loaders(prepared, split, recipe, seed=0, rank=rank, world=world)
        assert loaders.val_names == list(split.val) and len(loaders.val_groups) == 4
        images = [image for images, _ in loaders.val() for image in images]
        assert not set(found) & set(loaders.val_positions)
        found.update(zip(loaders.val_positions, images, strict=True))
    for position, image in found.items():
        assert np.array_equal(image.numpy().transpose(1, 2, 0), prepared.image(prepared.index_of(split.val[position])))
    assert len(found) == 4


def test_a_process_without_validation_images_has_none(prepared: Prepared) -> None:
    split = Split(tuple(prepared.names[:7]), tuple(prepared.names[7:]))
    loaders = build_loaders(prepared, split, RECIPE.model_copy(update={"batch_size": 4}), seed=0, rank=1, world=2)
    assert loaders.val_positions == [] and list(loaders.val()) == []


def test_too_few_images_for_all_processes_are_refused(prepared: Prepared) -> None:
    split = Split(tuple(prepared.names[:3]), tuple(prepared.names[3:]))
    with pytest.raises(SplitError, match="2 processes"):
        build_loaders(prepared, split, RECIPE.model_copy(update={"batch_size": 4}), seed=0, rank=0, world=2)


def test_a_batch_too_small_for_all_processes_is_refused(prepared: Prepared) -> None:
    split = Split(tuple(prepared.names[:6]), tuple(prepared.names[6:]))
    with pytest.raises(ConfigError, match="Set the batch size to 6") as caught:
        build_loaders(prepared, split, RECIPE.model_copy(update={"batch_size": 4}), seed=0, rank=0, world=3)
    assert caught.value.field == "batch_size"
