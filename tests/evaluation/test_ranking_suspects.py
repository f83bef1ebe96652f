"""Places where networks agree against the mask, worked by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from segcore.evaluation.ranking_suspects import MOST_PLACES, Suspect, agreed_errors, strip, suspects, table
from tests import factories

SHAPE = (20, 40)


def scene() -> tuple[np.ndarray, list[np.ndarray], list[np.ndarray]]:
    """A mask of class 0 with its left edge unlabelled, two networks that are right everywhere, half sure of it."""
    truth = np.zeros(SHAPE, np.uint8)
    truth[:, :4] = 255
    said = [np.zeros(SHAPE, np.uint8) for _ in range(2)]
    return truth, said, [np.full(SHAPE, 0.5, np.float32) for _ in range(2)]


def test_only_the_same_wrong_class_in_the_same_labelled_pixel_is_agreed() -> None:
    truth = np.array([[0, 0, 0, 0, 255, 1]], np.uint8)
    first = np.array([[1, 1, 0, 1, 1, 1]], np.uint8)
    second = np.array([[1, 2, 1, 0, 1, 1]], np.uint8)
    assert agreed_errors(truth, [first, second]).tolist() == [[1, 255, 255, 255, 255, 255]]
    assert agreed_errors(truth, [first]).tolist() == [[1, 1, 255, 1, 255, 255]]


def test_places_are_told_with_share_confidence_and_box() -> None:
    truth, said, sure = scene()
    for one in said:
        one[5:10, 8:16] = 2  # 40 pixels
    said[0][15:19, 30:34] = said[1][15:19, 30:36] = 1  # 16 are shared
    sure[0][5:10, 8:16], sure[1][5:10, 8:16] = 0.9, 0.6
    sure[0][15:19], sure[1][15:19] = 0.8, 1.0
    first, second = suspects("image", truth, said, sure)
    labelled = 20 * 36
    assert (first.image, first.true, first.taken, first.pixels) == ("image", 0, 2, 40)
    assert first.share == 40 / labelled and first.confidence == pytest.approx(0.6)
    assert first.box == (8 / 40, 5 / 20, 16 / 40, 10 / 20)
    assert (second.taken, second.pixels, second.box) == (1, 16, (30 / 40, 15 / 20, 34 / 40, 19 / 20))
    assert second.confidence == pytest.approx(0.8)
    assert first.weight == pytest.approx(0.6 * 40 / labelled)


def test_the_surer_place_comes_first_and_others_are_counted_out() -> None:
    truth, said, sure = scene()
    for number in range(MOST_PLACES + 3):
        top, left = 6 * (number // 8), 4 + 4 * (number % 8)
        for one, certain in zip(said, sure, strict=True):
            one[top : top + 3, left : left + 3] = 1
            certain[top : top + 3, left : left + 3] = 0.2 + number / 100
    found = suspects("image", truth, said, sure)
    assert len(found) == MOST_PLACES
    assert found[0].confidence == pytest.approx(0.2 + (MOST_PLACES + 2) / 100)
    assert [place.weight for place in found] == sorted((place.weight for place in found), reverse=True)


def test_thin_strips_are_left_out() -> None:
    truth, said, sure = scene()
    for one in said:
        one[:, 20:22] = 1  # two pixels wide, as where an edge is drawn a little off
    assert suspects("image", truth, said, sure) == []
    for one in said:
        one[:, 20:23] = 1
    assert [place.pixels for place in suspects("image", truth, said, sure)] == [60]


@pytest.mark.parametrize(("side", "expected"), [(20, 3), (256, 3), (512, 5), (6000, 61)])
def test_strips_grow_with_the_image(side: int, expected: int) -> None:
    assert strip(side // 2, side) == strip(side, 10) == expected


def test_two_classes_that_touch_are_two_places() -> None:
    truth, said, sure = scene()
    truth[5:10, 12:16] = 1
    for one in said:
        one[5:10, 8:16] = 2
    assert {(place.true, place.taken, place.pixels) for place in suspects("image", truth, said, sure)} == {
        (0, 2, 20),
        (1, 2, 20),
    }


def test_nothing_labelled_is_nothing_suspected() -> None:
    truth, said, sure = scene()
    assert suspects("image", np.full_like(truth, 255), said, sure) == []


def test_one_network_and_other_shapes_are_refused() -> None:
    truth, said, sure = scene()
    with pytest.raises(ValueError, match="two or more"):
        suspects("image", truth, said[:1], sure[:1])
    with pytest.raises(ValueError, match="shape"):
        suspects("image", truth[1:], said, sure)


PLACE = Suspect("a", 0, 2, 40, 40 / 720, 0.6, (0.2, 0.25, 0.4, 0.5))


def test_json_keeps_all_of_it() -> None:
    assert Suspect.from_json(json.loads(json.dumps(PLACE.to_json()))) == PLACE
    with pytest.raises(TypeError):
        Suspect.from_json({"image": "a"})


def test_table_names_the_classes() -> None:
    classes = factories.CLASSES[1:]
    assert table([PLACE], classes) == [
        {
            "image": "a",
            "mask_says": "paved-area",
            "networks_say": "roof",
            "pixels": 40,
            "share_of_labelled_pixels": 0.055556,
            "confidence": 0.6,
            "left": 0.2,
            "top": 0.25,
            "right": 0.4,
            "bottom": 0.5,
        }
    ]
