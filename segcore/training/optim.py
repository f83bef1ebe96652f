"""The optimiser and how its learning rate moves."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.optim import Adam, AdamW, Optimizer

from segcore.config import Recipe
from segcore.models.build import Segmenter

FUSED = ("cpu", "cuda")
"""Devices on which one kernel updates all weights. On two CPU cores a step of ResNet-18 takes half the time of the
plain one; its sums are the same every time, which is all that exactness needs."""


def build_optimizer(model: Segmenter, recipe: Recipe, *, pretrained: bool) -> Optimizer:
    """Return the recipe's optimiser; `initial_lr` of each group is its highest learning rate.

    A pretrained encoder learns at a share of the learning rate, so that what it knows is not washed out
    by a decoder that starts from nothing; one from scratch learns at the full rate. Biases and the
    weights of norms are not decayed.
    """
    encoder_rate = recipe.learning_rate * (recipe.encoder_lr_factor if pretrained else 1.0)
    # The first group is the decoder's: its rate is the one that is reported.
    parts = [(model.other_parameters(), recipe.learning_rate), (model.encoder_parameters(), encoder_rate)]
    groups = []
    for parameters, rate in parts:
        decayed, spared = _by_decay(list(parameters))
        groups.append({"params": decayed, "lr": rate, "initial_lr": rate, "weight_decay": recipe.weight_decay})
        groups.append({"params": spared, "lr": rate, "initial_lr": rate, "weight_decay": 0.0})
    kind = {"adamw": AdamW, "adam": Adam}[recipe.optimizer]
    return kind([group for group in groups if group["params"]], fused=model.mean.device.type in FUSED)


def _by_decay(parameters: list[nn.Parameter]) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    return [p for p in trained if p.ndim > 1], [p for p in trained if p.ndim <= 1]


def rate_factor(recipe: Recipe, step: int, total_steps: int) -> float:
    """Return the share of the highest learning rate at `step` (from 0): a linear rise, then the recipe's fall.

    It depends on nothing else, so that a run that was stopped, or is given more epochs, goes on at the right rate.
    """
    warmup = round(recipe.warmup * total_steps)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    if recipe.schedule == "constant":
        return 1.0
    done = (step - warmup) / max(1, total_steps - warmup)
    return 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))


def set_rate(optimizer: Optimizer, recipe: Recipe, step: int, total_steps: int) -> float:
    """Set the learning rates for `step` (from 0) and return the decoder's."""
    factor = rate_factor(recipe, step, total_steps)
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] * factor
    return float(optimizer.param_groups[0]["lr"])


def allow_tf32() -> None:
    """Let CUDA multiply float32 with 10 bits of mantissa, which is several times as fast from Ampere on.

    And let cuDNN try which of its kernels is fastest for the sizes that come again every step.
    """
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")  # cuDNN's convolutions do so by default
