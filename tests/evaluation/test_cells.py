"""Counts by group, and the influence of each group, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from segcore.evaluation.cells import Cells, effective_groups, of_run
from segcore.evaluation.metrics import scores
from segcore.runs import Evaluation
from segcore.store import RunStore
from tests.factories import make_run

# Group a (two images): class 0 has 4 pixels, 3 found; class 1 has 2, both found. Group b: 1 of 1, and 1 of 3.
COUNTS = np.array([[[2, 1], [0, 0]], [[1, 0], [2, 1]], [[1, 0], [0, 2]]])
CELLS = Cells.of(Evaluation(["one", "two", "three"], ["a", "b", "a"], COUNTS, 1))


def evaluation(counts: np.ndarray) -> Evaluation:
    """Each image is a group of its own."""
    names = [f"image{at:03d}" for at in range(len(counts))]
    return Evaluation(names, names, counts, 1)


def test_counts_are_summed_by_group() -> None:
    assert (CELLS.groups, CELLS.images) == (("a", "b"), (2, 1))
    assert CELLS.hits.tolist() == [[3, 2], [1, 1]]
    assert CELLS.union.tolist() == [[4, 3], [3, 3]]
    assert CELLS.shown.tolist() == [[4, 2], [1, 3]]
    assert CELLS.labelled.tolist() == [6, 4]
    assert CELLS.matrix.tolist() == [[4, 1], [2, 3]]


def test_influence_by_hand() -> None:
    # IoU 4/7 and 3/6. Group a: (3 - 4/7 x 4) / 7 = 5/49 on the first, (2 - 1/2 x 3) / 6 = 1/12 on the second.
    influence = (5 / 49 + 1 / 12) / 2
    assert CELLS.score() == pytest.approx((4 / 7 + 1 / 2) / 2)
    np.testing.assert_allclose(CELLS.table(), 15 / 28 + 2 * np.array([influence, -influence]))
    np.testing.assert_allclose(CELLS.table(0), 4 / 7 + 2 * np.array([5 / 49, -5 / 49]))
    # 7 of 10 pixels are right; group a has 5 of 6.
    np.testing.assert_allclose(CELLS.table("pixel_accuracy"), 0.7 + 2 * np.array([0.08, -0.08]))


def test_influence_is_the_slope_of_the_score() -> None:
    # A group that counts a little more moves the pooled score by its influence.
    counts = np.random.default_rng(3).integers(1, 50, (6, 4, 4))
    cells, step = Cells.of(evaluation(counts)), 1e-7
    for group in range(6):
        weights = np.ones((6, 1, 1))
        weights[group] += step
        weighted = (weights * counts).sum(axis=0)
        hits = np.diagonal(weighted)
        moved = (hits / (weighted.sum(0) + weighted.sum(1) - hits)).mean()
        assert (moved - cells.score()) / step == pytest.approx((cells.table()[group] - cells.score()) / 6, rel=1e-4)


def test_scores_are_those_of_the_metrics() -> None:
    counts = np.random.default_rng(4).integers(0, 9, (5, 4, 4))
    counts[:, 2, :] = counts[:, :, 2] = 0
    cells, expected = Cells.of(evaluation(counts)), scores(counts)
    assert cells.score() == pytest.approx(expected.miou)
    assert cells.table().mean() == pytest.approx(expected.miou)
    assert cells.score("pixel_accuracy") == pytest.approx(expected.pixel_accuracy)
    np.testing.assert_allclose([cells.score(at) for at in range(4)], expected.iou)


def test_a_class_in_neither_masks_nor_predictions_is_left_out() -> None:
    counts = np.zeros((2, 3, 3), dtype=int)
    counts[:, 0, 0], counts[0, 1, 0], counts[1, 1, 1] = 5, 5, 5
    cells = Cells.of(evaluation(counts))
    assert cells.score() == pytest.approx((10 / 15 + 5 / 10) / 2)
    assert np.isnan(cells.table(2)).all()
    assert np.isnan(Cells.of(evaluation(np.zeros((2, 3, 3), dtype=int))).table()).all()


def test_a_class_of_one_group_has_a_single_value() -> None:
    # Taken as 2 groups it would seem to be known exactly: the other group's influence on it is 0.
    counts = np.zeros((2, 2, 2), dtype=int)
    counts[:, 0, 0], counts[0, 1, 1], counts[0, 1, 0] = 5, 3, 1
    assert Cells.of(evaluation(counts)).table(1).tolist() == [0.75]


def test_groups_that_weigh_the_same_are_all_worth_one() -> None:
    assert effective_groups(np.full((1, 5, 2), 3), np.full((1, 5, 2), 4)) == pytest.approx(5)


def test_effective_groups_by_hand() -> None:
    # One ratio; the groups have 3/4 and 1/4 of it. Weights (9, 1) / 16 r (1 - r): (9 + 1)^2 / (81 + 1).
    assert effective_groups(np.array([[[1], [1]]]), np.array([[[3], [1]]])) == pytest.approx(100 / 82)
    # A score of 1 varies nowhere: the denominators alone decide.
    assert effective_groups(np.array([[[3], [1]]]), np.array([[[3], [1]]])) == pytest.approx(100 / 82)
    assert effective_groups(np.zeros((1, 3, 1)), np.zeros((1, 3, 1))) == 1


def test_folds_stand_side_by_side() -> None:
    other = Cells.of(Evaluation(["four"], ["aa"], COUNTS[:1], 1))
    joined = Cells.joined([CELLS, other])
    assert (joined.groups, joined.images) == (("a", "aa", "b"), (2, 1, 1))
    assert joined.hits.tolist() == [[3, 2], [2, 0], [1, 1]]
    assert joined.union.tolist() == [[4, 3], [3, 1], [3, 3]]
    assert joined.shown.tolist() == [[4, 2], [3, 0], [1, 3]]
    assert joined.matrix.tolist() == [[6, 2], [2, 3]]
    with pytest.raises(ValueError, match="two folds"):
        Cells.joined([CELLS, CELLS])
    with pytest.raises(ValueError, match="no cells"):
        Cells.joined([])


def test_networks_on_the_same_images_add_up() -> None:
    summed = Cells.summed([CELLS, CELLS])
    assert summed.score() == pytest.approx(CELLS.score())
    assert summed.shown.tolist() == (2 * CELLS.shown).tolist()
    with pytest.raises(ValueError, match="other groups"):
        Cells.summed([CELLS, Cells.of(evaluation(COUNTS))])


def test_a_run_without_counts_has_no_cells(store: RunStore) -> None:
    run = make_run(store)
    cells = of_run(run)
    assert cells is not None
    assert cells.score() == pytest.approx(scores(run.evaluation().counts).miou)  # type: ignore[union-attr]
    run.evaluation_path().unlink()
    assert of_run(run) is None
