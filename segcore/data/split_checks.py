"""What is wrong with how a dataset is divided: classes that a part lacks, copies on both sides."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from segcore.config import ClassInfo
from segcore.data.report import ImageFacts, Problem
from segcore.data.splits import PARTS, Split
from segcore.decisions import Exclude, Ignore
from segcore.text import plural

_TITLES = {"train": "training", "val": "validation", "test": "test"}
_CONSEQUENCES = {
    "train": "nothing can be learnt about {it}",
    "val": "nothing is known of {it} while backbones are compared",
    "test": "the final test says nothing of {it}",
}


def split_problems(facts: Sequence[ImageFacts], classes: Sequence[ClassInfo], split: Split) -> tuple[Problem, ...]:
    """Return what is wrong with a split of these images.

    Args:
        facts: of the usable images.
        classes: the trained classes, by label.
        split: the division.
    """
    return (*_missing_classes(facts, classes, split), *_copies_across(facts, split))


def _missing_classes(facts: Sequence[ImageFacts], classes: Sequence[ClassInfo], split: Split) -> Iterator[Problem]:
    part_of = split.part_of()
    shown = {part: np.zeros(len(classes), bool) for part in PARTS if getattr(split, part)}
    for fact in facts:
        if fact.name in part_of:
            shown[part_of[fact.name]] |= np.array(fact.class_pixels) > 0
    anywhere = np.any(list(shown.values()), axis=0)
    for part, here in shown.items():
        names = [info.name for info, lacking in zip(classes, anywhere & ~here, strict=True) if lacking]
        if names:
            it, these = ("it", "this class") if len(names) == 1 else ("them", "these classes")
            message = (
                f"No {_TITLES[part]} image shows {', '.join(names)}: {_CONSEQUENCES[part].format(it=it)}. Divide the "
                f"images anew, bring more that show {it}, or ignore or merge {these}."
            )
            action = Ignore(names=tuple(names)) if len(classes) - len(names) >= 2 else None
            yield Problem(None, f"class not in {part}", message, excluded=False, action=action)


def _copies_across(facts: Sequence[ImageFacts], split: Split) -> Iterator[Problem]:
    part_of = split.part_of()
    same: dict[str, list[str]] = defaultdict(list)
    for fact in facts:
        if fact.name in part_of and fact.image_digest:
            same[fact.image_digest].append(fact.name)
    judged: list[str] = []
    example = ""
    for names in same.values():
        learnt = [name for name in names if part_of[name] == "train"]
        if len({part_of[name] for name in names}) == 1:
            continue
        first = (learnt or names)[0]
        others = [name for name in names if part_of[name] != part_of[first]]
        example = example or f"{others[0]} ({part_of[others[0]]}) is {first} ({part_of[first]})"
        judged += others
    if judged:
        message = (
            f"{plural(len(judged), 'image')} {'is' if len(judged) == 1 else 'are'} there once more in another part of "
            f"the split, as {example}: what was learnt is judged, and scores are too high. Leave the copies out."
        )
        yield Problem(None, "copies across the split", message, False, tuple(judged), Exclude(images=tuple(judged)))
