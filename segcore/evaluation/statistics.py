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
chance; it is never taken below the larger of MS_seed and MS_group.

Two refinements, without which `benchmarks/statistics.py` finds too many false alarms:

    - A rare class stands in few of the groups, which then decide the score nearly alone. MS_group gets the degrees of
      freedom of the effective number of groups, as for clusters of unequal size (A. V. Carter, K. T. Schnepel,
      D. G. Steigerwald, Review of Economics and Statistics 99, 2017).
    - The spread of two or three seeds comes out far too small by chance now and then, and among many pairs one such is
      enough for a false alarm. The networks of two contenders are independent, so the spread of a difference is that of
      both added up, which has twice the degrees of freedom; and it is never taken below the average over all
      contenders of the study.

Nothing here imports torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

CONFIDENCE = 0.95

Scope = Literal["seeds and images", "seeds", "images", "nothing"]
"""What an interval covers: what would be found with other seeds, other groups of images, both, or nothing at all."""


@dataclass(frozen=True)
class Components:
    """Variance components of one cell (one seed, one group), each at least 0."""

    seed: float
    group: float
    rest: float
    freedom_a_seed: float = 1.0
    """Degrees of freedom of the seeds' spread for each seed beyond the first: 2 where two contenders tell it."""
    effective_share: float = 1.0
    """Effective groups for each group, above 0 to 1."""

    def error(self, seeds: ArrayLike, groups: ArrayLike) -> np.ndarray:
        """Return the standard error to expect of a mean over so many seeds and groups, or over each of several."""
        seeds, groups = np.asarray(seeds, dtype=np.float64), np.asarray(groups, dtype=np.float64)
        return np.sqrt(self.seed / seeds + self.group / groups + self.rest / (seeds * groups))

    def freedom(self, seeds: ArrayLike, groups: ArrayLike) -> np.ndarray:
        """Return the degrees of freedom to expect for that standard error (Satterthwaite); of at least two of both."""
        seeds, groups = np.asarray(seeds, dtype=np.float64), np.asarray(groups, dtype=np.float64)
        return _satterthwaite(
            (self.rest + groups * self.seed, self.freedom_a_seed * (seeds - 1)),
            (self.rest + seeds * self.group, np.maximum(1.0, self.effective_share * groups - 1)),
            (self.rest, (seeds - 1) * (groups - 1)),
        )


@dataclass(frozen=True)
class Spread:
    """How much a score differs between seeds: a variance and its degrees of freedom."""

    variance: float
    freedom: float


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


def crossed(table: np.ndarray, *, effective: float | None = None, spread: Spread | None = None) -> Estimate:
    """Return the mean of a seeds x groups table with the standard error that covers both.

    With one seed the standard error covers the images alone, with one group the seeds alone; with one of each there is
    none.

    Args:
        table: float (S, G), without NaN, at least one cell.
        effective: how many groups of equal weight the groups are worth, 1 to G; G unless said.
        spread: of the seeds' means, where more is known of it than the table tells; used with several of both.

    Raises:
        ValueError: another shape, or a cell that is no finite number.
    """
    table = np.asarray(table, dtype=np.float64)
    if table.ndim != 2 or table.size == 0 or not np.isfinite(table).all():
        raise ValueError(f"expected a table of finite numbers, seeds x groups, not one of shape {table.shape}")
    seeds, groups = table.shape
    mean = float(table.mean())
    by_seed, by_group = table.mean(axis=1), table.mean(axis=0)
    group_freedom = max(1.0, min(effective or groups, groups) - 1.0)
    if seeds == 1 and groups == 1:
        return Estimate(mean, math.nan, math.nan, seeds, groups, "nothing")
    if groups == 1:
        return Estimate(mean, _mean_error(by_seed), seeds - 1.0, seeds, groups, "seeds")
    if seeds == 1:
        return Estimate(mean, _mean_error(by_group), group_freedom, seeds, groups, "images")
    if spread is None:
        spread = Spread(float(by_seed.var(ddof=1)), seeds - 1.0)
    ms_seed = groups * spread.variance
    ms_group = seeds * float(by_group.var(ddof=1))
    rest = table - by_seed[:, None] - by_group[None, :] + mean
    ms_rest = float((rest**2).sum()) / ((seeds - 1) * (groups - 1))
    variance = float(_least_total(ms_seed, ms_group, ms_rest)) / (seeds * groups)
    components = Components(
        max(0.0, (ms_seed - ms_rest) / groups),
        max(0.0, (ms_group - ms_rest) / seeds),
        ms_rest,
        spread.freedom / (seeds - 1),
        min(1.0, (group_freedom + 1) / groups),
    )
    freedom = float(
        _satterthwaite((ms_seed, spread.freedom), (ms_group, group_freedom), (ms_rest, (seeds - 1) * (groups - 1)))
    )
    return Estimate(mean, math.sqrt(variance), freedom, seeds, groups, "seeds and images", components)


