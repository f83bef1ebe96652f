"""The form for a dataset: every layout by its folder alone, a zip, and each part corrected."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from segcore.data.store import DatasetStore
from segcore.errors import ClassTableError
from segcore.ui import dataset_form, dataset_form_scenes
from segcore.ui.dataset_form_classes import edited
from segcore.ui.state import Key
from segcore.workspace import Workspace
from tests import miniatures
from tests.app.conftest import texts
from tests.miniatures import MINIATURES, Miniature


def _page() -> None:
    from segcore.ui import dataset_form

    dataset_form.draw()


@pytest.fixture
def form(workspace: Workspace) -> AppTest:
    return AppTest.from_function(_page, default_timeout=30).run()


def look_at(form: AppTest, folder: Path) -> AppTest:
    return form.text_input(key=Key.ADD_PATH).set_value(str(folder)).run()


@pytest.mark.parametrize("miniature", MINIATURES.values(), ids=list(MINIATURES))
def test_a_folder_is_recognised_and_added(
    miniature: Miniature, form: AppTest, tmp_path: Path, workspace: Workspace
) -> None:
    miniature.write(tmp_path / "my data")
    look_at(form, tmp_path / "my data")
    assert not form.exception and not form.error
    said = texts(form).replace("\\", "")
    assert f"{miniature.pairs} pairs · {miniature.groups} scene" in said
    assert len(form.image) == 2 * min(3, miniature.pairs)
    assert form.text_input(key=Key.ADD_NAME).value == "my-data"
    assert not DatasetStore(workspace).list()
    if not miniature.split:
        form.slider(key=Key.ADD_VAL).set_value(35).run()
    form.button(key=Key.ADD).click().run()
    assert not form.exception and not form.error
    dataset = DatasetStore(workspace).get("my-data")
    assert dataset.report.usable == miniature.pairs and dataset.table.names == miniature.classes
    assert dataset.split is not None
    if miniature.split:
        parts = (dataset.split.train, dataset.split.val, dataset.split.test)
        assert tuple(len(part) for part in parts) == miniature.split
    assert form.text_input(key=Key.ADD_PATH).value == ""


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        (Key.ADD_IMAGES, "{root}/other", "1 pair "),
        (Key.ADD_IMAGE_REGEX, r"(.+_001)\.jpg", "2 pairs · 2 scenes"),
        (Key.ADD_MASK_REGEX, r"(.+2_002)_mask\.png", "1 pair "),
        (Key.ADD_GROUPING, dataset_form_scenes.ALONE, "4 pairs · 4 scenes"),
        (Key.ADD_REGEX, "^(flight)", "4 pairs · 1 scene"),
    ],
)
def test_each_part_can_be_corrected(key: Key, value: str, expected: str, form: AppTest, tmp_path: Path) -> None:
    miniatures.folders(tmp_path)
    miniatures.photo(tmp_path / "other/flight1_001.jpg")
    look_at(form, tmp_path)
    assert "4 pairs · 2 scenes" in texts(form)
    widget = form.radio(key=key) if key == Key.ADD_GROUPING else form.text_input(key=key)
    widget.set_value(value.format(root=tmp_path)).run()
    assert not form.exception and not form.error
    assert expected in texts(form)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        (Key.ADD_MASKS, "/no/such/folder", "does not exist"),
        (Key.ADD_IMAGE_REGEX, "(", "no regular expression"),
        (Key.ADD_IMAGE_REGEX, "", "give both or neither"),
        (Key.ADD_IMAGE_REGEX, r".+\.jpg", "must capture as many groups"),
        (Key.ADD_MASK_REGEX, r"(.+)\.bmp", "matches none of the 4"),
        (Key.ADD_REGEX, "^scene", "matches no image name"),
    ],
)
def test_what_cannot_be_is_said_and_not_added(key: Key, value: str, words: str, form: AppTest, tmp_path: Path) -> None:
    miniatures.folders(tmp_path)
    look_at(form, tmp_path)
    form.text_input(key=key).set_value(value).run()
    assert not form.exception
    assert any(words in error.value.replace("\\", "") for error in form.error)
    assert form.button(key=Key.ADD).disabled


def test_a_choice_between_guesses(form: AppTest, tmp_path: Path) -> None:
    miniatures.cvat(tmp_path)
    for name in ("a", "b"):
        miniatures.photo(tmp_path / f"images/{name}.png")
        miniatures.save(tmp_path / f"masks/{name}.png", miniatures.colored(miniatures.CVAT, (0, 1)))
    look_at(form, tmp_path)
    assert form.selectbox(key=Key.ADD_LAYOUT).value == "cvat" and "3 pairs" in texts(form)
    form.selectbox(key=Key.ADD_LAYOUT).set_value("folders").run()
    assert "2 pairs" in texts(form) and form.text_input(key=Key.ADD_MASKS).value == str(tmp_path / "masks")


def test_published_parts_may_be_left(form: AppTest, tmp_path: Path, workspace: Workspace) -> None:
    miniatures.uavid(tmp_path)
    look_at(form, tmp_path)
    assert "published as 4 train, 2 val" in texts(form) and form.slider(key=Key.ADD_VAL).disabled
    form.checkbox(key=Key.ADD_PUBLISHED).uncheck().run()
    form.slider(key=Key.ADD_TEST).set_value(30).run()
    form.button(key=Key.ADD).click().run()
    assert not form.exception
    split = DatasetStore(workspace).list()[0].split
    assert split is not None and (len(split.train), len(split.val), len(split.test)) == (2, 2, 2)


@pytest.mark.parametrize("path", ["/no/such/folder", "~nobody/x"])
def test_a_folder_that_is_not_there(path: str, form: AppTest) -> None:
    form.text_input(key=Key.ADD_PATH).set_value(path).run()
    assert not form.exception and len(form.error) == 1


def test_an_unknown_folder_says_what_lies_there_and_what_to_do(form: AppTest, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    look_at(form, tmp_path)
    assert "No images lie in this folder" in form.error[0].value
    for number in range(3):
        miniatures.photo(tmp_path / f"photos/{number}.jpg")
    look_at(form, tmp_path / "photos" / "..")
    said = form.error[0].value.replace("\\", "")
    assert "3 image files (in photos)" in said and "field by field" in said


def test_what_is_wrong_with_folded_fields_is_said_in_sight(form: AppTest, tmp_path: Path) -> None:
    miniatures.folders(tmp_path)
    for path in sorted((tmp_path / "pictures/Images").iterdir())[1:]:
        path.unlink()
    look_at(form, tmp_path)
    form.button(key=Key.ADD).click().run()
    assert not form.exception
    assert "Only 1 image with a mask" in form.error[0].value
    folded = next(box for box in form.expander if box.label.startswith("Correct folders"))
    assert not folded.error


def test_a_damaged_example_does_not_hide_the_others(form: AppTest, tmp_path: Path) -> None:
    miniatures.folders(tmp_path)
    first = min((tmp_path / "pictures/Images").iterdir())
    first.write_bytes(first.read_bytes()[:200])
    look_at(form, tmp_path)
    assert not form.exception and not form.error
    assert len(form.image) == 4
    assert first.name in texts(form).replace("\\", "")


def test_what_was_typed_is_kept_from_one_way_to_the_other(form: AppTest, tmp_path: Path) -> None:
    miniatures.folders(tmp_path)
    look_at(form, tmp_path)
    form.slider(key=Key.ADD_VAL).set_value(35).run()
    form.segmented_control(key=Key.ADD_FROM).set_value(dataset_form.FIELDS).run()
    assert form.text_input(key=Key.ADD_MASKS).value == str(tmp_path / "pictures/masks")
    form.segmented_control(key=Key.ADD_FROM).set_value(dataset_form.FOLDER).run()
    assert form.text_input(key=Key.ADD_PATH).value == str(tmp_path)
    assert form.slider(key=Key.ADD_VAL).value == 35
    form.button(key=Key.ADD).click().run()
    form.segmented_control(key=Key.ADD_FROM).set_value(dataset_form.FIELDS).run()
    assert form.slider(key=Key.ADD_VAL).value == 20
    assert form.text_input(key=Key.ADD_MASKS).value == ""


# The class table ---------------------------------------------------------------------------------------


def row(name: str | None, colour: str | None, ignore: bool | None = False) -> dict[str, Any]:
    return {"shown": None, "name": name, "colour": colour, "ignore": ignore}


def test_edited_rows_become_classes() -> None:
    classes = edited([row(" roof ", "#0a0B0c"), row("void", "ffffff", True), row("new", "#000001", None)])
    assert [(info.name, info.color, info.ignore) for info in classes] == [
        ("roof", (10, 11, 12), False),
        ("void", (255, 255, 255), True),
        ("new", (0, 0, 1), False),
    ]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([row("a", "red")], "Row 1 .* '#rrggbb|#rrggbb"),
        ([row("a", "#000000"), row(None, "#000001")], "Row 2"),
        ([row("a", "#000000"), row("a", "#000001")], "stands twice"),
        ([row("a", "#000000"), row("b", "#000000")], "both have the colour"),
        ([], "no classes"),
    ],
)
def test_rows_that_are_no_classes(rows: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(ClassTableError, match=words) as caught:
        edited(rows)
    assert caught.value.field == "classes"


# Zip files ---------------------------------------------------------------------------------------------


def zipped(folder: Path) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for path in folder.rglob("*.*"):
            file.write(path, path.relative_to(folder))
    return packed.getvalue()


def upload(form: AppTest, name: str, data: bytes) -> None:
    form.file_uploader(key=Key.ADD_ZIP.of("0")).set_value((name, data, "application/zip")).run()


def test_a_zip_is_looked_into_and_added(form: AppTest, tmp_path: Path, workspace: Workspace) -> None:
    miniatures.dubai(tmp_path / "source")
    form.segmented_control(key=Key.ADD_FROM).set_value(dataset_form.ZIP).run()
    assert "at most 200 MB" in form.file_uploader(key=Key.ADD_ZIP.of("0")).label
    upload(form, "my city.zip", zipped(tmp_path / "source"))
    assert not form.exception and not form.error
    assert "4 pairs · 2 scenes" in texts(form) and not DatasetStore(workspace).list()
    form.button(key=Key.ADD).click().run()
    assert not form.exception and not form.error
    dataset = DatasetStore(workspace).get("my-city")
    assert dataset.report.usable == 4 and dataset.config.images.is_relative_to(dataset.path)
    assert [path.name for path in workspace.datasets.iterdir()] == ["my-city"]
    assert form.file_uploader(key=Key.ADD_ZIP.of("1")).value is None  # the form begins anew
    assert "Upload the zip again" not in texts(form)


def test_another_zip_takes_the_place_of_the_first(form: AppTest, tmp_path: Path, workspace: Workspace) -> None:
    miniatures.dubai(tmp_path / "one")
    miniatures.folders(tmp_path / "two")
    form.segmented_control(key=Key.ADD_FROM).set_value(dataset_form.ZIP).run()
    upload(form, "one.zip", zipped(tmp_path / "one"))
    assert "Dubai" in texts(form)
    upload(form, "two.zip", zipped(tmp_path / "two"))
    assert "Dubai" not in texts(form) and "4 pairs · 2 scenes" in texts(form)
    assert len(list(workspace.datasets.glob(".incoming*"))) == 1
    upload(form, "three.zip", b"no zip")
    assert "no zip" in form.error[0].value.replace("\\", "")
    assert not form.exception and list(workspace.datasets.iterdir()) == []
