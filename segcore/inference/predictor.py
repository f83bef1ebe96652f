"""From a run directory to masks of any image."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from segcore.config import ClassInfo, RunConfig
from segcore.data.classes import palette
from segcore.data.readers import to_square
from segcore.errors import ConfigError
from segcore.models.build import Segmenter, skeleton
from segcore.runs import Run
from segcore.training.checkpoint import load_weights
from segcore.training.device import best_device


@dataclass(frozen=True)
class Prediction:
    """What a network says of one image, at the image's own size."""

    labels: np.ndarray
    """(H, W) uint8: for each pixel the index of its class in `Predictor.classes`."""
    confidence: np.ndarray
    """(H, W) float32, 0-1: the probability the network gives to that class. Networks are often surer than right."""


class Predictor:
    """A trained network with all that it needs to be used: preprocessing, class names and colours."""

    def __init__(self, model: Segmenter, config: RunConfig, device: torch.device) -> None:
        self.model = model.to(device).eval()
        self.config = config
        self.device = device

    @classmethod
    def from_run(cls, path: str | os.PathLike[str], *, device: str | torch.device | None = None) -> Predictor:
        """Load the best weights of a run.

        Args:
            path: the run's directory.
            device: "cpu", "cuda", …; by default the best there is.

        Raises:
            NotFoundError: `path` is no run directory.
            WeightsError: it has no weights yet, or they are damaged.
        """
        run = Run(Path(path))
        config = run.config
        model = skeleton(config.encoder, config.decoder, len(config.dataset.trained_classes), config.recipe.image_size)
        load_weights(model, run.best_weights)
        return cls(model, config, torch.device(device) if device is not None else best_device())

    @property
    def classes(self) -> tuple[ClassInfo, ...]:
        """The classes by label."""
        return self.config.dataset.trained_classes

    @property
    def palette(self) -> np.ndarray:
        """(256, 3) uint8 RGB colours by label."""
        return palette(self.classes)

    def predict(self, image: np.ndarray) -> Prediction:
        """Predict a mask.

        The image is resized as in training, predicted, and the probabilities are brought back to its own
        size, so that edges fall between pixels rather than on blocks.

        Args:
            image: (H, W, 3) uint8 RGB, 0-255, of any size.

        Raises:
            ConfigError: the array is of another shape or dtype.
        """
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
            raise ConfigError(
                f"Got an array of shape {image.shape} and dtype {image.dtype}; expected an RGB image, "
                "(height, width, 3) uint8 with values 0-255.",
                field="image",
            )
        height, width = image.shape[:2]
        side = self.config.recipe.image_size
        pixels = np.ascontiguousarray(to_square(image, side).transpose(2, 0, 1))
        batch = torch.from_numpy(pixels)[None].to(self.device)
        with torch.inference_mode():
            probabilities = self.model(batch).softmax(1)
            probabilities = F.interpolate(probabilities, (height, width), mode="bilinear", align_corners=False)
            confidence, labels = probabilities[0].max(0)
        return Prediction(labels.to(torch.uint8).cpu().numpy(), confidence.cpu().numpy())