def paired(
    first: np.ndarray, second: np.ndarray, *, effective: float | None = None, study: Spread | None = None
) -> Estimate:
    """Return the mean of first - second, two contenders' tables over the same seeds and groups.

    Args:
        first: float (S, G), as for `crossed`.
        second: float (S, G).
        effective: how many groups of equal weight the groups are worth.
        study: spread of one contender's seeds, the average over all contenders: the least that is reckoned with.

    Raises:
        ValueError: tables of different shapes, or not fit for `crossed`.
    """
    first, second = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if first.shape != second.shape:
        raise ValueError(f"tables of one shape are compared, not {first.shape} and {second.shape}")
    spread = None
    if first.ndim == 2 and len(first) > 1:
        own = average_spread([first, second])
        if own is not None:
            # Both are of one contender's seeds; a difference has that of two. All contenders tell it more surely.
            variance = own.variance if study is None else max(own.variance, study.variance)
            spread = Spread(2 * variance, (study or own).freedom)
    return crossed(first - second, effective=effective, spread=spread)


def average_spread(tables: Sequence[np.ndarray]) -> Spread | None:
    """Return the spread of one contender's seeds, averaged over contenders; None where none has two seeds.

    Args:
        tables: one a contender, float (S, G) each; how many seeds and groups may differ.
    """
    known = [(float(table.mean(axis=1).var(ddof=1)), len(table) - 1.0) for table in tables if len(table) > 1]
    if not known:
        return None
    freedom = sum(f for _, f in known)
    variance = sum(v * f for v, f in known) / freedom
    squares = sum(v**2 * f for v, f in known)
    # Satterthwaite: an average of unequal spreads is known less well than one of equal spreads.
    return Spread(variance, (variance * freedom) ** 2 / squares if squares > 0 else freedom)


def _mean_error(values: np.ndarray) -> float:
    return float(values.std(ddof=1)) / math.sqrt(len(values))


def _least_total(ms_seed: ArrayLike, ms_group: ArrayLike, ms_rest: ArrayLike) -> np.ndarray:
    ms_seed, ms_group = np.asarray(ms_seed), np.asarray(ms_group)
    return np.maximum(ms_seed + ms_group - ms_rest, np.maximum(ms_seed, ms_group))


_Square = tuple[ArrayLike, ArrayLike]
"""A mean square and its degrees of freedom."""


def _satterthwaite(seed: _Square, group: _Square, rest: _Square) -> np.ndarray:
    """Return the degrees of freedom of MS_seed + MS_group - MS_rest, at least 1."""
    total = _least_total(seed[0], group[0], rest[0])
    parts = [np.asarray(square) ** 2 / np.asarray(freedom) for square, freedom in (seed, group, rest)]
    spread = parts[0] + parts[1] + parts[2]
    known = spread > 0  # where nothing varies at all, all degrees of freedom are there
    freedom = np.where(known, total**2 / np.where(known, spread, 1.0), np.asarray(seed[1]) + np.asarray(group[1]))
    return np.maximum(1.0, freedom)


def corrected(differences: Sequence[float], test_share: float) -> Estimate:
    """Return the mean over folds with the standard error of Nadeau and Bengio.

    Folds share most of their training images, so their differences are not independent; the variance of their mean is
    taken as (1/J + n_test/n_train) s^2 (C. Nadeau, Y. Bengio, "Inference for the Generalization Error", Machine
    Learning 52, 2003). Several seeds on the same folds are averaged first: they are no further folds.

    Args:
        differences: one a fold, J in all.
        test_share: images a fold is judged on / images it is trained on.

    Raises:
        ValueError: fewer than two differences, or a share that is not above 0.
    """
    values = np.asarray(differences, dtype=np.float64)
    if len(values) < 2:
        raise ValueError("the corrected test takes at least two folds")
    if not test_share > 0:
        raise ValueError(f"the share of judged to trained images is {test_share:g}; it must be above 0")
    error = math.sqrt((1 / len(values) + test_share) * float(values.var(ddof=1)))
    return Estimate(float(values.mean()), error, len(values) - 1.0, len(values), 1, "seeds and images")


@lru_cache(maxsize=1024)
def t_quantile(freedom: float, confidence: float = CONFIDENCE) -> float:
    """Return the two-sided quantile of Student's t."""
    from scipy.special import stdtrit  # a tenth of the import time of scipy.stats

    return float(stdtrit(freedom, (1 + confidence) / 2))


def t_quantiles(freedom: np.ndarray, confidence: float = CONFIDENCE) -> np.ndarray:
    """Return the two-sided quantiles of Student's t for many degrees of freedom."""
    from scipy.special import stdtrit

    return np.asarray(stdtrit(freedom, (1 + confidence) / 2))


def _t_below(value: float, freedom: float) -> float:
    from scipy.special import stdtr

    return float(stdtr(freedom, value))
