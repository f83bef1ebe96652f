"""What becomes of a dataset's settings and of its split when something is decided about it, or undone."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from segcore.config import DatasetConfig
from segcore.data.split_versions import split_made, write_split
from segcore.data.splits import PARTS, Split
from segcore.data.state import DatasetState, WholeSplit, write_state
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
                f"The {part} part of the split would have no image left beside those that are left out. Divide the "
                "images anew, or leave out others.",
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


def with_left_out(split: Split, whole: Split, left_out: Collection[str]) -> Split:
    """Return a split with images that decisions left out, each in the part in which it was in the `whole` split."""
    back = {part: tuple(name for name in getattr(whole, part) if name in left_out) for part in PARTS}
    return Split(*((*getattr(split, part), *back[part]) for part in PARTS))


# Two files that belong together -------------------------------------------------------------------------


def whole_split(directory: Path, state: DatasetState, split: Split) -> tuple[Split, str]:
    """Return the present split with the images that decisions took out of it, and how that came about."""
    kept = state.whole_split
    if kept is not None and split.fingerprint in (kept.fingerprint, kept.before):
        return kept.split, kept.made
    return split, split_made(directory)


def write_both(
    directory: Path, before: DatasetState, state: DatasetState, present: Split | None, whole: Split, made: str
) -> None:
    """Write what is known of a dataset, and what its images leave of a split.

    Whoever is killed in between leaves a state that is `cut_short` and holds all that `settle` needs to go on. A split
    that names images which are not there is never on the disk: it shrinks before, and grows after.

    Args:
        directory: of the dataset.
        before: the state on the disk.
        state: the one to be.
        present: the split on the disk, if there is one.
        whole: the one to be, with the images that decisions left out.
        made: how that came about.

    Raises:
        SplitError: its train or val would be left empty; nothing was written.
    """
    after = restricted(whole, state.by_name)
    kept = WholeSplit(after.fingerprint, whole, made)
    left_out, was = after != whole, "" if present is None else present.fingerprint
    if after.fingerprint != was:
        first = before if set(after.part_of()) <= before.by_name.keys() else state
        write_state(directory, replace(first, whole_split=replace(kept, before=was)))
        write_split(directory, after, f"{made}; less the images that decisions left out" if left_out else made)
    write_state(directory, replace(state, whole_split=kept if left_out else None))


def settle(directory: Path, state: DatasetState, split: Split | None) -> None:
    """Bring to its end what was cut short in `write_both`, or take it back where it had only begun."""
    if split is None:
        write_state(directory, replace(state, whole_split=None))
    else:
        write_both(directory, state, state, split, *whole_split(directory, state, split))
