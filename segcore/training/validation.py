"""Judging a network on the validation images: counts of each image, the loss of all, a few predictions to look at."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from segcore.config import IGNORE_INDEX
from segcore.data.loaders import ValLoaders
from segcore.evaluation.sizes import BINS, SizeMaps
from segcore.inference.tiling import OVERLAP, predict_bands, starts
from segcore.training.group import Group
from segcore.training.losses import SegmentationLoss, sums_of_probabilities

PREVIEW_SIDE = 512
"""Longer side in pixels of the predictions kept for looking at, at most."""


class _Judged(NamedTuple):
    counts: np.ndarray
    """(C, C) int64: confusion counts [true, predicted] of the image."""
    sums: np.ndarray
    """(2 + 3 C,) float64: what its loss is made of."""
    sizes: np.ndarray
    """(C, BINS, 2) int64: pixels, and found ones, by class and size of their object."""
    preview: np.ndarray | None
    """Predicted labels, (h, w) uint8, shrunk to `PREVIEW_SIDE`."""


class Validation:
    """One pass over the validation images; `finish` gives its results once `over` is iterated to its end."""

    def __init__(self, loaders: ValLoaders, batch_size: int, maps: SizeMaps, preview: tuple[int, ...] = ()) -> None:
        self.loaders = loaders
        self.batch_size = batch_size
        """Images whose sums make one loss, and windows predicted at once."""
        self.maps = maps
        """Which pixels of the images belong to small objects and which to large ones; of all passes."""
        self.preview = preview
        """Positions of the images whose predictions are kept."""
        self.loss = math.nan
        """Mean over the images of their batch's loss, the batches being those of one process."""
        self.counts = np.zeros((0, 0, 0), dtype=np.int64)
        """(images, C, C) int64 of all validation images, in the order of the loaders' `val_names`."""
        self.sizes = np.zeros((0, 0, BINS, 2), dtype=np.int64)
        """(images, C, BINS, 2) int64: each image's pixels, and found ones, by class and size of their object."""
        self.previews: dict[int, np.ndarray] = {}
        """Predicted labels (h, w) uint8, at most `PREVIEW_SIDE` on the longer side, by position."""
        self._judged: dict[int, _Judged] = {}

    def over(self, forward: Callable[[Tensor], Tensor], classes: int, device: torch.device) -> Iterator[int]:
        """Predict this process's validation images, yielding how many are done, also within a large image.

        Args:
            forward: images (B, 3, H, W) uint8 on `device` -> logits (B, classes, H, W); in evaluation mode.
        """
        done = 0
        for images, labels in self.loaders.val():
            # Inference mode is left before each yield, as whoever asks for the next may want gradients.
            if self.loaders.window is None:
                with torch.inference_mode():
                    self._judge(forward(images.to(device, non_blocking=True)), labels, done)
            else:
                for _ in self._judge_by_windows(forward, images[0], labels, done, classes, device):
                    yield done
            done += len(images)
            yield done

    def finish(self, loss_of: SegmentationLoss, group: Group) -> None:
        """Bring together what all processes found and fill in the results."""
        everywhere: dict[int, _Judged] = {}
        for found in group.gather(self._judged):
            everywhere |= found
        judged = [everywhere[position] for position in range(len(self.loaders.val_names))]
        self.counts = np.stack([image.counts for image in judged])
        self.sizes = np.stack([image.sizes for image in judged])
        self.previews = {at: image.preview for at, image in enumerate(judged) if image.preview is not None}
        sums = torch.from_numpy(np.stack([image.sums for image in judged]))
        batches = sums.split(self.batch_size)
        self.loss = sum(loss_of.of_sums(batch.sum(0)).item() * len(batch) for batch in batches) / len(judged)

    def _judge(self, logits: Tensor, truth: Tensor, done: int) -> None:
        """Judge a batch of resized images; `truth` (B, H, W) uint8 lies on the processor."""
        positions = self.loaders.val_positions[done : done + len(logits)]
        maps = [self.maps.of(position, labels.numpy()) for position, labels in zip(positions, truth, strict=True)]
        bins = torch.from_numpy(np.stack([found for found, _ in maps])).to(logits.device, non_blocking=True)
        labels = truth.to(logits.device, non_blocking=True).long()
        predicted = top_class(logits)
        classes = logits.shape[1]
        hits = found_by_size(predicted, labels, bins, classes).cpu().numpy()
        counts = confusion(predicted, labels, classes).cpu().numpy()
        sums = sums_of_probabilities(logits.softmax(1), labels).cpu().double().numpy()
        for index, (position, (_, pixels)) in enumerate(zip(positions, maps, strict=True)):
            sizes = np.stack([pixels, hits[index]], axis=-1)
            preview = self._shown(predicted[index]) if position in self.preview else None
            self._judged[position] = _Judged(counts[index], sums[index], sizes, preview)

    def _judge_by_windows(
        self,
        forward: Callable[[Tensor], Tensor],
        image: Tensor,
        labels: Tensor,
        done: int,
        classes: int,
        device: torch.device,
    ) -> Iterator[None]:
        """Judge one image of any size, band by band, so that its probabilities never stand in memory as a whole.

        Yields after each band.
        """
        position, window = self.loaders.val_positions[done], self.loaders.window
        assert window is not None
        bins, pixels = self.maps.of(position, labels[0].numpy())
        hits = torch.zeros(classes, BINS, dtype=torch.int64, device=device)
        counts = torch.zeros(classes, classes, dtype=torch.int64, device=device)
        sums = torch.zeros(2 + 3 * classes, dtype=torch.float64)
        rows: list[Tensor] = []
        bands = predict_bands(
            forward,
            image,
            window=window,
            overlap=OVERLAP,
            batch_size=self.batch_size,
            classes=classes,
            device=device,
            gather=device,
        )
        for band in bands:
            with torch.inference_mode():
                truth = labels[:, band.top : band.bottom].to(device).long()
                probabilities = band.probabilities[None]
                predicted = top_class(probabilities)
                counts += confusion(predicted, truth, classes)[0]
                rows_of = torch.from_numpy(bins[None, band.top : band.bottom]).to(device)
                hits += found_by_size(predicted, truth, rows_of, classes)[0]
                sums += sums_of_probabilities(probabilities, truth)[0].cpu().double()
                if position in self.preview:
                    rows.append(predicted[0].to(torch.uint8))
            yield
        preview = self._shown(torch.cat(rows)) if rows else None
        sizes = np.stack([pixels, hits.cpu().numpy()], axis=-1)
        self._judged[position] = _Judged(counts.cpu().numpy(), sums.numpy(), sizes, preview)

    @staticmethod
    def _shown(predicted: Tensor) -> np.ndarray:
        """Shrink labels (H, W) by taking every so many pixels' centre, as labels cannot be blended."""
        height, width = predicted.shape
        share = min(1.0, PREVIEW_SIDE / max(height, width))
        rows, columns = (((torch.arange(max(1, round(n * share))) + 0.5) / share).long() for n in (height, width))
        shrunk = predicted[rows.clamp(max=height - 1)][:, columns.clamp(max=width - 1)]
        return shrunk.to(torch.uint8).cpu().numpy()


