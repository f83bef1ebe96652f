"""Batches for training and validation, the same ones for the same seed, whoever makes them.

Nothing here remembers a random state: what a sample looks like follows from (seed, epoch, image, crop), so an epoch
can be entered anywhere, by any number of loader workers and of training processes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from segcore.config import Recipe
from segcore.data.augment import build_transform, training_sample
from segcore.data.prepared import Pixels, Prepared
from segcore.data.splits import Split
from segcore.errors import ConfigError, SplitError

Batch = tuple[torch.Tensor, torch.Tensor]
"""Images (B, 3, H, W) uint8 RGB, 0-255, and labels (B, H, W) uint8, 255 where ignored."""


class _TrainingSamples(Dataset[Batch]):
    """Training samples by (epoch, position): augmented images or, in crop geometry, augmented squares of them."""

    def __init__(self, pixels: Pixels, indices: Sequence[int], recipe: Recipe, seed: int) -> None:
        self.pixels = pixels
        self.indices = np.array(indices, np.int64)  # no list, for the reason of `Pixels.shapes`
        self.transform = build_transform(recipe)
        self.seed = seed
        self.crop = recipe.image_size if recipe.geometry == "crop" else None
        self.per_image = recipe.crops_per_image if self.crop else 1

    def __len__(self) -> int:
        return len(self.indices) * self.per_image

    def __getitem__(self, key: tuple[int, int]) -> Batch:
        epoch, position = key
        place, crop = divmod(position, self.per_image)
        index = int(self.indices[place])
        image, labels = self.pixels.image(index), self.pixels.label_map(index)
        parts = (self.seed, epoch, index) if self.crop is None else (self.seed, epoch, index, crop)
        return _tensors(*training_sample(self.transform, image, labels, parts, crop=self.crop))


class _ValidationSamples(Dataset[Batch]):
    """Validation images by position, unchanged."""

    def __init__(self, pixels: Pixels, indices: Sequence[int]) -> None:
        self.pixels = pixels
        self.indices = np.array(indices, np.int64)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> Batch:
        index = self.indices[position]
        return _tensors(self.pixels.image(index), self.pixels.label_map(index))


def _tensors(image: np.ndarray, labels: np.ndarray) -> Batch:
    # Copies, as torch must not share memory with the read-only map.
    return torch.from_numpy(image.transpose(2, 0, 1).copy()), torch.from_numpy(labels.copy())


class _EpochBatches(Sampler[list[tuple[int, int]]]):
    """Shuffled batches of one epoch, chosen by `epoch`, from batch `skip` on; of each this process's share."""

    def __init__(self, length: int, batch_size: int, seed: int, rank: int, world: int) -> None:
        self.length, self.seed, self.rank, self.world = length, seed, rank, world
        self.bounds = batch_bounds(length, batch_size, least=2 * world)
        self.epoch, self.skip = 1, 0

    def __len__(self) -> int:
        return len(self.bounds) - self.skip

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.length)
        for start, end in self.bounds[self.skip :]:
            share = np.array_split(order[start:end], self.world)[self.rank]
            yield [(self.epoch, int(position)) for position in share]


def batch_bounds(length: int, batch_size: int, *, least: int = 2) -> list[tuple[int, int]]:
    """Return (start, end) of each batch; a last one of fewer than `least` joins the one before.

    Batch norm over a single pooled value fails (DeepLabV3+, PAN), so each process needs two images of a batch.
    """
    bounds = [(start, min(start + batch_size, length)) for start in range(0, length, batch_size)]
    if len(bounds) > 1 and bounds[-1][1] - bounds[-1][0] < least:
        bounds[-2:] = [(bounds[-2][0], length)]
    return bounds


@dataclass(frozen=True)
class ValLoaders:
    """The images that a network is judged on, or those that one of several processes judges."""

    val_loader: DataLoader[Batch]
    val_names: list[str]
    """Names of all validation images."""
    val_groups: list[str]
    """The group of each."""
    val_positions: list[int]
    """Which of `val_names` this process's `val` gives, in that order; all of them where one process trains."""
    window: int | None
    """Side of the windows in which validation images are to be predicted, in pixels (crop geometry: `val` gives them
    one at a time, each of its own size); None where they come resized, in batches."""

    def val(self) -> DataLoader[Batch]:
        """Return the validation batches: every image of `val_positions` once, in order, unchanged."""
        return self.val_loader


