"""A folder of images and a folder of masks, whatever they are called, or both in one folder, told by their names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from segcore.config import IGNORE_INDEX, ClassInfo
from segcore.data.classes import ClassTable
from segcore.data.layouts import tables
from segcore.data.layouts.guess import Candidate
from segcore.data.layouts.listing import Listing, read_lines
from segcore.data.layouts.voc import read_labelmap
from segcore.errors import ClassTableError

IMAGES = ("images", "image", "imgs", "img", "original_images", "photos", "rgb", "input", "inputs", "frames", "x")
MASKS = (
    "masks", "mask", "labels", "label", "annotations", "annotation", "gt", "ground_truth", "groundtruth", "targets",
    "target", "segmentation", "segmentations", "label_images", "y",
)  # fmt: skip
IMAGE_ENDS = ("", "_image", "_img", "_sat", "_rgb", "_RGB")
MASK_ENDS = ("", "_mask", "-mask", "_masks", "_label", "_labels", "_lab", "_gt", "_seg", "_m", "_annotation", "_L")
_PARTS = r"(train|training|val|valid|validation|test)"
_SCENE = r"(?i)(?:^|[/_-])((?:tile|scene|seq|sequence|flight|area|site|region|block|plot|field|strip)[-_ ]?\d+)"
_SUFFIX = r"\.(?:png|jpe?g|tiff?|bmp|webp|PNG|JPE?G|TIFF?)"


def candidates(listing: Listing) -> Iterator[Candidate]:
    """Yield two folders side by side, the same once for each part, or one folder with masks among the images."""
    classes, notes = class_table(listing)
    found = [_by_part(listing), _beside(listing)]
    if found == [None, None]:  # masks in a folder of their own may have names with ends, too
        found = [_together(listing)]
    for made in found:
        if made is not None:
            yield _grouped(listing, replace(made, classes=classes or None, warnings=notes))


def _grouped(listing: Listing, made: Candidate) -> Candidate:
    """Propose what tells scenes: a word with a number in most names, or sub-folders of several images."""
    paths = [
        str(PurePosixPath(file.removeprefix(f"{made.images}/")).with_suffix(""))
        for file in listing.matching(made.images, made.image_regex or ".*")
    ]
    texts = paths if made.image_regex else [path.rpartition("/")[2] for path in paths]
    matches = [match.group(1) for text in texts if (match := re.search(_SCENE, text))]
    if len(matches) > 0.9 * len(texts) and 1 < len(set(matches)) <= len(texts) / 2:
        return replace(made, group_regex=_SCENE)
    folders = {path.rpartition("/")[0] for path in paths}
    named = {folder for folder in folders if not re.fullmatch(rf"(?:{_PARTS}(?:/|$))?(?:{'|'.join(IMAGES)})?", folder)}
    return replace(made, group_by_folder=1 < len(named) <= len(paths) / 2)


def class_table(listing: Listing) -> tuple[tuple[ClassInfo, ...], tuple[str, ...]]:
    """Return the classes of a table in the folder, if there is one that can be used, and where it is."""
    labelmap = listing.named("labelmap.txt")
    if labelmap is not None:
        classes, notes = read_labelmap(listing.path(labelmap))
        return classes, notes
    tables_found = [file for file in listing.files if file.lower().endswith(".csv")]
    # A file that is called so comes first; any other CSV may be a table, too, but there must not be many to try.
    likely = sorted(
        tables_found, key=lambda file: (not re.search("class|colou?r|label", file.lower()), file.count("/"))
    )
    for file in likely[:5]:
        if len(read_lines(listing.path(file))) > IGNORE_INDEX + 1:
            continue  # more lines than there can be classes
        try:
            found = ClassTable.read_csv(listing.path(file)).classes
        except ClassTableError:  # some other CSV
            continue
        return tables.table({info.name: info.color for info in found}), (f"Classes are those of {file}.",)
    return (), ()


def _beside(listing: Listing) -> Candidate | None:
    """Two folders with names for images and masks; those with the most files where there are several."""
    pairs = [
        (listing.folders[images] + listing.folders[masks], images, masks)
        for images in listing.folders_named(*IMAGES)
        for masks in listing.folders_named(*MASKS)
        if images.rpartition("/")[0] == masks.rpartition("/")[0]
    ]
    if not pairs:
        return None
    _, images, masks = max(pairs, key=lambda pair: (pair[0], -pair[1].count("/")))
    regexes = _ends(listing.matching(images, ".*"), listing.matching(masks, ".*"), images, masks)
    return Candidate(
        layout="folders",
        title="A folder of images and a folder of masks",
        why=f"Recognised by the folders {images} and {masks}" + (" and the ends of file names." if regexes else "."),
        images=images,
        masks=masks,
        image_regex=regexes[0] if regexes else None,
        mask_regex=regexes[1] if regexes else None,
        parts_regex=rf"^{_PARTS}/",
    )


def _by_part(listing: Listing) -> Candidate | None:
    """Folders of images and masks once for each part: train/images, train/masks, val/images, …"""
    names = "|".join(map(re.escape, MASKS))
    base = listing.base_of(rf"{_PARTS}/(?:{names})/[^/]+{_SUFFIX}")
    if base is None:
        return None
    inside = f"{base}/" if base else ""
    found = [
        folder.removeprefix(inside)
        for folder in listing.folders
        if folder.startswith(inside) and re.fullmatch(rf"{_PARTS}/[^/]+", folder.removeprefix(inside))
    ]
    images = next((name for name in IMAGES if any(folder.endswith(f"/{name}") for folder in found)), None)
    masks = next((name for name in MASKS if any(folder.endswith(f"/{name}") for folder in found)), None)
    if images is None or masks is None:
        return None
    ends = _best_ends(listing.matching(base, f"{_PARTS}/{images}/.+"), listing.matching(base, f"{_PARTS}/{masks}/.+"))
    return Candidate(
        layout="folders",
        title="Folders of images and masks for each part",
        why=f"Recognised by the folders {images} and {masks} inside train, val and the like.",
        images=base,
        masks=base,
        image_regex=rf"{_PARTS}/{images}/(.+){re.escape(ends[0])}{_SUFFIX}",
        mask_regex=rf"{_PARTS}/{masks}/(.+){re.escape(ends[1])}{_SUFFIX}",
        parts_regex=rf"^{_PARTS}/",
    )


def _together(listing: Listing) -> Candidate | None:
    """Images and masks in one folder, the masks told by the end of their names."""
    image_end, mask_end = _best_ends(listing.images, listing.images, apart=False)
    if not mask_end:
        return None
    no_mask = "" if image_end else rf"(?!.*{re.escape(mask_end)}\.[^.]+$)"
    return Candidate(
        layout="one-folder",
        title="Images and masks in one folder",
        why=f"Recognised by mask names that end with {mask_end}.",
        image_regex=rf"{no_mask}(.+){re.escape(image_end)}{_SUFFIX}",
        mask_regex=rf"(.+){re.escape(mask_end)}{_SUFFIX}",
        parts_regex=rf"^{_PARTS}/",
    )


def _ends(images: Sequence[str], masks: Sequence[str], image_folder: str, mask_folder: str) -> tuple[str, str] | None:
    """Return expressions that leave out the ends of names in two folders; None where stems pair as they are."""
    ends = _best_ends(
        [file.removeprefix(f"{image_folder}/") for file in images],
        [file.removeprefix(f"{mask_folder}/") for file in masks],
    )
    if ends == ("", ""):
        return None
    return rf"(.+){re.escape(ends[0])}{_SUFFIX}", rf"(.+){re.escape(ends[1])}{_SUFFIX}"


def _best_ends(images: Iterable[str], masks: Iterable[str], *, apart: bool = True) -> tuple[str, str]:
    """Return which ends of image and mask names have to be left out so that most have a partner; "" where none.

    Where images and masks are not `apart`, in one folder, every file has itself for a partner, which is none.
    """
    image_stems, mask_stems = ({PurePosixPath(file).stem for file in files} for files in (images, masks))
    best, most = ("", ""), len(image_stems & mask_stems) if apart else 0
    left = {end: {stem.removesuffix(end) for stem in image_stems if stem.endswith(end)} for end in IMAGE_ENDS}
    right = {end: {stem.removesuffix(end) for stem in mask_stems if stem.endswith(end)} for end in MASK_ENDS}
    for image_end, mask_end in ((image, mask) for image in IMAGE_ENDS for mask in MASK_ENDS if image != mask):
        common = len(left[image_end] & right[mask_end])
        if common > most:
            best, most = (image_end, mask_end), common
    return best
