"""COCO's outlines (cocodataset.org, "Data format"): recognised here, and drawn into masks when a dataset is added.

A file holds `images` (id, file_name, width, height), `categories` (id, name) and `annotations` (image_id, category_id,
segmentation). A segmentation is a list of polygons [x1, y1, x2, y2, …], or runs {size: [height, width], counts}, as
crowds have. Row 0 of the class table is what no outline covers. Where outlines overlap, the smaller lies on top, so
that a car on a road stays a car; crowds lie below all others.
"""

from __future__ import annotations

import json
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from segcore.config import ClassInfo, DatasetConfig
from segcore.data.layouts.colors import distinct_colors
from segcore.data.layouts.guess import EXAMPLES, Guess, spread
from segcore.data.layouts.listing import Listing
from segcore.data.pairing import Pair, image_names
from segcore.data.parallel import ordered_map
from segcore.data.splits import PART_NAMES, PARTS, Split
from segcore.errors import DatasetError, SplitError
from segcore.files import read_limited
from segcore.progress import Progress, silent
from segcore.text import plural

MAX_BYTES = 500_000_000
MAX_PIXELS = 178_000_000
"""Of one image: as many as Pillow opens."""
MAX_CATEGORIES = 254
_TRIED = 12


@dataclass(frozen=True)
class Outlines:
    """One image of a COCO file with what is drawn on it."""

    file_name: str
    size: tuple[int, int]
    """(width, height)."""
    shapes: tuple[tuple[int, Any, bool], ...]
    """(category id, segmentation, whether it is a crowd)."""


@dataclass(frozen=True)
class Annotations:
    """What a COCO file says, as far as masks need it."""

    path: Path
    categories: dict[int, str]
    images: tuple[Outlines, ...]
    skipped: int = 0
    """Entries that are not as the format says."""
    rows: dict[int, int] = field(default_factory=dict)
    """Category id -> row of the class table."""


