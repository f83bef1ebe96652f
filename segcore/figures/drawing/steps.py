"""How the steps inside a block hang together, as far as their numbers tell."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from math import prod

from segcore.models.description import Block, Operation, Shortcut

WORKING = ("conv", "depthwise", "linear", "attention")
"""Kinds of operations that a shortcut leads past."""


@dataclass(frozen=True)
class Span:
    """A shortcut and the steps of the main path that it leads past."""

    kind: Shortcut
    first: int
    last: int


def main_path(block: Block) -> list[Operation]:
    """Return the steps that lie on no shortcut; all of them, where there is no other path."""
    return [operation for operation in block.operations if not operation.on_shortcut] or list(block.operations)


def spans(block: Block) -> list[Span] | None:
    """Return which steps each shortcut of a block leads past; None where the description does not tell.

    One shortcut leads past all of them. Several belong to the modules inside the block that do two steps or more, one
    each, as attention and perceptron of a transformer's block do.
    """
    steps = main_path(block)
    kinds = [kind for kind in block.shortcuts if kind != "none"]
    if not kinds or not steps:
        return []
    if len(kinds) == 1:
        return [Span(kinds[0], 0, len(steps) - 1)]
    working = _modules(steps, range(len(steps)), 0)
    if len(working) != len(kinds):
        return None
    return [Span(kind, places[0], places[-1]) for kind, places in zip(kinds, working, strict=True)]


def _modules(steps: Sequence[Operation], places: Sequence[int], depth: int) -> list[list[int]]:
    """The steps of each module that does two of them or more; a module made of such modules gives way to these."""
    found = []
    for name, members in groupby(places, key=lambda place: ".".join(steps[place].name.split(".")[: depth + 1])):
        inside = list(members)
        if name and sum(steps[place].kind in WORKING for place in inside) >= 2:
            finer = _modules(steps, inside, depth + 1) if depth < 3 else []
            found += finer if len(finer) > 1 else [inside]
    return found


def follows(before: Operation, after: Operation) -> bool:
    """Whether a step takes just what the one before it hands on, judged by channels; if unsure, it does not."""
    if after.kind in ("attention", "pool", "upsample") or before.kind == "attention":
        return before.kind == "attention" or after.kind == "attention" or before.channels == after.channels
    if after.kind == "depthwise":
        return before.channels == after.channels
    if after.kind == "gate":
        # A gate of another name may average what came long before.
        return after.label == "squeeze and excite" and before.channels == after.channels
    return before.channels in taken(after)


def taken(operation: Operation) -> tuple[int, ...]:
    """Return how many channels a convolution or linear layer takes, by its number of weights: with bias or without."""
    grouped = re.search(r"(\d+) groups$", operation.label)
    groups = int(grouped[1]) if grouped else 1
    size = re.match(r"\d+(×\d+)*(?= )", operation.label) if operation.kind == "conv" else None
    kernel = [int(side) for side in size[0].split("×")] if size else [1]
    filters = operation.channels * prod(kernel)
    counts = (operation.parameters, operation.parameters - operation.channels)
    return tuple(count // filters * groups for count in counts if count > 0 and count % filters == 0)


def chains(runs: Sequence[tuple[Block, int]]) -> list[list[tuple[Block, int]]]:
    """Divide runs of blocks into what is drawn in one frame: a block, or a row of single steps without shortcuts."""
    found: list[list[tuple[Block, int]]] = []
    for block, count in runs:
        single = is_step(block)
        if single and found and is_step(found[-1][-1][0]):
            found[-1].append((block, count))
        else:
            found.append([(block, count)])
    return found


def is_step(block: Block) -> bool:
    """Whether a block is one operation, which needs no frame of its own."""
    return len(block.operations) <= 1 and not block.shortcuts
