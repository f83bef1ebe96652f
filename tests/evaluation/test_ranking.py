"""Which images come first, worked by hand from counts."""

from __future__ import annotations

import math

import numpy as np
import pytest

from segcore.errors import WorkspaceError
from segcore.evaluation.metrics import scores
from segcore.evaluation.ranking import (
    SharedError,
    confused_images,
    differences,
    image_iou,
    image_scores,
    matched,
    shared_errors,
    worst_first,
)
from segcore.runs import Evaluation
from segcore.store import RunStore
from tests import factories

# Three classes. "half": 4 of class 0, 2 of them taken for class 1, and 2 of class 1 found. "right": all right, of class
# 0 alone. "bare": nothing is labelled.
HALF = [[2, 2, 0], [0, 2, 0], [0, 0, 0]]
RIGHT = [[6, 0, 0], [0, 0, 0], [0, 0, 0]]
BARE = [[0] * 3] * 3


def evaluation(**counts: list[list[int]]) -> Evaluation:
    return Evaluation(list(counts), list(counts), np.array(list(counts.values()), dtype=np.int64), 1)


ONE = evaluation(right=RIGHT, half=HALF, bare=BARE)


def test_iou_of_each_image_by_hand() -> None:
    iou = image_iou(ONE.counts)
    np.testing.assert_allclose(iou, [[1, np.nan, np.nan], [2 / 4, 2 / 4, np.nan], [np.nan] * 3])
    np.testing.assert_allclose(image_scores(ONE.counts), [1, 0.5, np.nan])
    np.testing.assert_allclose(image_scores(ONE.counts, 1), [np.nan, 0.5, np.nan])


def test_iou_is_that_of_the_metric_contract() -> None:
    counts = np.random.default_rng(0).integers(0, 4, (30, 4, 4))
    counts[counts < 2] = 0
    expected = [scores(one) for one in counts]
    np.testing.assert_allclose(image_iou(counts), [one.iou for one in expected])
    np.testing.assert_allclose(image_scores(counts), [one.miou for one in expected])


def test_worst_images_come_first_and_those_without_a_value_last() -> None:
    found = worst_first([ONE])
    assert [one.image for one in found] == ["half", "right", "bare"]
    assert [one.value for one in found[:2]] == [0.5, 1.0] and math.isnan(found[2].value)
    assert [one.networks for one in found] == [1, 1, 0]
    assert [one.share for one in found] == [1, 1, 0]


def test_of_a_class_its_share_of_the_pixels_is_told() -> None:
    found = worst_first([ONE], 1)
    assert [(one.image, one.share, one.networks) for one in found] == [
        ("half", pytest.approx(2 / 6), 1),
        ("bare", 0, 0),
        ("right", 0, 0),
    ]


def test_a_class_that_is_only_predicted_scores_nothing_there() -> None:
    (found,) = worst_first([evaluation(taken=[[3, 1, 0], [0, 0, 0], [0, 0, 0]])], 1)
    assert (found.value, found.share, found.networks) == (0.0, 0.0, 1)


def test_several_networks_count_with_their_mean() -> None:
    # The second network finds all of "half", saw no "right" and is the only one with an image of its own.
    other = evaluation(half=[[4, 0, 0], [0, 2, 0], [0, 0, 0]], own=HALF)
    found = {one.image: (one.value, one.networks) for one in worst_first([ONE, other])}
    assert found["half"] == (0.75, 2) and found["right"] == (1.0, 1) and found["own"] == (0.5, 1)


BETTER = evaluation(half=[[4, 0, 0], [0, 2, 0], [0, 0, 0]], right=RIGHT, bare=BARE)
WORSE = evaluation(half=HALF, right=[[3, 0, 3], [0, 0, 0], [0, 0, 0]], bare=BARE)


@pytest.mark.parametrize(
    ("order", "expected"),
    # "half": 0.5 - 1; "right": 1 - (3/6 + 0/3) / 2.
    [
        ("either", ["right", "half", "bare"]),
        ("first", ["right", "half", "bare"]),
        ("second", ["half", "right", "bare"]),
    ],
)
def test_differences_by_hand(order: str, expected: list[str]) -> None:
    mixed = evaluation(half=[[4, 0, 0], [0, 2, 0], [0, 0, 0]], right=[[3, 0, 3], [0, 0, 0], [0, 0, 0]], bare=BARE)
    found = differences([(ONE, mixed)], order=order)  # type: ignore[arg-type]
    assert [one.image for one in found] == expected
    values = {one.image: one.value for one in found}
    assert (values["half"], values["right"]) == (-0.5, 0.75) and math.isnan(values["bare"])


