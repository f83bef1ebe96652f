"""The metric contract, number by number, against examples worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from segcore.evaluation.confusion import confusion_counts
from segcore.evaluation.metrics import majority_baseline, scores

# True class 0: 6 pixels, 4 found, 2 taken for class 1. Class 1: 3 pixels, all found. Class 2: 1 pixel, taken
# for class 0. Class 3 is neither true nor predicted.
COUNTS = np.array([[4, 2, 0, 0], [0, 3, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]])


def test_every_number_of_a_small_example() -> None:
    result = scores(COUNTS)
    assert result.pixel_accuracy == pytest.approx(7 / 10)
    # TP / (TP + FP + FN): 4/(4+1+2), 3/(3+2+0), 0/(0+0+1)
    np.testing.assert_allclose(result.iou, [4 / 7, 3 / 5, 0, np.nan])
    assert result.miou == pytest.approx((4 / 7 + 3 / 5 + 0) / 3)
    np.testing.assert_allclose(result.accuracy, [4 / 6, 1, 0, np.nan])
    assert result.mean_class_accuracy == pytest.approx((4 / 6 + 1 + 0) / 3)
    # 2 TP / (2 TP + FP + FN): 8/(8+3), 6/(6+2), 0
    np.testing.assert_allclose(result.dice, [8 / 11, 6 / 8, 0, np.nan])
    assert result.mean_dice == pytest.approx((8 / 11 + 6 / 8 + 0) / 3)
    assert result.frequency_weighted_iou == pytest.approx(0.6 * 4 / 7 + 0.3 * 3 / 5 + 0.1 * 0)
    assert result.class_pixels.tolist() == [6, 3, 1, 0]
    assert result.labelled_pixels == 10


def test_an_absent_class_is_nan_and_left_out_of_the_means() -> None:
    # smp.metrics gives it IoU 1, which would lift the mean from 1/2 to 3/4 here.
    counts = np.array([[1, 0, 0], [1, 0, 0], [0, 0, 0]])
    result = scores(counts)
    assert np.isnan(result.iou[2])
    assert result.miou == pytest.approx((1 / 2 + 0) / 2)


def test_a_class_that_is_only_predicted_has_an_iou_of_zero_and_no_accuracy() -> None:
    result = scores(np.array([[1, 1], [0, 0]]))
    assert result.iou.tolist() == [0.5, 0.0]
    assert result.miou == 0.25
    assert np.isnan(result.accuracy[1])
    assert result.mean_class_accuracy == 0.5
    assert result.frequency_weighted_iou == 0.5


def test_accuracy_counts_no_true_negatives() -> None:
    # Half the pixels right among 5 classes: smp's micro accuracy says 0.80.
    counts = np.zeros((5, 5), dtype=int)
    counts[0, 0] = counts[0, 1] = 50
    assert scores(counts).pixel_accuracy == 0.5


def test_images_are_pooled_not_averaged() -> None:
    # One large image all right, one small all wrong: pooled 90/100, while the mean of images is 1/2.
    per_image = np.array([[[90, 0], [0, 0]], [[0, 10], [0, 0]]])
    result = scores(per_image)
    assert result.pixel_accuracy == 0.9
    assert result.iou.tolist() == [0.9, 0.0]
    np.testing.assert_array_equal(result.iou, scores(per_image.sum(axis=0)).iou)


@pytest.mark.parametrize("shape", [(3, 3), (0, 3, 3), (2, 3, 3)])
def test_nothing_labelled_gives_nan_without_a_warning(shape: tuple[int, ...], recwarn: pytest.WarningsRecorder) -> None:
    result = scores(np.zeros(shape, dtype=np.int64))
    numbers = [
        result.pixel_accuracy,
        result.miou,
        result.mean_class_accuracy,
        result.frequency_weighted_iou,
        result.mean_dice,
        *result.iou,
    ]
    assert np.isnan(numbers).all()
    assert np.isnan(majority_baseline(np.zeros(shape, dtype=np.int64)))
    assert not recwarn.list


def test_majority_baseline_is_what_always_answering_the_most_frequent_true_class_scores() -> None:
    assert majority_baseline(COUNTS) == 0.6
    truth = np.array([[0, 0, 0], [1, 1, 255]], dtype=np.uint8)
    always_first = confusion_counts(np.zeros_like(truth), truth, 2)
    assert majority_baseline(always_first) == scores(always_first).pixel_accuracy == 3 / 5
    # Of the true classes, not of the predicted.
    assert majority_baseline(np.array([[0, 2], [0, 1]])) == pytest.approx(2 / 3)


def test_counts_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(2, 3\), expected \(C, C\) or \(N, C, C\)"):
        scores(np.zeros((2, 3)))


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_the_definitions_as_sets_of_pixels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.choice([0, 1, 2, 3, 255], (12, 12), p=[0.5, 0.2, 0.1, 0.1, 0.1]).astype(np.uint8)
    prediction = np.where(rng.random((12, 12)) < 0.6, truth, rng.integers(0, 4, (12, 12)))
    result = scores(confusion_counts(np.where(prediction == 255, 0, prediction), truth, 4))
    labelled = [(y, x) for y in range(12) for x in range(12) if truth[y, x] != 255]
    for label in range(4):
        true = {at for at in labelled if truth[at] == label}
        predicted = {at for at in labelled if prediction[at] == label}
        assert result.iou[label] == len(true & predicted) / len(true | predicted)
        assert result.dice[label] == 2 * len(true & predicted) / (len(true) + len(predicted))
        assert result.accuracy[label] == len(true & predicted) / len(true)
    assert result.pixel_accuracy == sum(bool(truth[at] == prediction[at]) for at in labelled) / len(labelled)
    assert result.frequency_weighted_iou == pytest.approx(
        sum(result.iou[label] * np.sum(truth == label) / len(labelled) for label in range(4))
    )
