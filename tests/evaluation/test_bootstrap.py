"""The two-level bootstrap against the intervals it is to check."""

from __future__ import annotations

import numpy as np
import pytest

from segcore.evaluation.bootstrap import percentile_interval, resampled
from segcore.evaluation.cells import Cells
from segcore.evaluation.statistics import crossed


def cells(hits: np.ndarray) -> Cells:
    """Of (groups, classes) hits among 100 pixels each; what is missed is labelled nothing."""
    groups = tuple(f"{at:03d}" for at in range(len(hits)))
    union = np.full(hits.shape, 100.0)
    return Cells(groups, (1,) * len(hits), hits, union, union.sum(axis=1), np.zeros((hits.shape[1],) * 2))


def contender(rng: np.random.Generator, images: np.ndarray, seeds: int, mean: float) -> list[Cells]:
    """Seeds that differ by 1, images by 8, the rest by 4 hits of 100."""
    own = rng.normal(0, 8, len(images))
    return [
        cells((mean + images + own + rng.normal(0, 1) + rng.normal(0, 4, len(images)))[:, None]) for _ in range(seeds)
    ]


def test_with_many_seeds_and_groups_it_agrees_with_the_interval() -> None:
    rng = np.random.default_rng(0)
    images = rng.normal(0, 10, 150)
    first, second = (contender(rng, images, 25, mean) for mean in (62, 60))
    table = np.array([a.table() - b.table() for a, b in zip(first, second, strict=True)])
    estimate = crossed(table)
    found = resampled([first, second], resamples=4000)
    difference = found[:, 0] - found[:, 1]
    assert difference.mean() == pytest.approx(estimate.mean, abs=5e-4)
    low, high = estimate.interval()
    assert percentile_interval(difference) == pytest.approx((low, high), abs=0.12 * (high - low))


def test_scores_are_pooled_anew() -> None:
    # One seed, two groups of one class: drawn are both (3 of 6), the first twice (2 of 4) or the second twice (4 of 8)
    # where the hits are half; else 1 of 4, 3 of 8 and, of both, 4 of 12.
    one = Cells(("a", "b"), (1, 1), np.array([[1], [3]]), np.array([[4], [8]]), np.array([4, 8]), np.zeros((1, 1)))
    found = resampled([[one]], resamples=2000)[:, 0]
    values, counts = np.unique(found.round(6), return_counts=True)
    np.testing.assert_allclose(values, [1 / 4, 1 / 3, 3 / 8], atol=1e-6)
    np.testing.assert_allclose(counts / 2000, [0.25, 0.5, 0.25], atol=0.04)


def test_equal_contenders_differ_by_nothing() -> None:
    rng = np.random.default_rng(1)
    one = contender(rng, rng.normal(0, 10, 20), 3, 50)
    found = resampled([one, one], resamples=200)
    assert (found[:, 0] == found[:, 1]).all()
    np.testing.assert_array_equal(found, resampled([one, one], resamples=200))  # the drawing is seeded


def test_draws_without_the_class_are_left_out() -> None:
    one = Cells(("a", "b"), (1, 1), np.array([[1], [0]]), np.array([[2], [0]]), np.array([2, 2]), np.zeros((1, 1)))
    found = resampled([[one]], 0, resamples=400)[:, 0]
    assert np.isnan(found).mean() == pytest.approx(0.25, abs=0.08)
    assert percentile_interval(found) == (0.5, 0.5)
    assert np.isnan(percentile_interval(np.full(3, np.nan))).all()


def test_what_cannot_be_resampled_is_refused() -> None:
    one = cells(np.ones((2, 1)))
    with pytest.raises(ValueError, match="nothing to resample"):
        resampled([[one], []])
    with pytest.raises(ValueError, match="same groups"):
        resampled([[one], [cells(np.ones((3, 1)))]])
