"""COCO's outlines: drawn as the format says, the smaller on top, and nothing of what is not as the format says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as runs

from segcore.data.layouts import coco, recognise, revised
from segcore.data.layouts.coco_drawing import draw
from segcore.data.layouts.coco_file import Outlines, read_annotations
from segcore.data.store import DatasetStore
from segcore.errors import DatasetError
from segcore.workspace import Workspace
from tests import miniatures
from tests.miniatures import SIDE, square

ROWS = {3: 1, 7: 2}


def drawn(*shapes: tuple[int, Any, bool]) -> np.ndarray:
    return draw(Outlines("a.jpg", (SIDE, SIDE), shapes), ROWS)


def test_the_smaller_lies_on_top_whatever_the_order() -> None:
    roof, car = (7, [square(0, 0, 16)], False), (3, [square(4, 4, 8)], False)
    expected = np.zeros((SIDE, SIDE), np.uint8)
    expected[:16, :16] = 2
    expected[4:12, 4:12] = 1
    for labels in (drawn(roof, car), drawn(car, roof)):
        np.testing.assert_array_equal(labels, expected)


def test_crowds_lie_below_all_others() -> None:
    few = np.zeros((SIDE, SIDE), np.uint8, order="F")
    few[2:4, 2:4] = 1
    compressed = runs.encode(few)
    crowd = {"size": [SIDE, SIDE], "counts": compressed["counts"].decode()}
    labels = drawn((3, crowd, True), (7, [square(0, 0, 3)], False))
    assert labels[3, 3] == 1 and labels[2, 2] == 2 and labels[1, 1] == 2 and labels[8, 8] == 0
    plain = {"size": [SIDE, SIDE], "counts": [0, SIDE, SIDE * (SIDE - 1)]}
    assert (drawn((3, plain, True))[:, 0] == 1).all() and not drawn((3, plain, True))[:, 1:].any()


@pytest.mark.parametrize("seed", range(5))
def test_compressed_runs_are_those_of_pycocotools(seed: int) -> None:
    shape = np.random.default_rng(seed).integers(0, 2, (SIDE, SIDE), dtype=np.uint8)
    shape = np.asfortranarray(np.kron(shape[: SIDE // 4, : SIDE // 2], np.ones((4, 2), np.uint8)))
    packed = runs.encode(shape)["counts"].decode()
    np.testing.assert_array_equal(drawn((3, {"size": [SIDE, SIDE], "counts": packed}, False)), shape)


def test_an_outline_of_several_polygons_is_one() -> None:
    labels = drawn((3, [square(0, 0, 4), square(20, 20, 4)], False))
    assert labels[1, 1] == labels[21, 21] == 1 and labels.sum() == 32


@pytest.mark.parametrize(
    "segmentation",
    [
        None,
        [],
        {},
        "text",
        [[1, 2, 3, 4]],
        [[1, 2, 3, 4, 5]],
        [["a"] * 6],
        [[float("nan")] * 6],
        [[float("inf")] * 6],
        [[1e300] * 6],
        [[None] * 6],
        {"size": [SIDE, SIDE], "counts": [5, 5]},
        {"size": [SIDE, SIDE], "counts": [-5, SIDE * SIDE + 5]},
        {"size": [SIDE, SIDE], "counts": ["x"]},
        {"size": [8, 8], "counts": [0, 64]},
        {"size": [SIDE, SIDE], "counts": "~~~~~~~~"},
        {"size": [SIDE, SIDE], "counts": "\u00e9"},
        {"size": [SIDE, SIDE], "counts": ""},
        {"size": None, "counts": None},
    ],
)
def test_what_is_no_outline_leaves_no_trace(segmentation: Any) -> None:
    assert not drawn((3, segmentation, False)).any()


def test_corners_far_outside_are_cut_at_the_edge() -> None:
    labels = drawn((3, [[-1e8, -1e8, 1e8, -1e8, 1e8, 8, -1e8, 8]], False))
    assert (labels[:8] == 1).all() and not labels[9:].any()


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000, '{"images": 3}', '{"images": [], "annotations": []}'])
def test_files_that_are_no_coco(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DatasetError) as caught:
        read_annotations(tmp_path / "a.json")
    assert caught.value.field == "path"
    miniatures.photo(tmp_path / "x/y/z/a.png")
    assert [guess.layout for guess in recognise(tmp_path)] == []


def test_entries_that_are_not_as_coco_says_are_counted(tmp_path: Path) -> None:
    good = {"id": 1, "file_name": "a.png", "width": SIDE, "height": SIDE}
    value = {
        "images": [good, 7, {}, {**good, "width": -1}, {**good, "height": 10**9}, {**good, "file_name": 3}],
        "categories": [
            {"id": 1, "name": "x"},
            {"id": "y", "name": "y"},
            5,
            {"id": 2, "name": "\n"},
            {"id": 3, "name": "x"},
        ],
        "annotations": [{"image_id": 1, "category_id": 9}, None, {"image_id": [1], "category_id": 1}],
    }
    (tmp_path / "a.json").write_text(json.dumps(value))
    annotations = read_annotations(tmp_path / "a.json")
    assert len(annotations.images) == 1 and annotations.skipped == 8
    assert [info.name for info in coco.classes_of(annotations)] == ["background", "x", "category 2", "x (2)"]


def test_file_names_lead_nowhere_else(tmp_path: Path) -> None:
    miniatures.photo(tmp_path / "one/two/secret.png")
    image = {"id": 1, "file_name": "../../one/two/secret.png", "width": SIDE, "height": SIDE}
    value = {"images": [image], "annotations": [], "categories": [{"id": 1, "name": "x"}]}
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a.json").write_text(json.dumps(value))
    assert recognise(tmp_path / "data") == []


def test_scenes_of_outlines_can_be_corrected(tmp_path: Path, workspace: Workspace) -> None:
    miniatures.coco(tmp_path)
    guess = revised(recognise(tmp_path)[0], name="mine", group_regex="^(train|val)", group_by_folder=False)
    assert guess.groups == 2 and {pair.group for pair in guess.examples} == {"train", "val"}
    assert DatasetStore(workspace).add_guess(guess, split=guess.split).report.groups == 2
    with pytest.raises(DatasetError, match="matches no image name"):
        revised(guess, group_regex="^flight")


def test_a_file_of_outlines_that_changed_since_is_told(tmp_path: Path, workspace: Workspace) -> None:
    miniatures.coco(tmp_path)
    dataset = DatasetStore(workspace).add_guess(revised(recognise(tmp_path)[0], name="mine"))
    fingerprint, file = dataset.fingerprint, tmp_path / "annotations/instances_train2017.json"
    assert not dataset.changed() and dataset.report.problems == ()
    file.touch()
    assert dataset.changed() and dataset.refresh().report.problems == (), "only its time is another"
    value = json.loads(file.read_text())
    file.write_text(json.dumps({**value, "annotations": []}))
    assert dataset.changed()
    (problem,) = dataset.refresh().report.problems
    assert problem.kind == "outlines changed" and problem.file == file and "add the folder again" in problem.message
    assert not dataset.changed() and dataset.fingerprint == fingerprint
    file.unlink()
    assert dataset.changed() and dataset.refresh().report.problems == (), "the masks are there all the same"
