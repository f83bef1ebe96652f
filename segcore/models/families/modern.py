"""Transformers, their mixtures with convolutions, and the convolutional networks that learned from them."""

from __future__ import annotations

from segcore.models.families.family import Family
from segcore.models.words import Words

MODERN = (
    Family(
        "convnext",
        "ConvNeXt",
        "A ConvNet for the 2020s",
        "https://arxiv.org/abs/2201.03545",
        2022,
        Words(
            new="A ResNet brought up to date. When transformers overtook convolutional networks, its authors asked "
            "how much of the lead came from attention and how much from everything else that had changed. They "
            "modernised a ResNet step by step: filters of 7 × 7 pixels in each channel, fewer normalisations and "
            "activations, separate layers that shrink the picture, modern training.",
            helps="The result kept up with Swin transformers of its size while consisting of convolutions alone. "
            "Large filters see further in one step, and its normalisation does not care how many images are in a "
            "batch.",
            costs="Tiny is not tiny: {convnext_tiny.parameters} parameters, and {convnext_tiny.macs} multiply-adds "
            "for an image in a U-Net. Femto, a small sibling made for timm, has {convnext_femto.parameters} and takes "
            "{convnext_femto.macs}; ResNet-18 takes {resnet18.macs}. It begins at a quarter of the resolution, so a "
            "U-Net gets nothing finer and has to draw its last two steps unaided.",
            choose="With pretrained weights, when classes are told apart by their surroundings rather than by "
            "hair-thin outlines. Femto for a first look.",
        ),
    ),
    Family(
        "swin",
        "Swin Transformer",
        "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows",
        "https://arxiv.org/abs/2103.14030",
        2021,
        Words(
            new="Attention within windows. A transformer lets every patch of a picture ask every other patch what it "
            "knows, which soon becomes expensive as pictures grow. In Swin, patches ask only within a small window, "
            "and every second layer shifts the windows by half their size, so that news travels across their borders.",
            helps="The cost grows only in proportion to the picture's area, and patches are merged from stage to "
            "stage, which gives a decoder the several resolutions it needs. What a patch listens to depends on the "
            "content, not on fixed filters.",
            costs="{swin_tiny_patch4_window7_224.parameters} parameters in Swin-Tiny, "
            "{swin_tiny_patch4_window7_224.times} the multiply-adds of ResNet-18 in a U-Net, and "
            "{swin_tiny_patch4_window7_224.memory} for each image in training. It is built for one image size, begins "
            "at a quarter of the resolution, and does not fit DeepLab or PAN.",
            choose="With pretrained weights, and for scenes where wide surroundings matter. From scratch on a few "
            "hundred images it usually learns slowly: take a convolutional network then.",
        ),
    ),
    Family(
        "pvt",
        "PVT v2",
        "PVT v2: Improved Baselines with Pyramid Vision Transformer",
        "https://arxiv.org/abs/2106.13797",
        2021,
        Words(
            new="A transformer in the shape of a pyramid. It goes through stages of falling resolution as a "
            "convolutional network does, but within a stage every point attends to the whole picture. To keep that "
            "affordable, what is attended to is a shrunken copy. Version two lets patches overlap and puts a small "
            "filter into every block.",
            helps="It was made for tasks like this one, which need an answer at every pixel. Overlapping patches keep "
            "neighbours in touch, and the small filter tells points where they are, so that the size of the picture "
            "stays free.",
            costs="B0 has {pvt_v2_b0.parameters} parameters, B1 {pvt_v2_b1.parameters}; in a U-Net they take "
            "{pvt_v2_b0.macs} and {pvt_v2_b1.macs} multiply-adds for an image, where ResNet-18 takes {resnet18.macs}, "
            "and keep {pvt_v2_b0.memory} and {pvt_v2_b1.memory} of it in training. Attention still grows faster than "
            "the picture's area, so large images cost extra. Its finest features stand at a quarter of the "
            "resolution; DeepLab and PAN refuse it.",
            choose="When you would like to try a transformer without committing to a size of image. Begin with B0.",
        ),
    ),
    Family(
        "edgenext",
        "EdgeNeXt",
        "EdgeNeXt: Efficiently Amalgamated CNN-Transformer Architecture for Mobile Vision Applications",
        "https://arxiv.org/abs/2206.10589",
        2022,
        Words(
            new="A mixture for small devices: convolutions for detail nearby, attention for relations far apart. Its "
            "attention compares channels with one another instead of points, and the channels are split into groups, "
            "each of which also sees what the group before it has found.",
            helps="Comparing channels costs only in proportion to the number of pixels, where comparing points would "
            "grow with its square. The blocks without attention are those of ConvNeXt, with filters that widen from "
            "stage to stage.",
            costs="{edgenext_x_small.parameters} parameters in the XS variant. Its U-Net takes "
            "{edgenext_x_small.times} the multiply-adds of one with ResNet-18, most of them in the decoder, and keeps "
            "{edgenext_x_small.memory} for each image in training. It begins at a quarter of the resolution, and "
            "DeepLab and PAN refuse it.",
            choose="When you want something that sees the whole picture but must stay small, and as a rival for "
            "MobileNets in a study of light backbones. In its paper it compared well with other mixtures of its size; "
            "whether it does on your scenes, a study tells.",
        ),
    ),
)
