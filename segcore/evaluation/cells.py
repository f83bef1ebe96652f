"""What a run got right in each group of validation images: the cells that every comparison is made of.

A score of pooled counts (see `metrics`) is a mean of ratios of sums over images. How much one group of images moves
it is the influence of that group: the linear part of the score's change (the infinitesimal jackknife; B. Efron, "The
Jackknife, the Bootstrap and Other Resampling Plans", 1982, chapter 6). For a class c with hits h_g and union u_g in
group g, H and U their sums, the influence on IoU_c = H / U is (h_g - IoU_c u_g) / U; on the mean over classes it is the
mean of these (`influence`).

Groups do not count alike: a rare class stands in few of them, and these decide its IoU. `effective_groups` says how
many groups of equal weight they are worth. Nothing here imports torch.
"""

from __future__ import annotations

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
    true: np.ndarray | None = None
    """int64 (G, C): pixels that are of the class; None where only hits and unions are known."""

    @classmethod
    def of(cls, evaluation: Evaluation) -> Cells:
        """Sum the counts of each group's images."""
        groups = tuple(sorted(set(evaluation.groups)))
        rows = np.array([groups.index(group) for group in evaluation.groups], dtype=np.intp)
        counts = np.zeros((len(groups), *evaluation.counts.shape[1:]), dtype=np.int64)
        np.add.at(counts, rows, evaluation.counts)
        hits = np.diagonal(counts, axis1=1, axis2=2).copy()
        true = counts.sum(axis=2)
        union = true + counts.sum(axis=1) - hits
        images = tuple(int(n) for n in np.bincount(rows, minlength=len(groups)))
        return cls(groups, images, hits, union, true.sum(axis=1), pooled(evaluation.counts), true)

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
            np.stack([parts[part].shown[at] for _, part, at in rows]),
        )

    @classmethod
    def summed(cls, parts: Sequence[Cells]) -> Cells:
        """Add up the counts of several networks on the same images: those of all folds on the test images.

        Raises:
            ValueError: nothing to add up, or other groups.
        """
        if len({cells.groups for cells in parts}) != 1:
            raise ValueError("cells of other groups of images cannot be added up")
        return cls(
            parts[0].groups,
            parts[0].images,
            np.sum([cells.hits for cells in parts], axis=0),
            np.sum([cells.union for cells in parts], axis=0),
            np.sum([cells.labelled for cells in parts], axis=0),
            np.sum([cells.matrix for cells in parts], axis=0),
            np.sum([cells.shown for cells in parts], axis=0),
        )

    @property
    def shown(self) -> np.ndarray:
        """int64 (G, C): where each class is to be seen; pixels that are of it or, where that is not known, `union`."""
        return self.union if self.true is None else self.true

    def score(self, score: Score = "miou") -> float:
        """Return the pooled score, 0-1; NaN where there is nothing to score."""
        value, _ = influence(*self.ratio(score))
        return float(value)

    def table(self, score: Score = "miou") -> np.ndarray:
        """Return float64 (G,): the pooled score plus G times each group's influence on it; their mean is the score.

        NaN throughout where there is nothing to score. Of a class that a single group shows, one value (1,): there is
        nothing to tell how much it would differ elsewhere.
        """
        value, moved = influence(*self.ratio(score))
        if isinstance(score, int) and np.count_nonzero(self.shown[:, score]) < 2:
            return value.reshape(1)
        return value + len(self.groups) * moved

    def ratio(self, score: Score) -> tuple[np.ndarray, np.ndarray]:
        """Return numerators and denominators (G, K) of the K ratios whose mean the score is."""
        if score == "miou":
            return self.hits, self.union
        if score == "pixel_accuracy":
            return self.hits.sum(axis=1, keepdims=True), self.labelled[:, None]
        return self.hits[:, [score]], self.union[:, [score]]


def influence(hits: np.ndarray, whole: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of pooled ratios (...), and the influence of each group on it (..., G).

    Args:
        hits: numerators (..., G, K) of K ratios.
        whole: their denominators; a ratio whose denominators are all 0 is left out of the mean. NaN without any left.
    """
    total = whole.sum(axis=-2, keepdims=True).astype(np.float64)
    known = total > 0  # a class in neither masks nor predictions has no IoU
    total = np.where(known, total, 1.0)
    share = hits.sum(axis=-2, keepdims=True) / total
    ratios = known.sum(axis=-1).astype(np.float64)  # (..., 1)
    ratios = np.where(ratios > 0, ratios, np.nan)
    return share.sum(axis=-1)[..., 0] / ratios[..., 0], ((hits - share * whole) / total).sum(axis=-1) / ratios


def effective_groups(hits: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return how many groups of equal weight the G groups are worth, 1 to G, averaged over networks.

    A group's weight is the variance that its share of each ratio's denominator would give its influence if every pixel
    were a coin toss: the sum over ratios r of (whole_gr / whole_r)^2 r (1 - r). With weights v the groups are worth
    (sum v)^2 / sum v^2.

    Args:
        hits: numerators (..., N, G, K) of N networks.
        whole: their denominators.
    """
    total = whole.sum(axis=-2, keepdims=True).astype(np.float64)
    total = np.where(total > 0, total, 1.0)
    share = hits.sum(axis=-2, keepdims=True) / total
    weight = ((whole / total) ** 2 * (share * (1 - share) + 1e-9)).sum(axis=-1).mean(axis=-2)
    # The tiny addition is for scores that are all 0 or 1: then the denominators alone decide.
    squares = (weight**2).sum(axis=-1)
    return np.where(squares > 0, weight.sum(axis=-1) ** 2 / np.where(squares > 0, squares, 1.0), 1.0)


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
