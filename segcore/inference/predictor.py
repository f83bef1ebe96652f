"""From a run directory to masks of any image."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from segcore.config import ClassInfo, RunConfig
from segcore.data.classes import palette
from segcore.data.readers import to_square
from segcore.errors import ConfigError
from segcore.inference.bundle import read_bundle
from segcore.inference.enlarge import enlarged
from segcore.inference.symmetry import Views, averaged, chosen
from segcore.inference.tiling import Band, predict_bands
from segcore.models.build import Segmenter, skeleton
from segcore.progress import Progress, silent
from segcore.runs import Run
from segcore.training.checkpoint import fill, load_weights
from segcore.training.device import best_device

_CPU_PIXELS = 2**17
"""Of all windows that a CPU predicts together: 8 of 128 px, or 2 of 256 px. Measured with two networks, one thread and
two: 8 of 256 px took 3 to 31 % longer than 2, and 8 of 128 px were the fastest, or as fast as 4."""


@dataclass(frozen=True)
class Prediction:
    """What a network says of one image, at the image's own size."""

    labels: np.ndarray
    """(H, W) uint8: for each pixel the index of its class in `Predictor.classes`."""
    confidence: np.ndarray
    """(H, W) float32, 0-1: the probability the network gives to that class. Networks are often surer than right."""
    entropy: np.ndarray | None = None
    """(H, W) float32, 0-1, where asked for: how undecided the network is; 0 where it sees one class alone, 1 where all
    are equally likely (Shannon's entropy of the probabilities, divided by that of equal ones)."""
    probabilities: np.ndarray | None = None
    """(C, H, W) float32, 0-1, where asked for: of each class in each pixel; they add up to 1 over the classes."""


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
        model = network(config)
        load_weights(model, run.best_weights)
        return cls(model, config, torch.device(device) if device is not None else best_device())

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, device: str | torch.device | None = None) -> Predictor:
        """Load an exported bundle, without the workspace it came from. On a CPU it predicts bit for bit as its run.

        Args:
            path: the bundle's folder or zip file, as `inference.export` wrote it.
            device: "cpu", "cuda", …; by default the best there is.

        Raises:
            NotFoundError: there is no bundle.
            ConfigError: its configuration is damaged, or of another version.
            WeightsError: its weights are damaged, or of another network.
        """
        bundle = read_bundle(Path(path))
        model = network(bundle.config)
        fill(model, bundle.weights(), str(path))
        return cls(model, bundle.config, torch.device(device) if device is not None else best_device())

    @property
    def classes(self) -> tuple[ClassInfo, ...]:
        """The classes by label."""
        return self.config.dataset.trained_classes

    @property
    def palette(self) -> np.ndarray:
        """(256, 3) uint8 RGB colours by label."""
        return palette(self.classes)

    @property
    def windows_at_once(self) -> int:
        """How many windows of a large image are predicted together: what training could hold, prediction can.

        On a CPU fewer, as the features of many do not fit into its caches.
        """
        recipe = self.config.recipe
        if self.device.type != "cpu":
            return recipe.batch_size
        return min(recipe.batch_size, max(1, _CPU_PIXELS // recipe.image_size**2))

    def predict(
        self,
        image: np.ndarray,
        progress: Progress = silent,
        *,
        tta: Views = False,
        entropy: bool = False,
        probabilities: bool = False,
    ) -> Prediction:
        """Predict a mask.

        A network trained on resized images is given the image resized likewise, and its probabilities are brought
        back to the image's own size, so that edges fall between pixels rather than on blocks. One trained on
        crops looks at the image at its native scale, in overlapping windows of the crops' size. Beside image
        and result, memory is needed for some rows of the image only. `large.predict` reads images row by row, and
        shows those that are much larger than the training images to a network of resized images in windows.

        Args:
            image: (H, W, 3) uint8 RGB, 0-255, of any size. Files that OpenCV read have to be turned from BGR first.
            progress: counts windows, where there are any.
            tta: average the probabilities over views of the image, mirrored and turned by 90°: True for all eight,
                which takes eight times as long, or names of `symmetry.SYMMETRIES`.
            entropy: fill in how undecided the network is, too.
            probabilities: fill in those of all classes, too: 4 bytes for each class and pixel, 2.3 GB for 24 classes
                and 6000 × 4000 pixels. `bands` gives them row by row.

        Raises:
            ConfigError: the array is of another shape or dtype, or there is no such view.
        """
        bands = self.bands(image, progress, tta=tta)
        return gathered(bands, image.shape[:2], len(self.classes), entropy=entropy, probabilities=probabilities)

    def bands(self, image: np.ndarray, progress: Progress = silent, *, tta: Views = False) -> Iterator[Band]:
        """Return the probabilities of all classes from top to bottom, some rows at a time; arguments as of `predict`.

        Raises:
            ConfigError: the array is of another shape or dtype, or there is no such view.
        """
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
            raise ConfigError(
                f"Got an array of shape {image.shape} and dtype {image.dtype}; expected an RGB image, "
                "(height, width, 3) uint8 with values 0-255.",
                field="image",
            )
        forward = self.forward(tta)
        if self.config.recipe.geometry == "crop":
            return self._windows(image, forward, progress)
        return self._resized(image, forward)

    def forward(self, tta: Views = False) -> Callable[[Tensor], Tensor]:
        """Return the network as a function: (B, 3, S, S) uint8 on `device` -> logits (B, C, S, S) float32.

        With views to be averaged its softmax is the mean of theirs.

        Raises:
            ConfigError: there is no such view.
        """
        return averaged(self.model, chosen(tta))

    def _windows(self, image: np.ndarray, forward: Callable[[Tensor], Tensor], progress: Progress) -> Iterator[Band]:
        """Yield the prediction in windows at native scale."""
        recipe = self.config.recipe
        return predict_bands(
            forward,
            torch.from_numpy(image.transpose(2, 0, 1).copy()),
            window=recipe.image_size,
            batch_size=self.windows_at_once,
            classes=len(self.classes),
            device=self.device,
            progress=progress,
        )

    def _resized(self, image: np.ndarray, forward: Callable[[Tensor], Tensor]) -> Iterator[Band]:
        """Yield the prediction of the resized image, brought back to the image's size some rows at a time."""
        side = self.config.recipe.image_size
        pixels = np.ascontiguousarray(to_square(image, side).transpose(2, 0, 1))
        with torch.inference_mode():
            probabilities = forward(torch.from_numpy(pixels)[None].to(self.device)).softmax(1)[0]
        yield from enlarged([Band(0, side, probabilities)], side, *image.shape[:2])


def network(config: RunConfig) -> Segmenter:
    """Build the network of a run, to be filled with weights.

    Raises:
        ModelError: this version of the packages does not know the backbone or the decoder, or they do not go together.
    """
    return skeleton(config.encoder, config.decoder, len(config.dataset.trained_classes), config.recipe.image_size)


def gathered(
    bands: Iterable[Band], shape: tuple[int, int], classes: int, *, entropy: bool = False, probabilities: bool = False
) -> Prediction:
    """Return what bands of probabilities say of an image of that (height, width); flags as of `Predictor.predict`."""
    labels = np.empty(shape, np.uint8)
    confidence = np.empty(shape, np.float32)
    undecided = np.empty(shape, np.float32) if entropy else None
    everything = np.empty((classes, *shape), np.float32) if probabilities else None
    for band in bands:
        rows = slice(band.top, band.bottom)
        surest = band.probabilities.max(0)
        labels[rows] = surest.indices.to(torch.uint8).cpu().numpy()
        confidence[rows] = surest.values.cpu().numpy()
        if undecided is not None:
            undecided[rows] = relative_entropy(band.probabilities).cpu().numpy()
        if everything is not None:
            everything[:, rows] = band.probabilities.cpu().numpy()
    return Prediction(labels, confidence, undecided, everything)


def relative_entropy(probabilities: Tensor) -> Tensor:
    """Return Shannon's entropy of (C, H, W) probabilities divided by that of equal ones: (H, W) float32, 0-1."""
    classes = len(probabilities)
    return (torch.special.entr(probabilities).sum(0) / math.log(max(2, classes))).clamp(0, 1)
