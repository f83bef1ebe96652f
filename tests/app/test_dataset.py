"""The Dataset page: adding folders, browsing, dividing anew, the check's report, removing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from segcore.config import ClassInfo, DatasetConfig, Recipe
from segcore.data.layouts import recognised
from segcore.data.prepared import prepare, prepared_size
from segcore.data.store import DatasetStore
from segcore.data.thumbnails import thumbnails
from segcore.decisions import Decision, Exchange, Exclude, Ignore, Merge, Recolor, Rename, Use, replay
from segcore.errors import ConfigError
from segcore.ui import dataset_augment, dataset_classes, dataset_files, dataset_form, dataset_view, gallery
from segcore.ui.state import Key
from segcore.workspace import Workspace
from tests import factories, miniatures
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
    dataset = factories.add_dataset(workspace, tmp_path / "source")
    app = open_app(PAGE, dataset="tiny", image="scene01_frame0")
    assert "scene01_frame0" in str(app.query_params["image"])
    app.button(key=Key.BROWSE_NEXT).click().run()
    assert "scene01_frame1" in str(app.query_params["image"])
    app.selectbox(key=Key.BROWSE_PART).set_value("val").run()
    assert not app.exception
    assert dataset.split is not None
    assert dataset.split.val[0] in str(app.query_params["image"])
    assert [path for path in thumbnails(dataset).values() if path is None] == []


def test_filters_and_what_they_leave(open_app: OpenApp, workspace: Workspace, tmp_path: Path) -> None:
    config = factories.write_dataset(tmp_path / "source")
    for path in config.masks.iterdir():
        if not path.name.startswith("scene02"):
            Image.new("RGB", (64, 64), factories.CLASSES[1].color).save(path)
    DatasetStore(workspace).add(config)
    app = open_app(PAGE)
    app.selectbox(key=Key.BROWSE_CLASS).set_value(2).run()
    assert "1 of 2 images" in texts(app)
    app.selectbox(key=Key.BROWSE_SCENE).set_value("scene01").run()
    assert not app.exception
    assert "No image is like that" in texts(app)
    app.button(key=Key.BROWSE_ALL).click().run()
    assert "of 8 images" in texts(app)


def test_more_images_than_a_gallery_holds(
    open_app: OpenApp, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gallery, "LARGEST", 3)
    dataset = factories.add_dataset(workspace, tmp_path / "source")
    app = open_app(PAGE)
    box = app.selectbox(key=Key.BROWSE_PAGE)
    assert box.options == ["1 to 3 of 8", "4 to 6 of 8", "7 to 8 of 8"]
    app = open_app(PAGE, image=dataset.names[6])
    assert app.selectbox(key=Key.BROWSE_PAGE).value == 6
    app.button(key=Key.BROWSE_PREVIOUS).click().run()
    assert app.selectbox(key=Key.BROWSE_PAGE).value == 3


@pytest.mark.parametrize("tab", list(dataset_view.TABS))
def test_every_tab_bears_every_dataset(tab: str, open_app: OpenApp, workspace: Workspace, tmp_path: Path) -> None:
    hostile = ClassInfo(name="<b>*x*</b>\n$y$ %{z} " + "long " * 11, color=(9, 200, 90))
    factories.add_dataset(workspace, tmp_path / "source", classes=(*factories.CLASSES, hostile))
    app = open_app(PAGE, tab=tab)
    assert not app.exception
    assert not app.main.error
    assert app.session_state[Key.DATASET_TAB] == tab


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


def test_another_dataset_does_not_miss_the_image_that_was_looked_at(
    open_app: OpenApp, workspace: Workspace, tmp_path: Path
) -> None:
    dataset = factories.add_dataset(workspace, tmp_path / "source")
    other = factories.add_dataset(workspace, tmp_path / "other", name="other")
    for pair in other.pairs:
        for path in (pair.image, pair.mask):
            path.rename(path.with_stem(f"{path.stem}x"))
    other.refresh()
    app = open_app(PAGE, dataset="tiny", image=dataset.names[2])
    app.selectbox(key="choose.dataset").set_value("other").run()
    assert not app.exception
    assert not app.main.info
    assert other.names[0] in str(app.query_params["image"])
    app = open_app(PAGE, dataset="other", image=dataset.names[2])
    assert "is not there" in app.main.info[0].value


def test_dividing_anew(open_app: OpenApp, workspace: Workspace, tmp_path: Path) -> None:
    dataset = factories.add_dataset(workspace, tmp_path / "source")
    app = open_app(PAGE, tab="Split")
    app.slider(key=Key.SPLIT_VAL).set_value(50).run()
    app.button(key=Key.SPLIT).click().run()
    assert not app.exception
    assert dataset.split is not None
    assert len(dataset.split.val) == 4


def test_unknown_colours_get_a_meaning_that_can_be_taken_back(
    open_app: OpenApp, workspace: Workspace, tmp_path: Path
) -> None:
    config = factories.write_dataset(tmp_path / "source")
    mask = config.masks / "scene00_frame0.png"
    image = Image.open(mask).convert("RGB")
    image.paste((1, 2, 3), (0, 0, 10, 10))
    image.save(mask)
    dataset = DatasetStore(workspace).add(config)
    app = open_app(PAGE, tab="Check")
    assert not app.exception
    assert any("1 unknown colour" in box.label for box in app.expander)
    app.selectbox(key=Key.CHECK_MEANS.of("colour (1, 2, 3)")).set_value("roof").run()
    app.button(key=Key.CHECK_MAP).click().run()
    assert not app.exception
    assert dataset.report.unknown_count == 0
    assert "is roof" in texts(app)
    app.button(key=Key.CHECK_UNDO.of("1")).click().run()
    assert not app.exception
    assert dataset.report.unknown_count == 1


def test_what_the_check_proposes_is_done_on_a_press(open_app: OpenApp, workspace: Workspace, tmp_path: Path) -> None:
    config = factories.write_dataset(tmp_path / "source")
    for folder in (config.images, config.masks):
        (folder / "scene03_frame9.png").write_bytes((folder / "scene00_frame0.png").read_bytes())
    dataset = DatasetStore(workspace).add(config)
    app = open_app(PAGE, tab="Check")
    proposed = [problem for problem in dataset.report.problems if isinstance(problem.action, Exclude)]
    assert proposed
    app.button(key=Key.CHECK_ACTION.of(f"{proposed[0].kind}:0")).click().run()
    assert not app.exception
    assert not app.main.error
    assert len(dataset.names) == 8
    assert dataset.config.decisions
    assert "problem" not in texts(app).partition("decision")[0]
    assert any(box.label.replace("\\", "") == "Left out: 1" for box in app.expander)


def test_what_is_wrong_with_each_file_is_read_whole(open_app: OpenApp, workspace: Workspace, tmp_path: Path) -> None:
    config = factories.write_dataset(tmp_path / "source")
    cut = [config.images / f"scene00_frame{number}.png" for number in (0, 1)]
    for path in cut:
        path.write_bytes(path.read_bytes()[:300])
    DatasetStore(workspace).add(config)
    app = open_app(PAGE, tab="Check")
    assert not app.exception
    (said,) = [element.value for element in app.markdown if element.value.startswith("- ")]
    said = said.replace("\\", "")
    assert all(f"- {path.name} " in said for path in cut)
    assert str(config.images) not in said


def test_filters_cannot_be_emptied(open_app: OpenApp, workspace: Workspace, tmp_path: Path) -> None:
    factories.add_dataset(workspace, tmp_path / "source")
    app = open_app(PAGE)
    for key, first in ((Key.BROWSE_PART, "All"), (Key.BROWSE_CLASS, "Any"), (Key.BROWSE_SCENE, "All")):
        box = app.selectbox(key=key)
        assert box.value is not None and box.options[0] == first


def test_kinds_of_problems_share_the_bar_that_makes_their_thumbnails(
    open_app: OpenApp, workspace: Workspace, tmp_path: Path
) -> None:
    config = factories.write_dataset(tmp_path / "source")
    for folder in (config.images, config.masks):
        (folder / "scene03_frame9.png").write_bytes((folder / "scene00_frame0.png").read_bytes())
    image = config.images / "scene01_frame0.png"
    Image.open(image).convert("L").save(image)
    dataset = DatasetStore(workspace).add(config)
    assert len({problem.kind for problem in dataset.report.problems if problem.images}) > 1
    assert not (dataset.path / "thumbnails").exists()
    app = open_app(PAGE, tab="Check")
    assert not app.exception
    assert list((dataset.path / "thumbnails").glob("*.jpg"))


def test_removing_tells_which_files_go_with_it(workspace: Workspace, tmp_path: Path) -> None:
    store = DatasetStore(workspace)
    theirs = factories.add_dataset(workspace, tmp_path / "source")
    assert dataset_files._lost(theirs).endswith("trash; your image and mask files are not touched.")
    miniatures.coco(tmp_path / "coco")
    drawn = store.add_guess(recognised(tmp_path / "coco", name="drawn"))
    assert "together with the mask files that lie in it; your image files" in dataset_files._lost(drawn)
    own = store.new_staging()
    miniatures.folders(own / "source")
    unpacked = store.add_guess(recognised(own / "source", name="unpacked"), own=own)
    assert dataset_files._lost(unpacked).endswith("together with the image and mask files that lie in it.")


def test_removing_asks_and_leaves_the_sources(open_app: OpenApp, workspace: Workspace, tmp_path: Path) -> None:
    factories.add_dataset(workspace, tmp_path / "source")
    app = open_app(PAGE, tab="Files")
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


def test_the_same_pictures_as_training_shows(open_app: OpenApp, workspace: Workspace, tmp_path: Path) -> None:
    from segcore.data.loaders import build_loaders

    dataset = factories.add_dataset(workspace, tmp_path / "source")
    assert dataset.split is not None
    for recipe in (Recipe(image_size=64), Recipe(image_size=32, geometry="crop", crops_per_image=2)):
        loaders = build_loaders(prepare(dataset, prepared_size(recipe)), dataset.split, recipe, seed=3)
        name = dataset.split.train[1]
        drawn = dataset_augment._samples.__wrapped__(str(dataset.path), dataset.fingerprint, name, recipe, 3)
        assert len(drawn) == dataset_augment.DRAWS + 1
        for epoch in range(1, dataset_augment.DRAWS + 1):
            position = 1 if recipe.geometry == "resize" else 2
            image, labels = loaders.train_loader.dataset[epoch, position]
            assert (drawn[epoch][0] == image.numpy().transpose(1, 2, 0)).all()
            assert (drawn[epoch][1] == labels.numpy()).all()
    app = open_app(PAGE, tab="Augmentation")
    assert "of seed 0" in texts(app)
    app.button(key=Key.AUGMENT_AGAIN).click().run()
    assert not app.exception
    assert "of seed 1" in texts(app)


def rows(config: DatasetConfig, **changes: dict[str, object]) -> list[dict[str, object]]:
    """The table of classes as it stands, with some rows changed."""
    return [
        {
            "name": info.name,
            "color": dataset_classes._hex(info.color),
            "used": not info.ignore,
            **changes.get(info.name, {}),
        }
        for info in config.meaning.classes
    ]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"roof": {"name": "house"}}, [Rename(name="roof", to="house")]),
        ({"roof": {"color": "#010203"}}, [Recolor(name="roof", color=(1, 2, 3))]),
        ({"roof": {"used": False}}, [Ignore(names=("roof",))]),
        ({"unlabeled": {"used": True}}, [Use(names=("unlabeled",))]),
        ({"roof": {"name": "grass"}}, [Merge(names=("grass", "roof"), into="grass")]),
        (
            {"grass": {"name": "green"}, "roof": {"name": "grass"}},
            [Rename(name="grass", to="green"), Rename(name="roof", to="grass")],
        ),
        (
            {"paved-area": {"name": "grass"}, "grass": {"name": "green"}, "roof": {"name": "grass"}},
            [Rename(name="grass", to="green"), Merge(names=("paved-area", "roof"), into="grass")],
        ),
        ({"roof": {"name": "grass"}, "grass": {"name": "roof"}}, [Exchange(names=("grass", "roof"))]),
        (
            {"roof": {"name": "grass"}, "paved-area": {"name": "grass"}, "grass": {"name": "roof"}},
            [
                Exchange(names=("paved-area", "grass")),
                Merge(names=("grass", "roof"), into="grass"),
                Rename(name="paved-area", to="roof"),
            ],
        ),
    ],
)
def test_an_edited_table_becomes_decisions(
    changes: dict[str, dict[str, object]], expected: list[Decision], tmp_path: Path
) -> None:
    config = factories.write_dataset(tmp_path)
    assert dataset_classes.decisions_of(config, rows(config, **changes)) == expected


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"roof": {"name": " "}}, "has no name"),
        ({"roof": {"color": "red"}}, "no colour"),
        ({"roof": {"color": "#006600"}}, "both have the colour"),
    ],
)
def test_a_table_that_cannot_be_is_refused(changes: dict[str, dict[str, object]], words: str, tmp_path: Path) -> None:
    config = factories.write_dataset(tmp_path)
    with pytest.raises(ConfigError, match=words):
        dataset_classes.decisions_of(config, rows(config, **changes))


def test_merged_classes_are_learnt_where_one_of_them_was(tmp_path: Path) -> None:
    config = factories.write_dataset(tmp_path)
    changed = rows(config, unlabeled={"name": "roof"})
    found = dataset_classes.decisions_of(config, changed)
    assert found[0] == Merge(names=("unlabeled", "roof"), into="roof")
    assert [info.name for info in replay(config.classes, tuple(found)).trained] == ["paved-area", "grass", "roof"]
