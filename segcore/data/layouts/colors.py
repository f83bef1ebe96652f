"""A class table where none is given: one class for each colour or value that a sample of the masks holds."""

from __future__ import annotations

import colorsys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from segcore.config import IGNORE_INDEX, ClassInfo
from segcore.data.classes import Color
from segcore.data.readers import image_size, read_raw_mask
from segcore.errors import DatasetError, ImageReadError
from segcore.text import plural

SAMPLE = 24
"""So many masks are looked at, spread over all of them; a class that only others hold has to be added by hand."""
MAX_CLASSES = 64
_SIDE = 1024
"""Larger masks are looked at with so many pixels along the longer side; a small object may be missed."""
_RARE = 0.0005
"""Colours of fewer of the sampled pixels are taken for blended edges where there are more than `MAX_CLASSES`."""


def distinct_colors(count: int) -> list[Color]:
    """Return so many colours, none twice and none grey: hues a golden angle apart, lighter and darker in turn."""
    colors: list[Color] = []
    step = 0
    while len(colors) < count:
        tone = colorsys.hsv_to_rgb((0.58 + 0.618034 * step) % 1, 0.55 + 0.2 * (step % 3), 0.55 + 0.2 * (step // 3 % 3))
        color = (round(255 * tone[0]), round(255 * tone[1]), round(255 * tone[2]))
        if color not in colors:
            colors.append(color)
        step += 1
    return colors


def propose_classes(masks: Sequence[Path]) -> tuple[tuple[ClassInfo, ...], tuple[str, ...]]:
    """Return classes named class_1, class_2, … for what a sample of masks holds, and what to know about them.

    Masks in colours, and those that have a palette or hold greys far apart, give a class for each colour, the most
    frequent first. Other masks of one channel are taken for rows of a table: class_1 is value 0; 255 is no class.

    Raises:
        DatasetError: none of the sampled masks can be read.
    """
    colors: Counter[Color] = Counter()
    greys: Counter[int] = Counter()
    read = 0
    for path in _spread(masks, SAMPLE):
        try:
            width, height = image_size(path)
            scale = min(1.0, _SIDE / max(width, height))  # nothing is blended: each pixel left is one of the mask
            mask = read_raw_mask(path, size=(max(1, round(width * scale)), max(1, round(height * scale))))
        except ImageReadError:  # the check will say which and why
            continue
        read += 1
        if mask.rgb is not None:
            _count_colors(colors, mask.rgb.reshape(-1, 3))
            continue
        assert mask.values is not None and mask.palette is not None
        counts = np.bincount(mask.values.ravel())
        used = {int(value): int(counts[value]) for value in np.flatnonzero(counts)}
        if (mask.palette[:, 0] != mask.palette[:, 1]).any():
            colors.update({_color(mask.palette[min(value, 255)]): count for value, count in used.items()})
        else:
            greys.update(used)
    if not read:
        raise DatasetError("None of the masks can be read, so no classes can be proposed.", field="masks")
    if greys and not colors and _are_rows(greys):
        return _rows(max(value for value in greys if value != IGNORE_INDEX))
    colors.update({(min(value, 255),) * 3: count for value, count in greys.items()})
    return _of_colors(colors)


def _spread(masks: Sequence[Path], count: int) -> list[Path]:
    step = max(1, len(masks) // count)
    return list(masks[::step][:count])


def _count_colors(colors: Counter[Color], pixels: np.ndarray) -> None:
    packed = (pixels.astype(np.int32) * np.array([65536, 256, 1], np.int32)).sum(axis=1, dtype=np.int32)
    values, counts = np.unique(packed, return_counts=True)
    most = np.argsort(-counts, kind="stable")[:4096]  # a JPEG's blends: no use in keeping all
    for value, count in zip(values[most].tolist(), counts[most].tolist(), strict=True):
        colors[value >> 16, value >> 8 & 255, value & 255] += count


def _color(entry: np.ndarray) -> Color:
    red, green, blue = (int(part) for part in entry)
    return red, green, blue


def _are_rows(greys: Counter[int]) -> bool:
    """Whether values are rows of a table: small, as 0 … 7 are, and not 0 and 255 or greys spread over the range."""
    values = sorted(value for value in greys if value != IGNORE_INDEX)
    return bool(values) and values[-1] < MAX_CLASSES and (values[-1] > 0 or IGNORE_INDEX not in greys)


def _rows(last: int) -> tuple[tuple[ClassInfo, ...], tuple[str, ...]]:
    colors = distinct_colors(last + 1)
    classes = tuple(ClassInfo(name=f"class_{row + 1}", color=color) for row, color in enumerate(colors))
    return classes, (
        f"No class table was found. The masks hold the values 0 to {last}: class_1 stands for 0, class_2 for 1 and so "
        "on, in colours made up here. Name them.",
    )


def _of_colors(colors: Counter[Color]) -> tuple[tuple[ClassInfo, ...], tuple[str, ...]]:
    notes = ["No class table was found: each colour of the masks that were looked at is a class of its own. Name them."]
    found = [color for color, _ in colors.most_common()]
    if len(found) > MAX_CLASSES:
        least = _RARE * colors.total()
        kept = [color for color in found if colors[color] >= least][:MAX_CLASSES]
        notes.append(
            f"The masks hold {plural(len(found), 'colour')}, as blended edges or JPEG do; the {len(kept)} frequent "
            "ones are proposed. Remove those that are no class."
        )
        found = kept
    return tuple(ClassInfo(name=f"class_{row + 1}", color=color) for row, color in enumerate(found)), tuple(notes)
