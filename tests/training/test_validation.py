"""What validation counts beside the loop's own numbers: found pixels by the size of their object."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from segcore.config import Recipe
from segcore.data.prepared import prepare, prepared_size
from segcore.evaluation.sizes import BINS, size_counts, size_map
from segcore.training.loop import EpochResult
from segcore.training.validation import confusion, found_by_size
from segcore.workspace import Workspace
from tests.factories import add_dataset
from tests.training.conftest import TWO, loaders_of, start, train


def test_found_pixels_of_a_batch_are_those_of_each_image() -> None:
    rng = np.random.default_rng(0)
    truth = np.kron(rng.choice([0, 1, 2, 255], (3, 12, 10)), np.ones((4, 3))).astype(np.uint8)
    predicted = np.where(rng.random(truth.shape) < 0.6, truth % 255, rng.integers(0, 3, truth.shape))
    bins = np.stack([size_map(labels) for labels in truth])
    labels, answers = torch.from_numpy(truth).long(), torch.from_numpy(predicted)
    hits = found_by_size(answers, labels, torch.from_numpy(bins), 3)
    expected = np.stack([size_counts(*pair, 3)[..., 1] for pair in zip(predicted, truth, strict=True)])
    np.testing.assert_array_equal(hits.numpy(), expected)
    counts = confusion(answers, labels, 3)
    np.testing.assert_array_equal(hits.sum(2).numpy(), torch.diagonal(counts, dim1=1, dim2=2).numpy())


@pytest.mark.parametrize("geometry", ["resize", "crop"])
def test_sizes_are_counted_whether_resized_or_by_bands(geometry: str, workspace: Workspace, tmp_path: Path) -> None:
    recipe: Recipe = TWO.model_copy(update={"geometry": geometry, "epochs": 1})
    prepared = prepare(add_dataset(workspace, tmp_path / "source"), prepared_size(recipe))
    loaders = loaders_of(prepared, 0, recipe)
    (result,) = [event for event in train(start(0), loaders, 0, recipe) if isinstance(event, EpochResult)]
    assert result.sizes.shape == (2, 3, BINS, 2) and result.sizes.dtype == np.int64
    np.testing.assert_array_equal(result.sizes[..., 0].sum(axis=2), result.counts.sum(axis=2))
    np.testing.assert_array_equal(result.sizes[..., 1].sum(axis=2), np.diagonal(result.counts, axis1=1, axis2=2))
    # The prediction of image 1 is kept whole, as it is small.
    truth = prepared.label_map(prepared.index_of(loaders.val_names[1]))
    np.testing.assert_array_equal(result.sizes[1], size_counts(result.previews[1], truth, 3))
