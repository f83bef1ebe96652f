"""Variance components, intervals, tests and adjustments: worked by hand, and against scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from segcore.evaluation.statistics import (
    Components,
    Estimate,
    Spread,
    average_spread,
    corrected,
    crossed,
    paired,
    t_quantile,
    t_quantiles,
)

# Rows 3 and 4, columns 2, 3 and 5.5, mean 3.5; the rest is (-1/2, -1/2, 1) and its opposite.
TABLE = np.array([[1.0, 2.0, 6.0], [3.0, 4.0, 5.0]])


def test_crossed_by_hand() -> None:
    # MS_seed = 3 (1/4 + 1/4) / 1 = 1.5; MS_group = 2 (9/4 + 1/4 + 4) / 2 = 6.5; MS_rest = 3 / 2 = 1.5.
    found = crossed(TABLE)
    assert found.mean == 3.5
    assert found.error == pytest.approx(math.sqrt((1.5 + 6.5 - 1.5) / 6))
    # 6.5^2 / (1.5^2 / 1 + 6.5^2 / 2 + 1.5^2 / 2)
    assert found.freedom == pytest.approx(42.25 / 24.5)
    components = found.components
    assert components is not None
    assert (components.seed, components.group, components.rest) == pytest.approx((0, 2.5, 1.5))
    assert (found.seeds, found.groups, found.scope) == (2, 3, "seeds and images")


def test_effective_groups_take_degrees_of_freedom() -> None:
    # 2.5 groups have 1.5 degrees of freedom: 42.25 / (2.25 + 42.25 / 1.5 + 1.125)
    found = crossed(TABLE, effective=2.5)
    assert found.error == crossed(TABLE).error
    assert found.freedom == pytest.approx(42.25 / (2.25 + 42.25 / 1.5 + 1.125))
    assert crossed(TABLE, effective=1.0).freedom == 1  # never below
    assert crossed(TABLE, effective=30.0) == crossed(TABLE)  # nor more than there are


def test_a_known_spread_takes_the_place_of_the_seeds_own() -> None:
    # Variance of the seeds' means 2: MS_seed = 3 x 2 = 6, with 4 degrees of freedom.
    found = crossed(TABLE, spread=Spread(2.0, 4.0))
    assert found.error == pytest.approx(math.sqrt((6 + 6.5 - 1.5) / 6))
    assert found.freedom == pytest.approx(11**2 / (36 / 4 + 42.25 / 2 + 2.25 / 2))
    assert found.components is not None
    assert found.components.seed == pytest.approx((6 - 1.5) / 3)
    assert found.components.freedom_a_seed == 4


def test_the_error_never_falls_below_that_of_seeds_or_groups() -> None:
    # Nothing but rest: MS_seed = MS_group = 0, and 0 + 0 - MS_rest would be negative.
    table = np.array([[1.0, -1.0], [-1.0, 1.0]])
    assert crossed(table).error == 0
    # MS_seed = 2 (2.25 + 2.25) = 9 and MS_rest = 4 x 1.25^2 = 6.25, MS_group = 2 x 0.25^2 x 2 = 0.25: 3, but the seeds
    # alone have 9.
    table = np.array([[2.5, 0.5], [-3.0, 0.0]])
    rows, columns = table.mean(axis=1), table.mean(axis=0)
    ms_seed, ms_group = 2 * rows.var(ddof=1), 2 * columns.var(ddof=1)
    components = crossed(table).components
    assert components is not None
    assert ms_group < components.rest
    assert crossed(table).error == pytest.approx(math.sqrt(ms_seed / 4))


@given(st.integers(2, 6), st.integers(2, 9), st.integers(0, 2**32 - 1))
def test_crossed_agrees_with_sums_of_squares(seeds: int, groups: int, seed: int) -> None:
    """Against the textbook's route: residuals of least squares with one column a seed and a group."""
    table = np.random.default_rng(seed).normal(size=(seeds, groups))
    s, g = np.divmod(np.arange(table.size), groups)
    one, by_seed, by_group = np.ones((table.size, 1)), np.eye(seeds)[s], np.eye(groups)[g]

    def left(*columns: np.ndarray) -> float:
        design = np.hstack(columns)
        fitted = design @ np.linalg.lstsq(design, table.ravel(), rcond=None)[0]
        return float(((table.ravel() - fitted) ** 2).sum())

    rest = left(one, by_seed, by_group) / ((seeds - 1) * (groups - 1))
    ms_seed = (left(one, by_group) - left(one, by_seed, by_group)) / (seeds - 1)
    ms_group = (left(one, by_seed) - left(one, by_seed, by_group)) / (groups - 1)
    total = max(ms_seed + ms_group - rest, ms_seed, ms_group)
    assert crossed(table).error == pytest.approx(math.sqrt(total / table.size))


