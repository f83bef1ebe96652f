"""Who of a race is clearly behind the leader, by the counts that the runs have at a rung; see `racing`.

Nothing here imports torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from segcore.errors import WorkspaceError
from segcore.evaluation.cells import Cells, of_run
from segcore.evaluation.multiple import holm
from segcore.evaluation.standings import effective, gathered, table
from segcore.evaluation.statistics import CONFIDENCE, Estimate, average_spread, paired
from segcore.runs import Run

LEAST_SEEDS = 2
"""One seed tells nothing about other seeds, so nobody can be clearly behind."""
SLACK = 0.05
"""What a contender may still make up if all of the training were left, as a share: 0.05 is 5 points. It is less by the
share of epochs done: 4 points after a fifth of them, 2.5 after half."""
KEPT_AT_FIRST = 2
"""So many go on from the first rung at least: the winner is to be compared with somebody beyond it."""


@dataclass(frozen=True)
class Judgement:
    """How far a contender is behind the leader at a rung."""

    contender: str
    estimate: Estimate
    """Of leader - contender, over the seeds that both have; above 0 means behind."""
    images: int
    p: float
    """Two-sided, of being behind by no more than the slack, adjusted over all that are judged (Holm)."""
    stops: bool


def slack(epoch: int, epochs: int) -> float:
    """Return by how much a contender must be behind at least, as a share, after `epoch` of `epochs`."""
    return SLACK * (1 - epoch / epochs)


def judge(
    cells: Mapping[str, Mapping[int, Cells]], *, slack: float, keep: int = 1
) -> tuple[str | None, list[Judgement]]:
    """Return the leader and how all others that can be compared with it stand, the farthest behind last.

    Args:
        cells: by contender and seed, all of the same epochs; by mean IoU.
        slack: a contender stops only where it is behind by surely more than this.
        keep: so many contenders go on at least, the leader among them, whatever the intervals say.
    """
    known = {name: scored for name, seeds in cells.items() if (scored := _scored(seeds))}
    means = {name: fmean(one.score() for one in seeds.values()) for name, seeds in known.items()}
    order = sorted(means, key=lambda name: -means[name])
    if not order:
        return None, []
    leader, *others = order
    if len(_images(known[leader])) != 1:
        return leader, []
    # As a verdict does it; those that were judged on other images than the leader cannot be compared with it.
    alike = {name: by_seed for name, by_seed in known.items() if _images(by_seed) == _images(known[leader])}
    study = average_spread([table(by_seed, list(by_seed), "miou") for by_seed in alike.values()])
    worth = effective([one for by_seed in alike.values() for one in by_seed.values()], "miou")
    found = []
    for name in others:
        seeds = sorted(alike[leader].keys() & alike.get(name, {}).keys())
        if len(seeds) >= LEAST_SEEDS:
            tables = (table(alike[one], seeds, "miou") for one in (leader, name))
            lag = paired(*tables, effective=worth, study=study)
            if lag.scope == "seeds and images":
                found.append((name, lag))
    adjusted = holm([replace(lag, mean=lag.mean - slack).p_value() for _, lag in found])
    images = sum(next(iter(known[leader].values())).images)
    judged = []
    for (name, lag), p in zip(found, adjusted, strict=True):
        stops = lag.mean > slack and p < 1 - CONFIDENCE and order.index(name) >= keep
        judged.append(Judgement(name, lag, images, p, stops))
    return leader, judged


def _scored(by_seed: Mapping[int, Cells]) -> dict[int, Cells]:
    """Leave out seeds without any score."""
    return {seed: cells for seed, cells in by_seed.items() if not math.isnan(cells.score())}


def _images(by_seed: Mapping[int, Cells]) -> set[tuple[tuple[str, ...], tuple[int, ...]]]:
    return {(cells.groups, cells.images) for cells in by_seed.values()}


def gather(runs: Sequence[Run]) -> dict[str, dict[int, Cells]]:
    """Return the cells of runs by contender and seed; of folds only seeds that have all of them.

    A run without counts, or with damaged ones, is left out.
    """
    found: dict[str, dict[Run, Cells]] = {}
    for run in runs:
        try:
            contender, cells = run.config.contender, of_run(run)
        except WorkspaceError:
            continue
        if cells is not None:
            found.setdefault(contender, {})[run] = cells
    return {contender: gathered(cells)[0] for contender, cells in found.items()}
