"""What a check says of what it found: sentences, and what can be done about it."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from segcore.data.classes import ClassTable
from segcore.data.looks import ODDITIES, Look
from segcore.data.pairing import Pair, Pairing, not_followed
from segcore.data.report import ImageFacts, NearColors, Problem
from segcore.decisions import READINGS, SNAP_STEPS, Exclude, Ignore, Read, Reading, Snap, Value, describe_value
from segcore.text import plural, printable, scaled

_SHOWN = 1000
"""So many images of a problem are named at most."""
_BLEND = 16
"""So many unknown colours, or more, are a sign of blending."""


# Files --------------------------------------------------------------------------------------------------


def pairing_problems(pairing: Pairing) -> Iterator[Problem]:
    for file in pairing.images_without_mask:
        message = (
            f"The image {file.name} has no mask: none has the same stem, or is captured alike by the expressions where "
            f"there are any. Add the mask, {file.stem}.png for example."
        )
        yield Problem(file, "no mask", message, excluded=True)
    for file in pairing.masks_without_image:
        message = (
            f"The mask {file.name} has no image: none has the same stem, or is captured alike by the expressions where "
            "there are any. Add the image, or remove the mask."
        )
        yield Problem(file, "no image", message, excluded=True)
    for file in pairing.duplicates:
        message = (
            f"Several files have the stem {file.stem!r}, or are captured alike by the expressions, so it is open which "
            "belongs to which. Keep one, or put images and masks into sub-folders of the same names."
        )
        yield Problem(file, "repeated name", message, excluded=True)
    for file in pairing.unusable_names:
        message = (
            f"The name {printable(file.name, lines=False)} is too long (over 200 bytes), not valid text, or holds "
            "control characters. Rename the file."
        )
        yield Problem(file, "unusable name", message, excluded=True)
    for file in pairing.astray:
        message = (
            f"{file.name} is a link to {printable(os.path.realpath(file))}, outside the folders of this dataset; only "
            "what these hold is read. Put the file itself there, or name the folder that the link leads to."
        )
        yield Problem(file, "link out of the folder", message, excluded=True)
    if pairing.ungrouped:
        count, example = len(pairing.ungrouped), pairing.ungrouped[0]
        message = (
            f"The regular expression for groups does not match {count} image name{'s' if count > 1 else ''}, e.g. "
            f"{example!r}; each is a group of its own."
        )
        yield Problem(None, "ungrouped", message, excluded=False)


def link_problems(links: Sequence[Path]) -> Iterator[Problem]:
    """Say which folders were not searched as they are links."""
    if links:
        yield Problem(None, "linked folder", not_followed(list(map(str, links))), excluded=False)


def outline_problems(changed: Sequence[Path]) -> Iterator[Problem]:
    """Say which files of outlines are not any more what the masks were drawn from."""
    for file in changed:
        message = (
            f"{file.name} has changed since the masks were drawn from it, when the dataset was added; what it says now "
            "is not in them. To learn from it, add the folder again under another name, or remove this dataset first."
        )
        yield Problem(file, "outlines changed", message, excluded=False)


def left_out(pair: Pair) -> Problem:
    """Say that an image is not used as somebody decided so."""
    message = f"The image {pair.image.name} is left out, as you decided. Undo that decision to use it again."
    return Problem(pair.image, "left out", message, excluded=True)


def size_problem(pair: Pair, image: tuple[int, int], mask: tuple[int, int]) -> Problem:
    """Say that image and mask are of two sizes."""
    turned = " One of them is turned; orientation notes (EXIF) are ignored." if image == mask[::-1] else ""
    return Problem(
        pair.mask,
        "size differs",
        f"The mask {pair.mask.name} has {mask[0]} × {mask[1]} pixels, its image {image[0]} × {image[1]}; they must be "
        f"the same. Export the mask again at the image's size.{turned}",
        excluded=True,
    )


def content_problem(
    pair: Pair, labelled: int, most: Value | None, table: ClassTable, reading: Reading
) -> Problem | None:
    """Say why nothing can be learnt from a readable mask.

    Args:
        pair: the files.
        labelled: pixels that have a trained class.
        most: the most frequent value that the table does not have.
        table: the classes.
        reading: how masks are read.
    """
    if labelled == 0 and most is not None:
        expected = (
            f"rows of the class table, 0-{len(table.rows) - 1}, or 255 for ignore"
            if reading == "index"
            else "exactly the colours of the class table"
        )
        return Problem(
            pair.mask,
            "no known colour",
            f"No pixel of the mask {pair.mask.name} has a class; the most frequent is "
            f"{describe_value(most)}. Expected {expected}. "
            + (
                "JPEG blends colours: export masks as PNG."
                if is_lossy(pair.mask)
                else "Correct the class table or the mask."
            ),
            excluded=True,
        )
    if labelled == 0:
        return Problem(
            pair.mask,
            "nothing labelled",
            f"All pixels of the mask {pair.mask.name} are ignored, so there is nothing to learn from it.",
            excluded=True,
        )
    return None


# The whole dataset --------------------------------------------------------------------------------------


def class_problems(facts: Sequence[ImageFacts], table: ClassTable) -> Iterator[Problem]:
    """Say which classes no mask shows."""
    pixels = np.array([fact.class_pixels for fact in facts]).sum(axis=0) if facts else np.zeros(0)
    missing = [info.name for info, count in zip(table.trained, pixels, strict=False) if count == 0]
    if missing:
        message = (
            f"No mask shows {', '.join(missing)}; nothing can be learnt about {'it' if len(missing) == 1 else 'them'}. "
            "Check the colours in the class table, or ignore these classes."
        )
        enough = len(table.trained) - len(missing) >= 2
        action = Ignore(names=tuple(missing)) if enough else None
        yield Problem(None, "class never seen", message, excluded=False, action=action)


_ODD: dict[str, tuple[str, str]] = {
    "16-bit image": ("of 16 bits a channel", "They are scaled linearly to 8 bits, which may leave them very dark."),
    "image with alpha": ("with an alpha channel", "It is dropped: what is transparent shows the colour stored there."),
    "CMYK image": ("in CMYK, the colours of print", "They are converted to RGB without a colour profile."),
    "grey image": ("without colour", "They are read as grey RGB; networks learn from them beside colour ones."),
    "turned by EXIF": (
        "whose EXIF says how to turn them, which their masks do not",
        "Both are read as stored. Look whether image and mask match; if not, export the images turned.",
    ),
    "mask with alpha": ("whose masks have an alpha channel", "It is dropped: what is transparent counts, too."),
}
assert set(_ODD) == set(ODDITIES)


def oddity_problems(oddities: dict[str, tuple[str, ...]], usable: int) -> Iterator[Problem]:
    """Say once of each kind how many images are of it.

    Args:
        oddities: image name -> what is odd about it; usable images alone.
        usable: how many these are.
    """
    for kind in ODDITIES:
        names = [name for name, kinds in oddities.items() if kind in kinds]
        if names:
            what, consequence = _ODD[kind]
            message = f"{plural(len(names), 'image')} {what}, as {names[0]}. {consequence}"
            yield _about(kind, message, names, usable)


def empty_problems(names: Sequence[str], usable: int) -> Iterator[Problem]:
    """Say which masks are black, or 0, all over though that is a class to be learnt."""
    if names:
        message = (
            f"{plural(len(names), 'mask')} hold nothing but black or 0, as that of {names[0]}. Black is a class, so "
            "they are learnt from; leave them out if nobody has labelled them yet."
        )
        yield _about("empty mask", message, names, usable)


def is_lossy(mask: Path) -> bool:
    """Whether a mask is of a kind of file that blends colours."""
    return mask.suffix.lower() in (".jpg", ".jpeg")


def lossy_problems(unknown: Mapping[str, int]) -> Iterator[Problem]:
    """Say which masks are JPEG files with colours that no class has.

    Args:
        unknown: image name -> pixels of such colours; of usable images with such masks alone.
    """
    if unknown:
        message = (
            f"{plural(len(unknown), 'mask is a JPEG', 'masks are JPEGs')}, as that of {next(iter(unknown))}. JPEG "
            f"blends colours: {plural(sum(unknown.values()), 'pixel')} match no class and are ignored. Export masks as "
            "PNG, or have near colours snapped to their class."
        )
        yield Problem(None, "lossy mask", message, False, tuple(unknown)[:_SHOWN])


def copy_problems(facts: Sequence[ImageFacts]) -> Iterator[Problem]:
    """Say which image files are byte for byte the same, with the same masks and with others."""
    by_image: dict[str, list[ImageFacts]] = defaultdict(list)
    for fact in facts:
        by_image[fact.image_digest].append(fact)
    copies: list[tuple[str, str]] = []
    disputed: list[tuple[str, str]] = []
    for same in by_image.values():
        for fact in same[1:]:
            (copies if fact.digest in {other.digest for other in same if other.name < fact.name} else disputed).append(
                (fact.name, same[0].name)
            )
    kinds: list[tuple[str, list[tuple[str, str]], Callable[[int], str], str]] = [
        (
            "duplicate files",
            copies,
            lambda count: "is a copy of another" if count == 1 else "are copies of others",
            "image and mask. They count twice, and inflate scores where the split divides them.",
        ),
        (
            "same image, other mask",
            disputed,
            lambda count: f"{'is' if count == 1 else 'are'} there twice",
            "with another mask. One of the masks is wrong; look at both and leave one out.",
        ),
    ]
    for kind, found, verb, consequence in kinds:
        if found:
            names = [name for name, _ in found]
            (copy, original), joined = found[0], "of others," if kind == "duplicate files" else "as others,"
            message = (
                f"{plural(len(found), 'image')} {verb(len(found))} {joined} as {copy} and {original}: {consequence}"
            )
            yield Problem(None, kind, message, False, tuple(names[:_SHOWN]), Exclude(images=tuple(names)))


def blend_problems(
    near: Sequence[NearColors], colors: int, unknown: int, masks: Sequence[str], table: ClassTable
) -> Iterator[Problem]:
    """Say that unknown colours are near those of classes, as smoothing and JPEG leave them.

    Args:
        near: what is near which class.
        colors: how many different unknown colours there are; few are no blend, but classes the table lacks.
        unknown: pixels of all unknown colours.
        masks: names of the images whose masks have such.
        table: the classes.
    """
    counts = np.array([entry.pixels for entry in near]).sum(axis=0) if near else np.zeros(len(SNAP_STEPS), int)
    if not counts.any() or colors < _BLEND:
        return
    limit = closest(table) / 2
    fitting = [place for place, step in enumerate(SNAP_STEPS) if step < limit] or [0]
    enough = [place for place in fitting if counts[place] >= 0.99 * counts[fitting[-1]]]
    step = SNAP_STEPS[enough[0]]
    within = ", ".join(
        f"{scaled(count)} within {step}" for step, count in zip(SNAP_STEPS, counts, strict=True) if count
    )
    most = max(near, key=lambda entry: entry.pixels[-1])
    message = (
        f"Of {scaled(unknown)} pixels of unknown colours many are near a class's colour, as smoothed edges and JPEG "
        f"leave them: {within}, most of them near {most.name}. They are ignored unless they are snapped to the nearest "
        f"class; {step} is a distance that keeps the classes apart."
    )
    action = Snap(distance=step) if counts[enough[0]] else None
    yield Problem(None, "blended colours", message, False, tuple(masks[:_SHOWN]), action)


def closest(table: ClassTable) -> float:
    """Return how far apart in RGB the two most alike colours of the table are; that of all RGB for one alone."""
    colors = np.array(sorted({info.color for info in table.rows}), float)
    if len(colors) < 2:
        return float(np.sqrt(3) * 255)
    apart = np.linalg.norm(colors[:, None] - colors[None], axis=2)
    return float(apart[~np.eye(len(colors), dtype=bool)].min())


def palette_problems(looks: Sequence[tuple[str, Look]], table: ClassTable, reading: Reading) -> Iterator[Problem]:
    """Say where the palette of masks and the class table do not agree on what a value is.

    Args:
        looks: (image name, look) of usable images whose masks have palettes.
        table: the classes.
        reading: how masks are read.
    """
    row_of = {info.color: row for row, info in reversed(list(enumerate(table.rows)))}
    swapped: list[str] = []
    foreign: list[str] = []
    example = ""
    for name, look in looks:
        histogram = look.histogram
        assert histogram is not None and histogram.values is not None
        for value, color in zip(histogram.values.tolist(), histogram.colors.tolist(), strict=True):
            shown = (color >> 16, (color >> 8) & 255, color & 255)
            if value >= len(table.rows) or shown == table.rows[value].color or shown == (value, value, value):
                continue
            row = row_of.get(shown)
            (foreign if row is None else swapped).append(name)
            if row is not None and not example:
                example = (
                    f"value {value} is {table.rows[value].name} by its row and {table.rows[row].name} by its colour"
                )
            break
    if swapped and table.meaning.reading is None:
        other: Reading = "colors" if reading == "index" else "index"
        message = (
            f"In {plural(len(swapped), 'mask')} values and palette name different classes, as in that of {swapped[0]}: "
            f"{example}. They are read as {READINGS[reading]}. If that is wrong, have them read as {READINGS[other]}."
        )
        yield Problem(None, "palette confusion", message, False, tuple(swapped[:_SHOWN]), Read(reading=other))
    if foreign and reading == "index":
        message = (
            f"The palette of {plural(len(foreign), 'mask')} has other colours than the class table, as that of "
            f"{foreign[0]}. The values fit its rows and are read as these; make sure that the rows are in the order of "
            "the values."
        )
        yield Problem(None, "palette differs", message, False, tuple(foreign[:_SHOWN]))


def _about(kind: str, message: str, names: Sequence[str], usable: int) -> Problem:
    """A note on some images; to leave them out is proposed where they are not most of all."""
    action = Exclude(images=tuple(names)) if 2 * len(names) < usable else None
    return Problem(None, kind, message, False, tuple(names[:_SHOWN]), action)
