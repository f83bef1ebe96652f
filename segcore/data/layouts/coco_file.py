"""Reading COCO files (cocodataset.org, "Data format"), in which nothing is trusted.

A file holds `images` (id, file_name, width, height), `categories` (id, name) and `annotations` (image_id, category_id,
segmentation, iscrowd).
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segcore.errors import DatasetError
from segcore.files import read_limited

MAX_BYTES = 500_000_000
MAX_PIXELS = 178_000_000
"""Of one image: as many as Pillow opens."""


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
