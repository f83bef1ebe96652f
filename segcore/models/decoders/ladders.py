"""Decoders that climb back to full resolution step by step, as the U-Net does."""

from __future__ import annotations

from segcore.models.decoders.decoder import Decoder
from segcore.models.words import Words

LADDERS = (
    Decoder(
        "unet",
        "U-Net",
        "U-Net: Convolutional Networks for Biomedical Image Segmentation",
        "https://arxiv.org/abs/1505.04597",
        2015,
        Words(
            new="Bridges. The backbone shrinks the picture until it knows what is there but no longer exactly where. "
            "U-Net walks back up: at each step it doubles the resolution and lays beside its own features those that "
            "the backbone had at that very resolution, handed across by a skip connection. Down one side and up the "
            "other, with bridges between: drawn on paper, a U.",
            helps="The bridges still know where every edge runs, so the mask need not guess its outlines from a "
            "coarse picture. It was made for microscope images when only some dozens had been labelled, and it is "
            "still known for learning from few.",
            costs="Behind ResNet-18 its own part has {own.parameters} parameters and takes {own.share} of all "
            "multiply-adds, because its last steps work on large pictures. Other decoders are compared with this one.",
            choose="First, and above all for small datasets with thin or small objects. It also takes image sizes "
            "that others refuse. Move on only once another decoder has won on your data.",
        ),
    ),
    Decoder(
        "unetplusplus",
        "U-Net++",
        "UNet++: A Nested U-Net Architecture for Medical Image Segmentation",
        "https://arxiv.org/abs/1807.10165",
        2018,
        Words(
            new="Bridges with rooms on them. U-Net lays raw features of the backbone beside far more digested ones of "
            "the decoder. U-Net++ fills that gap: each bridge becomes a row of small blocks that prepare the features "
            "on their way across, and every block also hears from its neighbour one level below.",
            helps="When the two sides meet they speak more alike, which should make joining them easier. The paper "
            "also judges intermediate masks during training; that part is not used here.",
            costs="A lot, because the rooms on the upper bridges work at high resolution. Behind ResNet-18 the whole "
            "network takes {own.times} the multiply-adds of a U-Net and {own.memory_times} the memory in training, "
            "{own.memory} for each image. Its part of the parameters grows from {unet.parameters} to "
            "{own.parameters}, and backbones with wider stages make it heavier still.",
            choose="When outlines are what you lack, a U-Net has shown that the backbone is right, and you can pay "
            "for it. Compare it with a larger backbone in a plain U-Net, which may be the better use of the same "
            "time.",
        ),
    ),
    Decoder(
        "manet",
        "MA-Net",
        "MA-Net: A Multi-Scale Attention Network for Liver and Tumor Segmentation",
        "https://ieeexplore.ieee.org/document/9201310",
        2020,
        Words(
            new="A U-Net that weighs. At the bottom, attention lets every point look at every other one. On the way "
            "up, before features of two levels are joined, their channels are weighed by how much they help.",
            helps="Attention at the bottom relates things that lie far apart in the picture; the weights on the way "
            "up stress, image by image, the channels that matter there. It was made for organs and tumours, which "
            "come in very different sizes.",
            costs="Behind ResNet-18 only {own.times} the multiply-adds of a U-Net, but {own.parameters} parameters of "
            "its own instead of {unet.parameters}: its filters are as wide as the backbone's stages, so a backbone "
            "with a wide last stage, such as ResNet-50, makes it huge. Attention at the bottom compares all points "
            "with all others, so that its cost rises steeply with the size of the image.",
            choose="When objects of very different size share a picture and the backbone's last stage is narrow. Look "
            "at the parameters on this page first, with the backbone you mean.",
        ),
    ),
    Decoder(
        "linknet",
        "LinkNet",
        "LinkNet: Exploiting Encoder Representations for Efficient Semantic Segmentation",
        "https://arxiv.org/abs/1707.03718",
        2017,
        Words(
            new="A U-Net on a diet. What comes across a bridge is added to the decoder's own features instead of "
            "being laid beside them. Each step up first squeezes its channels, doubles the resolution with a learned "
            "filter and widens again.",
            helps="Adding keeps every layer narrow, and the squeeze makes the one step that costs, the enlarging, "
            "cheap. The paper aimed at video on small hardware, and still hands every level of the backbone across.",
            costs="Very little. Behind ResNet-18 the whole network takes {own.times} the multiply-adds of a U-Net; "
            "decoder and head have {own.parameters} parameters and take {own.share} of the computing, where the "
            "U-Net's have {unet.parameters} and take {unet.share}. In training it keeps {own.memory} for each image "
            "(U-Net: {unet.memory}). With so little work done after the bridges, fine detail has less help than in a "
            "U-Net.",
            choose="When masks must be fast, and behind mobile backbones, whose saving a heavy decoder would eat up. "
            "Also as the cheap end of a comparison between decoders.",
        ),
    ),
)
