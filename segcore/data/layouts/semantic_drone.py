"""The Semantic Drone Dataset of TU Graz, as published and as it is mostly passed on.

Official, by the dataset's own readme: training_set/images/000.jpg, training_set/gt/semantic/label_images/000.png in
colours, training_set/gt/semantic/class_dict.csv. Passed on (kaggle.com/datasets/bulentsiyah/semantic-drone-dataset):
dataset/semantic_drone_dataset/original_images/000.jpg with label_images_semantic/000.png, whose values are rows of
class_dict_seg.csv, and RGB_color_image_masks/RGB_color_image_masks/000.png, the same in colours.
"""

from __future__ import annotations

from collections.abc import Iterator

from segcore.config import ClassInfo
from segcore.data.classes import ClassTable
from segcore.data.layouts import tables
from segcore.data.layouts.guess import Candidate
from segcore.data.layouts.listing import Listing
from segcore.errors import ClassTableError

_SCENES = (
    "File names do not tell which frames show the same garden; look for overlaps (Leakage) before you trust a split."
)


def candidates(listing: Listing) -> Iterator[Candidate]:
    """Yield the official arrangement and the one passed on, where the folders are there."""
    for masks in (folder for folder in listing.folders if f"/{folder}".endswith("/gt/semantic/label_images")):
        images = masks.removesuffix("gt/semantic/label_images") + "images"
        if images in listing.folders:
            yield _candidate(listing, "semantic-drone", "Semantic Drone Dataset", images, masks, "class_dict.csv")
            break
    images = next(iter(listing.folders_named("original_images")), "")
    # The innermost of folders in folders of one name; values before colours, as they are smaller and the same.
    for name in ("label_images_semantic", "RGB_color_image_masks"):
        masks = next(reversed(listing.folders_named(name)), "")
        if images and masks:
            title = "Semantic Drone Dataset, as passed on"
            yield _candidate(listing, "semantic-drone-reposted", title, images, masks, "class_dict_seg.csv")
            break


def _candidate(listing: Listing, layout: str, title: str, images: str, masks: str, table: str) -> Candidate:
    classes, note = _classes(listing, table)
    return Candidate(
        layout=layout,
        title=title,
        why=f"Recognised by the folders {images} and {masks}.",
        images=images,
        masks=masks,
        classes=classes,
        warnings=(_SCENES, *([note] if note else [])),
    )


def _classes(listing: Listing, table: str) -> tuple[tuple[ClassInfo, ...], str]:
    """Return the classes of the table in the folder, or the published ones with a note."""
    path = listing.named(table)
    if path is None:
        return tables.SEMANTIC_DRONE, f"There is no {table}; the published classes are taken."
    try:
        found = ClassTable.read_csv(listing.path(path)).classes
    except ClassTableError as error:
        return tables.SEMANTIC_DRONE, f"{error} The published classes are taken."
    return tables.table({info.name: info.color for info in found}), ""
