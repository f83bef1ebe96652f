"""Feature maps and evidence as pictures."""

from __future__ import annotations

import numpy as np
import pytest

from segcore.figures.featuremaps import evidence_image, heat_image


def test_a_map_is_dark_where_it_is_small_and_yellow_where_it_is_large() -> None:
    picture = heat_image(np.array([[0.0, 1.0], [2.0, 3.0]]), 8)
    assert picture.shape == (8, 8, 3) and picture.dtype == np.uint8
    corner, other = picture[0, 0].astype(int), picture[-1, -1].astype(int)
    assert corner.sum() < other.sum()
    assert tuple(other) == (253, 231, 36) or tuple(other) == (253, 231, 37)  # the end of viridis
    # Nothing is blended: each value fills a square.
    assert (picture[:4, :4] == picture[0, 0]).all()


def test_a_constant_map_has_one_colour() -> None:
    assert len(np.unique(heat_image(np.full((3, 3), 7.0), 3).reshape(-1, 3), axis=0)) == 1


def test_without_evidence_the_image_shows_unchanged() -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    assert (evidence_image(image, np.zeros((4, 5)), 1.0) == image).all()
    heat = np.zeros((4, 6))
    heat[:, 3:] = 1
    mixed = evidence_image(image, heat, 1.0)
    assert (mixed[:, :10] == image[:, :10]).all() and not (mixed[:, -5:] == image[:, -5:]).all()
    assert (evidence_image(image, heat, 0.0) == image).all()
    with pytest.raises(ValueError, match="0-1"):
        evidence_image(image, heat, 1.5)
