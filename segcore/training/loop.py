"""The training loop. It yields what happened and touches no file; who calls it writes down."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from segcore.config import Recipe
from segcore.data.augment import derive_seed
from segcore.data.loaders import Loaders
from segcore.errors import TrainingError
from segcore.evaluation.metrics import pooled, scores
from segcore.evaluation.sizes import SizeMaps
from segcore.records import EpochRecord, StepRecord
from segcore.training.group import Group
from segcore.training.losses import SegmentationLoss, pixel_sums
from segcore.training.optim import set_rate
from segcore.training.precision import Mode
from segcore.training.state import EpochProgress, TrainingState
from segcore.training.validation import Validation, confusion, top_class

UNREAD = {"cpu": 0}
"""How many losses may be unread while the next step is prepared, by kind of device; 1 elsewhere. Reading one waits
until the device has computed it: a GPU would then have nothing to do until it gets the next step."""


@dataclass(frozen=True)
class ValidationTick:
    """Some validation images are done."""

    images: int
    total: int


@dataclass(frozen=True)
class EpochResult:
    """An epoch is done; the state holds the weights after it."""

    record: EpochRecord
    counts: np.ndarray
    """(images, C, C) int64: confusion counts of each validation image, [n, true, predicted]."""
    sizes: np.ndarray
    """(images, C, BINS, 2) int64: pixels, and found ones, by class and size of their object (see `sizes`)."""
    previews: dict[int, np.ndarray]
    """Predicted labels (h, w) uint8 of the validation images asked for, by position; shrunk where they are large."""


def fit(
    state: TrainingState,
    loaders: Loaders,
    recipe: Recipe,
    *,
    seed: int,
    mode: Mode,
    group: Group,
    preview: tuple[int, ...] = (),
) -> Iterator[StepRecord | ValidationTick | EpochResult]:
    """Train from `state` to the end of the recipe's last epoch, yielding a record a step, a tick a validation
    batch and a result an epoch.

    `state` is updated in place. Whenever something is yielded it is whole, and saving it then is enough to go on
    with the very numbers of a run that never stopped: stopping means not asking for the next record.

    Args:
        state: the network, on the group's device in the mode's memory format, and its optimiser.
        loaders: this process's batches.
        seed: with epoch and batch, decides dropout and stochastic depth; order and augmentation are the loaders'.
        mode: the number and memory format to compute in.
        group: the processes that train together. All get the same losses, counts and weights.
        preview: positions of the validation images whose predictions each `EpochResult` carries.

    Raises:
        TrainingError: a loss, or what was learnt from it, is not finite. `state` is of no use any more.
    """
    network = group.wrap(state.model)
    loss_of, maps = SegmentationLoss(recipe), SizeMaps(state.model.classes)
    for epoch in range(state.epoch + 1, recipe.epochs + 1):
        began = time.perf_counter()
        progress = state.progress or EpochProgress.start(state.model.classes, group.device)
        state.progress, seconds_before = progress, progress.seconds
        yield from _train_epoch(epoch, network, state, progress, loaders, recipe, loss_of, seed, mode, group)

        validation = Validation(loaders, recipe.batch_size, maps, preview)
        group.same_buffers(state.model)
        state.model.eval()
        forward = mode.forward(state.model, group.device)
        for done in validation.over(forward, state.model.classes, group.device):
            yield ValidationTick(done, len(loaders.val_positions))
        validation.finish(loss_of, group)

        train_loss = progress.loss.item() / progress.images.item()
        if not (math.isfinite(validation.loss) and state.finite()):
            raise TrainingError(_not_finite("The validation loss", validation.loss, state.step, epoch, recipe, mode))
        train_scores, val_scores = scores(progress.counts.cpu().numpy()), scores(validation.counts)
        best = state.best_epoch == 0 or val_scores.miou > state.best_miou
        if best:
            state.best_miou, state.best_epoch = val_scores.miou, epoch
        state.epoch, state.progress = epoch, None
        top_class, top_share = _most_predicted(validation.counts)
        record = EpochRecord(
            epoch=epoch,
            train_loss=train_loss,
            train_pixel_accuracy=train_scores.pixel_accuracy,
            train_miou=train_scores.miou,
            val_loss=validation.loss,
            val_pixel_accuracy=val_scores.pixel_accuracy,
            val_miou=val_scores.miou,
            learning_rate=state.optimizer.param_groups[0]["lr"],
            images_per_second=progress.images.item() / max(progress.seconds, 1e-9),
            seconds=seconds_before + time.perf_counter() - began,
            best=best,
            top_share=top_share,
            top_class=top_class,
        )
        yield EpochResult(record, validation.counts, validation.sizes, validation.previews)


def _train_epoch(
    epoch: int,
    network: nn.Module,
    state: TrainingState,
    progress: EpochProgress,
    loaders: Loaders,
    recipe: Recipe,
    loss_of: SegmentationLoss,
    seed: int,
    mode: Mode,
    group: Group,
) -> Iterator[StepRecord]:
    """Go through the batches of an epoch that `progress` does not count yet."""
    device, total_steps = group.device, recipe.epochs * loaders.steps_per_epoch
    forward = mode.forward(network, device)
    began = time.perf_counter() - progress.seconds
    unread: deque[_Unread] = deque()
    network.train()
    for images, labels in loaders.train(epoch, skip=progress.batches):
        # What is random in a step follows from its place, so that no random state has to be kept.
        torch.manual_seed(derive_seed(seed, epoch, progress.batches, group.rank))
        rate = set_rate(state.optimizer, recipe, state.step, total_steps)
        images, labels = images.to(device, non_blocking=True), labels.to(device, non_blocking=True).long()

        logits = forward(images)
        loss = loss_of.of_sums(group.total(pixel_sums(logits, labels).sum(0)))
        state.optimizer.zero_grad(set_to_none=True)
        # Gradients are averaged over the group, but each process's are a part of the sum.
        state.scaler.scale(loss * group.world).backward()
        state.scaler.step(state.optimizer)
        state.scaler.update()

        counts = confusion(top_class(logits.detach()), labels, state.model.classes).sum(0)
        # One message for counts and images; a number that the host knows already is filled in without waiting.
        seen = group.count(torch.cat([counts.flatten(), counts.new_full((1,), len(images))]))
        progress.counts += seen[:-1].view_as(counts)
        progress.images += seen[-1]
        progress.loss += loss.detach() * seen[-1]
        progress.batches += 1
        progress.seconds = time.perf_counter() - began
        state.step += 1
        unread.append(_Unread(state.step, epoch, loss.detach(), rate, progress.images.clone(), progress.seconds))
        if len(unread) > UNREAD.get(device.type, 1):
            yield unread.popleft().read(recipe, mode)
    while unread:
        yield unread.popleft().read(recipe, mode)
    progress.seconds = time.perf_counter() - began


class _Unread(NamedTuple):
    """A step whose loss the device may still be computing."""

    step: int
    epoch: int
    loss: Tensor
    learning_rate: float
    images: Tensor
    seconds: float

    def read(self, recipe: Recipe, mode: Mode) -> StepRecord:
        """Wait for the loss.

        Raises:
            TrainingError: it is not finite.
        """
        loss = self.loss.item()
        if not math.isfinite(loss):
            raise TrainingError(_not_finite("The loss", loss, self.step, self.epoch, recipe, mode))
        return StepRecord(self.step, self.epoch, loss, self.learning_rate, self.images.item() / self.seconds)


def _most_predicted(counts: np.ndarray) -> tuple[int, float]:
    """Return the class that is predicted most, and its share of the labelled pixels; -1 and NaN without any."""
    predicted = pooled(counts).sum(axis=0)
    total = int(predicted.sum())
    return (int(predicted.argmax()), float(predicted.max() / total)) if total else (-1, math.nan)


def _not_finite(what: str, loss: float, step: int, epoch: int, recipe: Recipe, mode: Mode) -> str:
    precision = f", or with precision fp32 instead of {mode.precision}" if mode.precision != "fp32" else ""
    told = f"{what} became {loss}" if not math.isfinite(loss) else "The network's weights are no numbers any more"
    return (
        f"{told} at step {step} (epoch {epoch}). What was kept before is as it was. "
        f"Launch again with a lower learning rate than {recipe.learning_rate:g}, or a longer warm-up{precision}."
    )
