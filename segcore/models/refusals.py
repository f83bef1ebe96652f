"""Why a backbone and a decoder do not go together, in plain words."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from math import lcm
from typing import Any

import timm

from segcore.models.shapes import shapes_only

# What timm's and smp's constructors raise for combinations they were not made for.
BUILD_ERRORS = (TypeError, ValueError, RuntimeError, AssertionError, AttributeError, LookupError, ArithmeticError)

PATTERNS: tuple[tuple[int, ...], ...] = ((4, 8, 16, 32), (2, 4, 8, 16, 32), (1, 2, 4, 8, 16, 32))
"""By how much a backbone may reduce the image at its features, so that smp's decoders can use them."""

DILATING = ("deeplabv3", "deeplabv3plus", "pan")
"""Decoders that spread the filters of the backbone's last stages."""


@dataclass(frozen=True)
class Refusal:
    """Why a combination cannot be built."""

    reason: str
    """In a few words, alike for all that fail alike."""
    advice: str
    """What can be used instead: a sentence."""
    detail: str = ""
    """What exactly does not fit, where there is more to say."""
    at_this_size: bool = False
    """Whether another image size may do."""


def refusal(
    encoder: str, decoder: str, image_size: int, error: Exception, *, works_at: Callable[[int], bool]
) -> Refusal:
    """Find out why a combination cannot be built.

    Args:
        encoder: as it was asked for, like `decoder` and `image_size`.
        error: what building or running it raised.
        works_at: whether the two go together at another image size.
    """
    text = str(error)
    if decoder in DILATING and ("output_stride" in text or isinstance(error, AssertionError)):
        return Refusal(
            "this decoder spreads the backbone's filters (dilation), which this backbone cannot do",
            "Use U-Net, FPN or any decoder but DeepLab and PAN.",
        )
    if decoder != "dpt" and (unfit := _unfit_features(encoder)) is not None:
        return unfit
    step = re.search(r"divisible by (\d+)", text)
    wanted = int(step.group(1)) if step is not None else 32
    if image_size % wanted:
        common = lcm(wanted, 32)  # as most others want it
        return Refusal(
            f"the image size must be a multiple of {wanted}",
            f"Use one that is, such as {max(1, round(image_size / common)) * common}.",
            at_this_size=True,
        )
    if "Depth of the encoder" in text:
        return Refusal("the backbone has fewer stages than the decoder needs", "Use another backbone.")
    if "too small" in text:
        return Refusal("the features become too small", "Use a larger image size or U-Net.", at_this_size=True)
    own_size = _own_size(encoder)
    if own_size is not None and own_size != image_size and own_size % 32 == 0 and works_at(own_size):
        return Refusal(
            "the backbone is made for images of another size",
            f"Use an image size of {own_size}, or another backbone.",
            detail=f"{own_size} pixels",
            at_this_size=True,
        )
    why = text.strip().splitlines()[0] if text.strip() else type(error).__name__
    instead = "another backbone" if decoder in ("unet", "dpt") else "U-Net, another backbone"
    return Refusal(
        "the libraries cannot put them together",
        f"Try {instead}, or another image size.",
        detail=why.rstrip("."),
        at_this_size=True,
    )


def _unfit_features(encoder: str) -> Refusal | None:
    """Say what is wrong with the resolutions at which a backbone has features; None where decoders can use them."""
    reductions = _reductions(encoder)
    if reductions is None or reductions in PATTERNS:
        return None
    if len(set(reductions)) == 1:
        return Refusal(
            "the backbone keeps one resolution (a plain transformer), and this decoder needs several",
            "Use the decoder DPT, or a backbone with stages such as Swin or PVT v2.",
        )
    listed = ", ".join(f"1/{reduction}" for reduction in reductions)
    if any(reductions == pattern[: len(reductions)] for pattern in PATTERNS):
        return Refusal(
            "the backbone has fewer stages than the decoder needs", "Use another backbone.", detail=f"only {listed}"
        )
    return Refusal(
        "the backbone has features at resolutions that this decoder cannot use",
        "Use another backbone.",
        detail=f"{listed}; wanted are 1/4, 1/8 and so on, or 1/2, 1/4 and so on",
    )


def _reductions(encoder: str) -> tuple[int, ...] | None:
    """Return by how much a backbone reduces the image at each of its features; None where timm cannot tell."""
    try:
        with shapes_only():
            model: Any = timm.create_model(encoder, features_only=True)
    except BUILD_ERRORS:
        return None
    return tuple(model.feature_info.reduction())


def _own_size(encoder: str) -> int | None:
    """Return the side of the images that a backbone was made for, in pixels."""
    config = timm.models.get_pretrained_cfg(encoder)
    return int(config.input_size[-1]) if config is not None else None
