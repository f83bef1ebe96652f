"""What becomes of a dataset's settings and of its split when something is decided about it, or undone."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from segcore.config import DatasetConfig
from segcore.data.splits import PARTS, Split
from segcore.decisions import Decision, Exclude, replay
from segcore.errors import ConfigError, NotFoundError, SplitError, nearest


def with_decisions(config: DatasetConfig, decisions: Sequence[Decision]) -> DatasetConfig:
    """Return the settings with other decisions.

    Raises:
        ConfigError: they do not fit the classes or each other (field "decisions").
    """
    replay(config.classes, tuple(decisions))
    return config.model_copy(update={"decisions": tuple(decisions)})


def without(config: DatasetConfig, number: int | None) -> DatasetConfig:
    """Return the settings without one decision.

    Args:
        config: the settings.
        number: of the decision, the first is 1; None for the last.

    Raises:
        ConfigError: there is no such decision, or a later one builds on it (field "decisions").
    """
    present = config.decisions
    if not present:
        raise ConfigError("Nothing has been decided, so there is nothing to undo.", field="decisions")
    number = len(present) if number is None else number
    if not 1 <= number <= len(present):
        raise ConfigError(f"There is no decision {number}; there are 1 to {len(present)}.", field="decisions")
    gone = present[number - 1]
    try:
        return with_decisions(config, (*present[: number - 1], *present[number:]))
    except ConfigError as error:
        raise ConfigError(
            f"Decision {number} ({gone.text}) cannot be undone, as a later one builds on it. Without it: {error} Undo "
            "the later one first.",
            field="decisions",
        ) from error


def check_images(decisions: Sequence[Decision], known: Collection[str]) -> None:
    """Refuse to leave out what is not there.

    Raises:
        NotFoundError: no usable image has that name.
    """
    for decision in decisions:
        for name in decision.images if isinstance(decision, Exclude) else ():
            if name not in known:
                raise NotFoundError(f"There is no usable image {name!r}.{nearest(name, known)}", field="images")


def restricted(whole: Split, names: Collection[str]) -> Split:
    """Return a split without the images that are not among `names`.

    Raises:
        SplitError: its train or val would be left empty.
    """
    lists = {part: tuple(name for name in getattr(whole, part) if name in names) for part in PARTS}
    for part in ("train", "val"):
        if not lists[part]:
            raise SplitError(
                f"The {part} part of the split would have no image left. Divide the images anew before you leave these "
                "out.",
                field="split",
            )
    return Split(**lists)


def carried_over(split: Split, before: Mapping[str, str], groups: Mapping[str, str]) -> Split | None:
    """Return a split after files came and went; None where its train or val images are all gone.

    New images join the part in which their group is, else train; what was in no part stays in none, and so do new
    images of its group.

    Args:
        split: as it was.
        before: image name -> group, of the images there were.
        groups: of those there are.
    """
    parts: dict[str, str | None] = dict.fromkeys(before)  # left out on purpose, unless a part has it
    parts.update(split.part_of())
    part_of_group = {groups[name]: part for name, part in parts.items() if name in groups}
    new = {name: parts.get(name, part_of_group.get(group, "train")) for name, group in groups.items()}
    lists = [tuple(name for name, part in new.items() if part == wanted) for wanted in PARTS]
    return Split(*lists) if lists[0] and lists[1] else None
