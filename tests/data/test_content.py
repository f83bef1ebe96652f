"""Numbers on what is in the masks, held against ones made by hand."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segcore.config import ClassInfo, DatasetConfig
from segcore.data.content import (
    WEIGHTINGS,
    class_weights,
    co_occurrence,
    imbalance,
    object_sizes,
    pixel_table,
)
from segcore.data.report import ImageFacts
from segcore.data.split_checks import split_problems
from segcore.data.splits import Split
from segcore.data.store import DatasetStore
from segcore.decisions import Exclude, Ignore
from segcore.workspace import Workspace

PIXELS = np.array([[90, 10, 0, 0], [50, 0, 50, 0], [100, 0, 0, 0]])
TABLE = tuple(ClassInfo(name=name, color=(row, 9, 9)) for row, name in enumerate("abcd"))


def test_imbalance_is_of_the_classes_there_are() -> None:
    assert imbalance(PIXELS) == 240 / 10
    assert np.isnan(imbalance(np.zeros((2, 3), int)))


def test_classes_that_stand_together_are_counted() -> None:
    assert co_occurrence(PIXELS).tolist() == [[3, 1, 1, 0], [1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]]


def test_weights_follow_their_papers() -> None:
    frequencies = np.array([240 / 300, 10 / 100, 50 / 100])  # of the pixels of images that show the class
    assert class_weights(PIXELS)[:3] == pytest.approx(np.median(frequencies) / frequencies)
    share, images = 1 - 1 / 3, np.array([3, 1, 1])
    expected = (1 - share) / (1 - share**images)
    assert class_weights(PIXELS, "effective number")[:3] == pytest.approx(expected / expected.mean())
    for weighting in WEIGHTINGS:
        assert np.isnan(class_weights(PIXELS, weighting)[3]), "nothing is known of what no image shows"
        assert np.isnan(class_weights(np.zeros((1, 2), int), weighting)).all()
    with pytest.raises(ValueError, match="median frequency"):
        class_weights(PIXELS, "inverse")


@pytest.mark.parametrize("size", [64, 2048])
def test_things_are_measured_at_full_size(workspace: Workspace, tmp_path: Path, size: int) -> None:
    config = DatasetConfig(name="x", images=tmp_path / "i", masks=tmp_path / "m", classes=TABLE)
    unit = size // 16
    mask = np.zeros((size, size), np.uint8)
    mask[: 2 * unit, : 2 * unit] = 1  # two squares of b that touch at a corner, and one alone
    mask[2 * unit : 3 * unit, 2 * unit : 3 * unit] = 1
    mask[-unit:, -unit:] = 1
    mask[:unit, -unit:] = 2
    for folder in (config.images, config.masks):
        folder.mkdir()
        for name in ("one", "two"):
            Image.fromarray(mask).save(folder / f"{name}.png")
    found = object_sizes(DatasetStore(workspace).add(config))
    assert found.images == 2 and found.counts == (2, 4, 2, 0)
    assert found.quartiles[1] == (unit**2, 3 * unit**2, 5 * unit**2)
    assert found.quartiles[2] == (unit**2,) * 3 and np.isnan(found.quartiles[3]).all()


# How it is divided -------------------------------------------------------------------------------------


def facts(pixels: np.ndarray, digests: str) -> list[ImageFacts]:
    return [
        ImageFacts(name, f"{name}.png", f"{name}.png", name, (1, 1), name, tuple(row), 0, digest)
        for name, row, digest in zip("pqrs", pixels.tolist(), digests, strict=False)
    ]


def test_classes_that_a_part_lacks_are_told() -> None:
    found = split_problems(facts(PIXELS, "123"), TABLE, Split(("p",), ("q",), ("r",)))
    assert [(problem.kind, problem.action) for problem in found] == [
        ("class not in train", Ignore(names=("c",))),
        ("class not in val", Ignore(names=("b",))),
        ("class not in test", Ignore(names=("b", "c"))),
    ]
    assert "No training image shows c: nothing can be learnt about it." in found[0].message
    whole = np.ones((3, 4), int)
    assert split_problems(facts(whole, "123"), TABLE, Split(("p",), ("q",), ("r",))) == ()
    assert split_problems(facts(PIXELS[:, :1], "123"), TABLE[:1], Split(("p",), ("q",))) == ()


def test_copies_on_both_sides_are_told() -> None:
    whole = np.ones((4, 4), int)
    (found,) = split_problems(facts(whole, "1123"), TABLE, Split(("p", "r"), ("q", "s")))
    assert found.kind == "copies across the split" and "q (val) is p (train)" in found.message
    assert found.action == Exclude(images=("q",)) and found.images == ("q",)
    assert split_problems(facts(whole, "1123"), TABLE, Split(("p", "q"), ("r", "s"))) == ()
    old = [ImageFacts(fact.name, "", "", "", (1, 1), "", (1,) * 4, 0) for fact in facts(whole, "1111")]
    assert split_problems(old, TABLE, Split(("p", "q"), ("r", "s"))) == (), "earlier versions kept no hash of the image"
    assert pixel_table(old).shape == (4, 4)
