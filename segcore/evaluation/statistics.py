"""Means of crossed seeds and images, their standard errors, tests and intervals.

Every seed's network predicts every group of images, so seeds and groups are crossed random effects. A table of one
value a seed and group (see `cells`), x_sg = mean + seed_s + group_g + rest_sg, is taken apart by the two-way analysis
of variance without replication (S. R. Searle, G. Casella, C. E. McCulloch, "Variance Components", 1992, chapter 4):

    MS_seed = G sum_s (x_s. - x_..)^2 / (S - 1)        expects  var_rest + G var_seed
    MS_group = S sum_g (x_.g - x_..)^2 / (G - 1)       expects  var_rest + S var_group
    MS_rest = sum (x_sg - x_s. - x_.g + x_..)^2 / ((S - 1)(G - 1))

    Var(mean) = (MS_seed + MS_group - MS_rest) / (S G)

with the degrees of freedom of F. E. Satterthwaite, "An Approximate Distribution of Estimates of Variance Components",
Biometrics 2, 1946, and Student's t. The difference MS_seed + MS_group - MS_rest can come out too small or negative by
chance; it is never taken below the larger of MS_seed and MS_group. `benchmarks/statistics.py` shows by simulation how
often the intervals hold. Nothing here imports torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

CONFIDENCE = 0.95

Scope = Literal["seeds and images", "seeds", "images", "nothing"]
"""What an interval covers: what would be found with other seeds, other groups of images, both, or nothing at all."""


@dataclass(frozen=True)
class Components:
    """Variance components of one cell (one seed, one group), each at least 0."""

    seed: float
    group: float
    rest: float

    def error(self, seeds: float, groups: float) -> float:
        """Return the standard error to expect of a mean over so many seeds and groups."""
        return math.sqrt(self.seed / seeds + self.group / groups + self.rest / (seeds * groups))

    def freedom(self, seeds: int, groups: int) -> float:
        """Return the degrees of freedom to expect for that standard error (Satterthwaite)."""
        return _satterthwaite(
            self.rest + groups * self.seed, self.rest + seeds * self.group, self.rest, seeds=seeds, groups=groups
        )


@dataclass(frozen=True)
class Estimate:
    """A mean, and how far it can be trusted."""

    mean: float
    error: float
    """Standard error; NaN where nothing tells."""
    freedom: float
    """Degrees of freedom of `error`; NaN where nothing tells."""
    seeds: int
    groups: int
    scope: Scope
    components: Components | None = None
    """Where both seeds and groups are several."""

    def interval(self, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """Return the two-sided interval of Student's t; (NaN, NaN) where nothing tells."""
        if math.isnan(self.error):
            return math.nan, math.nan
        half = t_quantile(self.freedom, confidence) * self.error
        return self.mean - half, self.mean + half

    def p_value(self) -> float:
        """Return the two-sided p-value of a true mean of 0; NaN where nothing tells."""
        if math.isnan(self.error):
            return math.nan
        if self.error == 0:
            return 1.0 if self.mean == 0 else 0.0
        return 2 * _t_below(-abs(self.mean) / self.error, self.freedom)

    def p_equivalent(self, margin: float) -> float:
        """Return the p-value of equivalence: of a true mean at least `margin` away from 0; NaN where nothing tells.

        Two one-sided tests (D. J. Schuirmann, Journal of Pharmacokinetics and Biopharmaceutics 15, 1987).
        """
        if math.isnan(self.error):
            return math.nan
        if self.error == 0:
            return 0.0 if abs(self.mean) < margin else 1.0
        return _t_below((abs(self.mean) - margin) / self.error, self.freedom)


def crossed(table: np.ndarray) -> Estimate:
    """Return the mean of a seeds x groups table with the standard error that covers both.

    With one seed the standard error covers the images alone, with one group the seeds alone; with one of each there is
    none.

    Args:
        table: float (S, G), without NaN, at least one cell.

    Raises:
        ValueError: another shape, or a cell that is no finite number.
    """
    table = np.asarray(table, dtype=np.float64)
    if table.ndim != 2 or table.size == 0 or not np.isfinite(table).all():
        raise ValueError(f"expected a table of finite numbers, seeds x groups, not one of shape {table.shape}")
    seeds, groups = table.shape
    mean = float(table.mean())
    by_seed, by_group = table.mean(axis=1), table.mean(axis=0)
    if seeds == 1 and groups == 1:
        return Estimate(mean, math.nan, math.nan, seeds, groups, "nothing")
    if seeds == 1 or groups == 1:
        values, scope = (by_group, "images") if seeds == 1 else (by_seed, "seeds")
        error = float(values.std(ddof=1)) / math.sqrt(len(values))
        return Estimate(mean, error, len(values) - 1.0, seeds, groups, scope)  # type: ignore[arg-type]
    ms_seed = groups * float(by_seed.var(ddof=1))
    ms_group = seeds * float(by_group.var(ddof=1))
    rest = table - by_seed[:, None] - by_group[None, :] + mean
    ms_rest = float((rest**2).sum()) / ((seeds - 1) * (groups - 1))
    variance = max(ms_seed + ms_group - ms_rest, ms_seed, ms_group) / (seeds * groups)
    components = Components(max(0.0, (ms_seed - ms_rest) / groups), max(0.0, (ms_group - ms_rest) / seeds), ms_rest)
    freedom = _satterthwaite(ms_seed, ms_group, ms_rest, seeds=seeds, groups=groups)
    return Estimate(mean, math.sqrt(variance), freedom, seeds, groups, "seeds and images", components)


