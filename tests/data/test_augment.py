from __future__ import annotations

import warnings

import numpy as np
import pytest

from segcore.config import IGNORE_INDEX, Recipe
from segcore.data.augment import augment, build_transform


@pytest.fixture
def sample() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (64, 64, 3), dtype=np.uint8), rng.integers(1, 4, (64, 64), dtype=np.uint8)


def test_building_it_warns_of_nothing() -> None:
    # albumentations only warns of arguments it does not know
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert build_transform(Recipe()) is not None
    assert build_transform(Recipe(augmentation="none")) is None


def test_the_seed_alone_decides(sample: tuple[np.ndarray, np.ndarray]) -> None:
    transform = build_transform(Recipe())
    first = augment(transform, *sample, seed=1)
    augment(transform, *sample, seed=2)
    again = augment(transform, *sample, seed=1)
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    images = {augment(transform, *sample, seed=seed)[0].tobytes() for seed in range(20)}
    assert len(images) > 12  # a few get nothing but one of the eight flips and rotations


def test_uncovered_areas_are_ignored_and_labels_never_blended(sample: tuple[np.ndarray, np.ndarray]) -> None:
    transform = build_transform(Recipe())
    seen: set[int] = set()
    for seed in range(40):
        seen |= set(np.unique(augment(transform, *sample, seed=seed)[1]).tolist())
    # 0 is a real class that the masks do not hold: it must not come from filling
    assert seen == {1, 2, 3, IGNORE_INDEX}


def test_image_and_labels_move_together() -> None:
    labels = np.zeros((64, 64), np.uint8)
    labels[8:24, 30:60] = 1
    image = np.repeat(labels[:, :, None] * 200, 3, axis=2)
    transform = build_transform(Recipe())
    for seed in range(20):
        moved, mask = augment(transform, image, labels, seed=seed)
        known = mask != IGNORE_INDEX
        agree = (moved[..., 1] > 100) == (mask == 1)
        assert agree[known].mean() > 0.97
