from __future__ import annotations

import numpy as np
import pytest

from segcore.data.crops import random_crop


def numbered(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """An image whose red and green say row and column (from 1), and labels that are all 7."""
    rows, columns = np.indices((height, width))
    image = np.stack([rows + 1, columns + 1, np.full_like(rows, 99)], axis=2).astype(np.uint8)
    return image, np.full((height, width), 7, np.uint8)


@pytest.mark.parametrize("size", [(50, 70), (32, 32), (20, 70), (70, 20), (5, 9), (1, 1)])
def test_a_crop_is_the_image_where_there_is_one_and_ignored_elsewhere(size: tuple[int, int]) -> None:
    image, labels = numbered(*size)
    for seed in range(20):
        crop, crop_labels = random_crop(image, labels, 32, np.random.default_rng(seed))
        assert (crop.shape, crop.dtype, crop_labels.shape, crop_labels.dtype) == (
            (32, 32, 3),
            "uint8",
            (32, 32),
            "uint8",
        )
        inside = crop_labels == 7
        assert inside.sum() == min(32, size[0]) * min(32, size[1])
        assert (crop_labels[~inside] == 255).all() and (crop[~inside] == 0).all()
        found = crop[inside].reshape(min(32, size[0]), min(32, size[1]), 3)
        top, left = found[0, 0, 0] - 1, found[0, 0, 1] - 1
        assert np.array_equal(found, image[top : top + 32, left : left + 32])


@pytest.mark.parametrize(("size", "places"), [((34, 35), 3 * 4), ((30, 32), 3)])
def test_every_place_is_reached(size: tuple[int, int], places: int) -> None:
    image, labels = numbered(*size)
    rng = np.random.default_rng(0)
    assert len({random_crop(image, labels, 32, rng)[0].tobytes() for _ in range(300)}) == places


def test_the_same_state_gives_the_same_crop() -> None:
    image, labels = numbered(200, 200)
    crops = [random_crop(image, labels, 32, np.random.default_rng(seed))[0] for seed in (1, 1, 2)]
    assert np.array_equal(crops[0], crops[1]) and not np.array_equal(crops[0], crops[2])


def test_what_shows_nothing_labelled_is_drawn_again() -> None:
    image, labels = numbered(100, 100)
    labels[:50] = 255
    shown = [(random_crop(image, labels, 32, np.random.default_rng(seed))[1] != 255).any() for seed in range(200)]
    assert all(shown)
    labels[:] = 255
    assert (random_crop(image, labels, 32, np.random.default_rng(0))[1] == 255).all(), "nothing is labelled at all"
