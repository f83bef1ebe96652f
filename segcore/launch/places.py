"""Where the next run may train: a GPU of its own, or its share of the processor."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from segcore.launch.gpus import Gpu

THREADS = "OMP_NUM_THREADS"
"""How many threads torch computes with."""


@dataclass(frozen=True)
class Place:
    """Room for one run."""

    device: str | None = None
    """A GPU, "cuda:1"; None for the processor, or what else the worker finds."""
    environment: dict[str, str] = field(default_factory=dict)
    """Variables that keep the worker to its place."""


def free_place(taken: Collection[str | None], gpus: Sequence[Gpu], *, slots: int, cores: int) -> Place | None:
    """Return where one more run may train, or None where all is taken.

    Args:
        taken: the place of each run that trains now, as `Place.device` or `Status.device` names it.
        gpus: of this machine, the preferred first. Where there are any, each takes one run, and `slots` does not count.
        slots: runs that train on the processor at once.
        cores: of the processor; shared evenly, but never more for a run than OMP_NUM_THREADS says already. A run that
            has the processor for itself decides on its own.
    """
    if gpus:
        free = next((gpu for gpu in gpus if gpu.device not in taken), None)
        if free is None:
            return None
        return Place(free.device, {**free.environment(), **_share(cores, len(gpus))})
    return Place(None, _share(cores, slots)) if len(taken) < slots else None


def _share(cores: int, runs: int) -> dict[str, str]:
    if runs == 1:
        return {}
    share, given = max(1, cores // runs), os.environ.get(THREADS, "")
    return {THREADS: str(min(share, int(given)) if given.isdecimal() and int(given) else share)}
