"""What a network sees in an image: the feature maps of its stages, and where its evidence for a class lies.

Evidence is Grad-CAM (Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391) in its form for segmentation,
seg-Grad-CAM (Vinogradova et al. 2020, https://arxiv.org/abs/2002.11434). It is computed here, and not by the grad-cam
package (which the tests hold it against): that one leaves gradients on the weights of a network that several visitors
share, and wants a module for each map, while a decoder reads tensors that need not be any module's output.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from segcore.data.readers import to_square
from segcore.errors import ConfigError
from segcore.models.build import Segmenter
from segcore.models.description import NetworkDescription


@dataclass(frozen=True)
class FeatureMaps:
    """What a stage makes of an image."""

    stage: int
    """Index into the description's stages."""
    activity: np.ndarray
    """(C,) float32: mean absolute value of each channel over the image."""
    channels: tuple[int, ...]
    """The most active channels, the most active first."""
    maps: np.ndarray
    """(len(channels), h, w) float32: their values."""
    strength: np.ndarray
    """(h, w) float32: mean absolute value over all channels at each place."""


@dataclass(frozen=True)
class Look:
    """One image's way through a network."""

    stages: tuple[FeatureMaps, ...]
    """Of encoder and decoder, in the order of the description; the head's answer is `labels`."""
    labels: np.ndarray
    """(S, S) uint8: the class of each pixel as predicted at the network's own size."""


@dataclass(frozen=True)
class Evidence:
    """Where the evidence for a class lies."""

    heat: np.ndarray
    """(h, w) float32, 0-1: 1 where it is strongest; all 0 where nothing speaks for the class."""
    strongest: float
    """What 1 stands for: the sum over channels of weight times activation there."""


@dataclass(frozen=True)
class Shown:
    """The part of an image that a network is shown, at the size it was trained on."""

    pixels: np.ndarray
    """(S, S, 3) uint8 RGB."""
    cut: bool
    """Whether it is a window from the middle of a larger image, as for networks trained on crops."""


