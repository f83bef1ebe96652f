"""Building a network: backbone and decoder, its weights, and its preprocessing, in one module."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import timm
import torch
from torch import Tensor, nn

from segcore.errors import IncompatibleError, UnknownBackboneError, nearest
from segcore.models import catalog
from segcore.models.pretrained import load_encoder
from segcore.models.refusals import BUILD_ERRORS as BUILD_ERRORS
from segcore.models.refusals import refusal
from segcore.models.shapes import shapes_only
from segcore.models.weights import WeightsSource, locate

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import segmentation_models_pytorch as smp

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Segmenter(nn.Module):
    """A segmentation network that carries its own preprocessing.

    `forward` takes images as they are, (B, 3, H, W) RGB with values 0-255, uint8 or float, and returns
    logits (B, classes, H, W) float32. Mean and standard deviation are buffers: they are saved and loaded
    with the weights, so that a network is never used with another preprocessing than it was trained with.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, *, encoder_name: str, decoder_name: str, classes: int) -> None:
        super().__init__()
        self.network = network
        self.encoder_name = encoder_name
        self.decoder_name = decoder_name
        self.classes = classes
        self.weights_source: WeightsSource | None = None
        """Where the encoder's pretrained weights came from; None for a start from scratch."""
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        scaled = (images.float() / 255 - self.mean) / self.std
        logits: Tensor = self.network(scaled)
        return logits.float()

    def encoder_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters of the backbone."""
        return self.network.get_submodule("encoder").parameters()

    def other_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters of everything but the backbone: decoder and head."""
        encoder = {id(parameter) for parameter in self.encoder_parameters()}
        return (parameter for parameter in self.parameters() if id(parameter) not in encoder)


def build(
    encoder: str,
    *,
    decoder: str = "unet",
    weights: Literal["pretrained", "none"] = "pretrained",
    classes: int,
    image_size: int,
    weights_dirs: Sequence[Path] | None = None,
) -> Segmenter:
    """Build a network for training; decoder and head start at random.

    Args:
        encoder: A timm name as `catalog.resolve` returns it; with `"pretrained"` one with its weights tag.
        decoder: A key of `catalog.DECODERS`.
        weights: `"pretrained"`: the encoder's weights are located, loaded and checked. `"none"`: random.
        classes: Channels of the logits.
        image_size: Side of the training images in pixels; some transformers are built for one size.
        weights_dirs: Where to look for weights files first; by default SEGCORE_WEIGHTS and the workspace.

    Raises:
        UnknownBackboneError: no such encoder or decoder.
        IncompatibleError: they do not go together.
        WeightsError: the weights cannot be had, are damaged, or belong to something else.
    """
    if weights == "none":
        return skeleton(encoder, decoder, classes, image_size)
    encoder = catalog.resolve(encoder, "pretrained")
    source = locate(encoder, weights_dirs)
    model = skeleton(encoder, decoder, classes, image_size)
    model.weights_source = load_encoder(
        model.network.get_submodule("encoder"), source, _size_arguments(encoder, image_size)
    )
    config = timm.models.get_pretrained_cfg(encoder, allow_unregistered=False)
    assert config is not None
    model.mean.copy_(torch.tensor(config.mean).view(1, 3, 1, 1))
    model.std.copy_(torch.tensor(config.std).view(1, 3, 1, 1))
    return model


def skeleton(encoder: str, decoder: str, classes: int, image_size: int) -> Segmenter:
    """Build a network with random weights, to be trained from scratch or filled from a checkpoint. No download.

    Raises:
        UnknownBackboneError: no such encoder or decoder.
        IncompatibleError: they do not go together.
    """
    check_names(encoder, decoder)
    options: dict[str, Any] = dict(_size_arguments(encoder, image_size))
    if decoder == "dpt":
        # The whole transformer is its encoder: leave the classifier out. Not all have a class token to read.
        options |= {"num_classes": 0, "decoder_readout": "ignore"}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            network = smp.create_model(decoder, f"tu-{encoder}", encoder_weights=None, classes=classes, **options)
    except BUILD_ERRORS as error:
        raise incompatible(encoder, decoder, image_size, error) from error
    return Segmenter(network, encoder_name=encoder, decoder_name=decoder, classes=classes)


def blueprint(encoder: str, decoder: str, classes: int, image_size: int) -> Segmenter:
    """As `skeleton`, but on the meta device: shapes without values, in a fraction of time and memory."""
    with shapes_only():
        return skeleton(encoder, decoder, classes, image_size)


def check_names(encoder: str, decoder: str) -> None:
    """Raise `UnknownBackboneError` unless timm has the encoder and smp the decoder."""
    catalog.find_decoder(decoder)
    architecture, _, tag = encoder.partition(".")
    catalog.check_architecture(architecture)
    if tag and not timm.models.is_model_pretrained(encoder):
        raise UnknownBackboneError(
            f"Backbone {architecture!r} has no weights tagged {tag!r}."
            f"{nearest(encoder, timm.list_pretrained(f'{architecture}.*'))}",
            field="encoders",
        )


def probe(encoder: str, decoder: str, image_size: int, classes: int = 2) -> Segmenter:
    """Check on the meta device, in a second and without memory, that a combination can be trained.

    Returns:
        The blueprint on which that was found out, in training mode.

    Raises:
        UnknownBackboneError: no such encoder or decoder.
        IncompatibleError: they do not go together at this image size; says why and what to use instead.
    """
    model = blueprint(encoder, decoder, classes, image_size).train()
    try:
        logits = model(torch.empty(2, 3, image_size, image_size, device="meta"))
    except BUILD_ERRORS as error:
        raise incompatible(encoder, decoder, image_size, error) from error
    if tuple(logits.shape) != (2, classes, image_size, image_size):
        why = f"it answers with {logits.shape[-2]} × {logits.shape[-1]} pixels for {image_size} × {image_size}"
        raise IncompatibleError(
            f"{_pair(encoder, decoder)} do not go together: {why}. Use U-Net or another backbone.",
            field="decoder",
            reason="the mask has another size than the image",
        )
    return model


def _size_arguments(encoder: str, image_size: int) -> dict[str, int]:
    """What a transformer that is built for one image size must be told."""
    config = timm.models.get_pretrained_cfg(encoder)
    return {"img_size": image_size} if config is not None and config.fixed_input_size else {}


def _pair(encoder: str, decoder: str) -> str:
    return f"Backbone {encoder!r} and decoder {catalog.DECODERS[decoder].title}"


def incompatible(encoder: str, decoder: str, image_size: int, error: Exception) -> IncompatibleError:
    """Return the error that says in plain words why a combination cannot be built, and what can be used instead.

    Args:
        encoder: as it was asked for, like `decoder` and `image_size`.
        error: what building it, or running it, raised.
    """
    found = refusal(encoder, decoder, image_size, error, works_at=lambda size: _works(encoder, decoder, size))
    where = f" at {image_size} pixels" if found.at_this_size else ""
    detail = f" ({found.detail})" if found.detail else ""
    return IncompatibleError(
        f"{_pair(encoder, decoder)} do not go together{where}: {found.reason}{detail}. {found.advice}",
        field="decoder",
        reason=found.reason,
    )


def _works(encoder: str, decoder: str, image_size: int) -> bool:
    """Whether a combination works at some image size."""
    try:
        blueprint(encoder, decoder, 2, image_size).train()(torch.empty(2, 3, image_size, image_size, device="meta"))
    except (IncompatibleError, *BUILD_ERRORS):
        return False
    return True
