"""The Dataset page: adding folders, browsing, dividing anew, the check's report, removing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from segcore.config import DatasetConfig
from segcore.data.store import DatasetStore
from segcore.ui import dataset_form
from segcore.ui.state import Key
from segcore.workspace import Workspace
from tests import factories
from tests.app.conftest import OpenApp, texts

PAGE = "pages/dataset.py"


def fill(app: AppTest, config: DatasetConfig, name: str = "mine") -> None:
    app.segmented_control(key=Key.ADD_FROM).set_value(dataset_form.FIELDS).run()
    app.text_input(key=Key.ADD_NAME).set_value(name)
    app.text_input(key=Key.ADD_IMAGES).set_value(str(config.images))
    app.text_input(key=Key.ADD_MASKS).set_value(str(config.masks))
    app.text_input(key=Key.ADD_CLASSES).set_value(str(config.images.parent / "classes.csv"))
    app.run()


def test_folders_become_a_dataset(
    open_app: OpenApp, workspace: Workspace, tiny_dataset: Callable[..., DatasetConfig]
) -> None:
    app = open_app(PAGE)
    fill(app, tiny_dataset())
    app.multiselect(key=Key.ADD_IGNORE).set_value(["unlabeled"])
    app.radio(key=Key.ADD_GROUPING).set_value(dataset_form.BY_NAME).run()
    app.text_input(key=Key.ADD_REGEX).set_value(factories.GROUP_REGEX).run()
    assert "8 pairs in 4 scenes" in texts(app)
    app.button(key=Key.ADD).click().run()
    assert not app.exception
    dataset = DatasetStore(workspace).get("mine")
    assert dataset.report.groups == 4
    assert [info.name for info in dataset.table.trained] == ["paved-area", "grass", "roof"]
    assert "8 images · 4 scenes · 3 classes" in texts(app)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        (Key.ADD_NAME, "../up", "no usable name"),
        (Key.ADD_NAME, "", "Give the dataset a name"),
        (Key.ADD_IMAGES, "/no/such/folder", "/no/such/folder"),
        (Key.ADD_CLASSES, "/no/such/table.csv", "There is no class table"),
        (Key.ADD_CLASSES, "", "Say where the class table is"),
    ],
)
def test_bad_input_is_an_error_on_screen(
    key: Key, value: str, words: str, open_app: OpenApp, workspace: Workspace,
    tiny_dataset: Callable[..., DatasetConfig],
) -> None:  # fmt: skip
    app = open_app(PAGE)
    fill(app, tiny_dataset())
    app.text_input(key=key).set_value(value).run()
    app.button(key=Key.ADD).click().run()
    assert not app.exception
    assert any(words in error.value.replace("\\", "") for error in app.main.error)
    assert not DatasetStore(workspace).list()


def test_broken_expression_is_said_while_typing(open_app: OpenApp, tiny_dataset: Callable[..., DatasetConfig]) -> None:
    app = open_app(PAGE)
    fill(app, tiny_dataset())
    app.radio(key=Key.ADD_GROUPING).set_value(dataset_form.BY_NAME).run()
    app.text_input(key=Key.ADD_REGEX).set_value("(").run()
    assert not app.exception
    assert any("no regular expression" in error.value for error in app.error)


def test_browsing_and_the_url(open_app: OpenApp, workspace: Workspace, tmp_path: Path) -> None:
    factories.add_dataset(workspace, tmp_path / "source")
    app = open_app(PAGE, dataset="tiny", image="scene01_frame0")
    assert "scene01_frame0" in str(app.query_params["image"])
    app.button(key=Key.BROWSE_NEXT).click().run()
    assert "scene01_frame1" in str(app.query_params["image"])
    app.slider(key=Key.BROWSE_OPACITY).set_value(0).run()
    app.selectbox(key=Key.BROWSE_PART).set_value("val").run()
    assert not app.exception


def test_image_that_is_gone_is_an_error_on_screen(open_app: OpenApp, workspace: Workspace, tmp_path: Path) -> None:
    dataset = factories.add_dataset(workspace, tmp_path / "source")
    dataset.pairs[0].image.unlink()
    app = open_app(PAGE, image=dataset.pairs[0].name)
    assert not app.exception
    assert app.main.error
    assert "were changed, added or removed" in texts(app)
    app.button(key=Key.DATASET_CHECK).click().run()
    assert not app.exception
    assert DatasetStore(workspace).get("tiny").report.usable == 7


def test_dividing_anew(open_app: OpenApp, workspace: Workspace, tmp_path: Path) -> None:
    dataset = factories.add_dataset(workspace, tmp_path / "source")
    app = open_app(PAGE)
    app.slider(key=Key.SPLIT_VAL).set_value(50).run()
    app.button(key=Key.SPLIT).click().run()
    assert not app.exception
    assert dataset.split is not None
    assert len(dataset.split.val) == 4


def test_unknown_colours_are_counted(open_app: OpenApp, workspace: Workspace, tmp_path: Path) -> None:
    config = factories.write_dataset(tmp_path / "source")
    mask = config.masks / "scene00_frame0.png"
    image = Image.open(mask).convert("RGB")
    image.paste((1, 2, 3), (0, 0, 10, 10))
    image.save(mask)
    DatasetStore(workspace).add(config)
    app = open_app(PAGE)
    assert not app.exception
    assert any("1 unknown colour" in box.label for box in app.expander)


def test_removing_asks_and_leaves_the_sources(open_app: OpenApp, workspace: Workspace, tmp_path: Path) -> None:
    factories.add_dataset(workspace, tmp_path / "source")
    app = open_app(PAGE)
    app.button(key=Key.DATASET_REMOVE).click().run()
    assert DatasetStore(workspace).list()
    app.button(key=Key.CONFIRM).click().run()
    assert not DatasetStore(workspace).list()
    assert workspace.trash_size()[0] == 1
    assert len(list((tmp_path / "source" / "images").iterdir())) == 8
    assert "No dataset yet" in texts(app)


@pytest.mark.parametrize("path", ["~nosuchuser/x", "x" * 5000, "/tmp/" + "y" * 400])
@pytest.mark.parametrize("key", [Key.ADD_IMAGES, Key.ADD_MASKS, Key.ADD_CLASSES])
def test_paths_that_cannot_be_are_errors_on_screen(
    key: Key, path: str, open_app: OpenApp, tiny_dataset: Callable[..., DatasetConfig]
) -> None:
    app = open_app(PAGE)
    fill(app, tiny_dataset())
    app.text_input(key=key).set_value(path).run()
    app.button(key=Key.ADD).click().run()
    assert not app.exception
    assert any("cannot be used as a path" in error.value for error in app.main.error)


def test_legend_of_the_image_names_its_classes(open_app: OpenApp, workspace: Workspace, tmp_path: Path) -> None:
    config = factories.write_dataset(tmp_path / "source")
    mask = Image.new("RGB", (64, 64), factories.CLASSES[2].color)
    mask.paste(factories.CLASSES[3].color, (0, 0, 64, 16))
    mask.save(config.masks / "scene00_frame0.png")
    DatasetStore(workspace).add(config)
    Image.new("RGB", (64, 64)).save(config.masks / "scene00_frame1.png")  # since then, nothing but the ignored class
    app = open_app(PAGE, image="scene00_frame0")
    legend = app.dataframe[0].value
    assert list(legend["Class"]) == ["grass", "roof"]
    assert list(legend["In the mask"]) == [75, 25]
    assert legend["Colour"][0].startswith("data:image/png")
    assert "Nothing in this image is labelled" in texts(open_app(PAGE, image="scene00_frame1"))
