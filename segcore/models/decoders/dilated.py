"""Decoders that keep the backbone's resolution up by spreading its filters (dilation)."""

from __future__ import annotations

from segcore.models.decoders.decoder import Decoder
from segcore.models.words import Words

DILATED = (
    Decoder(
        "deeplabv3",
        "DeepLabV3",
        "Rethinking Atrous Convolution for Semantic Image Segmentation",
        "https://arxiv.org/abs/1706.05587",
        2017,
        Words(
            new="Filters with holes. In the backbone's last stages the points of each filter are moved apart "
            "(dilation), so that it sees as far without shrinking the picture. On top, filters with holes of several "
            "widths, and an average over the whole picture, look at near and far surroundings at once.",
            helps="Features stay at an eighth of the resolution instead of falling further, and every point sees "
            "itself, its neighbourhood and the scene together.",
            costs="Wide stages at high resolution are dear. Behind ResNet-18 the backbone works {own.encoder_times} "
            "as much as in a U-Net, and the whole takes {own.times} the multiply-adds. No finer features are handed "
            "over, so outlines are enlarged from an eighth. In small images the widest holes reach past the border "
            "and find nothing. VGG, DenseNet, Swin, PVT and EdgeNeXt cannot spread their filters, and it cannot train "
            "on one image at a time.",
            choose="For large areas in large images, when time is no concern. Otherwise its successor DeepLabV3+ is "
            "the more sensible first try.",
        ),
    ),
    Decoder(
        "deeplabv3plus",
        "DeepLabV3+",
        "Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation",
        "https://arxiv.org/abs/1802.02611",
        2018,
        Words(
            new="DeepLabV3 with a small decoder. Filters with holes of several widths still look at near and far "
            "surroundings, but their result is then joined with fine features from an early stage of the backbone, at "
            "a quarter of the resolution.",
            helps="The fine features know where edges run, as the bridges of a U-Net do, only that there is a single "
            "bridge. And the filters are split into one that looks around within each channel and one that mixes the "
            "channels, which saves most of their work.",
            costs="Behind ResNet-18 it takes {own.times} the multiply-adds of a U-Net, with {own.parameters} "
            "parameters of its own (U-Net: {unet.parameters}). It lets the resolution fall one step further than "
            "DeepLabV3, so that only the last stage is spread and the backbone works {own.encoder_times} as much as "
            "in a U-Net. VGG, DenseNet, Swin, PVT and EdgeNeXt cannot be used. It cannot train on one image at a "
            "time, and in small images its widest holes find nothing.",
            choose="As the first rival of the U-Net, above all for large images with large and small areas side by "
            "side.",
        ),
    ),
)