def count_windows(height: int, width: int, window: int) -> int:
    """Return how many windows cover an image of that size in validation."""
    return len(starts(height, window, OVERLAP)) * len(starts(width, window, OVERLAP))


def top_class(scores: Tensor) -> Tensor:
    """Return the class of the highest of scores (B, C, H, W), (B, H, W) int64; of equal ones the first."""
    return scores.max(1).indices  # on a CPU two to four times as fast as argmax


def confusion(predicted: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Return each image's confusion counts, (B, C, C) int64 as [image, true, predicted].

    Args:
        predicted: (B, H, W) int64, 0 .. C-1.
        labels: (B, H, W) int64, 255 where ignored.
        classes: C.
    """
    return _counted(labels * classes + predicted, labels != IGNORE_INDEX, classes, classes)


def found_by_size(predicted: Tensor, labels: Tensor, bins: Tensor, classes: int) -> Tensor:
    """Return how many labelled pixels of each image were found, (B, C, BINS) int64 by class and size of their object.

    Args:
        predicted: (B, H, W) int64, 0 .. C-1.
        labels: (B, H, W) int64, 255 where ignored.
        bins: (B, H, W) uint8, as from `sizes.size_map`.
        classes: C.
    """
    return _counted(labels * BINS + bins, labels == predicted, classes, BINS)


def _counted(cell: Tensor, counts: Tensor, rows: int, columns: int) -> Tensor:
    """Count pixels by image and cell, (B, rows, columns) int64.

    Args:
        cell: (B, H, W) int64: row * columns + column.
        counts: (B, H, W) bool: which pixels count.
    """
    batch, cells = len(cell), len(cell) * rows * columns
    image = torch.arange(batch, device=cell.device)[:, None, None]
    # One cell more, for what does not count.
    cell = (image * (rows * columns) + cell).masked_fill_(~counts, cells).flatten()
    if cell.device.type == "cpu":
        found = torch.bincount(cell, minlength=cells + 1)
    else:
        # Bincount would make the host wait for the GPU to learn the largest value.
        found = torch.zeros(cells + 1, dtype=torch.int64, device=cell.device)
        found.scatter_add_(0, cell, torch.ones_like(cell))
    return found[:-1].reshape(batch, rows, columns)
