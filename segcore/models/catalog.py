"""The backbones offered by name, and what is known of them without loading torch or timm.

Any other timm name works as well: `resolve` looks it up in timm, and only then imports it.
"""

from __future__ import annotations

import colorsys
import hashlib
from typing import Literal

from segcore.errors import UnknownBackboneError, WeightsError, nearest
from segcore.models.backbones import BACKBONES, Backbone
from segcore.models.decoders import DECODERS, Decoder
from segcore.models.families import FAMILIES, Family

__all__ = [
    "BACKBONES",
    "DECODERS",
    "FAMILIES",
    "ORIGINAL_SIX",
    "Backbone",
    "Decoder",
    "Family",
    "check_architecture",
    "color",
    "family",
    "find",
    "find_decoder",
    "resolve",
    "title",
]


ORIGINAL_SIX: tuple[str, ...] = ("resnet18", "resnet34", "vgg16", "vgg19", "efficientnet_b0", "efficientnet_b7")
"""The backbones of the notebook this project grew out of."""

_BY_ENCODER = {backbone.encoder: backbone for backbone in BACKBONES.values()}


def find(name: str) -> Backbone | None:
    """Return the catalog's backbone of that name, with the catalog's weights tag or without; else None."""
    return BACKBONES.get(name) or _BY_ENCODER.get(name)


def find_decoder(name: str) -> Decoder:
    """Return the decoder of that name.

    Raises:
        UnknownBackboneError: there is none.
    """
    if name not in DECODERS:
        raise UnknownBackboneError(
            f"No decoder is called {name!r}.{nearest(name, DECODERS)} There are: {', '.join(DECODERS)}.",
            field="decoder",
        )
    return DECODERS[name]


def resolve(name: str, weights: Literal["pretrained", "none"]) -> str:
    """Return the encoder that a run records for the backbone `name`.

    With `"none"` the architecture's bare name (`resnet18`), with `"pretrained"` name and weights tag
    (`resnet18.tv_in1k`). A catalog name needs no import; any other is looked up in timm.

    Raises:
        UnknownBackboneError: timm has no such architecture.
        WeightsError: pretrained weights asked for, but none are published for it.
    """
    name = name.strip().removeprefix("tu-")
    backbone = find(name)
    if backbone is not None:
        return backbone.encoder if weights == "pretrained" else backbone.name
    return _resolve_in_timm(name, weights)


def _resolve_in_timm(name: str, weights: str) -> str:
    import timm

    architecture, tag = _current_name(name)
    check_architecture(architecture)
    if weights == "none":
        return architecture
    tags = [known.partition(".")[2] for known in timm.list_pretrained(f"{architecture}.*")]
    if not tag and timm.models.is_model_pretrained(architecture):
        config = timm.models.get_pretrained_cfg(architecture)
        tag = (config.tag if config else None) or ""
        return f"{architecture}.{tag}" if tag else architecture
    if tag in tags:
        return f"{architecture}.{tag}"
    if tags:
        raise WeightsError(
            f"Backbone {architecture!r} has no pretrained weights tagged {tag!r}; there are: {', '.join(tags)}.",
            field="encoders",
        )
    others = dict.fromkeys(known.partition(".")[0] for known in timm.list_pretrained())
    sibling = f" Did you mean tf_{architecture}?" if f"tf_{architecture}" in others else nearest(architecture, others)
    raise WeightsError(
        f"No pretrained weights are published for backbone {architecture!r}.{sibling} "
        "Or train it from scratch (weights: none).",
        field="encoders",
    )


def check_architecture(name: str) -> None:
    """Raise `UnknownBackboneError`, with the nearest names, unless timm has the architecture `name` (no tag)."""
    import timm

    if name.isidentifier() and timm.is_model(name):
        return
    close = nearest(name, dict.fromkeys([*BACKBONES, *timm.list_models()]))
    raise UnknownBackboneError(
        f"No backbone is called {name!r}.{close} Any model name of timm can be used.", field="encoders"
    )


def _current_name(name: str) -> tuple[str, str]:
    """Return architecture and tag of a timm name, by the name of today where timm has renamed it."""
    import timm

    architecture, _, tag = name.partition(".")
    current = timm.models.get_deprecated_models().get(architecture)
    if not current:
        return architecture, tag
    renamed, _, new_tag = current.partition(".")
    return renamed, tag or new_tag


def title(encoder: str) -> str:
    """Return how a backbone is called on screen; names that are not in the catalog stay as they are."""
    backbone = find(encoder)
    if backbone is not None:
        return backbone.title
    architecture, _, tag = encoder.partition(".")
    backbone = find(architecture)
    return f"{backbone.title} ({tag})" if backbone is not None and tag else encoder


def family(encoder: str) -> Family | None:
    """Return the family of a backbone, or None where the catalog does not know its architecture."""
    backbone = find(encoder) or find(encoder.partition(".")[0])
    return FAMILIES[backbone.family] if backbone is not None else None


def color(encoder: str) -> str:
    """Return the one colour ("#rrggbb") of a backbone; one that is not in the catalog gets its own, always the same."""
    backbone = find(encoder)
    if backbone is not None:
        return backbone.color
    digest = hashlib.sha256(encoder.encode()).digest()
    return _hue_of_brightness(int.from_bytes(digest[:2], "big") / 65536, 0.14 + digest[2] / 255 * 0.13)


def _hue_of_brightness(hue: float, luminance: float) -> str:
    """Return a colour of that hue (0-1) and relative luminance (WCAG, 0-1); 0.12-0.3 reads on light and on dark."""
    low, high = 0.0, 1.0
    for _ in range(12):
        middle = (low + high) / 2
        rgb = colorsys.hls_to_rgb(hue, middle, 0.5)
        linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in rgb]
        darker = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] < luminance
        low, high = (middle, high) if darker else (low, middle)
    return "#" + "".join(f"{round(value * 255):02x}" for value in rgb)
