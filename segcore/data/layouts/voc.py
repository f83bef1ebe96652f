"""Pascal VOC's arrangement, and the mask export of CVAT, which is VOC's with a class table of its own.

VOC (devkit doc, Everingham et al.): JPEGImages/NAME.jpg, SegmentationClass/NAME.png with VOC's palette, lists in
ImageSets/Segmentation/train.txt, val.txt. CVAT ("Segmentation mask 1.1"): the same folders, ImageSets/Segmentation
named after subsets (default.txt), and labelmap.txt: `# label:color_rgb:parts:actions`, then `road:128,64,128::`.
Its masks are RGB in these colours; images are in JPEGImages if they were exported too, else in a folder beside.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from segcore.config import ClassInfo
from segcore.data.classes import Color
from segcore.data.layouts import tables
from segcore.data.layouts.guess import Candidate
from segcore.data.layouts.known import part_lists
from segcore.data.layouts.listing import Listing, read_lines
from segcore.data.readers import read_raw_mask
from segcore.errors import ConfigError, ImageReadError

_IMAGES = ("JPEGImages", "images", "image", "imgs")


def candidates(listing: Listing) -> Iterator[Candidate]:
    """Yield a CVAT export or a VOC arrangement, where there is a folder SegmentationClass with images beside it."""
    for masks in listing.folders_named("SegmentationClass")[:1]:
        base = masks.rpartition("/")[0]
        inside = f"{base}/" if base else ""
        images = next((inside + name for name in _IMAGES if inside + name in listing.folders), None)
        if images is None:
            return
        lists = part_lists(listing, f"{inside}ImageSets/Segmentation")
        labelmap = f"{inside}labelmap.txt"
        if labelmap in listing.files:
            classes, notes = read_labelmap(listing.path(labelmap))
            yield Candidate(
                layout="cvat",
                title="CVAT segmentation masks",
                why="Recognised by labelmap.txt beside SegmentationClass.",
                images=images,
                masks=masks,
                classes=classes or None,
                lists=lists,
                warnings=notes,
            )
            return
        known = _has_voc_colors([listing.path(file) for file in listing.matching(masks, ".*")])
        yield Candidate(
            layout="voc",
            title="Pascal VOC" if known else "Masks as Pascal VOC arranges them",
            why="Recognised by the folders JPEGImages and SegmentationClass.",
            images=images,
            masks=masks,
            classes=tables.VOC if known else None,
            lists=lists,
        )


def read_labelmap(path: Path) -> tuple[tuple[ClassInfo, ...], tuple[str, ...]]:
    """Return the classes of a labelmap.txt, and which of its lines are no class."""
    classes: list[ClassInfo] = []
    skipped = []
    for line in read_lines(path):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, rest = line.partition(":")
        color = _numbers(rest.partition(":")[0])
        taken = any(info.name == name or info.color == color for info in classes)
        try:
            if color is None or taken:
                raise ValueError
            classes.append(ClassInfo(name=name, color=color, ignore=tables.is_no_class(name)))
        except (ConfigError, ValueError):
            skipped.append(line[:60])
    notes = (f"Lines of {path.name} that are no class of its own name and colour: {'; '.join(skipped[:5])}.",)
    return tuple(classes), notes if skipped else ()


def _numbers(text: str) -> Color | None:
    try:
        red, green, blue = (int(part) for part in text.split(","))
    except ValueError:
        return None
    return red, green, blue


def _has_voc_colors(masks: list[Path]) -> bool:
    """Whether the first readable mask is drawn in VOC's own palette, with classes of VOC."""
    for path in masks[:5]:
        try:
            mask = read_raw_mask(path)
        except ImageReadError:
            continue
        if mask.values is None or mask.palette is None:
            return False
        used = set(mask.values.ravel().tolist())
        colors = {value: tables.voc_color(value) for value in used if value < 256}
        return used <= {*range(21), 255} and all(
            tuple(mask.palette[value].tolist()) == color for value, color in colors.items()
        )
    return False
