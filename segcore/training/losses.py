"""What a network is trained to make small."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from segmentation_models_pytorch.losses import DiceLoss
from torch import nn

from segcore.config import IGNORE_INDEX, Recipe


class SegmentationLoss(nn.Module):
    """Cross-entropy over labelled pixels and, where the recipe says so, Dice beside it.

    Dice weighs a rare class like a frequent one, but leaves out classes that a batch does not show, so
    that it cannot stand alone: an all-wrong answer would cost little. Cross-entropy keeps it honest.
    """

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.dice = DiceLoss("multiclass", ignore_index=IGNORE_INDEX) if recipe.loss == "ce+dice" else None

    def forward(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the loss, a scalar.

        Args:
            logits: (B, C, H, W) float.
            labels: (B, H, W) int64, 255 where ignored; a batch without a labelled pixel costs nothing.
        """
        labelled = (labels != IGNORE_INDEX).sum().clamp(min=1)
        loss = F.cross_entropy(logits, labels, ignore_index=IGNORE_INDEX, reduction="sum") / labelled
        if self.dice is not None:
            loss = loss + self.dice(logits, labels)
        return loss
