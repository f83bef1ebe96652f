"""Classes proposed from masks where there is no class table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segcore.config import ClassInfo
from segcore.data.classes import ClassTable
from segcore.data.layouts.colors import MAX_CLASSES, distinct_colors, propose_classes
from segcore.data.readers import read_mask
from segcore.errors import DatasetError
from tests import miniatures


def proposed(path: Path, array: np.ndarray, palette: list[int] | None = None) -> tuple[ClassInfo, ...]:
    miniatures.save(path, array, palette)
    classes, notes = propose_classes([path])
    assert notes
    return classes


def colors(classes: tuple[ClassInfo, ...]) -> list[tuple[int, int, int]]:
    return [info.color for info in classes]


def test_colours_the_most_frequent_first(tmp_path: Path) -> None:
    table = [ClassInfo(name=str(row), color=(row, 100, 0)) for row in range(3)]
    classes = proposed(tmp_path / "a.png", miniatures.colored(table, (2, 2, 2, 0, 0, 1)))
    assert colors(classes) == [(2, 100, 0), (0, 100, 0), (1, 100, 0)]
    assert [info.name for info in classes] == ["class_1", "class_2", "class_3"]


@pytest.mark.parametrize(
    ("values", "rows"),
    [((0, 1, 4), 5), ((1, 2, 255), 3), ((0, 255, 3), 4), ((0, 0), None), ((0, 255), None), ((0, 128, 255), None)],
)
def test_small_values_are_rows_and_greys_are_colours(values: tuple[int, ...], rows: int | None, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    classes = proposed(path, miniatures.labels(values))
    if rows is None and values != (0, 0):
        assert sorted(colors(classes)) == [(value,) * 3 for value in sorted(set(values))]
    elif rows is not None:
        assert len(classes) == rows and len(set(colors(classes))) == rows
    labels, unknown = read_mask(path, ClassTable(classes))
    assert not unknown
    expected = {value for value in values if rows is None or value != 255}
    assert len(set(np.unique(labels)) - {255}) == len(expected)


def test_a_palette_gives_the_colours(tmp_path: Path) -> None:
    classes = proposed(tmp_path / "a.png", miniatures.labels((0, 2)), [9, 8, 7, 1, 1, 1, 200, 0, 0])
    assert colors(classes) == [(9, 8, 7), (200, 0, 0)]


def test_blended_colours_are_told_and_left_out(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    array = np.full((200, 200, 3), (200, 30, 30), np.uint8)
    array[:100] = (10, 20, 200)
    array[98:102] = rng.integers(0, 256, (4, 200, 3))
    miniatures.save(tmp_path / "a.png", array)
    classes, notes = propose_classes([tmp_path / "a.png"])
    assert sorted(colors(classes)) == [(10, 20, 200), (200, 30, 30)]
    assert any("blended edges or JPEG" in note for note in notes)


def test_masks_that_cannot_be_read_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"broken")
    with pytest.raises(DatasetError, match="None of the masks can be read"):
        propose_classes([tmp_path / "a.png"])
    Image.fromarray(miniatures.labels((0, 1))).save(tmp_path / "b.png")
    assert len(propose_classes([tmp_path / "a.png", tmp_path / "b.png"])[0]) == 2


def test_colours_made_up_differ_and_are_no_greys() -> None:
    made = distinct_colors(255)
    assert len(set(made)) == 255 and all(len(set(color)) > 1 for color in made)
    assert MAX_CLASSES < 255
