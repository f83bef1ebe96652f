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
    unet_macs: int
    """Multiply-adds of a forward pass of its U-Net over one image of 256 px with 12 classes; for estimates of
    time that must not wait for torch."""
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


# Colours: hues were chosen by family, then lightness and chroma optimised for the smallest distance (OKLab)
# between any two, as seen normally and by the three kinds of the colour-blind (Machado et al. 2009), the
# original six weighing double, with a contrast of at least 3 : 1 on white and on #0e1117.
#
# Torchvision's weights for all that have them: one source, one recipe, so that a comparison between
# them compares architectures. Both EfficientNets were trained with RandAugment on ImageNet-1k; timm has
# no weights under the plain name of B7, Google's stand under tf_ (same layers, TensorFlow's padding).
_ROWS = (
    Backbone("resnet18", "tv_in1k", "ResNet-18", "resnet", 2015, 11_176_512, 5_501_878_272, "bsd-3-clause", "#5992fd"),
    Backbone("resnet34", "tv_in1k", "ResNet-34", "resnet", 2015, 21_284_672, 7_917_797_376, "bsd-3-clause", "#266ef9"),
    Backbone("resnet50", "tv_in1k", "ResNet-50", "resnet", 2015, 23_508_032, 10_736_369_664, "bsd-3-clause", "#145de6"),
    Backbone(
        "resnext50_32x4d",
        "tv_in1k",
        "ResNeXt-50 32x4d",
        "resnext",
        2016,
        22_979_904,
        10_920_919_040,
        "bsd-3-clause",
        "#704db4",
    ),
    Backbone("vgg16", "tv_in1k", "VGG-16", "vgg", 2014, 14_714_688, 24_536_678_400, "bsd-3-clause", "#bb8b53"),
    Backbone("vgg16_bn", "tv_in1k", "VGG-16 BN", "vgg", 2014, 14_723_136, 24_536_678_400, "bsd-3-clause", "#ad6f0e"),
    Backbone("vgg19", "tv_in1k", "VGG-19", "vgg", 2014, 20_024_384, 29_972_496_384, "bsd-3-clause", "#9b6100"),
    Backbone("vgg19_bn", "tv_in1k", "VGG-19 BN", "vgg", 2014, 20_035_392, 29_972_496_384, "bsd-3-clause", "#84571d"),
    Backbone(
        "densenet121", "tv_in1k", "DenseNet-121", "densenet", 2016, 6_953_856, 8_494_514_176, "apache-2.0", "#ed6f22"
    ),
    Backbone(
        "efficientnet_b0",
        "ra_in1k",
        "EfficientNet-B0",
        "efficientnet",
        2019,
        3_595_388,
        2_986_134_016,
        "apache-2.0",
        "#3a8265",
    ),
    Backbone(
        "efficientnet_b7",
        "ra_in1k",
        "EfficientNet-B7",
        "efficientnet",
        2019,
        62_143_440,
        9_585_034_240,
        "apache-2.0",
        "#2a6b51",
        pretrained_name="tf_efficientnet_b7",
    ),
    Backbone(
        "tf_efficientnet_lite0",
        "in1k",
        "EfficientNet-Lite0",
        "efficientnet",
        2019,
        2_958_848,
        2_985_506_816,
        "apache-2.0",
        "#63927c",
    ),
    Backbone(
        "tf_efficientnetv2_b0",
        "in1k",
        "EfficientNetV2-B0",
        "efficientnetv2",
        2021,
        5_610_384,
        3_383_297_280,
        "apache-2.0",
        "#8c970a",
    ),
    Backbone(
        "tf_efficientnetv2_s",
        "in1k",
        "EfficientNetV2-S",
        "efficientnetv2",
        2021,
        19_847_248,
        6_322_084_864,
        "apache-2.0",
        "#6c7341",
    ),
    Backbone(
        "mobilenetv3_large_100",
        "ra_in1k",
        "MobileNetV3-Large",
        "mobilenetv3",
        2019,
        2_971_952,
        3_166_932_864,
        "apache-2.0",
        "#2e95a7",
    ),
    Backbone(
        "mobilenetv4_conv_small",
        "e2400_r224_in1k",
        "MobileNetV4-Conv-S",
        "mobilenetv4",
        2024,
        1_261_664,
        3_240_693_760,
        "apache-2.0",
        "#789c96",
    ),
    Backbone("regnety_008", "pycls_in1k", "RegNetY-800MF", "regnet", 2020, 5_494_168, 4_210_850_816, "mit", "#9c7c49"),
    Backbone(
        "convnext_femto",
        "d1_in1k",
        "ConvNeXt-Femto",
        "convnext",
        2022,
        4_832_016,
        3_660_201_984,
        "apache-2.0",
        "#d12387",
    ),
    Backbone(
        "convnext_tiny",
        "fb_in1k",
        "ConvNeXt-Tiny",
        "convnext",
        2022,
        27_818_592,
        9_027_108_864,
        "apache-2.0",
        "#b02773",
    ),
    Backbone(
        "swin_tiny_patch4_window7_224",
        "ms_in1k",
        "Swin-Tiny",
        "swin",
        2021,
        27_517_818,
        10_553_316_096,
        "mit",
        "#fd4887",
    ),
    Backbone("pvt_v2_b0", "in1k", "PVT v2-B0", "pvt", 2021, 3_409_760, 3_226_796_032, "apache-2.0", "#a384d9"),
    Backbone("pvt_v2_b1", "in1k", "PVT v2-B1", "pvt", 2021, 13_496_000, 5_652_480_000, "apache-2.0", "#8c65c8"),
    Backbone("edgenext_x_small", "in1k", "EdgeNeXt-XS", "edgenext", 2022, 2_143_420, 2_932_404_224, "mit", "#4f6678"),
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
