"""Drawing COCO's outlines: polygons [x1, y1, x2, y2, …], or runs {size: [height, width], counts}, as crowds have.

Row 0 of the class table is what no outline covers. Where outlines overlap, the smaller lies on top, so that a car on a
road stays a car; crowds lie below all others.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from segcore.data.layouts.coco_file import Outlines


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
