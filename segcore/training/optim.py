"""The optimiser and how its learning rate moves."""

from __future__ import annotations

import math

from torch import nn
from torch.optim import Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from segcore.config import Recipe
from segcore.models.build import Segmenter


def build_optimizer(model: Segmenter, recipe: Recipe, *, pretrained: bool) -> Optimizer:
    """Return the recipe's optimiser.

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
        groups.append({"params": decayed, "lr": rate, "weight_decay": recipe.weight_decay})
        groups.append({"params": spared, "lr": rate, "weight_decay": 0.0})
    kind = {"adamw": AdamW, "adam": Adam}[recipe.optimizer]
    return kind([group for group in groups if group["params"]])


def _by_decay(parameters: list[nn.Parameter]) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    return [p for p in trained if p.ndim > 1], [p for p in trained if p.ndim <= 1]


def build_schedule(optimizer: Optimizer, recipe: Recipe, total_steps: int) -> LambdaLR:
    """Return a schedule to be moved after every step: a linear rise, then the recipe's fall."""
    warmup = round(recipe.warmup * total_steps)

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        if recipe.schedule == "constant":
            return 1.0
        done = (step - warmup) / max(1, total_steps - warmup)
        return 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))

    return LambdaLR(optimizer, factor)
