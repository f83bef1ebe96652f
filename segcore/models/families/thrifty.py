"""Families that were searched for, or scaled, to do much with few multiplications."""

from __future__ import annotations

from segcore.models.families.family import Family
from segcore.models.words import Words

THRIFTY = (
    Family(
        "efficientnet",
        "EfficientNet",
        "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
        "https://arxiv.org/abs/1905.11946",
        2019,
        Words(
            new="A rule for growing. A network can have more layers, more channels or larger pictures; EfficientNet "
            "enlarges all three together in a fixed proportion. B0, found by an automatic search, is the seed, B7 "
            "among the largest. Its blocks (MBConv) widen, filter each channel by itself, weigh the channels and "
            "narrow again.",
            helps="In the paper balanced growth gave more accuracy for each multiplication than growth in one "
            "direction. Filtering each channel by itself saves most of the work of an ordinary filter. Here only "
            "depth and width grow: your study sets the picture's size.",
            costs="Few multiplications: with B0 a U-Net takes {efficientnet_b0.times} the multiply-adds it takes with "
            "ResNet-18, and most of those are the decoder's. But the wide middles of its blocks have to be kept in "
            "training: {efficientnet_b0.memory} for each image with B0, {efficientnet_b7.memory} with B7, "
            "{resnet18.memory} with ResNet-18. Many machines run it slower than the count suggests.",
            choose="B0 when the finished file has to be small. Lite0 for phones: it leaves out what their chips do "
            "badly. B7 only with memory and patience to spare.",
        ),
    ),
    Family(
        "efficientnetv2",
        "EfficientNetV2",
        "EfficientNetV2: Smaller Models and Faster Training",
        "https://arxiv.org/abs/2104.00298",
        2021,
        Words(
            new="A search for training speed, and not only for few multiplications. In the early stages, where "
            "pictures are large, the filter per channel is fused with the widening step before it into one ordinary "
            "filter. Later stages keep the thrifty blocks of the first EfficientNet.",
            helps="An ordinary filter has more multiplications, but hardware is built for it, and while channels are "
            "few it is often the faster choice. The authors report much shorter training at equal accuracy; part of "
            "that came from letting the pictures grow during training, which is not done here.",
            costs="B0 has {tf_efficientnetv2_b0.parameters} parameters and S {tf_efficientnetv2_s.parameters}. In a "
            "U-Net they take {tf_efficientnetv2_b0.macs} and {tf_efficientnetv2_s.macs} multiply-adds for an image, "
            "where ResNet-18 takes {resnet18.macs}, and keep {tf_efficientnetv2_b0.memory} and "
            "{tf_efficientnetv2_s.memory} of it in training.",
            choose="Where you would otherwise take an EfficientNet, above all if training time is what hurts. Try B0 "
            "first, which is S scaled down, and S once B0 has shown promise.",
        ),
    ),
    Family(
        "mobilenetv3",
        "MobileNetV3",
        "Searching for MobileNetV3",
        "https://arxiv.org/abs/1905.02244",
        2019,
        Words(
            new="A network tuned to a real phone. MobileNets split an ordinary filter in two: one that looks at the "
            "neighbourhood within each channel, and one that mixes the channels at each point. Version three was put "
            "together by an automatic search with the delay on a phone as its target, then trimmed by hand at both "
            "ends, where time was being lost.",
            helps="The two halves together take a fraction of the work. Steps that weigh the channels, and a cheap "
            "imitation of a better but dearer activation, win back some of the accuracy.",
            costs="Very little: {mobilenetv3_large_100.parameters} parameters. Its U-Net has "
            "{mobilenetv3_large_100.total}, though, and takes {mobilenetv3_large_100.times} the multiply-adds of one "
            "with ResNet-18, because most of both belongs to the decoder. Pair it with a light one such as LinkNet to "
            "keep what it saves.",
            choose="Where masks are needed on a small device, or many images wait and none of them is worth much "
            "time. In any study it shows how little might do.",
        ),
    ),
    Family(
        "mobilenetv4",
        "MobileNetV4",
        "MobileNetV4 - Universal Models for the Mobile Ecosystem",
        "https://arxiv.org/abs/2404.10518",
        2024,
        Words(
            new="One design for every chip. Processors, graphics cards and the accelerators inside phones reward very "
            "different networks; the fourth MobileNet sets out to be fast on all of them. Its building block covers "
            "the blocks of its predecessors and of ConvNeXt as special cases, and a search decides which form stands "
            "where.",
            helps="What is quick on one device only is avoided from the start. The variants called conv, like the one "
            "here, consist of convolutions alone, without attention, which keeps them simple to export.",
            costs="The backbone of Conv-S has {mobilenetv4_conv_small.parameters} parameters, fewer than any other "
            "here; the U-Net around it has {mobilenetv4_conv_small.total} and takes {mobilenetv4_conv_small.times} "
            "the multiply-adds of one with ResNet-18, nearly all of them in the decoder. In training it keeps "
            "{mobilenetv4_conv_small.memory} for each image.",
            choose="When the result has to run on hardware you do not know yet, or as the small end of a study: if it "
            "comes close to the large backbones, your task may not need them.",
        ),
    ),
    Family(
        "regnet",
        "RegNet",
        "Designing Network Design Spaces",
        "https://arxiv.org/abs/2003.13678",
        2020,
        Words(
            new="A design found by statistics. Instead of searching for one winner, its authors trained whole crowds "
            "of random designs, looked at what the good ones had in common and narrowed the choice step by step. What "
            "was left is simple: width grows along the network in a straight line.",
            helps="A rule that holds for many networks is less likely to be a fluke than a single lucky find. The "
            "blocks are those of a ResNeXt; the letter Y adds a step that weighs the channels. There is nothing "
            "exotic in it.",
            costs="RegNetY-800MF has {regnety_008.parameters} parameters. In a U-Net it takes {regnety_008.times} the "
            "multiply-adds of ResNet-18, and {regnety_008.memory} instead of {resnet18.memory} for each image in "
            "training. The name gives the multiplications for one classification picture, in millions.",
            choose="As a middle way between a ResNet and the mobile networks, and when you may want to scale later: "
            "the family runs from tiny to huge on one rule. Other members can be typed in by their timm names.",
        ),
    ),
)