@dataclass(frozen=True)
class Loaders(ValLoaders):
    """The batches of one run, or of one of the processes that share it."""

    train_loader: DataLoader[Batch]
    steps_per_epoch: int

    def train(self, epoch: int, skip: int = 0) -> DataLoader[Batch]:
        """Return the training batches of `epoch` (from 1): another order and other augmentations in each.

        `skip` leaves out that many batches at the start without making them; the others are what they would be.
        """
        sampler = self.train_loader.batch_sampler
        assert isinstance(sampler, _EpochBatches)
        sampler.epoch, sampler.skip = epoch, skip
        return self.train_loader


def build_loaders(
    prepared: Prepared,
    split: Split,
    recipe: Recipe,
    *,
    seed: int,
    workers: int = 0,
    rank: int = 0,
    world: int = 1,
    pin: bool = False,
) -> Loaders:
    """Return the batches of one run.

    Args:
        prepared: images at the recipe's size, or of any size for crop geometry (`prepared_size` tells).
        split: which images are for what.
        recipe: its batch size counts the images of all processes together.
        seed: of order, crops and augmentations.
        workers: loader processes; they change the speed, never the batches. Prepared data lies decoded in a memory
            map, so on a CPU that also trains, 0 is the fastest.
        rank: which of the `world` training processes this is. All have the same global batches and each a share of
            every one; the batches are those of one process, but for a last one too small to be shared.
        world: training processes.
        pin: put batches into page-locked memory, from which they reach a CUDA GPU without waiting.

    Raises:
        SplitError: fewer than two training images a process.
        ConfigError: fewer than two images of a batch for each process.
    """
    train = [prepared.index_of(name) for name in split.train]
    samples = _TrainingSamples(prepared.pixels, train, recipe, seed)
    _check_enough(len(train), len(samples), recipe.batch_size, world)
    batches = _EpochBatches(len(samples), recipe.batch_size, seed, rank, world)
    shared: dict[str, Any] = {"seed": seed, "workers": workers, "pin": pin}
    judged = build_val_loaders(prepared, split.val, recipe, rank=rank, world=world, **shared)
    return Loaders(**vars(judged), train_loader=_loader(samples, batches, **shared), steps_per_epoch=len(batches))


def build_val_loaders(
    prepared: Prepared,
    names: Sequence[str],
    recipe: Recipe,
    *,
    seed: int,
    workers: int = 0,
    rank: int = 0,
    world: int = 1,
    pin: bool = False,
) -> ValLoaders:
    """Return what a network is judged on: the images `names`, in this order; other arguments as of `build_loaders`."""
    indices = [prepared.index_of(name) for name in names]
    positions = list(range(rank, len(indices), world))
    window = recipe.image_size if recipe.geometry == "crop" else None
    samples = _ValidationSamples(prepared.pixels, [indices[position] for position in positions])
    batches = _val_batches(len(positions), None if window else recipe.batch_size)
    return ValLoaders(
        val_loader=_loader(samples, batches, seed=seed, workers=workers, pin=pin),
        val_names=list(names),
        val_groups=[prepared.groups[index] for index in indices],
        val_positions=positions,
        window=window,
    )


def _loader(samples: Dataset[Batch], batches: Any, *, seed: int, workers: int, pin: bool) -> DataLoader[Batch]:
    return DataLoader(
        samples,
        batch_sampler=batches,
        generator=torch.Generator().manual_seed(seed),
        num_workers=workers,
        pin_memory=pin,
        persistent_workers=workers > 0,
    )


def _val_batches(length: int, batch_size: int | None) -> list[list[int]]:
    """Return all positions in order, in batches, or one by one as images of unlike sizes cannot share a batch."""
    if batch_size is None:
        return [[position] for position in range(length)]
    return [list(range(start, end)) for start, end in batch_bounds(length, batch_size)]


def _check_enough(images: int, samples: int, batch_size: int, world: int) -> None:
    if images < 2 or samples < 2 * world:
        raise SplitError(
            f"The split has {images} training image{'' if images == 1 else 's'}; a network needs at least 2 to learn "
            f"from{f', for each of {world} processes' if world > 1 else ''}."
        )
    if batch_size < 2 * world:
        raise ConfigError(
            f"A batch of {batch_size} cannot be shared by {world} processes: each needs 2 images of it. Set the batch "
            f"size to {2 * world} or more, or start fewer processes.",
            field="batch_size",
        )
