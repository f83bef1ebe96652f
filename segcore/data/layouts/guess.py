"""What is believed about a folder: a dataset's configuration with the reasons, examples and doubts that go with it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from segcore.config import ClassInfo, DatasetConfig
from segcore.data.layouts.colors import propose_classes
from segcore.data.layouts.listing import Listing, read_lines
from segcore.data.pairing import Pair, pair_dataset
from segcore.data.splits import PART_NAMES, PARTS, Split
from segcore.errors import DatasetError, SplitError
from segcore.text import plural

EXAMPLES = 3


@dataclass(frozen=True)
class Candidate:
    """What a layout claims about a folder before any file is opened."""

    layout: str
    title: str
    why: str
    images: str = ""
    """Folder of the images below the listed one."""
    masks: str = ""
    image_regex: str | None = None
    mask_regex: str | None = None
    group_regex: str | None = None
    group_by_folder: bool = False
    classes: tuple[ClassInfo, ...] | None = None
    """None where they are to be proposed from the masks."""
    parts_regex: str | None = None
    """Finds in an image's path below its folder the name of the part that it was published in."""
    lists: Mapping[str, Path] | None = None
    """Part -> text file whose lines begin with the images of that part."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Guess:
    """What a folder seems to be; nothing has been written. Each part can be replaced before it is added."""

    layout: str
    title: str
    """The layout as people call it."""
    why: str
    """By what it was recognised, in a sentence."""
    config: DatasetConfig
    pairs: int
    groups: int
    split: Split | None = None
    """The parts that the dataset was published in, if it has any that can be used."""
    examples: tuple[Pair, ...] = ()
    warnings: tuple[str, ...] = ()
    annotations: tuple[Path, ...] = ()
    """COCO files from which masks are drawn when it is added; empty where there are masks."""


def complete(listing: Listing, candidate: Candidate, name: str) -> Guess | None:
    """Pair the files as a candidate says and look into some; None where that yields no pair."""
    config = DatasetConfig(
        name=name,
        images=listing.path(candidate.images),
        masks=listing.path(candidate.masks),
        classes=candidate.classes or (),
        group_regex=candidate.group_regex,
        group_by_folder=candidate.group_by_folder,
        image_regex=candidate.image_regex,
        mask_regex=candidate.mask_regex,
        layout=candidate.layout,
    )
    try:
        pairs = pair_dataset(config).pairs
    except DatasetError:
        if candidate.group_regex is None:
            return None
        return complete(listing, replace(candidate, group_regex=None), name)  # names without what groups are told by
    warnings = list(candidate.warnings)
    if candidate.classes is None:
        try:
            classes, notes = propose_classes([pair.mask for pair in pairs])
        except DatasetError:
            return None
        config = config.model_copy(update={"classes": classes})
        warnings += notes
    split, doubts = _split(config, candidate, pairs)
    return Guess(
        layout=candidate.layout,
        title=candidate.title,
        why=candidate.why,
        config=config,
        pairs=len(pairs),
        groups=len({pair.group for pair in pairs}),
        split=split,
        examples=spread(pairs, EXAMPLES),
        warnings=(*warnings, *doubts),
    )


def spread(pairs: Sequence[Pair], count: int) -> tuple[Pair, ...]:
    """Return some pairs from all over the list: the first, those between, the last."""
    if len(pairs) <= count:
        return tuple(pairs)
    return tuple(pairs[round(step * (len(pairs) - 1) / (count - 1))] for step in range(count))


def _split(config: DatasetConfig, candidate: Candidate, pairs: Sequence[Pair]) -> tuple[Split | None, list[str]]:
    """Return the published split, and why what looks like one cannot be used."""
    if candidate.lists:
        return split_of_lists(candidate.lists, pairs)
    if candidate.parts_regex is None:
        return None, []
    parts: dict[str, list[str]] = {part: [] for part in PARTS}
    for pair in pairs:
        match = re.search(candidate.parts_regex, pair.image.relative_to(config.images).as_posix())
        part = PART_NAMES.get(match.group(1).lower()) if match else None
        if part is not None:
            parts[part].append(pair.name)
    return as_split(parts)


def split_of_lists(lists: Mapping[str, Path], pairs: Sequence[Pair]) -> tuple[Split | None, list[str]]:
    """Return the split that text files give, one image a line; what stands after its name is left out."""
    names = {pair.name: pair.name for pair in pairs} | {pair.image.stem: pair.name for pair in pairs}
    parts: dict[str, list[str]] = {part: [] for part in PARTS}
    missing = 0
    for part, path in lists.items():
        for line in read_lines(path):
            entry = line.split()[0] if line.split() else ""
            # Names may have blanks, and dots that begin no suffix.
            candidates = (line.strip(), entry, PurePosixPath(entry).name, PurePosixPath(entry).stem)
            name = next((names[found] for found in candidates if found in names), None)
            if name is not None:
                parts[part].append(name)
            elif entry:
                missing += 1
    split, doubts = as_split({part: list(dict.fromkeys(found)) for part, found in parts.items()})
    if missing:
        doubts.append(f"The lists name {plural(missing, 'image')} that are not here with a mask; they are left out.")
    return split, doubts


def as_split(parts: Mapping[str, Sequence[str]]) -> tuple[Split | None, list[str]]:
    """Return the split of these names by part, or None and why they are none; no images at all are none silently."""
    filled = [part for part in PARTS if parts[part]]
    if not filled:
        return None, []
    try:
        return Split(*(tuple(parts[part]) for part in PARTS)), []
    except SplitError as error:
        return None, [f"The parts it comes in ({', '.join(filled)}) are no split to study on: {error}"]
