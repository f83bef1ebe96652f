"""The two-level bootstrap of seeds and image groups: a cross-check of the intervals in `statistics`.

Seeds and groups are drawn anew with replacement, the same groups for all contenders, the scores are pooled again from
the counts, and the middle 95 % of the results are the interval. It assumes no distribution, but is too narrow with few
seeds (it covers 75-92 % where 95 % is meant), which is why it decides nothing here. See A. C. Davison, D. V. Hinkley,
"Bootstrap Methods and Their Application", 1997, section 3.8.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from segcore.evaluation.cells import Cells, Score
from segcore.evaluation.statistics import CONFIDENCE

RESAMPLES = 10_000
_CHUNK = 500
"""Resamples worked on at once: bounds the memory."""


def resampled(
    contenders: Sequence[Sequence[Cells]], score: Score = "miou", *, resamples: int = RESAMPLES, seed: int = 0
) -> np.ndarray:
    """Return float64 (resamples, contenders): each contender's mean score over seeds, of each resample.

    Args:
        contenders: the cells of each seed's network; the groups are the same for all. Where all contenders have as many
            seeds, the same places are drawn for all of them, so that differences are paired.
        score: what is pooled.
        resamples: how often.
        seed: of the drawing.

    Raises:
        ValueError: nothing to resample, or groups that differ.
    """
    if not contenders or not all(contenders):
        raise ValueError("there is nothing to resample")
    groups = contenders[0][0].groups
    if any(cells.groups != groups for seeds in contenders for cells in seeds):
        raise ValueError("the contenders were not judged on the same groups of images")
    rng = np.random.default_rng(seed)
    ratios = [cells.ratio(score) for seeds in contenders for cells in seeds]
    hits = np.stack([hit for hit, _ in ratios], axis=1).astype(np.float64)  # (G, networks, K)
    whole = np.stack([total for _, total in ratios], axis=1).astype(np.float64)
    sizes = [len(seeds) for seeds in contenders]
    starts = np.cumsum([0, *sizes])
    found = np.empty((resamples, len(contenders)))
    for begin in range(0, resamples, _CHUNK):
        count = min(_CHUNK, resamples - begin)
        weights = rng.multinomial(len(groups), np.full(len(groups), 1 / len(groups)), size=count).astype(np.float64)
        scores = _pooled_scores(weights, hits, whole)
        paired = rng.integers(0, sizes[0], size=(count, sizes[0])) if len(set(sizes)) == 1 else None
        for at, size in enumerate(sizes):
            drawn = paired if paired is not None else rng.integers(0, size, size=(count, size))
            mine = scores[:, starts[at] : starts[at] + size]
            found[begin : begin + count, at] = np.take_along_axis(mine, drawn, axis=1).mean(axis=1)
    return found


def _pooled_scores(weights: np.ndarray, hits: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return (B, networks): the score of each network with the groups weighted by `weights` (B, G)."""
    groups, networks, ratios = hits.shape
    pooled_hits = (weights @ hits.reshape(groups, -1)).reshape(-1, networks, ratios)
    pooled_whole = (weights @ whole.reshape(groups, -1)).reshape(-1, networks, ratios)
    known = pooled_whole > 0
    shares = np.divide(pooled_hits, pooled_whole, out=np.zeros_like(pooled_hits), where=known)
    count = known.sum(axis=2)
    # A draw without a pixel of the one class that is looked at has no score.
    return np.divide(shares.sum(axis=2), count, out=np.full(count.shape, np.nan), where=count > 0)


def percentile_interval(values: np.ndarray, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the middle `confidence` of resampled values (B,), those without a score left out; NaN where none has."""
    known = values[~np.isnan(values)]
    if not known.size:
        return math.nan, math.nan
    low, high = np.quantile(known, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