def show(image: np.ndarray, image_size: int, geometry: str) -> Shown:
    """Bring an image to what a network is given: resized as a whole, or its middle at native scale.

    Args:
        image: (H, W, 3) uint8 RGB, 0-255.
        image_size: S, side of the training images in pixels.
        geometry: "resize" or "crop", as in the recipe.

    Raises:
        ConfigError: the array is of another shape or dtype.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise ConfigError(
            f"Got an array of shape {image.shape} and dtype {image.dtype}; expected an RGB image, "
            "(height, width, 3) uint8 with values 0-255.",
            field="image",
        )
    if geometry == "resize":
        return Shown(to_square(image, image_size), cut=False)
    top, left = (max(0, (side - image_size) // 2) for side in image.shape[:2])
    window = image[top : top + image_size, left : left + image_size]
    pixels = np.zeros((image_size, image_size, 3), np.uint8)  # smaller images are filled up with black, as in training
    pixels[: window.shape[0], : window.shape[1]] = window
    return Shown(pixels, cut=max(image.shape[:2]) > image_size)


def look(model: Segmenter, network: NetworkDescription, pixels: np.ndarray, *, top: int = 16) -> Look:
    """Send an image through a network and keep what its stages make of it.

    Args:
        model: in evaluation mode; neither its mode nor anything else of it is changed.
        network: the description of that very network.
        pixels: (S, S, 3) uint8 RGB, as `show` returns them.
        top: how many channels of each stage are kept, beside sums over all.
    """
    with torch.inference_mode(), _tapped(model, network) as tap:
        logits = model(_batch(model, pixels))
        stages = tuple(_maps(index, feature[0], top) for index, feature in enumerate(tap.features()))
        return Look(stages, logits[0].argmax(0).to(torch.uint8).cpu().numpy())


def class_evidence(
    model: Segmenter,
    network: NetworkDescription,
    pixels: np.ndarray,
    class_index: int,
    stage: int,
    *,
    where: np.ndarray | None = None,
) -> Evidence:
    """Tell which places of a stage's features speak for a class.

    The score of the class, summed over the pixels `where`, is traced back to the stage's features. A channel weighs as
    much as its gradient on average; the heat is the weighted sum of the channels, cut off below 0 (formulas 1 and 2 of
    arXiv:2002.11434). It counts on all ways that lead on from the stage, through later stages and skip connections
    alike; where an encoder hands over copies (plain transformers, HRNet), on those through the decoder alone.

    Args:
        model: in evaluation mode; neither its weights, their gradients nor its mode are changed.
        network: the description of that very network.
        pixels: (S, S, 3) uint8 RGB, as `show` returns them.
        class_index: the channel of the logits.
        stage: index into the description's stages, of encoder or decoder.
        where: (S, S) bool: whose score counts; by default the pixels predicted as the class, or all if there are none.

    Raises:
        ConfigError: no such class or stage, or `where` is of another shape or dtype or names no pixel.
    """
    kinds = [one.kind for one in network.stages]
    if not 0 <= class_index < model.classes or not 0 <= stage < len(kinds) or kinds[stage] == "head":
        raise ConfigError(
            f"There is no evidence for class {class_index} in stage {stage}: expected a class from 0 to "
            f"{model.classes - 1} and a stage of encoder or decoder, 0 to {kinds.index('head') - 1}."
        )
    if where is not None and (where.shape != pixels.shape[:2] or where.dtype != np.bool_ or not where.any()):
        raise ConfigError(
            f"Got `where` of shape {where.shape} and dtype {where.dtype} with {np.count_nonzero(where)} pixels; "
            f"expected {pixels.shape[:2]} bool with one pixel or more. Leave it out for the predicted pixels.",
            field="where",
        )
    # Gradients begin at the image, so that weights which are frozen or shared need none.
    image = _batch(model, pixels).float().requires_grad_()
    with torch.enable_grad(), _tapped(model, network) as tap:
        logits = model(image)[0]
        feature = tap.features()[stage]
        chosen = logits.argmax(0) == class_index if where is None else torch.from_numpy(where).to(logits.device)
        score = logits[class_index][chosen].sum() if chosen.any() else logits[class_index].sum()
        root, axes = tap.root(stage)
        (gradient,) = torch.autograd.grad(score, root, allow_unused=True)
    # Some decoders leave out stages that nothing else reads: what is not used speaks for nothing.
    weights = torch.zeros_like(feature[0, :, 0, 0]) if gradient is None else gradient.permute(axes)[0].mean((1, 2))
    heat = torch.einsum("c,chw->hw", weights, feature[0].detach()).clamp(min=0)
    strongest = float(heat.max())
    return Evidence((heat / strongest if strongest > 0 else heat).cpu().numpy(), strongest)


def _batch(model: Segmenter, pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy())[None].to(model.mean.device)


def _maps(stage: int, feature: Tensor, top: int) -> FeatureMaps:
    """Keep the most active channels of (C, h, w) features."""
    feature = feature.float()
    activity = feature.abs().mean((1, 2))
    # A stable order: channels that are equally active (dead ones, say) by their number.
    order = torch.argsort(activity, descending=True, stable=True)[:top]
    return FeatureMaps(
        stage=stage,
        activity=activity.cpu().numpy(),
        channels=tuple(order.tolist()),
        maps=feature[order].cpu().numpy(),
        strength=feature.abs().mean(0).cpu().numpy(),
    )


_CHANNELS_LAST = "channels last"
"""Stands in place of a stage's name for the encoder's features before they are turned."""


class _Tap:
    """Takes the features of each stage on their way."""

    def __init__(self, network: NetworkDescription) -> None:
        self._encoders = sum(stage.kind == "encoder" for stage in network.stages)
        self._decoders = [stage.name for stage in network.stages if stage.kind == "decoder"]
        self._encoded: Sequence[Tensor] = ()
        self._before: Sequence[Tensor] = ()
        self._decoded: dict[str, Tensor] = {}

    def modules(self, model: nn.Module) -> Iterator[tuple[nn.Module, str]]:
        """The modules to listen to, each with the name of its stage."""
        encoder: Any = model.get_submodule("network.encoder")
        yield encoder, ""
        if getattr(encoder, "_is_channel_last", False):
            yield encoder.get_submodule("model"), _CHANNELS_LAST
        for name in self._decoders:
            # A decoder without pieces is one stage, called "decoder".
            inner = f"network.decoder.{name}"
            known = {path for path, _ in model.named_modules()}
            yield model.get_submodule(inner if inner in known else "network.decoder"), name

    def take(self, name: str, output: Any) -> None:
        """Note what a module returned."""
        if name == _CHANNELS_LAST:
            self._before = output
        elif name:
            self._decoded.setdefault(name, output)
        else:  # some encoders return tokens for the whole image beside the features
            self._encoded = output[0] if isinstance(output, tuple) else output

    def features(self) -> list[Tensor]:
        """(1, C, h, w) of each stage of encoder and decoder, in order."""
        return [*list(self._encoded)[-self._encoders :], *(self._decoded[name] for name in self._decoders)]

    def root(self, stage: int) -> tuple[Tensor, tuple[int, ...]]:
        """Return the tensor that all that follows a stage reads, and the order of its axes that makes it (1, C, h, w).

        Where channels come last (Swin), the decoder reads turned copies and the next stage the originals.
        """
        if self._before and stage < self._encoders:
            return self._before[stage], (0, 3, 1, 2)
        return self.features()[stage], (0, 1, 2, 3)


@contextmanager
def _tapped(model: Segmenter, network: NetworkDescription) -> Iterator[_Tap]:
    tap = _Tap(network)
    hooks = [
        module.register_forward_hook(lambda _module, _inputs, output, name=name: tap.take(name, output))
        for module, name in tap.modules(model)
    ]
    try:
        yield tap
    finally:
        for hook in hooks:
            hook.remove()
