"""Batches for training and validation, the same ones for the same seed, whoever makes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from segcore.config import Recipe
from segcore.data.augment import augment, build_transform
from segcore.data.prepared import Prepared
from segcore.data.splits import Split
from segcore.errors import SplitError

Batch = tuple[torch.Tensor, torch.Tensor]
"""Images (B, 3, H, W) uint8 RGB, 0-255, and labels (B, H, W) uint8, 255 where ignored."""


class _Samples(Dataset[Batch]):
    """Prepared images by (epoch, index); the epoch and the seed decide how an image is augmented."""

    def __init__(self, prepared: Prepared, indices: Sequence[int], recipe: Recipe | None, seed: int) -> None:
        self.prepared = prepared
        self.indices = list(indices)
        self.transform = build_transform(recipe) if recipe is not None else None
        self.seed = seed

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, key: tuple[int, int]) -> Batch:
        epoch, position = key
        index = self.indices[position]
        image, labels = np.asarray(self.prepared.images[index]), np.asarray(self.prepared.labels[index])
        if self.transform is not None:
            image, labels = augment(self.transform, image, labels, seed=derive_seed(self.seed, epoch, index))
        # A copy, as torch must not share memory with the read-only map.
        return torch.from_numpy(image.transpose(2, 0, 1).copy()), torch.from_numpy(labels.copy())


class _EpochBatches(Sampler[list[tuple[int, int]]]):
    """Shuffled batches of one epoch, chosen by `epoch`."""

    def __init__(self, length: int, batch_size: int, seed: int) -> None:
        self.length, self.batch_size, self.seed = length, batch_size, seed
        self.epoch = 1

    def __len__(self) -> int:
        return len(batch_bounds(self.length, self.batch_size))

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.length)
        for start, end in batch_bounds(self.length, self.batch_size):
            yield [(self.epoch, int(position)) for position in order[start:end]]


def batch_bounds(length: int, batch_size: int) -> list[tuple[int, int]]:
    """Return (start, end) of each batch; a last batch of one joins the one before, as batch norm over a
    single pooled value fails (DeepLabV3+, PAN)."""
    bounds = [(start, min(start + batch_size, length)) for start in range(0, length, batch_size)]
    if len(bounds) > 1 and bounds[-1][1] - bounds[-1][0] == 1:
        bounds[-2:] = [(bounds[-2][0], length)]
    return bounds


def derive_seed(*parts: int) -> int:
    """Return a 32-bit seed that differs whenever any of `parts` does, as far as 32 bits can."""
    return int(np.random.SeedSequence(parts).generate_state(1)[0])


@dataclass(frozen=True)
class Loaders:
    """The batches of one run."""

    train_loader: DataLoader[Batch]
    val_loader: DataLoader[Batch]
    val_names: list[str]
    """Names of the validation images, in the order in which `val` gives them."""
    val_groups: list[str]
    steps_per_epoch: int

    def train(self, epoch: int) -> DataLoader[Batch]:
        """Return the training batches of `epoch` (from 1): another order and other augmentations in each."""
        sampler = self.train_loader.batch_sampler
        assert isinstance(sampler, _EpochBatches)
        sampler.epoch = epoch
        return self.train_loader

    def val(self) -> DataLoader[Batch]:
        """Return the validation batches: every image once, in order, unchanged."""
        return self.val_loader


def build_loaders(prepared: Prepared, split: Split, recipe: Recipe, *, seed: int, workers: int = 0) -> Loaders:
    """Return the batches of one run.

    The number of `workers` changes the speed, never the batches. Prepared data lies decoded in a memory
    map, so on a CPU that also trains, 0 is the fastest.

    Raises:
        SplitError: fewer than two training images.
    """
    train = [prepared.index_of(name) for name in split.train]
    val = [prepared.index_of(name) for name in split.val]
    if len(train) < 2:
        raise SplitError(f"The split has {len(train)} training image; a network needs at least 2 to learn from.")
    batches = _EpochBatches(len(train), recipe.batch_size, seed)
    return Loaders(
        train_loader=DataLoader(
            _Samples(prepared, train, recipe, seed),
            batch_sampler=batches,
            num_workers=workers,
            generator=torch.Generator().manual_seed(seed),
        ),
        val_loader=DataLoader(
            _Samples(prepared, val, None, seed),
            batch_sampler=[
                [(0, position) for position in range(start, end)]
                for start, end in batch_bounds(len(val), recipe.batch_size)
            ],
            num_workers=workers,
            generator=torch.Generator().manual_seed(seed),
        ),
        val_names=list(split.val),
        val_groups=[prepared.groups[index] for index in val],
        steps_per_epoch=len(batches),
    )
