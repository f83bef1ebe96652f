"""Confusion counts, against examples counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from segcore.evaluation.confusion import confusion_counts


def test_counts_pixels_by_true_row_and_predicted_column() -> None:
    truth = np.array([[0, 0, 1], [1, 1, 2]], dtype=np.uint8)
    prediction = np.array([[0, 1, 1], [1, 0, 0]], dtype=np.uint8)
    assert confusion_counts(prediction, truth, 3).tolist() == [[1, 1, 0], [1, 2, 0], [1, 0, 0]]


def test_ignored_pixels_count_nowhere_whatever_is_predicted_there() -> None:
    truth = np.array([[0, 255], [255, 1]], dtype=np.uint8)
    counts = [confusion_counts(np.array([[0, a], [b, 0]]), truth, 2).tolist() for a, b in ((0, 0), (1, 1), (7, 255))]
    assert counts == [[[1, 0], [1, 0]]] * 3


def test_all_ignored_gives_zeros() -> None:
    counts = confusion_counts(np.zeros((2, 2), np.uint8), np.full((2, 2), 255, np.uint8), 4)
    assert counts.shape == (4, 4)
    assert counts.dtype == np.int64
    assert not counts.any()


def test_many_classes_in_uint8_do_not_overflow() -> None:
    labels = np.full((3, 3), 253, dtype=np.uint8)
    assert confusion_counts(labels, labels, 254)[253, 253] == 9


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="resize the prediction"):
        confusion_counts(np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8), 2)


@pytest.mark.parametrize(
    ("prediction", "truth", "kind"), [(0, 3, "truth"), (3, 0, "prediction"), (-1, 0, "prediction")]
)
def test_labels_that_are_no_class_are_refused(prediction: int, truth: int, kind: str) -> None:
    with pytest.raises(ValueError, match=rf"^{kind} holds labels .* expected 0\.\.2"):
        confusion_counts(np.array([[prediction]]), np.array([[truth]], dtype=np.uint8), 3)