def _satterthwaite(ms_seed: float, ms_group: float, ms_rest: float, *, seeds: int, groups: int) -> float:
    """Return the degrees of freedom of MS_seed + MS_group - MS_rest, at least 1."""
    total = max(ms_seed + ms_group - ms_rest, ms_seed, ms_group)
    spread = ms_seed**2 / (seeds - 1) + ms_group**2 / (groups - 1) + ms_rest**2 / ((seeds - 1) * (groups - 1))
    return max(1.0, total**2 / spread) if spread > 0 else float(seeds + groups - 2)


def corrected(differences: Sequence[float], test_share: float) -> Estimate:
    """Return the mean over folds with the standard error of Nadeau and Bengio.

    Folds share most of their training images, so their differences are not independent; the variance of their mean is
    taken as (1/J + n_test/n_train) s^2 (C. Nadeau, Y. Bengio, "Inference for the Generalization Error", Machine
    Learning 52, 2003; with repetitions: R. Bouckaert, E. Frank, PAKDD 2004).

    Args:
        differences: one a fold and repetition, J in all.
        test_share: images a fold is judged on / images it is trained on.

    Raises:
        ValueError: fewer than two differences.
    """
    values = np.asarray(differences, dtype=np.float64)
    if len(values) < 2:
        raise ValueError("the corrected test takes at least two folds")
    error = math.sqrt((1 / len(values) + test_share) * float(values.var(ddof=1)))
    return Estimate(float(values.mean()), error, len(values) - 1.0, len(values), 1, "seeds and images")


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for making so many tests at once (S. Holm, Scandinavian Journal of Statistics 6, 1979).

    Comparing each with 5 % keeps the chance of any false alarm among all at 5 %. NaN stays NaN and counts for nothing.
    """
    known = sorted((p, place) for place, p in enumerate(p_values) if not math.isnan(p))
    adjusted = [math.nan] * len(p_values)
    highest = 0.0
    for rank, (p, place) in enumerate(known):
        highest = max(highest, min(1.0, (len(known) - rank) * p))
        adjusted[place] = highest
    return adjusted


def letters(order: Sequence[str], apart: set[frozenset[str]]) -> dict[str, str]:
    """Return letters such that two entries share one exactly where they cannot be told apart.

    The insert-and-absorb algorithm of H.-P. Piepho, "An Algorithm for a Letter-Based Representation of All-Pairwise
    Comparisons", Journal of Computational and Graphical Statistics 13, 2004.

    Args:
        order: entries, the best first; the first gets the letter a.
        apart: pairs that are told apart.
    """
    columns: list[set[str]] = [set(order)]
    for pair in sorted(apart, key=sorted):
        first, second = sorted(pair)
        split = [column for column in columns if first in column and second in column]
        columns = [column for column in columns if column not in split]
        columns += [column - {one} for column in split for one in (first, second)]
        columns = [
            c for at, c in enumerate(columns) if not any(c < o or (c == o and at > i) for i, o in enumerate(columns))
        ]
    place = {entry: at for at, entry in enumerate(order)}
    columns.sort(key=lambda column: sorted(place[entry] for entry in column))
    return {entry: "".join(_letter(at) for at, column in enumerate(columns) if entry in column) for entry in order}


def _letter(number: int) -> str:
    """a, b, …, z, aa, ab, …"""
    return (_letter(number // 26 - 1) if number >= 26 else "") + chr(ord("a") + number % 26)


@lru_cache(maxsize=1024)
def t_quantile(freedom: float, confidence: float = CONFIDENCE) -> float:
    """Return the two-sided quantile of Student's t."""
    from scipy.special import stdtrit  # a tenth of the import time of scipy.stats

    return float(stdtrit(freedom, (1 + confidence) / 2))


def _t_below(value: float, freedom: float) -> float:
    from scipy.special import stdtr

    return float(stdtr(freedom, value))
