"""What each family of backbones is, in plain words: shown beside the drawing of a network."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Family:
    """Backbones that share one idea."""

    name: str
    title: str
    paper: str
    """Title of the paper that introduced it."""
    url: str
    year: int
    text: str
    """What it is, for someone who has never trained a network."""


_ROWS = (
    Family(
        "resnet",
        "ResNet",
        "Deep Residual Learning for Image Recognition",
        "https://arxiv.org/abs/1512.03385",
        2015,
        "A deep network is a long chain of filters, and the longer the chain, the harder it used to be to train: "
        "what the end needs to tell the beginning got lost on the way. ResNet adds shortcuts. Every block keeps "
        "its input and only learns what to add to it (the residual), so a block with nothing to add does no harm, "
        "and the learning signal has a free road back. The number in a name counts the layers that have weights. "
        "It is the yardstick of the field: solid, fast on every kind of hardware, and well understood.",
    ),
    Family(
        "resnext",
        "ResNeXt",
        "Aggregated Residual Transformations for Deep Neural Networks",
        "https://arxiv.org/abs/1611.05431",
        2016,
        "ResNeXt is a ResNet whose blocks work in parallel lanes. Instead of one wide filter that looks at all "
        "channels at once, each block has many narrow ones that see a few channels each, and their answers are "
        "added up. For the same amount of computing this usually recognises more. The two numbers in a name such "
        "as 32x4d are the number of lanes and their width. Such grouped filters need fewer multiplications, but "
        "hardware does not always run them faster by as much as that promises.",
    ),
    Family(
        "vgg",
        "VGG",
        "Very Deep Convolutional Networks for Large-Scale Image Recognition",
        "https://arxiv.org/abs/1409.1556",
        2014,
        "VGG is the plainest deep network there is: small filters of three by three pixels, one after the other, "
        "and between groups of them a step that halves the picture by keeping the largest values. No shortcuts, no "
        "branches. The number in a name counts the layers with weights. Its first layers work at full resolution, "
        "which keeps fine detail for the mask but makes it slow. Without the normalisation of the later BN variants "
        "it is hard to train from scratch: start it from pretrained weights, or choose the BN variant.",
    ),
    Family(
        "densenet",
        "DenseNet",
        "Densely Connected Convolutional Networks",
        "https://arxiv.org/abs/1608.06993",
        2016,
        "In a DenseNet every layer of a block sees what all layers before it in the block have found, not just the "
        "last one's result. Nothing has to be found twice, so each layer can be narrow and the whole network has "
        "few parameters for its depth. The price is paid in memory: everything found so far has to be kept and put "
        "side by side again and again, which makes it slower and hungrier than its parameter count suggests. The "
        "number in a name counts the layers with weights.",
    ),
    Family(
        "efficientnet",
        "EfficientNet",
        "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
        "https://arxiv.org/abs/1905.11946",
        2019,
        "A network can be made larger in three ways: more layers, more channels, or larger pictures. EfficientNet "
        "starts from a small network found by an automatic search and enlarges depth, width and picture size "
        "together in a fixed proportion: B0 is the seed, B7 among the largest. Its blocks (MBConv) first widen, "
        "then filter each channel by itself, weigh the channels, and narrow again. That takes few multiplications "
        "for the accuracy reached, though on many machines it runs slower than the count suggests. The Lite "
        "variant leaves out what phones do badly.",
    ),
    Family(
        "efficientnetv2",
        "EfficientNetV2",
        "EfficientNetV2: Smaller Models and Faster Training",
        "https://arxiv.org/abs/2104.00298",
        2021,
        "The second EfficientNet was searched for training speed and not only for a small number of "
        "multiplications. In its early stages, where pictures are large, the filter per channel is fused with "
        "the widening step into one ordinary filter, which has more multiplications but runs faster on real "
        "hardware. Later stages keep the thrifty blocks of the first version. The result learns faster and "
        "reaches a higher accuracy at the same size. B0 is small; S, for small, is the first of the larger ones.",
    ),
    Family(
        "mobilenetv3",
        "MobileNetV3",
        "Searching for MobileNetV3",
        "https://arxiv.org/abs/1905.02244",
        2019,
        "MobileNets are made for phones. The trick they share is to split an ordinary filter in two: one that looks "
        "at the neighbourhood within each channel, and one that mixes the channels at each point. Together that is "
        "a fraction of the work. Version three was put together by an automatic search with the delay on a real "
        "phone as its target, and then trimmed by hand at both ends, where time was being lost. A sensible first "
        "choice where there is no graphics card or where many images wait.",
    ),
    Family(
        "mobilenetv4",
        "MobileNetV4",
        "MobileNetV4 - Universal Models for the Mobile Ecosystem",
        "https://arxiv.org/abs/2404.10518",
        2024,
        "The fourth MobileNet sets out to be fast on every kind of chip at once: processors, graphics cards and the "
        "accelerators inside phones, which reward very different designs. One flexible building block covers the "
        "blocks of its predecessors and of ConvNeXt as special cases, and a search places the variants where they "
        "pay. The variants called conv use convolutions alone, without attention, and are simple to export. Small "
        "is among the lightest backbones offered here.",
    ),
    Family(
        "regnet",
        "RegNet",
        "Designing Network Design Spaces",
        "https://arxiv.org/abs/2003.13678",
        2020,
        "RegNet came out of a study of whole families of networks rather than of single winners: its authors trained "
        "many random designs, looked at what the good ones had in common, and found that width should grow along "
        "the network in a simple straight line. A RegNet is fully described by a few numbers. The blocks are those "
        "of a ResNeXt; the letter Y adds a step that weighs the channels by importance. The number in a name gives "
        "the multiplications for one classification picture, in hundred millions.",
    ),
    Family(
        "convnext",
        "ConvNeXt",
        "A ConvNet for the 2020s",
        "https://arxiv.org/abs/2201.03545",
        2022,
        "When transformers overtook convolutional networks, the authors of ConvNeXt asked how much of the lead came "
        "from attention and how much from everything else that had changed. They took a ResNet and modernised it "
        "step by step: larger filters per channel, fewer normalisations, a gentler activation, another way to "
        "shrink the picture, modern training. The result keeps up with transformers of its size while being made of "
        "convolutions alone. It starts at a quarter of the resolution, so the decoder gets no finer features from it.",
    ),
    Family(
        "swin",
        "Swin Transformer",
        "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows",
        "https://arxiv.org/abs/2103.14030",
        2021,
        "A transformer lets every patch of the picture ask every other patch for what it knows (attention), which "
        "gets expensive quickly as pictures grow. Swin lets patches ask only within small windows and shifts the "
        "windows by half their size in every second layer, so that news travels across borders. Patches are merged "
        "from stage to stage, which gives features at several resolutions as a decoder needs them. Its input size is "
        "fixed when it is built. It likes pretrained weights: from scratch on few images it learns slowly.",
    ),
    Family(
        "pvt",
        "PVT v2",
        "PVT v2: Improved Baselines with Pyramid Vision Transformer",
        "https://arxiv.org/abs/2106.13797",
        2021,
        "The pyramid vision transformer was made for dense tasks such as this one: like a convolutional network it "
        "goes through stages of falling resolution, but within a stage every point attends to the whole picture. To "
        "keep that affordable, what is attended to is a shrunken copy. Version two adds overlapping patches, so "
        "that edges between patches matter less, and a small convolution inside each block that tells points where "
        "they are. The picture's size can be chosen freely.",
    ),
    Family(
        "edgenext",
        "EdgeNeXt",
        "EdgeNeXt: Efficiently Amalgamated CNN-Transformer Architecture for Mobile Vision Applications",
        "https://arxiv.org/abs/2206.10589",
        2022,
        "EdgeNeXt mixes both worlds for small devices: convolutions for detail nearby, attention for relations far "
        "apart. Its attention works across channels instead of across points, so that its cost grows only in "
        "proportion to the number of pixels, and it splits channels into groups that look at neighbourhoods of "
        "growing size. It has few parameters, and compares well with MobileNets of its size. As in ConvNeXt, whose "
        "blocks it borrows, its finest features stand at a quarter of the resolution.",
    ),
)

FAMILIES: dict[str, Family] = {family.name: family for family in _ROWS}
