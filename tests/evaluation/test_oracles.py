"""The metrics against scikit-learn and torchmetrics, on random pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn import metrics as sklearn_metrics
from torchmetrics.functional import accuracy, jaccard_index
from torchmetrics.functional.segmentation import dice_score

from segcore.evaluation.confusion import confusion_counts
from segcore.evaluation.metrics import scores

CLASSES = 5
IGNORED = 255


def pixels(seed: int, *, absent: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Two images of true and predicted classes, int64 (2, 40, 30), two thirds right, a tenth ignored."""
    rng = np.random.default_rng(seed)
    known = [c for c in range(CLASSES) if c != absent]
    true = rng.choice(known, (2, 40, 30))
    predicted = np.where(rng.random(true.shape) < 2 / 3, true, rng.choice(known, true.shape))
    return np.where(rng.random(true.shape) < 0.1, IGNORED, true), predicted


def ours(true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    return np.stack([confusion_counts(p, t, CLASSES) for t, p in zip(true, predicted, strict=True)])


@pytest.mark.parametrize("seed", range(3))
def test_scikit_learn_finds_the_same(seed: int) -> None:
    true, predicted = pixels(seed)
    counts, labelled = ours(true, predicted), true != IGNORED
    t, p = true[labelled], predicted[labelled]
    found = scores(counts)
    np.testing.assert_array_equal(counts.sum(axis=0), sklearn_metrics.confusion_matrix(t, p, labels=range(CLASSES)))
    np.testing.assert_allclose(found.iou, sklearn_metrics.jaccard_score(t, p, average=None))
    assert found.miou == pytest.approx(sklearn_metrics.jaccard_score(t, p, average="macro"))
    assert found.frequency_weighted_iou == pytest.approx(sklearn_metrics.jaccard_score(t, p, average="weighted"))
    assert found.pixel_accuracy == pytest.approx(sklearn_metrics.accuracy_score(t, p))
    np.testing.assert_allclose(found.accuracy, sklearn_metrics.recall_score(t, p, average=None))
    assert found.mean_class_accuracy == pytest.approx(sklearn_metrics.balanced_accuracy_score(t, p))
    np.testing.assert_allclose(found.dice, sklearn_metrics.f1_score(t, p, average=None))
    assert found.mean_dice == pytest.approx(sklearn_metrics.f1_score(t, p, average="macro"))


@pytest.mark.parametrize("seed", range(3))
def test_torchmetrics_finds_the_same(seed: int) -> None:
    true, predicted = pixels(seed)
    found = scores(ours(true, predicted))
    t, p = torch.from_numpy(true), torch.from_numpy(predicted)
    options = {"task": "multiclass", "num_classes": CLASSES, "ignore_index": IGNORED}
    np.testing.assert_allclose(jaccard_index(p, t, average="none", **options).numpy(), found.iou, rtol=1e-5)
    assert float(jaccard_index(p, t, average="macro", **options)) == pytest.approx(found.miou, rel=1e-5)
    assert float(jaccard_index(p, t, average="weighted", **options)) == pytest.approx(
        found.frequency_weighted_iou, rel=1e-5
    )
    assert float(accuracy(p, t, average="micro", **options)) == pytest.approx(found.pixel_accuracy, rel=1e-5)
    assert float(accuracy(p, t, average="macro", **options)) == pytest.approx(found.mean_class_accuracy, rel=1e-5)


def test_dice_of_one_image_is_torchmetrics() -> None:
    # Its Dice has no class to ignore and averages over images, so it is asked for a single image without such pixels.
    true, predicted = pixels(7)
    true, predicted = np.where(true == IGNORED, 0, true)[:1], predicted[:1]
    found = dice_score(
        torch.from_numpy(predicted), torch.from_numpy(true), CLASSES, average="none", input_format="index"
    )
    np.testing.assert_allclose(found.numpy()[0], scores(ours(true, predicted)).dice, rtol=1e-5)


def test_a_class_absent_from_both_is_where_they_differ() -> None:
    true, predicted = pixels(5, absent=2)
    found, labelled = scores(ours(true, predicted)), true != IGNORED
    present = [0, 1, 3, 4]
    t, p = true[labelled], predicted[labelled]
    # Asked for the classes that are there, scikit-learn agrees.
    assert found.miou == pytest.approx(sklearn_metrics.jaccard_score(t, p, labels=present, average="macro"))
    # torchmetrics leaves it out of the mean as we do, but shows it as 0 among the classes, where we say NaN.
    options = {"task": "multiclass", "num_classes": CLASSES, "ignore_index": IGNORED}
    by_class = jaccard_index(torch.from_numpy(predicted), torch.from_numpy(true), average="none", **options).numpy()
    np.testing.assert_allclose(by_class[present], found.iou[present], rtol=1e-5)
    assert by_class[2] == 0
    assert np.isnan(found.iou[2])
    macro = jaccard_index(torch.from_numpy(predicted), torch.from_numpy(true), average="macro", **options)
    assert float(macro) == pytest.approx(found.miou, rel=1e-5)
