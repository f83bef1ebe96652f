"""What differs between networks that stand side by side, stage by stage."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from segcore.figures.drawing.labels import size
from segcore.figures.drawing.scales import SHADES, Shade, amount
from segcore.models.description import NetworkDescription, Stage

ONLY_HERE = "only here"
Counterpart = tuple[str, int, int]
"""Part, reduction, and which of those with the same two: stages that do the same job in two networks."""


def counterparts(network: NetworkDescription) -> dict[Counterpart, int]:
    """Return the stages of a network by the job they do."""
    seen: dict[tuple[str, int], int] = defaultdict(int)
    found: dict[Counterpart, int] = {}
    for index, stage in enumerate(network.stages):
        found[stage.kind, stage.reduction, seen[stage.kind, stage.reduction]] = index
        seen[stage.kind, stage.reduction] += 1
    return found


def notes(networks: Sequence[NetworkDescription], shade: Shade) -> tuple[dict[int, str], ...]:
    """Return, for each of two networks, what to write beside its stages that differ: "≠ channels, cost".

    Nothing is noted for one network, nor for what is the same in both.
    """
    if len(networks) != 2:
        return tuple({} for _ in networks)
    return tuple(
        {
            index: f"≠ {', '.join(what)}" if what != [ONLY_HERE] else ONLY_HERE
            for index, what in _differing(one, other, shade).items()
        }
        for one, other in (tuple(networks), tuple(networks)[::-1])
    )


def _differing(one: NetworkDescription, other: NetworkDescription, shade: Shade) -> dict[int, list[str]]:
    there = counterparts(other)
    found = {}
    for job, index in counterparts(one).items():
        what = _between(one.stages[index], other.stages[there[job]], shade) if job in there else [ONLY_HERE]
        if what:
            found[index] = what
    return found


def _between(one: Stage, other: Stage, shade: Shade) -> list[str]:
    """Name what differs between two stages."""
    checks = {
        "channels": one.channels != other.channels,
        "size": (one.height, one.width) != (other.height, other.width),
        "blocks": _blocks(one) != _blocks(other),
        "cost": getattr(one, shade) != getattr(other, shade),
    }
    return [name for name, differs in checks.items() if differs]


def _blocks(stage: Stage) -> list[tuple[str, int]]:
    return [(block.label, count) for block, count in stage.repeats]


def account(networks: Sequence[NetworkDescription], place: int, index: int) -> list[str]:
    """Return, in words, how a stage of `networks[place]` differs from the one that does its job in the other."""
    if len(networks) != 2:
        return []
    one, other = networks[place], networks[1 - place]
    job = next(job for job, mine in counterparts(one).items() if mine == index)
    if job not in counterparts(other):
        return [f"{other.title} has no such stage"]
    mine, theirs = one.stages[index], other.stages[counterparts(other)[job]]
    pairs = {
        "channels": (f"{mine.channels:,}", f"{theirs.channels:,}"),
        "size": (size(mine), size(theirs)),
        "blocks": (mine.built_of or "no layers with weights", theirs.built_of or "no layers with weights"),
        **{SHADES[shade].lower(): (amount(shade, getattr(mine, shade)), amount(shade, getattr(theirs, shade)))
           for shade in SHADES},
    }  # fmt: skip
    different = [f"{what} {a} instead of {b}" for what, (a, b) in pairs.items() if a != b]
    return [f"Against {other.title}: " + ("; ".join(different) if different else "the same")]
