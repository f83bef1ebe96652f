"""The backbones offered by name, and what is known of them without loading torch or timm.

Any other timm name works as well: `resolve` looks it up in timm, and only then imports it.
"""

from __future__ import annotations

import colorsys
import hashlib
from dataclasses import dataclass
from typing import Literal

from segcore.errors import UnknownBackboneError, WeightsError, nearest
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


@dataclass(frozen=True)
class Backbone:
    """A backbone of the catalog."""

    name: str
    """timm's name of the architecture."""
    tag: str
    """timm's tag of the pretrained weights; all were trained on ImageNet-1k alone."""
    title: str
    family: str
    year: int
    parameters: int
    """Of the encoder as a decoder uses it, without the classifier."""
    license: str
    """Of the pretrained weights, as timm states it."""
    color: str
    """#rrggbb: hue by family, shade by size, readable on light and on dark."""
    pretrained_name: str = ""
    """timm's name of the same architecture that has weights, where `name` has none."""

    @property
    def encoder(self) -> str:
        """The name of the pretrained encoder, with its tag."""
        return f"{self.pretrained_name or self.name}.{self.tag}"


# Torchvision's weights for all that have them: one source, one recipe, so that a comparison between
# them compares architectures. Both EfficientNets were trained with RandAugment on ImageNet-1k; timm has
# no weights under the plain name of B7, Google's stand under tf_ (same layers, TensorFlow's padding).
_ROWS = (
    Backbone("resnet18", "tv_in1k", "ResNet-18", "resnet", 2015, 11_176_512, "bsd-3-clause", "#4c9be8"),
    Backbone("resnet34", "tv_in1k", "ResNet-34", "resnet", 2015, 21_284_672, "bsd-3-clause", "#2f6fbf"),
    Backbone("resnet50", "tv_in1k", "ResNet-50", "resnet", 2015, 23_508_032, "bsd-3-clause", "#1f4f96"),
    Backbone("resnext50_32x4d", "tv_in1k", "ResNeXt-50 32x4d", "resnext", 2016, 22_979_904, "bsd-3-clause", "#5a4fcf"),
    Backbone("vgg16", "tv_in1k", "VGG-16", "vgg", 2014, 14_714_688, "bsd-3-clause", "#e8833a"),
    Backbone("vgg16_bn", "tv_in1k", "VGG-16 BN", "vgg", 2014, 14_723_136, "bsd-3-clause", "#d9722b"),
    Backbone("vgg19", "tv_in1k", "VGG-19", "vgg", 2014, 20_024_384, "bsd-3-clause", "#b55a1a"),
    Backbone("vgg19_bn", "tv_in1k", "VGG-19 BN", "vgg", 2014, 20_035_392, "bsd-3-clause", "#964a15"),
    Backbone("densenet121", "tv_in1k", "DenseNet-121", "densenet", 2016, 6_953_856, "apache-2.0", "#8a6d3b"),
    Backbone("efficientnet_b0", "ra_in1k", "EfficientNet-B0", "efficientnet", 2019, 3_595_388, "apache-2.0", "#35b779"),
    Backbone(
        "efficientnet_b7",
        "ra_in1k",
        "EfficientNet-B7",
        "efficientnet",
        2019,
        62_143_440,
        "apache-2.0",
        "#1d7a4d",
        pretrained_name="tf_efficientnet_b7",
    ),
    Backbone(
        "tf_efficientnet_lite0",
        "in1k",
        "EfficientNet-Lite0",
        "efficientnet",
        2019,
        2_958_848,
        "apache-2.0",
        "#6cc24a",
    ),
    Backbone(
        "tf_efficientnetv2_b0",
        "in1k",
        "EfficientNetV2-B0",
        "efficientnetv2",
        2021,
        5_610_384,
        "apache-2.0",
        "#8aa31c",
    ),
    Backbone(
        "tf_efficientnetv2_s",
        "in1k",
        "EfficientNetV2-S",
        "efficientnetv2",
        2021,
        19_847_248,
        "apache-2.0",
        "#667a10",
    ),
    Backbone(
        "mobilenetv3_large_100",
        "ra_in1k",
        "MobileNetV3-Large",
        "mobilenetv3",
        2019,
        2_971_952,
        "apache-2.0",
        "#17a2b8",
    ),
    Backbone(
        "mobilenetv4_conv_small",
        "e2400_r224_in1k",
        "MobileNetV4-Conv-S",
        "mobilenetv4",
        2024,
        1_261_664,
        "apache-2.0",
        "#4fb3a5",
    ),
    Backbone("regnety_008", "pycls_in1k", "RegNetY-800MF", "regnet", 2020, 5_494_168, "mit", "#c9a227"),
    Backbone("convnext_femto", "d1_in1k", "ConvNeXt-Femto", "convnext", 2022, 4_832_016, "apache-2.0", "#e06c9f"),
    Backbone("convnext_tiny", "fb_in1k", "ConvNeXt-Tiny", "convnext", 2022, 27_818_592, "apache-2.0", "#b83b76"),
    Backbone("swin_tiny_patch4_window7_224", "ms_in1k", "Swin-Tiny", "swin", 2021, 27_517_818, "mit", "#d64545"),
    Backbone("pvt_v2_b0", "in1k", "PVT v2-B0", "pvt", 2021, 3_409_760, "apache-2.0", "#b07cd8"),
    Backbone("pvt_v2_b1", "in1k", "PVT v2-B1", "pvt", 2021, 13_496_000, "apache-2.0", "#8347b5"),
    Backbone("edgenext_x_small", "in1k", "EdgeNeXt-XS", "edgenext", 2022, 2_143_420, "mit", "#7a7f87"),
)

BACKBONES: dict[str, Backbone] = {backbone.name: backbone for backbone in _ROWS}

ORIGINAL_SIX: tuple[str, ...] = ("resnet18", "resnet34", "vgg16", "vgg19", "efficientnet_b0", "efficientnet_b7")
"""The backbones of the notebook this project grew out of."""

_BY_ENCODER = {backbone.encoder: backbone for backbone in _ROWS}


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
    close = nearest(name, BACKBONES) or nearest(name, timm.list_models())
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
    hue = int.from_bytes(digest[:2], "big") / 65536
    red, green, blue = colorsys.hls_to_rgb(hue, 0.40 + digest[2] / 255 * 0.12, 0.55)
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"
