"""Confusion counts: all that is kept of a prediction, and all that any score is computed from."""

from __future__ import annotations

import numpy as np

from segcore.config import IGNORE_INDEX


def confusion_counts(prediction: np.ndarray, truth: np.ndarray, classes: int) -> np.ndarray:
    """Count labelled pixels by true and predicted class.

    Args:
        prediction: labels 0..classes-1, any integer type, shape (H, W) or any other.
        truth: labels 0..classes-1, or 255 where nobody said what it is; integer, the shape of `prediction`.
            Pixels of 255 count nowhere, whatever was predicted there.
        classes: C, the number of trained classes.

    Returns:
        int64 of shape (C, C): [t, p] is the number of pixels of true class t predicted as class p.

    Raises:
        ValueError: the shapes differ, or a label that counts is not one of the classes.
    """
    prediction, truth = np.asarray(prediction), np.asarray(truth)
    if prediction.shape != truth.shape:
        raise ValueError(
            f"prediction is {prediction.shape}, truth is {truth.shape}; resize the prediction to the truth first"
        )
    labelled = truth != IGNORE_INDEX
    true = truth[labelled].astype(np.int64)
    predicted = prediction[labelled].astype(np.int64)
    for kind, labels in (("truth", true), ("prediction", predicted)):
        if labels.size and not 0 <= labels.min() <= labels.max() < classes:
            raise ValueError(
                f"{kind} holds labels {labels.min()}..{labels.max()}, expected 0..{classes - 1}"
                f" for {classes} classes ({IGNORE_INDEX} in the truth means: not labelled)"
            )
    return np.bincount(true * classes + predicted, minlength=classes * classes).reshape(classes, classes)
