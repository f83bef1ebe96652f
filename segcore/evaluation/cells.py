"""What a run got right in each group of validation images: the cells that every comparison is made of.

A score of pooled counts (see `metrics`) is a mean of ratios of sums over images. How much one group of images moves
it is the influence of that group: the linear part of the score's change (the infinitesimal jackknife; B. Efron, "The
Jackknife, the Bootstrap and Other Resampling Plans", 1982, chapter 6). For a class c with hits h_g and union u_g in
group g, H and U their sums, the influence on IoU_c = H / U is (h_g - IoU_c u_g) / U; on the mean over classes it is the
mean of these. Nothing here imports torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from segcore.evaluation.metrics import pooled
from segcore.files import FileCache
from segcore.runs import Evaluation, Part, Run, load_evaluation

Score = Literal["miou", "pixel_accuracy"] | int
"""What is compared: mean IoU, pixel accuracy, or the IoU of the class of that index."""


@dataclass(frozen=True, eq=False)
class Cells:
    """Counts of one network by group of images."""

    groups: tuple[str, ...]
    """Names of the G groups, sorted."""
    images: tuple[int, ...]
    """How many images each group has."""
    hits: np.ndarray
    """int64 (G, C): pixels of each class that were found."""
    union: np.ndarray
    """int64 (G, C): pixels that are of the class, or were taken for it."""
    labelled: np.ndarray
    """int64 (G,): pixels that count."""
    matrix: np.ndarray
    """int64 (C, C): all counts [true, predicted], over all groups."""

    @classmethod
    def of(cls, evaluation: Evaluation) -> Cells:
        """Sum the counts of each group's images."""
        groups = tuple(sorted(set(evaluation.groups)))
        rows = np.array([groups.index(group) for group in evaluation.groups], dtype=np.intp)
        counts = np.zeros((len(groups), *evaluation.counts.shape[1:]), dtype=np.int64)
        np.add.at(counts, rows, evaluation.counts)
        hits = np.diagonal(counts, axis1=1, axis2=2).copy()
        union = counts.sum(axis=2) + counts.sum(axis=1) - hits
        images = np.bincount(rows, minlength=len(groups))
        return cls(
            groups, tuple(int(n) for n in images), hits, union, counts.sum(axis=(1, 2)), pooled(evaluation.counts)
        )

    @classmethod
    def joined(cls, parts: Sequence[Cells]) -> Cells:
        """Put the cells of several folds side by side: each group was judged by the network that had not seen it.

        Raises:
            ValueError: nothing to join, or a group stands in two parts.
        """
        if not parts:
            raise ValueError("there are no cells to join")
        rows = sorted((group, part, at) for part, cells in enumerate(parts) for at, group in enumerate(cells.groups))
        groups = tuple(group for group, _, _ in rows)
        if len(set(groups)) < len(groups):
            raise ValueError("a group of images stands in two folds")
        return cls(
            groups,
            tuple(parts[part].images[at] for _, part, at in rows),
            np.stack([parts[part].hits[at] for _, part, at in rows]),
            np.stack([parts[part].union[at] for _, part, at in rows]),
            np.stack([parts[part].labelled[at] for _, part, at in rows]),
            np.sum([cells.matrix for cells in parts], axis=0),
        )

    def score(self, score: Score = "miou") -> float:
        """Return the pooled score, 0-1; NaN where there is nothing to score."""
        hits, whole = self.ratio(score)
        value, _ = _influence(hits, whole)
        return value

    def table(self, score: Score = "miou") -> np.ndarray:
        """Return float64 (G,): the pooled score plus G times each group's influence on it; their mean is the score.

        NaN throughout where there is nothing to score.
        """
        hits, whole = self.ratio(score)
        value, influence = _influence(hits, whole)
        return value + len(self.groups) * influence

    def ratio(self, score: Score) -> tuple[np.ndarray, np.ndarray]:
        """Return numerators and denominators (G, K) of the K ratios whose mean the score is."""
        if score == "miou":
            return self.hits, self.union
        if score == "pixel_accuracy":
            return self.hits.sum(axis=1, keepdims=True), self.labelled[:, None]
        return self.hits[:, [score]], self.union[:, [score]]


def _influence(hits: np.ndarray, whole: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the mean of pooled ratios, and each group's influence on it, (G,)."""
    total = whole.sum(axis=0).astype(np.float64)
    known = total > 0  # a class in neither masks nor predictions has no IoU
    if not known.any():
        return math.nan, np.full(len(hits), np.nan)
    share = hits[:, known].sum(axis=0) / total[known]
    influence = (hits[:, known] - share * whole[:, known]) / total[known]
    return float(share.mean()), influence.mean(axis=1)


def of_run(run: Run, part: Part = "val") -> Cells | None:
    """Return a run's cells on one part of its split; None where it has none (yet). Kept until the file changes.

    Raises:
        WorkspaceError: the file is damaged.
    """
    path = run.evaluation_path(part)
    return _cells.get(path) if path.exists() else None


def _load(path: Path) -> Cells:
    return Cells.of(load_evaluation(path))


_cells = FileCache(_load, entries=2048)
