"""What each decoder does, in plain words, under the name smp gives it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Decoder:
    """What turns a backbone's features into a mask."""

    name: str
    """The name of the architecture in segmentation_models_pytorch."""
    title: str
    paper: str
    url: str
    text: str
    """What it is, for someone who has never trained a network."""


_ROWS = (
    Decoder(
        "unet",
        "U-Net",
        "U-Net: Convolutional Networks for Biomedical Image Segmentation",
        "https://arxiv.org/abs/1505.04597",
        "The backbone shrinks the picture step by step until it knows what is there but no longer exactly where. "
        "U-Net walks back up: at each step it doubles the resolution and lays beside it the backbone's features of "
        "that very resolution, handed across by a bridge (a skip connection), which still know where every edge "
        "runs. Down one side and up the other, with bridges between: drawn on paper, a U. Made for medical images "
        "when only a few dozen labelled ones existed, it is the sound first choice for small datasets.",
    ),
    Decoder(
        "unetplusplus",
        "U-Net++",
        "UNet++: A Nested U-Net Architecture for Medical Image Segmentation",
        "https://arxiv.org/abs/1807.10165",
        "U-Net lays raw features of the backbone beside far more digested ones of the decoder. U-Net++ fills the gap: "
        "each bridge becomes a row of small blocks that prepare the features on their way across, and every block "
        "also sees its neighbour from the level below. That can sharpen outlines, and costs several times the "
        "computing and memory of a U-Net.",
    ),
    Decoder(
        "manet",
        "MA-Net",
        "MA-Net: A Multi-Scale Attention Network for Liver and Tumor Segmentation",
        "https://ieeexplore.ieee.org/document/9201310",
        "A U-Net with attention in two places: at the bottom, where every point may look at every other one, and on "
        "the way up, where channels are weighed by how much they help before features of two levels are joined. "
        "Meant for objects of very different sizes. The attention at the bottom makes it heavy for backbones whose "
        "last stage is wide.",
    ),
    Decoder(
        "linknet",
        "LinkNet",
        "LinkNet: Exploiting Encoder Representations for Efficient Semantic Segmentation",
        "https://arxiv.org/abs/1707.03718",
        "A U-Net made light: the features that come across a bridge are added to the decoder's own instead of being "
        "laid beside them, so that all layers stay narrow. Fewer parameters and less computing, made for video on "
        "small hardware, at some cost in fine detail.",
    ),
    Decoder(
        "fpn",
        "FPN",
        "Feature Pyramid Networks for Object Detection",
        "https://arxiv.org/abs/1612.03144",
        "A feature pyramid brings all levels of the backbone to the same narrow width, passes the coarse knowledge of "
        "what is there down to the finer levels by adding, enlarges every level to a quarter of the resolution, and "
        "sums them up into one picture that is then enlarged to full size. Light and steady; thin objects may come "
        "out a little soft, because its finest step is a quarter.",
    ),
    Decoder(
        "pspnet",
        "PSPNet",
        "Pyramid Scene Parsing Network",
        "https://arxiv.org/abs/1612.01105",
        "PSPNet asks about context: it averages the backbone's features over the whole picture and over grids of "
        "smaller cells, and gives these summaries to every point, so that a point knows the scene that it lies in. "
        "Here it uses only the first stages of the backbone and enlarges the result in one go: very fast, with few "
        "layers of its own, and coarse at the edges.",
    ),
    Decoder(
        "deeplabv3",
        "DeepLabV3",
        "Rethinking Atrous Convolution for Semantic Image Segmentation",
        "https://arxiv.org/abs/1706.05587",
        "DeepLab keeps the resolution from falling so far: filters in the backbone's last stages are spread out, with "
        "holes between their points (dilation), so that they see as far without shrinking the picture. On top, "
        "filters with holes of several widths look at near and far surroundings at once. Accurate on large areas, "
        "but costly, and only for backbones whose filters can be spread.",
    ),
    Decoder(
        "deeplabv3plus",
        "DeepLabV3+",
        "Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation",
        "https://arxiv.org/abs/1802.02611",
        "DeepLabV3 with a small decoder: after looking at near and far surroundings through filters with holes, the "
        "result is joined with fine features from an early stage of the backbone, which sharpens its edges. Cheaper "
        "than DeepLabV3, because it lets the resolution fall one step further and splits its filters. The backbone's "
        "filters must be of a kind that can be spread.",
    ),
    Decoder(
        "pan",
        "PAN",
        "Pyramid Attention Network for Semantic Segmentation",
        "https://arxiv.org/abs/1805.10180",
        "The pyramid attention network weighs what it sees: at the coarsest level a small pyramid of filters tells "
        "every point how much its surroundings matter, and on the way up the coarse level decides which channels of "
        "the finer one are let through. Very few parameters of its own. Like DeepLab it needs a backbone whose "
        "filters can be spread.",
    ),
    Decoder(
        "upernet",
        "UPerNet",
        "Unified Perceptual Parsing for Scene Understanding",
        "https://arxiv.org/abs/1807.10221",
        "UPerNet joins two older ideas: the averages over the whole picture of PSPNet at the coarsest level, and a "
        "feature pyramid that carries this knowledge down to the finer levels. In the end all levels are put together "
        "at a quarter of the resolution. It is the decoder with which transformer backbones are usually compared, "
        "and heavier than FPN.",
    ),
    Decoder(
        "segformer",
        "SegFormer",
        "SegFormer: Simple and Efficient Design for Semantic Segmentation with Transformers",
        "https://arxiv.org/abs/2105.15203",
        "The simplest of all: every level of the backbone is brought to the same width, enlarged to a quarter of the "
        "resolution and put together, and one layer that looks at single points answers what each point is. It "
        "leaves all looking around to the backbone, and so suits those that see far by themselves, as transformers "
        "do. The name stands here for the decoder alone; any backbone can stand before it.",
    ),
    Decoder(
        "dpt",
        "DPT",
        "Vision Transformers for Dense Prediction",
        "https://arxiv.org/abs/2103.13413",
        "A plain vision transformer keeps one resolution from its first layer to its last, which no other decoder "
        "here can use. DPT takes what several of its layers know, turns each into a picture of another resolution, "
        "and merges them step by step from coarse to fine. Choose it for plain vision transformers.",
    ),
)

DECODERS: dict[str, Decoder] = {decoder.name: decoder for decoder in _ROWS}