@pytest.mark.parametrize("axis", [0, 1])
def test_one_seed_or_one_group_is_scipys_interval(axis: int) -> None:
    values = np.array([0.3, 0.5, 0.1, 0.45])
    found = crossed(np.expand_dims(values, axis))
    expected = stats.ttest_1samp(values, 0)
    assert found.p_value() == pytest.approx(expected.pvalue)
    assert found.interval() == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert found.scope == ("images" if axis == 0 else "seeds")
    assert found.components is None


def test_one_cell_tells_nothing() -> None:
    found = crossed(np.array([[0.3]]))
    assert (found.mean, found.scope) == (0.3, "nothing")
    assert np.isnan([found.error, *found.interval(), found.p_value(), found.p_equivalent(0.01)]).all()


@pytest.mark.parametrize("table", [np.zeros(3), np.zeros((0, 2)), np.array([[1.0, np.nan]]), np.array([[np.inf, 1.0]])])
def test_what_is_no_table_is_refused(table: np.ndarray) -> None:
    with pytest.raises(ValueError, match="finite numbers, seeds x groups"):
        crossed(table)


def test_without_any_spread_the_answer_is_plain() -> None:
    same, apart = crossed(np.zeros((3, 4))), crossed(np.full((3, 4), 0.25))
    assert (same.error, same.p_value(), same.p_equivalent(0.01)) == (0, 1, 0)
    assert (apart.p_value(), apart.p_equivalent(0.01), apart.interval()) == (0, 1, (0.25, 0.25))


def test_components_foretell_the_error_of_more() -> None:
    components = Components(seed=0.04, group=0.09, rest=0.36)
    assert components.error(4, 9) == pytest.approx(math.sqrt(0.01 + 0.01 + 0.01))
    np.testing.assert_allclose(components.error([4, 1], 9), [math.sqrt(0.03), math.sqrt(0.04 + 0.01 + 0.04)])
    # MS: 0.36 + 9 x 0.04 = 0.72 with 3, 0.36 + 4 x 0.09 = 0.72 with 8, 0.36 with 24 degrees of freedom.
    assert components.freedom(4, 9) == pytest.approx(1.08**2 / (0.72**2 / 3 + 0.72**2 / 8 + 0.36**2 / 24))
    # Of a table with just these mean squares it is what the table's own estimate says.
    found = crossed(TABLE, effective=2.5)
    assert found.components is not None
    assert found.components.error(2, 3) == pytest.approx(found.error)
    assert found.components.freedom(2, 3) == pytest.approx(found.freedom)


# Pairs ---------------------------------------------------------------------------------------------


def test_the_spread_of_a_difference_is_that_of_both() -> None:
    # Means by seed 0.6 and 0.8 against 0.5 and 0.9: variances 0.02 and 0.08, by pairs (0.1, -0.1) 0.02 only.
    first = np.array([[0.5, 0.7], [0.7, 0.9]])
    second = np.array([[0.45, 0.55], [0.8, 1.0]])
    found, by_pairs = paired(first, second), crossed(first - second)
    assert found.mean == pytest.approx(0)
    ms_group = 2 * (first - second).mean(axis=0).var(ddof=1)
    ms_rest = by_pairs.components.rest if by_pairs.components else math.nan
    ms_seed = 2 * (0.02 + 0.08)
    assert found.error**2 * 4 == pytest.approx(max(ms_seed + ms_group - ms_rest, ms_seed, ms_group))
    assert found.error > by_pairs.error


