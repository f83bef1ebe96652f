"""Decoders that bring several levels or several views of the surroundings together in one step."""

from __future__ import annotations

from segcore.models.decoders.decoder import Decoder
from segcore.models.words import Words

PYRAMIDS = (
    Decoder(
        "fpn",
        "FPN",
        "Feature Pyramid Networks for Object Detection",
        "https://arxiv.org/abs/1612.03144",
        2016,
        Words(
            new="One width for all levels. A feature pyramid brings the levels of the backbone to the same number of "
            "channels and passes the coarse knowledge of what is there down to the finer levels by adding. It was "
            "made to detect objects; for masks, every level is then enlarged to a quarter of the resolution and all "
            "are summed up, as Panoptic Feature Pyramid Networks (Kirillov et al., 2019) proposed.",
            helps="Each level ends up both fine and informed, so large and small objects are found in the same way. "
            "No step works at more than a quarter of the resolution, which keeps it light.",
            costs="Behind ResNet-18 it takes {own.times} the multiply-adds of a U-Net, with {own.parameters} "
            "parameters of its own (U-Net: {unet.parameters}), and keeps {own.memory} for each image in training "
            "instead of {unet.memory}. The last enlargement is plain blending: objects thinner than a few pixels may "
            "come out soft.",
            choose="When objects of many sizes matter more than hair-thin outlines, when memory is short, or with "
            "backbones that begin at a quarter of the resolution anyway.",
        ),
    ),
    Decoder(
        "pspnet",
        "PSPNet",
        "Pyramid Scene Parsing Network",
        "https://arxiv.org/abs/1612.01105",
        2016,
        Words(
            new="A look at the whole scene. PSPNet averages the backbone's features over the whole picture and over "
            "grids of smaller and smaller cells, and gives these summaries to every point.",
            helps="A point then knows what kind of scene it lies in: a grey patch beside boats is water rather than "
            "road. That is hard to see from a few pixels alone.",
            costs="Little, in the form used here, which reads the backbone only down to an eighth of the resolution "
            "and enlarges the answer in one go: {own.times} the multiply-adds of a U-Net behind ResNet-18. Of the "
            "backbone's {unet.encoder_parameters} parameters {own.encoder_parameters} stay in use, so much of what "
            "pretraining taught is left out; the paper kept the whole backbone. EfficientNets and MobileNets are "
            "computed to their end all the same. Edges come out coarse.",
            choose="When large areas matter, outlines do not, and time is short. Do not read a weak score as the "
            "verdict on a backbone: much of that backbone was never asked.",
        ),
    ),
    Decoder(
        "pan",
        "PAN",
        "Pyramid Attention Network for Semantic Segmentation",
        "https://arxiv.org/abs/1805.10180",
        2018,
        Words(
            new="Attention made of filters. At the coarsest level a small pyramid of filters, each at half the "
            "resolution of the one before, tells every point how much it matters. On the way up, an average of the "
            "coarser level decides which channels of the finer one are let through.",
            helps="Far surroundings are taken in without comparing every point with every other one, and fine "
            "features pass only where the coarse level finds them useful, which should keep clutter out of the mask.",
            costs="Its own part is tiny: {own.parameters} parameters and {own.share} of the multiply-adds behind "
            "ResNet-18. But the backbone has to keep its resolution from falling in the last stage, where filters are "
            "spread instead, and so works {own.encoder_times} as much as in a U-Net; all in all {own.times} the "
            "multiply-adds of the U-Net. VGG, DenseNet, Swin, PVT and EdgeNeXt cannot spread theirs. It cannot train "
            "on one image at a time.",
            choose="When you want wide context in a light decoder, behind a ResNet, a RegNet, an EfficientNet or a "
            "ConvNeXt.",
        ),
    ),
    Decoder(
        "upernet",
        "UPerNet",
        "Unified Perceptual Parsing for Scene Understanding",
        "https://arxiv.org/abs/1807.10221",
        2018,
        Words(
            new="Two older ideas joined. At the coarsest level stand the averages over the whole picture and its "
            "parts from PSPNet; below it, a feature pyramid carries their knowledge down to the finer levels. In the "
            "end all levels are laid side by side at a quarter of the resolution and one wide filter draws them "
            "together.",
            helps="The whole scene informs every level, and the last filter sees all levels at once. The papers of "
            "Swin and ConvNeXt judged their backbones with it, so it is a familiar yardstick for such backbones.",
            costs="Most of the cost arises in that last filter, over many channels at a fairly high resolution. "
            "Behind ResNet-18 the whole network takes {own.times} the multiply-adds of a U-Net, {own.share} of them "
            "outside the backbone, and has {own.parameters} parameters besides the backbone's (U-Net: "
            "{unet.parameters}). In training it takes {own.memory_times} the memory of a U-Net.",
            choose="With Swin, ConvNeXt and PVT, whose features begin at a quarter of the resolution and want "
            "something to bring them together. Behind a small backbone the decoder would be nearly all of the "
            "network.",
        ),
    ),
)