def test_differences_are_averaged_over_pairs_that_have_one() -> None:
    # Class 2 is only ever predicted: by WORSE in "right", where its IoU is 0; elsewhere nobody has a value.
    assert all(math.isnan(one.value) and one.networks == 0 for one in differences([(ONE, WORSE)], 2))
    found = {one.image: one for one in differences([(ONE, WORSE), (BETTER, WORSE), (BETTER, BETTER)])}
    assert found["half"].value == pytest.approx((0 + 0.5 + 0) / 3)
    assert found["right"].value == pytest.approx((0.75 + 0.75 + 0) / 3)
    assert [found[name].networks for name in ("half", "right", "bare")] == [3, 3, 0]


def test_only_runs_of_the_same_seed_are_paired(store: RunStore) -> None:
    first = [factories.make_run(store, encoder=factories.RESNET18, seed=seed) for seed in (2, 0, 1)]
    second = [factories.make_run(store, encoder=factories.LITE0, seed=seed) for seed in (1, 2, 5)]
    assert [(one.config.seed, other.config.seed) for one, other in matched(first, second)] == [(1, 1), (2, 2)]
    assert all(one in first and other in second for one, other in matched(first, second))


def test_folds_are_paired_with_their_own(store: RunStore) -> None:
    runs = factories.make_fold_study(store, folds=2, seeds=(0, 1))
    first, second = (
        [run for run in runs if run.config.encoder == encoder] for encoder in (factories.RESNET18, factories.LITE0)
    )
    pairs = matched(first, reversed(second))
    assert [(one.config.seed, one.config.fold) for one, _ in pairs] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert all((one.config.seed, one.config.fold) == (other.config.seed, other.config.fold) for one, other in pairs)


# What several may share --------------------------------------------------------------------------


def test_what_counts_say_of_shared_errors_by_hand() -> None:
    # Of 10 pixels of class 0, 7 and 6 are taken for class 1: at least 3 and at most 6 are the same pixels.
    one = evaluation(most=[[3, 7, 0], [0, 10, 0], [0, 0, 0]], few=[[8, 2, 0], [0, 9, 1], [0, 0, 0]], none=RIGHT)
    other = evaluation(none=RIGHT, few=[[7, 1, 2], [0, 10, 0], [0, 0, 0]], most=[[4, 6, 0], [1, 9, 0], [0, 0, 0]])
    assert shared_errors([one, other]) == [
        SharedError("most", 0, 1, 3, 6, 6 / 20),
        SharedError("few", 0, 1, 0, 1, 1 / 20),
    ]


def test_bounds_hold_the_pixels_that_are_really_shared() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        truth = rng.integers(0, 3, 60)
        said = [np.where(rng.random(60) < 0.5, truth, rng.integers(0, 3, 60)) for _ in range(3)]
        counts = [np.bincount(truth * 3 + one, minlength=9).reshape(3, 3).tolist() for one in said]
        (found,) = shared_errors([evaluation(image=one) for one in counts])
        same = (said[0] == found.taken) & (said[1] == found.taken) & (said[2] == found.taken) & (truth == found.true)
        assert found.at_least <= same.sum() <= found.at_most


def test_one_network_shares_nothing_and_other_masks_are_refused() -> None:
    with pytest.raises(ValueError, match="two networks"):
        shared_errors([ONE])
    with pytest.raises(WorkspaceError, match="different masks"):
        shared_errors([ONE, evaluation(half=RIGHT)])
    assert shared_errors([ONE, evaluation(elsewhere=HALF)]) == []


def test_confused_images_by_hand() -> None:
    other = evaluation(half=[[4, 0, 0], [0, 2, 0], [0, 0, 0]], more=[[1, 3, 0], [0, 0, 0], [0, 0, 0]])
    found = confused_images([ONE, other], 0, 1)
    assert [(one.image, one.pixels, one.share) for one in found] == [("more", 3.0, 0.75), ("half", 1.0, 2 / 8)]
    assert confused_images([ONE, other], 1, 0) == []