def read_annotations(path: Path) -> Annotations:
    """Read a COCO file.

    Raises:
        DatasetError: it cannot be read, or is none.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DatasetError(f"{path} has more than {MAX_BYTES // 10**6} MB; divide it.", field="path")
        value = json.loads(read_limited(path, MAX_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetError(f"{path} cannot be read as JSON: {error}.", field="path") from error
    if not isinstance(value, dict) or not all(
        isinstance(value.get(part), list) for part in ("images", "annotations", "categories")
    ):
        raise DatasetError(f"{path} has no lists of images, annotations and categories, as COCO has.", field="path")
    categories = {
        entry["id"]: _class_name(entry["name"]) or f"category {entry['id']}"
        for entry in value["categories"]
        if isinstance(entry, dict) and isinstance(entry.get("id"), int) and "name" in entry
    }
    shapes: dict[Any, list[tuple[int, Any, bool]]] = defaultdict(list)
    skipped = 0
    for entry in value["annotations"]:
        known = isinstance(entry, dict) and isinstance(entry.get("category_id"), int)
        if known and entry["category_id"] in categories and isinstance(entry.get("image_id"), (int, str)):
            outline = (entry["category_id"], entry.get("segmentation"), bool(entry.get("iscrowd")))
            shapes[entry["image_id"]].append(outline)
        else:
            skipped += 1
    images = []
    for entry in value["images"]:
        if isinstance(entry, dict) and _usable(entry):
            own = tuple(shapes.get(entry["id"], ()))
            images.append(Outlines(entry["file_name"].replace("\\", "/"), (entry["width"], entry["height"]), own))
        else:
            skipped += 1
    rows = {category: row for row, category in enumerate(sorted(categories), start=1)}
    return Annotations(path, categories, tuple(images), skipped, rows)


def _class_name(value: object) -> str:
    """Return a name in one line of valid text, at most 80 characters long."""
    text = str(value)[:200].encode("utf-8", "replace").decode()
    return " ".join("".join(letter for letter in text if letter.isprintable()).split())[:80].strip()


def _usable(entry: dict[str, Any]) -> bool:
    sides = entry.get("width"), entry.get("height")
    return (
        isinstance(entry.get("file_name"), str)
        and isinstance(entry.get("id"), (int, str))
        and all(isinstance(side, int) and 0 < side < 2**17 for side in sides)
        and entry["width"] * entry["height"] <= MAX_PIXELS
    )


# Recognising ------------------------------------------------------------------------------------------


def guesses(listing: Listing, name: str) -> Iterator[Guess]:
    """Yield the one guess of a folder with COCO files and their images; nothing where there are none."""
    found = []
    for file in [file for file in listing.files if file.lower().endswith(".json")][:_TRIED]:
        try:
            found.append(read_annotations(listing.path(file)))
        except DatasetError:  # some other JSON
            continue
    found = [annotations for annotations in found if annotations.categories]
    # Parts of one dataset have the same categories; what differs is another dataset.
    found = [annotations for annotations in found if annotations.categories == found[0].categories]
    files = {annotations.path: locate(listing.root, listing.images, annotations) for annotations in found}
    placed = [file for own in files.values() for file in own]
    if not placed or len(found[0].categories) > MAX_CATEGORIES:
        return
    folder = Path(os.path.commonpath([file.parent for file in placed]))
    names = image_names(folder)
    pairs = [Pair(names[file], file, file, names[file]) for file in dict.fromkeys(placed) if file in names]
    if not pairs:  # all of them share their names with other images
        return
    split, doubts = _split(files, names)
    lost = sum(len(annotations.images) - len(files[annotations.path]) for annotations in found)
    skipped = sum(annotations.skipped for annotations in found)
    yield Guess(
        layout="coco",
        title="COCO polygons",
        why=f"Recognised by {', '.join(annotations.path.name for annotations in found)}.",
        config=DatasetConfig(name=name, images=folder, masks=folder, classes=classes_of(found[0]), layout="coco"),
        pairs=len(pairs),
        groups=len(pairs),
        split=split,
        examples=spread(sorted(pairs, key=lambda pair: pair.name), EXAMPLES),
        warnings=(
            "Masks are drawn from the outlines when the dataset is added, and kept with it. Where outlines overlap, "
            "the smaller lies on top; crowds lie below all others.",
            *([f"{plural(lost, 'image')} of the list are not here."] if lost else []),
            *([f"{plural(skipped, 'entry', 'entries')} are not as COCO says and are left out."] if skipped else []),
            *doubts,
        ),
        annotations=tuple(annotations.path for annotations in found),
    )


def locate(root: Path, images: Sequence[str], annotations: Annotations) -> dict[Path, Outlines]:
    """Return the image files below `root` that a COCO file names; those nearest to it where there are several."""
    by_name = defaultdict(list)
    for image in images:
        by_name[image.rpartition("/")[2]].append(image)
    home = annotations.path.parent.relative_to(root).as_posix()
    part = _part(annotations.path)
    placed = {}
    for entry in annotations.images:
        fitting = [
            image
            for image in by_name.get(entry.file_name.rpartition("/")[2], ())
            if f"/{image}".endswith(f"/{entry.file_name}")
        ]
        if fitting:
            nearest = min(
                fitting, key=lambda image: (not _below(image, home), part not in image.lower(), image.count("/"), image)
            )
            placed[root / nearest] = entry
    return placed


def _below(image: str, folder: str) -> bool:
    return folder != "." and image.startswith(f"{folder}/")


def _part(path: Path) -> str:
    """Return the part that a COCO file is of, by its name or its folder's; "" where neither says."""
    for text in (path.stem, path.parent.name):
        match = re.search("train|valid|val|test", text.lower())
        if match:
            return PART_NAMES[match.group()]
    return ""


def _split(files: dict[Path, dict[Path, Outlines]], names: dict[Path, str]) -> tuple[Split | None, list[str]]:
    parts: dict[str, list[str]] = {part: [] for part in PARTS}
    for path, own in files.items():
        if _part(path):
            parts[_part(path)] += [names[file] for file in own if file in names]
    if not any(parts.values()):
        return None, []
    try:
        return Split(*(tuple(parts[part]) for part in PARTS)), []
    except SplitError as error:
        return None, [f"The files are no split to study on: {error}"]


def classes_of(annotations: Annotations) -> tuple[ClassInfo, ...]:
    """Return background and the categories by id, in colours made up."""
    colors = distinct_colors(len(annotations.categories))
    classes = [ClassInfo(name="background", color=(0, 0, 0))]
    for category, color in zip(sorted(annotations.categories), colors, strict=True):
        stated = name = annotations.categories[category]
        taken, number = {info.name for info in classes}, 2
        while name in taken:
            name, number = f"{stated[:70]} ({number})", number + 1
        classes.append(ClassInfo(name=name, color=color))
    return tuple(classes)


# Drawing ----------------------------------------------------------------------------------------------


