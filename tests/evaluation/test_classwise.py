"""Differences class by class, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from segcore.evaluation.cells import Cells
from segcore.evaluation.classwise import class_differences
from segcore.evaluation.comparison import Contender
from segcore.evaluation.standings import Standing
from segcore.runs import Evaluation


def network(first: list[int], second: list[int], names: tuple[str, ...] = ("x", "y")) -> Cells:
    """Of each image 10 pixels of either class, so many found, the others taken for class 2, which no mask shows."""
    counts = np.zeros((len(names), 4, 4), dtype=np.int64)
    for at, (a, b) in enumerate(zip(first, second, strict=True)):
        counts[at, 0, [0, 2]] = a, 10 - a
        counts[at, 1, [1, 2]] = b, 10 - b
    return Cells.of(Evaluation(list(names), list(names), counts, 1))


def standing(by_seed: dict[int, Cells]) -> Standing:
    return Standing(Contender("a", "s", "a", "none", []), by_seed, {}, None, None)


def test_differences_are_means_over_the_common_seeds() -> None:
    mine = standing({0: network([8, 6], [5, 5]), 1: network([9, 7], [5, 5]), 5: network([0, 0], [0, 0])})
    other = standing({0: network([5, 5], [5, 5]), 1: network([6, 6], [5, 5])})
    grass, roof, answered, absent = class_differences(mine, other, 4)
    assert grass is not None and roof is not None
    assert grass.mean == pytest.approx(0.2)  # (0.7 - 0.5 and 0.8 - 0.6) / 2
    assert (grass.seeds, grass.groups) == (2, 2)
    assert roof.mean == 0
    assert answered is None  # of a class that no mask shows an IoU tells nothing
    assert absent is None


def test_without_common_seeds_or_images_there_is_no_difference() -> None:
    mine, other = standing({0: network([8, 6], [5, 5])}), standing({1: network([8, 6], [5, 5])})
    assert class_differences(mine, other, 2) == [None, None]
    elsewhere = standing({0: network([8, 6], [5, 5], ("x", "z"))})
    assert class_differences(mine, elsewhere, 2) == [None, None]
