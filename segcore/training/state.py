"""All that changes while a network is trained, at any moment between two steps."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.amp import GradScaler
from torch.optim import Optimizer

from segcore.config import Recipe
from segcore.models.build import Segmenter
from segcore.training.optim import build_optimizer
from segcore.training.precision import Mode


def new_scaler(mode: Mode, device: torch.device) -> GradScaler:
    """Return what scales the loss so that no gradient vanishes in fp16; it does nothing in any other mode."""
    return GradScaler(device.type, enabled=mode.precision == "fp16")


@dataclass
class EpochProgress:
    """What the epoch under way has come to so far. Kept on the device, so that adding up waits for nothing."""

    counts: torch.Tensor
    """(C, C) int64: confusion counts [true, predicted] of the training images as they were learnt from."""
    loss: torch.Tensor
    """Scalar: sum of the batches' losses, each times its images."""
    images: torch.Tensor
    """Scalar int64: training images seen."""
    batches: int = 0
    seconds: float = 0.0
    """Spent on training, over all lives of the run."""

    @classmethod
    def start(cls, classes: int, device: torch.device) -> EpochProgress:
        # Apple's GPUs have no float64.
        exact = torch.float32 if device.type == "mps" else torch.float64
        return cls(
            torch.zeros(classes, classes, dtype=torch.int64, device=device),
            torch.zeros((), dtype=exact, device=device),
            torch.zeros((), dtype=torch.int64, device=device),
        )

    @classmethod
    def of(cls, value: dict[str, Any], device: torch.device) -> EpochProgress:
        """Return what `vars` of another one held, on `device`."""
        return cls(
            value["counts"].to(device),
            value["loss"].to(device),
            value["images"].to(device),
            value["batches"],
            value["seconds"],
        )


@dataclass
class TrainingState:
    """Random numbers are derived from seed, epoch and batch, and learning rates from the step, so that neither
    needs keeping."""

    model: Segmenter
    optimizer: Optimizer
    scaler: GradScaler
    """Keeps small gradients of fp16 from vanishing; idle in any other precision."""
    epoch: int = 0
    """Whole epochs done."""
    step: int = 0
    best_miou: float = -math.inf
    best_epoch: int = 0
    progress: EpochProgress | None = field(default=None, repr=False)
    """Of the epoch under way, once it has begun."""

    @classmethod
    def start(cls, model: Segmenter, recipe: Recipe, mode: Mode, *, pretrained: bool) -> TrainingState:
        """Return the state before the first step; the network stands on its device, in the mode's memory format."""
        optimizer = build_optimizer(model, recipe, pretrained=pretrained)
        return cls(model, optimizer, new_scaler(mode, model.mean.device))

    def state_dict(self) -> dict[str, Any]:
        """Return tensors and plain values, enough for `load_state_dict` to go on exactly."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "epoch": self.epoch,
            "step": self.step,
            "best_miou": self.best_miou,
            "best_epoch": self.best_epoch,
            "progress": vars(self.progress).copy() if self.progress else None,
        }

    def load_state_dict(self, value: dict[str, Any]) -> None:
        self.model.load_state_dict(value["model"])
        self.optimizer.load_state_dict(value["optimizer"])
        if value.get("scaler"):
            self.scaler.load_state_dict(value["scaler"])
        self.epoch, self.step = value["epoch"], value["step"]
        self.best_miou, self.best_epoch = value["best_miou"], value["best_epoch"]
        progress = value.get("progress")
        self.progress = EpochProgress.of(progress, self.model.mean.device) if progress else None

    def shared_anew(self, before: int, now: int) -> str:
        """Take the place that was reached to where it lies in epochs of `now` steps; they had `before`.

        Another number of processes can share other batches. What the epoch under way has done then cannot be told
        from what it has left, so that it is done anew.

        Returns:
            What is to be said of it, else ''.
        """
        if now == before:
            return ""
        self.step = self.epoch * now
        if self.progress is None:
            return f"Its epochs have {now} steps from now on, not {before}."
        self.progress = None
        return f"Its epochs have {now} steps from now on, not {before}; epoch {self.epoch + 1} starts anew."

    def finite(self) -> bool:
        """Whether all weights, buffers and the epoch's loss are numbers; if not, this state is not worth keeping."""
        values = [tensor for tensor in self.model.state_dict().values() if tensor.is_floating_point()]
        if self.progress is not None:
            values.append(self.progress.loss)
        # What is no number stays none in a sum, and no sum of a network's values is too large for one.
        return bool(torch.stack([value.sum(dtype=torch.float32) for value in values]).isfinite().all())
