"""The training loop. It yields what happened and touches no file; who calls it writes down."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from segcore.config import IGNORE_INDEX, Recipe
from segcore.data.loaders import Loaders, derive_seed
from segcore.errors import TrainingError
from segcore.evaluation.metrics import scores
from segcore.models.build import Segmenter
from segcore.records import EpochRecord, StepRecord
from segcore.training.losses import SegmentationLoss
from segcore.training.optim import build_optimizer, build_schedule


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
    previews: dict[int, np.ndarray]
    """Predicted labels (H, W) uint8 of the validation images asked for, by position."""


@dataclass
class TrainingState:
    """All that changes while a network is trained. Random numbers are derived from seed and epoch, so
    nothing of theirs needs keeping."""

    model: Segmenter
    optimizer: Optimizer
    schedule: LambdaLR
    epoch: int = 0
    """Epochs done."""
    step: int = 0
    best_miou: float = -math.inf
    best_epoch: int = 0

    @classmethod
    def start(cls, model: Segmenter, recipe: Recipe, *, pretrained: bool, steps_per_epoch: int) -> TrainingState:
        """Return the state before the first step."""
        optimizer = build_optimizer(model, recipe, pretrained=pretrained)
        return cls(model, optimizer, build_schedule(optimizer, recipe, recipe.epochs * steps_per_epoch))

    def state_dict(self) -> dict[str, Any]:
        """Return tensors and plain values, enough for `load_state_dict` to go on exactly."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "epoch": self.epoch,
            "step": self.step,
            "best_miou": self.best_miou,
            "best_epoch": self.best_epoch,
        }

    def load_state_dict(self, value: dict[str, Any]) -> None:
        self.model.load_state_dict(value["model"])
        self.optimizer.load_state_dict(value["optimizer"])
        self.schedule.load_state_dict(value["schedule"])
        self.epoch, self.step = value["epoch"], value["step"]
        self.best_miou, self.best_epoch = value["best_miou"], value["best_epoch"]


def fit(
    state: TrainingState,
    loaders: Loaders,
    recipe: Recipe,
    *,
    seed: int,
    device: torch.device,
    preview: tuple[int, ...] = (),
) -> Iterator[StepRecord | ValidationTick | EpochResult]:
    """Train from `state.epoch` to the recipe's last epoch, yielding a record a step, a tick a validation
    batch and a result an epoch. `state` is updated in place; save it when an `EpochResult` comes.

    Stopping means not asking for the next record; an epoch begun is then done again on resuming.

    Args:
        state: the network, on `device`, and its optimiser.
        loaders: the run's batches.
        seed: with the epoch, decides dropout and stochastic depth; order and augmentation are the loaders'.
        preview: positions of the validation images whose predictions each `EpochResult` carries.

    Raises:
        TrainingError: the loss is not finite.
    """
    loss_of = SegmentationLoss(recipe)
    for epoch in range(state.epoch + 1, recipe.epochs + 1):
        began = time.perf_counter()
        torch.manual_seed(derive_seed(seed, epoch))
        state.model.train()
        counts = torch.zeros(state.model.classes, state.model.classes, dtype=torch.int64)
        total_loss, images_done = 0.0, 0

        for images, labels in loaders.train(epoch):
            images, labels = images.to(device), labels.to(device).long()
            logits = state.model(images)
            loss = loss_of(logits, labels)
            value = loss.item()
            if not math.isfinite(value):
                raise TrainingError(_not_finite(value, state.step + 1, epoch, recipe))
            state.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            rate = state.optimizer.param_groups[0]["lr"]
            state.optimizer.step()
            state.schedule.step()

            state.step += 1
            counts += batch_confusion(logits, labels).sum(0).cpu()
            total_loss += value * len(images)
            images_done += len(images)
            yield StepRecord(state.step, epoch, value, rate, images_done / (time.perf_counter() - began))

        train_seconds = time.perf_counter() - began
        validation = Validation()
        for done in validation.over(state.model, loaders, loss_of, device=device, preview=preview):
            yield ValidationTick(done, len(loaders.val_names))

        train_scores, val_scores = scores(counts.numpy()), scores(validation.counts)
        best = state.best_epoch == 0 or val_scores.miou > state.best_miou
        if best:
            state.best_miou, state.best_epoch = val_scores.miou, epoch
        state.epoch = epoch
        record = EpochRecord(
            epoch=epoch,
            train_loss=total_loss / images_done,
            train_pixel_accuracy=train_scores.pixel_accuracy,
            train_miou=train_scores.miou,
            val_loss=validation.loss,
            val_pixel_accuracy=val_scores.pixel_accuracy,
            val_miou=val_scores.miou,
            learning_rate=rate,
            images_per_second=images_done / train_seconds,
            seconds=time.perf_counter() - began,
            best=best,
        )
        yield EpochResult(record, validation.counts, validation.previews)


class Validation:
    """One pass over the validation images; its results fill up while `over` is iterated."""

    def __init__(self) -> None:
        self.loss = math.nan
        """Mean over the images."""
        self.counts = np.zeros((0, 0, 0), dtype=np.int64)
        """(images, C, C) int64, in the loaders' order."""
        self.previews: dict[int, np.ndarray] = {}

    def over(
        self,
        model: Segmenter,
        loaders: Loaders,
        loss_of: SegmentationLoss,
        *,
        device: torch.device,
        preview: tuple[int, ...] = (),
    ) -> Iterator[int]:
        """Predict every validation image in evaluation mode, yielding how many are done."""
        counts: list[np.ndarray] = []
        total_loss, done = 0.0, 0
        model.eval()
        for images, labels in loaders.val():
            images, labels = images.to(device), labels.to(device).long()
            with torch.inference_mode():
                logits = model(images)
                total_loss += loss_of(logits, labels).item() * len(images)
                counts.append(batch_confusion(logits, labels).cpu().numpy())
                for position in preview:
                    if done <= position < done + len(images):
                        predicted = logits[position - done].argmax(0)
                        self.previews[position] = predicted.to(torch.uint8).cpu().numpy()
            done += len(images)
            yield done
        self.loss = total_loss / done
        self.counts = np.concatenate(counts)


def batch_confusion(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return each image's confusion counts, (B, C, C) int64 as [image, true, predicted].

    Args:
        logits: (B, C, H, W); the largest of C is the prediction.
        labels: (B, H, W) int64, 255 where ignored.
    """
    batch, classes = logits.shape[:2]
    image = torch.arange(batch, device=logits.device)[:, None, None]
    cell = (image * classes + labels) * classes + logits.argmax(1)
    counts = torch.bincount(cell[labels != IGNORE_INDEX], minlength=batch * classes * classes)
    return counts.reshape(batch, classes, classes)


def _not_finite(loss: float, step: int, epoch: int, recipe: Recipe) -> str:
    return (
        f"The loss became {loss} at step {step} (epoch {epoch}). The state after the last whole epoch is kept. "
        f"Launch again with a lower learning rate than {recipe.learning_rate:g}, or a longer warm-up."
    )
