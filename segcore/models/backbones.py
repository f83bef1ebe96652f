"""The table of backbones offered by name; `catalog` looks things up in it."""

from __future__ import annotations

from dataclasses import dataclass


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
    unet_parameters: int
    """Of that U-Net as a whole."""
    unet_activations: int
    """Bytes that it keeps for the backward pass for each image of 256 px, in single precision; for estimates of
    memory."""
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
    Backbone(
        "resnet18",
        "tv_in1k",
        "ResNet-18",
        "resnet",
        2015,
        11_176_512,
        5_501_878_272,
        14_329_804,
        83_778_176,
        "bsd-3-clause",
        "#5992fd",
    ),
    Backbone(
        "resnet34",
        "tv_in1k",
        "ResNet-34",
        "resnet",
        2015,
        21_284_672,
        7_917_797_376,
        24_437_964,
        96_900_224,
        "bsd-3-clause",
        "#266ef9",
    ),
    Backbone(
        "resnet50",
        "tv_in1k",
        "ResNet-50",
        "resnet",
        2015,
        23_508_032,
        10_736_369_664,
        32_522_700,
        174_173_824,
        "bsd-3-clause",
        "#145de6",
    ),
    Backbone(
        "resnext50_32x4d",
        "tv_in1k",
        "ResNeXt-50 32x4d",
        "resnext",
        2016,
        22_979_904,
        10_920_919_040,
        31_994_572,
        208_544_896,
        "bsd-3-clause",
        "#704db4",
    ),
    Backbone(
        "vgg16",
        "tv_in1k",
        "VGG-16",
        "vgg",
        2014,
        14_714_688,
        24_536_678_400,
        19_029_196,
        159_387_520,
        "bsd-3-clause",
        "#bb8b53",
    ),
    Backbone(
        "vgg16_bn",
        "tv_in1k",
        "VGG-16 BN",
        "vgg",
        2014,
        14_723_136,
        24_536_678_400,
        19_037_644,
        230_183_296,
        "bsd-3-clause",
        "#ad6f0e",
    ),
    Backbone(
        "vgg19",
        "tv_in1k",
        "VGG-19",
        "vgg",
        2014,
        20_024_384,
        29_972_496_384,
        24_338_892,
        166_203_264,
        "bsd-3-clause",
        "#9b6100",
    ),
    Backbone(
        "vgg19_bn",
        "tv_in1k",
        "VGG-19 BN",
        "vgg",
        2014,
        20_035_392,
        29_972_496_384,
        24_349_900,
        243_819_904,
        "bsd-3-clause",
        "#84571d",
    ),
    Backbone(
        "densenet121",
        "tv_in1k",
        "DenseNet-121",
        "densenet",
        2016,
        6_953_856,
        8_494_514_176,
        13_609_228,
        231_251_200,
        "apache-2.0",
        "#ed6f22",
    ),
    Backbone(
        "efficientnet_b0",
        "ra_in1k",
        "EfficientNet-B0",
        "efficientnet",
        2019,
        3_595_388,
        2_986_134_016,
        5_836_296,
        164_784_032,
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
        65_444_188,
        745_951_872,
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
        5_199_756,
        153_334_732,
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
        7_570_204,
        128_922_060,
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
        22_095_068,
        252_265_868,
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
        6_687_420,
        108_567_616,
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
        4_977_132,
        73_547_648,
        "apache-2.0",
        "#789c96",
    ),
    Backbone(
        "regnety_008",
        "pycls_in1k",
        "RegNetY-800MF",
        "regnet",
        2020,
        5_494_168,
        4_210_850_816,
        9_375_524,
        112_236_000,
        "mit",
        "#9c7c49",
    ),
    Backbone(
        "convnext_femto",
        "d1_in1k",
        "ConvNeXt-Femto",
        "convnext",
        2022,
        4_832_016,
        3_660_201_984,
        7_478_428,
        99_330_944,
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
        31_930_348,
        194_340_224,
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
        31_629_574,
        213_335_304,
        "mit",
        "#fd4887",
    ),
    Backbone(
        "pvt_v2_b0",
        "in1k",
        "PVT v2-B0",
        "pvt",
        2021,
        3_409_760,
        3_226_796_032,
        5_641_452,
        113_792_896,
        "apache-2.0",
        "#a384d9",
    ),
    Backbone(
        "pvt_v2_b1",
        "in1k",
        "PVT v2-B1",
        "pvt",
        2021,
        13_496_000,
        5_652_480_000,
        16_778_316,
        174_233_472,
        "apache-2.0",
        "#8c65c8",
    ),
    Backbone(
        "edgenext_x_small",
        "in1k",
        "EdgeNeXt-XS",
        "edgenext",
        2022,
        2_143_420,
        2_932_404_224,
        4_089_416,
        98_348_000,
        "mit",
        "#4f6678",
    ),
)

BACKBONES: dict[str, Backbone] = {backbone.name: backbone for backbone in _ROWS}