def draw(entry: Outlines, rows: dict[int, int]) -> np.ndarray:
    """Draw the outlines of one image: HW uint8, rows of the class table, 0 where there is none.

    An outline that is not as the format says leaves no trace.
    """
    from pycocotools import mask as runs  # compiled; only needed for COCO

    width, height = entry.size
    drawn = []
    for category, segmentation, crowd in entry.shapes:
        encoded = _encoded(segmentation, width, height)
        if encoded is not None:
            drawn.append((not crowd, -float(runs.area(encoded)), category, encoded))
    labels = np.zeros((height, width), np.uint8)
    for _, _, category, encoded in sorted(drawn, key=lambda shape: shape[:2]):
        labels[runs.decode(encoded).astype(bool)] = rows[category]
    return labels


def _encoded(segmentation: Any, width: int, height: int) -> Any:
    """Return a segmentation as pycocotools encodes it; None where it is none."""
    from pycocotools import mask as runs

    if isinstance(segmentation, list):
        polygons = [polygon for polygon in map(_polygon, segmentation) if polygon is not None]
        # Its edges are walked pixel by pixel: a corner far outside would take hours.
        polygons = [np.clip(polygon, 0, (width, height)).ravel().tolist() for polygon in polygons]
        return runs.merge(runs.frPyObjects(polygons, height, width)) if polygons else None
    if not isinstance(segmentation, dict) or segmentation.get("size") != [height, width]:
        return None
    counts = segmentation.get("counts")
    if isinstance(counts, str):
        counts = _unpacked(counts)
    if not isinstance(counts, list) or not all(isinstance(count, int) and count >= 0 for count in counts):
        return None
    # pycocotools leaves what damaged runs do not fill as it finds it in memory.
    if sum(counts) != width * height:
        return None
    return runs.frPyObjects({"size": [height, width], "counts": counts}, height, width)


def _unpacked(text: str) -> list[int] | None:
    """Return the runs that COCO's compressed form stands for; None where it is none.

    Five bits a letter from "0" on, the lowest first, 32 for "goes on"; from the third, differences to the last but one
    (cocoapi/common/maskApi.c, rleFrString).
    """
    counts: list[int] = []
    value = shift = 0
    for letter in text:
        bits = ord(letter) - 48
        if not 0 <= bits < 64 or shift > 40:
            return None
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = 0
    return counts if shift == 0 else None


def _polygon(value: Any) -> np.ndarray | None:
    """Return the corners of a polygon, (N, 2) float64; None where it is none."""
    if not isinstance(value, list) or len(value) < 6 or len(value) % 2:
        return None
    if not all(isinstance(number, (int, float)) and abs(number) < 1e9 for number in value):
        return None
    return np.array(value, np.float64).reshape(-1, 2)


def draw_masks(guess: Guess, target: Path, progress: Progress = silent) -> DatasetConfig:
    """Draw the masks of a COCO guess into a folder, and return its configuration with them.

    Masks lie there as the images do in their folder, as PNG.

    Raises:
        DatasetError: a COCO file cannot be read (any more).
    """
    work = _work(guess)

    def make(item: tuple[Path, tuple[Outlines, dict[int, int]]]) -> None:
        image, (entry, rows) = item
        path = (target / image.relative_to(guess.config.images)).with_suffix(".png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw(entry, rows)).save(path)

    for _ in ordered_map(make, sorted(work.items()), progress):
        pass
    return guess.config.model_copy(update={"masks": target})


def draw_examples(guess: Guess) -> list[np.ndarray]:
    """Draw the masks of a COCO guess's examples: HW uint8 each, rows of the class table.

    Raises:
        DatasetError: a COCO file cannot be read (any more).
    """
    work = _work(guess)
    return [draw(*work[pair.image]) for pair in guess.examples]


def annotated_images(guess: Guess) -> dict[Path, str]:
    """Return the images that a COCO guess has outlines of, with their names in the dataset.

    Raises:
        DatasetError: a COCO file cannot be read (any more).
    """
    names = image_names(guess.config.images)
    return {image: names[image] for image in _work(guess) if image in names}


def _work(guess: Guess) -> dict[Path, tuple[Outlines, dict[int, int]]]:
    """Return what is to be drawn on each image, with the rows of its categories."""
    root = Path(os.path.commonpath([guess.config.images, *(path.parent for path in guess.annotations)]))
    images = [file.relative_to(root).as_posix() for file in image_names(guess.config.images)]
    work = {}
    for path in guess.annotations:
        annotations = read_annotations(path)
        for file, entry in locate(root, images, annotations).items():
            work[file] = (entry, annotations.rows)
    return work
