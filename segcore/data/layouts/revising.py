"""Correcting what was recognised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from segcore.config import ClassInfo, DatasetConfig
from segcore.data.layouts.coco import annotated_images
from segcore.data.layouts.guess import EXAMPLES, Guess, as_split, spread
from segcore.data.pairing import image_groups, pair_dataset
from segcore.data.splits import PARTS
from segcore.errors import ClassTableError, nearest


def revised(guess: Guess, **changes: Any) -> Guess:
    """Return a guess with fields of its configuration replaced, and paired anew.

    Of the published parts, images that are no longer there leave.

    Raises:
        DatasetError: nothing pairs that way; `field` names what is wrong.
        ConfigError: a value that the configuration does not allow.
    """
    config = DatasetConfig(**{**dict(guess.config), **changes})
    if {"images", "masks", "image_regex", "mask_regex", "group_regex", "group_by_folder"}.isdisjoint(changes):
        return replace(guess, config=config)
    if guess.annotations:  # its masks are not there yet
        return _regrouped(guess, config)
    pairs = pair_dataset(config).pairs
    names = {pair.name for pair in pairs}
    split = guess.split
    if split is not None:
        split, _ = as_split({part: [name for name in getattr(split, part) if name in names] for part in PARTS})
    groups = len({pair.group for pair in pairs})
    return replace(guess, config=config, pairs=len(pairs), groups=groups, split=split, examples=spread(pairs, EXAMPLES))


def _regrouped(guess: Guess, config: DatasetConfig) -> Guess:
    names = annotated_images(guess)
    groups = image_groups(config, names)
    examples = tuple(replace(pair, group=groups[pair.image]) for pair in guess.examples)
    return replace(guess, config=config, groups=len(set(groups.values())), examples=examples)


def ignoring(classes: Sequence[ClassInfo], names: Sequence[str]) -> tuple[ClassInfo, ...]:
    """Return the classes, of which those named and no others are ignored.

    Raises:
        ClassTableError: there is no class of a name.
    """
    known = [info.name for info in classes]
    for name in names:
        if name not in known:
            raise ClassTableError(
                f"There is no class {name!r} to ignore; there are {', '.join(known)}.{nearest(name, known)}",
                field="ignore",
            )
    return tuple(info.model_copy(update={"ignore": info.name in names}) for info in classes)
