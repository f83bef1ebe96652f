"""COCO's outlines: recognised by their files, and drawn into masks when a dataset is added."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from segcore.config import ClassInfo, DatasetConfig
from segcore.data.layouts.coco_drawing import draw
from segcore.data.layouts.coco_file import Annotations, Outlines, read_annotations
from segcore.data.layouts.colors import distinct_colors
from segcore.data.layouts.guess import EXAMPLES, Guess, spread
from segcore.data.layouts.listing import Listing
from segcore.data.outlines import remember
from segcore.data.pairing import Pair, image_names
from segcore.data.parallel import ordered_map
from segcore.data.splits import PART_NAMES, PARTS, Split
from segcore.errors import DatasetError, SplitError
from segcore.progress import Progress, silent
from segcore.text import plural

MAX_CATEGORIES = 254
_TRIED = 12


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


def draw_masks(guess: Guess, target: Path, progress: Progress = silent) -> DatasetConfig:
    """Draw the masks of a COCO guess into a folder, and return its configuration with them.

    Masks lie there as the images do in their folder, as PNG.

    Raises:
        DatasetError: a COCO file cannot be read (any more).
    """
    try:
        remember(guess.annotations, target)
    except OSError as error:
        raise DatasetError(f"{error.filename} cannot be read: {error.strerror}.", field="path") from error
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
