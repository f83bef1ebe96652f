"""Every layout in miniature: recognised first among all, and loaded with the right classes, groups and split."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segcore.data.layouts import LAYOUTS, recognise, recognised, usable_name
from segcore.data.store import DatasetStore
from segcore.errors import DatasetError
from segcore.workspace import Workspace
from tests import miniatures
from tests.miniatures import MINIATURES, Miniature

every_layout = pytest.mark.parametrize("miniature", MINIATURES.values(), ids=list(MINIATURES))


def contents(root: Path) -> dict[str, bytes]:
    return {str(file.relative_to(root)): file.read_bytes() for file in root.rglob("*") if file.is_file()}


def test_every_layout_has_a_miniature() -> None:
    assert {miniature.layout for miniature in MINIATURES.values()} == set(LAYOUTS)


@every_layout
def test_layout_is_recognised_first(miniature: Miniature, tmp_path: Path) -> None:
    miniature.write(tmp_path)
    before = contents(tmp_path)
    guess = recognise(tmp_path)[0]
    assert guess.layout == miniature.layout == guess.config.layout
    assert (guess.pairs, guess.groups) == (miniature.pairs, miniature.groups)
    assert tuple(info.name for info in guess.config.trained_classes) == miniature.classes
    parts = guess.split and tuple(len(part) for part in (guess.split.train, guess.split.val, guess.split.test))
    assert parts == miniature.split
    assert 0 < len(guess.examples) <= 3 and all(pair.image.is_file() for pair in guess.examples)
    assert contents(tmp_path) == before


@every_layout
def test_layout_is_loaded(miniature: Miniature, tmp_path: Path, workspace: Workspace) -> None:
    source = tmp_path / "source"
    miniature.write(source)
    before = contents(source)
    guess = recognised(source, name="mine")
    dataset = DatasetStore(workspace).add_guess(guess, split=guess.split, val=0.34)
    assert dataset.report.usable == miniature.pairs and dataset.report.groups == miniature.groups
    assert np.flatnonzero(dataset.report.class_pixels).tolist() == list(miniature.seen)
    assert dataset.report.unknown_pixels == 0
    assert dataset.split is not None
    if miniature.split:
        assert (len(dataset.split.train), len(dataset.split.val), len(dataset.split.test)) == miniature.split
    assert not dataset.changed() and dataset.config.layout == miniature.layout
    for name in dataset.names:
        image, labels = dataset.read(name)
        assert image.shape[:2] == labels.shape
    assert contents(source) == before
    assert [path.name for path in workspace.datasets.iterdir() if path.name.startswith(".incoming")] == []


def test_a_folder_around_the_dataset_will_do(tmp_path: Path) -> None:
    miniatures.camvid(tmp_path / "downloads/more")
    assert recognise(tmp_path)[0].layout == "camvid"


def test_one_layout_may_be_asked_for(tmp_path: Path) -> None:
    miniatures.cvat(tmp_path)
    assert recognised(tmp_path).layout == "cvat"
    with pytest.raises(DatasetError, match="does not look like LoveDA, but like: cvat"):
        recognised(tmp_path, layout="loveda")
    with pytest.raises(DatasetError, match="Did you mean camvid"):
        recognised(tmp_path, layout="camvit")


def test_what_is_nothing_is_said(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("nothing here")
    assert recognise(tmp_path) == []
    with pytest.raises(DatasetError, match="no known layout") as caught:
        recognised(tmp_path)
    assert caught.value.field == "path"
    for missing in (tmp_path / "none", tmp_path / "readme.txt"):
        with pytest.raises(DatasetError, match=r"does not exist|is a file"):
            recognise(missing)


def test_the_wrong_colours_of_dubai_are_named(tmp_path: Path) -> None:
    miniatures.dubai(tmp_path)
    warnings = " ".join(recognised(tmp_path).warnings)
    assert "other colours for Building, Road, Water than" in warnings


def test_parts_that_are_no_split_are_said(tmp_path: Path) -> None:
    miniatures.folders_by_part(tmp_path)
    for file in (tmp_path / "valid/images").iterdir():
        file.unlink()
    guess = recognised(tmp_path)
    assert guess.split is None
    assert any("train, test" in warning and "no split" in warning for warning in guess.warnings)


def test_masks_in_another_folder_than_images_in_subfolders_group_by_folder(tmp_path: Path) -> None:
    for folder in ("north", "south"):
        for number in range(2):
            miniatures.photo(tmp_path / f"images/{folder}/{number}.png")
            miniatures.save(tmp_path / f"masks/{folder}/{number}.png", miniatures.labels((0, 1)))
    guess = recognised(tmp_path)
    assert guess.config.group_by_folder and guess.groups == 2 and guess.pairs == 4


def test_names_for_datasets() -> None:
    names = {"Semantic segmentation dataset": "Semantic-segmentation-dataset", "city.zip": "city", "çà": "dataset"}
    assert {name: usable_name(Path(name)) for name in names} == names


def test_real_images_with_their_class_table(test_data: Path, workspace: Workspace) -> None:
    guess = recognised(test_data / "data/dubai-aerial", name="dubai")
    assert (guess.layout, guess.pairs, guess.groups) == ("folders", 54, 6)
    dataset = DatasetStore(workspace).add_guess(guess)
    assert dataset.report.usable == 54 and (dataset.report.unknown_pixels or 0) < 0.01 * sum(
        dataset.report.class_pixels
    )
    assert "Unlabeled" not in dataset.table.names and len(dataset.table.names) == 5
