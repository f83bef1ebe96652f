"""Label maps as pictures, pixel by pixel."""

from __future__ import annotations

import math

import numpy as np
import pytest

from segcore import figures
from segcore.config import ClassInfo

LABELS = np.array([[0, 1], [255, 1]], dtype=np.uint8)
PALETTE = np.zeros((256, 3), dtype=np.uint8)
PALETTE[:2] = [(200, 0, 0), (0, 100, 50)]
IMAGE = np.full((2, 2, 3), 100, dtype=np.uint8)


def test_colorize_gives_every_label_its_colour() -> None:
    painted = figures.colorize(LABELS, PALETTE)
    assert painted.dtype == np.uint8
    assert painted.tolist() == [[[200, 0, 0], [0, 100, 50]], [[0, 0, 0], [0, 100, 50]]]


def test_overlay_mixes_by_opacity_and_leaves_unlabelled_pixels_alone() -> None:
    mixed = figures.overlay(IMAGE, LABELS, PALETTE, 0.25)
    assert mixed.dtype == np.uint8
    assert mixed[0, 0].tolist() == [125, 75, 75]
    assert mixed[0, 1].tolist() == [75, 100, 88]  # 87.5 goes to the even neighbour
    assert mixed[1, 0].tolist() == [100, 100, 100]


def test_overlay_at_its_ends_is_image_and_colours() -> None:
    assert figures.overlay(IMAGE, LABELS, PALETTE, 0).tolist() == IMAGE.tolist()
    full = figures.overlay(IMAGE, LABELS, PALETTE, 1)
    assert full[0].tolist() == figures.colorize(LABELS, PALETTE)[0].tolist()


def test_legend_lists_the_classes_in_sight_by_their_share() -> None:
    classes = [ClassInfo(name=name, color=(1, 2, 250)) for name in ("grass", "roof", "car")]
    entries = figures.class_legend(classes, LABELS, LABELS)
    assert [(entry.label, entry.name, entry.color) for entry in entries] == [
        (1, "roof", "#0102fa"),
        (0, "grass", "#0102fa"),
    ]
    assert [entry.share for entry in entries] == pytest.approx([2 / 3, 1 / 3])
    everything = figures.class_legend(classes)
    assert [entry.name for entry in everything] == ["grass", "roof", "car"]
    assert math.isnan(everything[0].share)
    assert figures.class_legend(classes, np.full((2, 2), 255, np.uint8)) == []


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected uint8 \(H, W\)"):
        figures.colorize(LABELS.astype(np.int64), PALETTE)
    with pytest.raises(ValueError, match=r"expected \(256, 3\)"):
        figures.colorize(LABELS, PALETTE[:2])
    with pytest.raises(ValueError, match=r"expected \(H, W, 3\)"):
        figures.overlay(IMAGE[:1], LABELS, PALETTE)
    with pytest.raises(ValueError, match="expected 0-1"):
        figures.overlay(IMAGE, LABELS, PALETTE, 30)