def test_average_spread_by_hand() -> None:
    two, three = np.array([[0.6], [0.8]]), np.array([[0.1], [0.3], [0.5]])  # variances 0.02 and 0.04
    found = average_spread([two, three, np.array([[0.9]])])
    assert found is not None
    assert found.variance == pytest.approx((1 * 0.02 + 2 * 0.04) / 3)
    assert found.freedom == pytest.approx(0.1**2 / (1 * 0.02**2 + 2 * 0.04**2))
    assert average_spread([np.array([[0.9]])]) is None
    assert average_spread([np.full((3, 2), 0.5)]) == Spread(0.0, 2.0)


def test_a_pair_is_not_taken_for_surer_than_the_study() -> None:
    rng = np.random.default_rng(0)
    images = rng.normal(0, 0.01, (1, 50))
    calm = [0.5 + images + rng.normal(0, 1e-4, (3, 50)) for _ in range(2)]
    alone, study = paired(*calm), Spread(0.03**2, 12.0)
    assert paired(*calm, study=study).error == pytest.approx(math.sqrt(2 * 0.03**2 / 3), rel=0.01)
    assert alone.error < 0.001
    # But for less sure, where its own seeds say so.
    wild = calm[0] + np.array([[-0.2], [0.0], [0.2]])
    assert paired(wild, calm[1], study=study).error == pytest.approx(math.sqrt(0.04 / 3), rel=0.01)


def test_pairs_of_different_tables_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(2, 3\) and \(2, 2\)"):
        paired(TABLE, TABLE[:, :2])
    assert paired(TABLE[:1], TABLE[:1] + 1).scope == "images"


# Tests ---------------------------------------------------------------------------------------------


def test_t_test_and_interval_are_scipys() -> None:
    found = Estimate(0.02, 0.008, 7.3, 4, 20, "seeds and images")
    assert found.p_value() == pytest.approx(2 * stats.t.sf(0.02 / 0.008, 7.3))
    assert found.interval() == pytest.approx(stats.t.interval(0.95, 7.3, 0.02, 0.008))
    np.testing.assert_allclose(t_quantiles(np.array([1.0, 7.3])), [t_quantile(1.0), t_quantile(7.3)])
    assert t_quantile(1.0) == pytest.approx(12.7062, abs=1e-4)


def test_equivalence_is_two_one_sided_tests() -> None:
    found = Estimate(-0.002, 0.003, 10.0, 4, 20, "seeds and images")
    above = stats.t.cdf((-0.002 - 0.01) / 0.003, 10)  # of a true mean of +1 point or more
    below = stats.t.sf((-0.002 + 0.01) / 0.003, 10)  # of -1 point or less
    assert found.p_equivalent(0.01) == pytest.approx(max(above, below))
    assert found.p_equivalent(0.002) == pytest.approx(0.5)
    assert found.p_equivalent(0.001) > 0.5


def test_nadeau_bengio_by_hand() -> None:
    # Mean 0.03, variance 0.00025; 5 folds, each judged on a quarter as many images as it is trained on.
    found = corrected([0.02, 0.04, 0.03, 0.05, 0.01], 0.25)
    assert found.mean == pytest.approx(0.03)
    assert found.error == pytest.approx(math.sqrt((1 / 5 + 1 / 4) * 0.00025))
    assert found.freedom == 4
    assert found.p_value() == pytest.approx(2 * stats.t.sf(0.03 / math.sqrt(0.0001125), 4))
    with pytest.raises(ValueError, match="at least two folds"):
        corrected([0.02], 0.25)
    with pytest.raises(ValueError, match="above 0"):
        corrected([0.02, 0.03], 0.0)
