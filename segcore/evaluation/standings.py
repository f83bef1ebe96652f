"""A contender's finished runs, gathered for comparison: what each seed got right, the mean, what had to be left out.

Nothing here imports torch.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

import numpy as np

from segcore.evaluation.cells import Cells, Score, effective_groups, of_run
from segcore.evaluation.collapse import collapsed
from segcore.evaluation.comparison import Contender
from segcore.evaluation.statistics import Estimate, crossed
from segcore.runs import Part, Run, statuses
from segcore.status import RunState


@dataclass(frozen=True, eq=False)
class Standing:
    """A contender and how it did over seeds and images."""

    contender: Contender
    by_seed: Mapping[int, Cells]
    """Of each seed whose runs, one or all folds, are finished."""
    by_fold: Mapping[tuple[int, int], Cells]
    """The same before folds are joined, by (seed, fold); empty without folds."""
    estimate: Estimate | None
    """Of the mean score, over seeds and images; None without a finished run."""
    minutes: float | None
    """Training time of one seed."""
    left_out: dict[str, int] = field(default_factory=dict)
    """Runs that count for nothing here, by state."""
    collapsed: tuple[int, ...] = ()
    """Seeds with a network that answers one class everywhere (see `collapse`)."""
    folds: int = 0
    """Folds of its runs; 0 where there are none."""

    @property
    def label(self) -> str:
        return self.contender.label

    @property
    def title(self) -> str:
        return self.contender.title

    @property
    def images(self) -> tuple[tuple[str, int], ...]:
        """What it was judged on: groups of images, and how many each has."""
        cells = next(iter(self.by_seed.values()))
        return tuple(zip(cells.groups, cells.images, strict=True))


def standing(contender: Contender, score: Score, part: Part) -> Standing:
    """Gather a contender's finished runs.

    Raises:
        WorkspaceError: counts that are damaged.
    """
    rows = statuses(contender.runs)
    finished = {run: status for run, status in rows if status.state is RunState.FINISHED}
    left_out = Counter(status.state.value for _, status in rows if status.state is not RunState.FINISHED)
    # Test scores of weights that a run has trained on from are not those of the network it is now.
    current = [run for run in finished if part == "val" or run.evaluation_epoch(part) == run.evaluation_epoch()]
    cells = {run: found for run in current if (found := of_run(run, part)) is not None}
    by_seed, by_fold, folds = gathered(cells)
    by_seed = {seed: found for seed, found in by_seed.items() if _has(found, score)}
    estimate = None
    if alike({seed: _images(found) for seed, found in by_seed.items()}):
        estimate = crossed(table(by_seed, list(by_seed), score), effective=effective(by_seed.values(), score))
    seconds = [sum(record.seconds for record in run.epochs()) for run in cells]
    minutes = max(1, folds) * fmean(seconds) / 60 if seconds else None
    fell = sorted(
        {
            run.config.seed
            for run in cells
            if collapsed(run.epochs(), majority=finished[run].majority_baseline) is not None
        }
    )
    return Standing(contender, by_seed, by_fold, estimate, minutes, dict(left_out), tuple(fell), folds)


def table(by_seed: Mapping[int, Cells], seeds: Sequence[int], score: Score) -> np.ndarray:
    """Return the float64 (seeds, groups) table of a contender; see `Cells.table`."""
    return np.stack([by_seed[seed].table(score) for seed in seeds])


def effective(networks: Collection[Cells], score: Score) -> float:
    """Return how many groups of equal weight the groups are worth that all these networks were judged on."""
    ratios = [cells.ratio(score) for cells in networks]
    return float(effective_groups(np.stack([hits for hits, _ in ratios]), np.stack([whole for _, whole in ratios])))


def alike(images: Mapping[int, object]) -> bool:
    """Whether there is something, and all of it the same."""
    return len(set(images.values())) == 1


def _images(cells: Cells) -> tuple[tuple[str, ...], tuple[int, ...]]:
    return cells.groups, cells.images


def _has(cells: Cells, score: Score) -> bool:
    """Whether there is a score: of a class that no mask shows there is none, though a network may answer it."""
    if isinstance(score, int) and not cells.shown[:, score].any():
        return False
    return not math.isnan(cells.score(score))


def gathered(cells: Mapping[Run, Cells]) -> tuple[dict[int, Cells], dict[tuple[int, int], Cells], int]:
    """Gather the runs' cells by seed, of folds only seeds that have all of them; by seed and fold; and count folds."""
    whole: dict[int, Cells] = {}
    by_fold: dict[tuple[int, int], Cells] = {}
    wanted: dict[int, int] = {}
    for run, found in cells.items():
        config = run.config
        if config.fold is None:
            whole[config.seed] = found
        else:
            by_fold[config.seed, config.fold] = found
            wanted[config.seed] = config.folds
    for seed, folds in wanted.items():
        parts = [by_fold[seed, fold] for fold in range(folds) if (seed, fold) in by_fold]
        if len(parts) == folds:
            # Folds divide the validation images; the test images each fold's network was judged on alike.
            same = alike({at: _images(part) for at, part in enumerate(parts)})
            whole[seed] = Cells.summed(parts) if same else Cells.joined(parts)
    return dict(sorted(whole.items())), by_fold, max(wanted.values(), default=0)
