"""What the forms remember and where they say what is wrong: backbones, the dataset, more seeds, adding a dataset."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from segcore.config import DatasetConfig, Recipe, StudyConfig
from segcore.data.store import DatasetStore
from segcore.errors import WeightsError
from segcore.launch import memory, plan
from segcore.launch.gpus import Gpu
from segcore.launch.memory import Room
from segcore.models import catalog
from segcore.progress import Progress, silent
from segcore.runs import Run
from segcore.status import RunState
from segcore.store import RunStore
from segcore.ui import (
    dataset_form,
    launch_backbones,
    launch_expected,
    launch_recipe,
    more_seeds,
    predictions_choice,
    previews,
)
from segcore.ui.state import Key
from segcore.workspace import Workspace
from tests import factories
from tests.app.conftest import OpenApp, texts


def names(app: AppTest) -> set[str]:
    """The backbones that the form says are chosen."""
    said = next(caption.value for caption in app.sidebar.caption if "ResNet" in caption.value)
    return set(said.replace("\\", "").split(", "))


def pills(app: AppTest, family: str) -> list[str]:
    (found,) = [group for group in app.sidebar.button_group if str(group.key).startswith(f"launch.backbones:{family}:")]
    return list(found.value)


def press(app: AppTest, family: str, chosen: list[str]) -> None:
    (found,) = [group for group in app.sidebar.button_group if str(group.key).startswith(f"launch.backbones:{family}:")]
    found.set_value(chosen).run()


@pytest.mark.usefixtures("workspace")
def test_a_button_replaces_what_was_pressed_by_hand_with_new_pills(open_app: OpenApp) -> None:
    app = open_app()
    family = catalog.BACKBONES["resnet34"].family
    press(app, family, ["resnet34"])
    assert pills(app, family) == ["resnet34"]
    old = {group.key for group in app.sidebar.button_group}
    app.button(key=Key.LAUNCH_ORIGINAL_SIX).click().run()
    six = {catalog.BACKBONES[name].title for name in catalog.ORIGINAL_SIX}
    # The browser keeps the value of pills that it has not mounted: the old ones must not be there to take it.
    assert not any(str(key).startswith("launch.backbones") for key in old & {g.key for g in app.sidebar.button_group})
    assert names(app) == six
    for page in ("training", "dataset", "charts", "overview"):
        app.switch_page(f"pages/{page}.py").run()
        assert names(app) == six
    assert set(pills(app, family)) == {"resnet18", "resnet34"}


def test_what_the_browser_says_of_old_pills_is_void(monkeypatch: pytest.MonkeyPatch) -> None:
    state: dict[str, object] = {}
    monkeypatch.setattr(launch_backbones.st, "session_state", state)
    launch_backbones.begin()
    old = launch_backbones.pills_key("resnet")
    launch_backbones.choose(catalog.ORIGINAL_SIX)
    launch_backbones.begin()  # as in a drawing after one that was cut short
    state[old] = ["resnet34"]
    launch_backbones._press(old, "resnet")
    assert set(launch_backbones.chosen()) == set(catalog.ORIGINAL_SIX)
    new = launch_backbones.pills_key("resnet")
    state[new] = ["resnet50"]
    launch_backbones._press(new, "resnet")
    assert set(launch_backbones.chosen()) == {*catalog.ORIGINAL_SIX, "resnet50"} - {"resnet18", "resnet34"}


def test_form_follows_the_dataset_page_until_another_is_picked(
    open_app: OpenApp, workspace: Workspace, tmp_path: Path
) -> None:
    for name in ("a", "b", "c"):
        factories.add_dataset(workspace, tmp_path / name, name=name)
    app = open_app("pages/dataset.py")
    assert app.selectbox(key=Key.LAUNCH_DATASET).value == "a"
    app.selectbox(key="choose.dataset").set_value("b").run()
    assert app.selectbox(key=Key.LAUNCH_DATASET).value == "b"
    app.switch_page("pages/charts.py").run()
    app.selectbox(key=Key.LAUNCH_DATASET).set_value("c").run()
    app.run()
    assert app.selectbox(key=Key.LAUNCH_DATASET).value == "c"


def fill(app: AppTest, config: DatasetConfig, name: str) -> None:
    app.segmented_control(key=Key.ADD_FROM).set_value(dataset_form.FIELDS).run()
    app.text_input(key=Key.ADD_NAME).set_value(name)
    app.text_input(key=Key.ADD_IMAGES).set_value(str(config.images))
    app.text_input(key=Key.ADD_MASKS).set_value(str(config.masks))
    app.text_input(key=Key.ADD_CLASSES).set_value(str(config.images.parent / "classes.csv"))
    app.run()


def test_an_added_dataset_is_the_one_to_launch_and_leaves_an_empty_form(
    open_app: OpenApp, workspace: Workspace, tmp_path: Path, tiny_dataset: Callable[..., DatasetConfig]
) -> None:
    factories.add_dataset(workspace, tmp_path / "first", name="first")
    app = open_app("pages/dataset.py")
    fill(app, tiny_dataset(), "second")
    app.slider(key=Key.ADD_VAL).set_value(50).run()
    app.button(key=Key.ADD).click().run()
    assert DatasetStore(workspace).get("second")
    assert app.selectbox(key=Key.LAUNCH_DATASET).value == "second"
    app.segmented_control(key=Key.ADD_FROM).set_value(dataset_form.FIELDS).run()
    assert not any(app.text_input(key=key).value for key in (Key.ADD_NAME, Key.ADD_IMAGES, Key.ADD_CLASSES))
    assert app.slider(key=Key.ADD_VAL).value == 20
    assert not app.main.error


def test_a_missing_folder_is_said_below_its_field_once(
    open_app: OpenApp, workspace: Workspace, tiny_dataset: Callable[..., DatasetConfig]
) -> None:
    app = open_app("pages/dataset.py")
    fill(app, tiny_dataset(), "mine")
    app.text_input(key=Key.ADD_IMAGES).set_value("/no/such/folder").run()
    for _ in range(2):
        (error,) = app.main.error
        elements = list(walk(app.main))
        before = [element for element in elements[: elements.index(error)] if getattr(element, "label", "")]
        assert before[-1].label == "Folder of images"
        app.button(key=Key.ADD).click().run()
    assert not DatasetStore(workspace).list()


def walk(block: object) -> list:
    found = []
    for child in getattr(block, "children", {}).values():
        found.append(child)
        found.extend(walk(child))
    return found


def test_errors_beside_a_field_do_not_begin_with_its_name_in_code(
    open_app: OpenApp, workspace: Workspace, tmp_path: Path
) -> None:
    factories.add_dataset(workspace, tmp_path / "source")
    app = open_app()
    app.text_input(key=Key.LAUNCH_NAME).set_value("../up").run()
    app.button(key=Key.LAUNCH).click().run()
    assert app.sidebar.error[0].value.startswith("'")
    app = open_app("pages/dataset.py")
    app.segmented_control(key=Key.ADD_FROM).set_value(dataset_form.FIELDS).run()
    app.text_input(key=Key.ADD_NAME).set_value("../up")
    app.text_input(key=Key.ADD_IMAGES).set_value(str(tmp_path / "source" / "images"))
    app.text_input(key=Key.ADD_MASKS).set_value(str(tmp_path / "source" / "masks"))
    app.text_input(key=Key.ADD_CLASSES).set_value(str(tmp_path / "source" / "classes.csv")).run()
    app.button(key=Key.ADD).click().run()
    assert app.main.error[0].value.startswith("'")


# What it means, before it is launched -----------------------------------------------------------------


def said(app: AppTest) -> str:
    """All that the sidebar says, as it reads on screen."""
    return "\n".join(
        str(element.value) for kind in ("markdown", "warning", "error") for element in getattr(app.sidebar, kind)
    ).replace("\\", "")


def test_the_form_says_runs_time_and_memory(
    open_app: OpenApp, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    factories.add_dataset(workspace, tmp_path / "source")
    monkeypatch.setattr(memory, "machine_room", lambda _store: Room("this machine's memory", 30e9, 20e9))
    app = open_app()
    app.number_input(key=Key.LAUNCH_SEEDS).set_value(3).run()
    assert "6 runs, about **" in said(app)
    assert "(a rough guess)" in said(app)
    assert "of 30 GB (EfficientNet-B0)" in said(app)
    assert not app.sidebar.warning and not app.sidebar.error


def test_folds_are_asked_for_among_more_options_and_counted(
    open_app: OpenApp, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    factories.add_dataset(workspace, tmp_path / "source")
    monkeypatch.setattr(plan, "ensure_scheduler", lambda _workspace: None)
    app = open_app()
    (options,) = [block for block in app.sidebar.expander if block.label == "More options"]
    folds = options.selectbox(key=Key.LAUNCH_FOLDS)
    assert folds.value == 0
    assert any("k folds cost k times the training" in caption.value for caption in options.caption)
    app.segmented_control(key=Key.LAUNCH_WEIGHTS).set_value("From scratch").run()
    app.selectbox(key=Key.LAUNCH_FOLDS).set_value(3).run()
    assert "6 runs (1 seed × 3 folds of each backbone), about **" in said(app)
    app.text_input(key=Key.LAUNCH_NAME).set_value("folded").run()
    app.button(key=Key.LAUNCH).click().run()
    assert not app.exception and not app.sidebar.error
    study = RunStore(workspace).study("folded")
    assert (study.folds, len(study.runs())) == (3, 6)


def test_more_folds_than_scenes_are_said_beside_their_field(
    open_app: OpenApp, workspace: Workspace, tmp_path: Path
) -> None:
    factories.add_dataset(workspace, tmp_path / "source")
    app = open_app()
    app.segmented_control(key=Key.LAUNCH_WEIGHTS).set_value("From scratch").run()
    app.selectbox(key=Key.LAUNCH_FOLDS).set_value(10).run()
    app.button(key=Key.LAUNCH).click().run()
    elements = list(walk(app.sidebar))
    position = next(
        index for index, element in enumerate(elements) if getattr(element, "key", None) == Key.LAUNCH_FOLDS
    )
    assert "10 folds need a group of images each" in elements[position + 2].value  # behind what folds cost
    assert not RunStore(workspace).runs()


def test_the_form_warns_of_what_does_not_fit_now_and_refuses_what_never_does(
    open_app: OpenApp, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    factories.add_dataset(workspace, tmp_path / "source")
    room = [Room("this machine's memory", 30e9, 1e9)]
    monkeypatch.setattr(memory, "machine_room", lambda _store: room[0])
    app = open_app()
    assert "Only 1.0 GB of it are free now" in said(app)
    app.number_input(key=Key.LAUNCH_BATCH_SIZE).set_value(1024).run()
    assert "does not fit into this machine's memory of 30 GB" in said(app)
    assert not app.sidebar.warning
    app.button(key=Key.LAUNCH).click().run()
    assert not RunStore(workspace).runs()


def test_the_form_warns_of_a_gpu_that_is_too_small(
    open_app: OpenApp, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    factories.add_dataset(workspace, tmp_path / "source")
    cards = [Gpu(0, "Small", 8_000, 8_000), Gpu(1, "Large", 80_000, 80_000)]
    monkeypatch.setattr(launch_expected, "_gpus", lambda: cards)
    app = open_app()
    assert not app.sidebar.warning
    app.number_input(key=Key.LAUNCH_BATCH_SIZE).set_value(96).run()
    assert "GPU 0 (Small) has only 8.4 GB" in said(app)
    assert not app.sidebar.error


def test_the_time_counts_from_when_the_runs_start(
    open_app: OpenApp, store: RunStore, workspace: Workspace, tmp_path: Path
) -> None:
    factories.add_dataset(workspace, tmp_path / "source")
    factories.make_run(store, state=RunState.RUNNING)
    assert "once they start: 1 run is before them" in said(open_app())


def test_a_refused_batch_is_said_beside_its_field(
    open_app: OpenApp, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    factories.add_dataset(workspace, tmp_path / "source")
    monkeypatch.setattr(memory, "machine_room", lambda _store: Room("this machine's memory", 1e9, 1e9))
    app = open_app()
    app.segmented_control(key=Key.LAUNCH_WEIGHTS).set_value("From scratch").run()
    app.button(key=Key.LAUNCH).click().run()
    elements = list(walk(app.sidebar))
    position = next(
        index for index, element in enumerate(elements) if getattr(element, "key", None) == Key.LAUNCH_BATCH_SIZE
    )
    assert "does not fit" in elements[position + 1].value
    assert said(app).count("does not fit") == 1
    assert not RunStore(workspace).runs()


def test_backbones_that_are_not_known_are_named(open_app: OpenApp, workspace: Workspace, tmp_path: Path) -> None:
    factories.add_dataset(workspace, tmp_path / "source")
    app = open_app()
    app.text_input(key=Key.LAUNCH_OTHER).set_value("resnet26").run()
    assert "without resnet26" in said(app)
    app.button(key=Key.LAUNCH_CLEAR).click().run()
    app.text_input(key=Key.LAUNCH_OTHER).set_value("resnet26").run()
    assert "1 run, time and memory not known yet" in said(app)


def test_crops_are_asked_for_only_where_there_are_any(
    open_app: OpenApp, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    factories.add_dataset(workspace, tmp_path / "source")
    asked: list[StudyConfig] = []

    def launch_study(
        config: StudyConfig, _workspace: object = None, progress: Progress = silent, **_: object
    ) -> list[Run]:
        asked.append(config)
        raise WeightsError("No weights here.", field="weights")

    monkeypatch.setattr(plan, "launch_study", launch_study)
    app = open_app()
    keys = {widget.key for widget in app.sidebar.number_input}
    assert Key.LAUNCH_CROPS not in keys and Key.LAUNCH_BATCH_SIZE in keys
    app.selectbox(key=Key.LAUNCH_GEOMETRY).set_value("crop").run()
    app.number_input(key=Key.LAUNCH_CROPS).set_value(7).run()
    app.selectbox(key=Key.LAUNCH_PRECISION).set_value("bf16").run()
    app.selectbox(key=Key.LAUNCH_MEMORY_FORMAT).set_value("channels_last").run()
    assert "about **" in said(app)
    app.button(key=Key.LAUNCH).click().run()
    (config,) = asked
    recipe = config.recipe
    assert (recipe.geometry, recipe.crops_per_image) == ("crop", 7)
    assert (recipe.precision, recipe.memory_format) == ("bf16", "channels_last")


def test_every_setting_of_the_recipe_is_in_the_form() -> None:
    assert {*launch_recipe.RECIPE_KEYS, "name"} == set(Recipe.model_fields)
    for field in launch_recipe.RECIPE_KEYS:
        assert launch_recipe.FIELD_LABELS[field]
        for value in getattr(Recipe.model_fields[field].annotation, "__args__", ()):
            assert value in launch_recipe.CHOICE_LABELS


# More seeds --------------------------------------------------------------------------------------------


def test_missing_seeds_join_the_study_with_all_else_equal(store: RunStore) -> None:
    for encoder, weights, seed in (
        (factories.RESNET18, "pretrained", 0),
        (factories.LITE0, "pretrained", 0),
        (factories.RESNET18, "pretrained", 2),
        ("resnet34", "none", 0),
    ):
        run = factories.make_run(store, encoder=encoder, weights=weights, seed=seed)
    pretrained, scratch = more_seeds.configs(store.study("study"), 3)
    assert pretrained.encoders == (factories.RESNET18, factories.LITE0)
    assert (scratch.encoders, scratch.weights) == (("resnet34",), "none")
    assert pretrained.seeds == scratch.seeds == (0, 2, 1)
    assert pretrained.recipe == run.config.recipe
    source = factories.fake_dataset()
    new = [store.create_study(c, source.config, source.fingerprint, source.split) for c in (pretrained, scratch)]
    assert [run.name for runs in new for run in runs] == [
        f"{factories.LITE0}-seed2",
        f"{factories.RESNET18}-seed1",
        f"{factories.LITE0}-seed1",
        "resnet34-scratch-seed2",
        "resnet34-scratch-seed1",
    ]


def test_more_seeds_are_launched_from_the_training_page(
    open_app: OpenApp, store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    factories.make_run(store)
    refused = [WeightsError("No weights here.", field="weights")]

    def launch_study(
        config: StudyConfig, workspace: object = None, progress: Progress = silent, **_: object
    ) -> list[Run]:
        if refused:
            raise refused.pop()
        source = factories.fake_dataset()
        return store.create_study(config, source.config, source.fingerprint, source.split)

    monkeypatch.setattr(plan, "launch_study", launch_study)
    app = open_app("pages/training.py")
    app.button(key=Key.MORE_SEEDS_LAUNCH).click().run()
    assert "No weights here" in app.main.error[0].value
    app.button(key=Key.MORE_SEEDS_LAUNCH).click().run()
    assert not app.exception
    assert sorted(run.config.seed for run in store.study("study").runs()) == [0, 1, 2]


def test_more_seeds_of_a_study_of_folds_train_on_all_folds(store: RunStore) -> None:
    factories.make_fold_study(store, encoders=(factories.RESNET18,), folds=2)
    study = store.study("folded")
    (config,) = more_seeds.configs(study, 3)
    assert (config.folds, config.racing, config.seeds) == (2, False, (0, 1, 2))
    source = factories.fake_dataset()
    new = store.create_study(config, source.config, source.fingerprint, source.split, folds=study.fold_splits())
    assert [run.name.removeprefix(factories.RESNET18) for run in new] == [
        "-seed1-fold0",
        "-seed1-fold1",
        "-seed2-fold0",
        "-seed2-fold1",
    ]


def test_pages_name_the_folds(open_app: OpenApp, store: RunStore) -> None:
    (run, _) = factories.make_fold_study(store, encoders=(factories.RESNET18,), folds=2)
    app = open_app("pages/training.py", study="folded")
    assert "ResNet-18, seed 0, fold 1 of 2" in app.selectbox(key="choose.run").options
    app = open_app("pages/charts.py", study="folded")
    assert not app.exception
    assert "8 images in 2 folds" in texts(app)
    assert "ResNet-18 · seed 0, fold 1 of 2 · mIoU" in predictions_choice.run_title(run)


# Training, predictions, links --------------------------------------------------------------------------


def test_nothing_is_offered_to_stop_where_nothing_runs(open_app: OpenApp, store: RunStore) -> None:
    factories.make_run(store)
    app = open_app("pages/training.py")
    assert Key.DELETE_STUDY in {button.key for button in app.button}
    assert Key.STOP_STUDY not in {button.key for button in app.button}
    assert "At its end, after epoch 5" in texts(app)


def test_legend_names_what_occurs_and_what_was_not_labelled() -> None:
    classes = factories.CLASSES[1:]
    picture = np.zeros((4, 4, 3), np.uint8)
    picture[:2] = classes[0].color
    assert "not labelled" in previews.legend(classes, [picture])
    picture[2:] = classes[2].color
    text = previews.legend(classes, [picture])
    assert all(word in text for word in ("paved-area", "roof", "background:#804080"))
    assert "grass" not in text
    assert "not labelled" not in text
    harmless = classes[0].model_copy(update={"name": "<img>"})
    assert "<img>" not in previews.legend((harmless,), [picture])


def test_previews_have_the_legend(open_app: OpenApp, store: RunStore, tmp_path: Path) -> None:
    factories.make_run(store, dataset=factories.add_dataset(store.workspace, tmp_path / "source"))
    app = open_app("pages/training.py")
    assert any("paved-area" in element.proto.body for element in app.get("html"))


def test_predictions_begin_with_validation_images_whatever_was_browsed(
    open_app: OpenApp, store: RunStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = factories.add_dataset(store.workspace, tmp_path / "source")
    factories.make_run(store, dataset=dataset, encoder=factories.LITE0, with_weights=True)
    assert dataset.split is not None
    app = open_app("pages/dataset.py", image=dataset.split.train[0])
    assert app.query_params["image"] == dataset.split.train[0]
    for name in list(app.query_params):
        del app.query_params[name]
    app.switch_page("pages/predictions.py").run()
    assert app.button_group(key=Key.PREDICT_SOURCE).value == predictions_choice.VALIDATION
    assert app.selectbox(key="choose.image").value in dataset.split.val
    app = open_app("pages/predictions.py", image=dataset.split.train[0])
    assert app.button_group(key=Key.PREDICT_SOURCE).value == predictions_choice.TRAINING
    assert "default value" not in caplog.text


def test_predictions_call_a_training_run_training(store: RunStore) -> None:
    assert predictions_choice.run_title(factories.make_run(store, state=RunState.RUNNING)).endswith(", training")


@pytest.mark.parametrize("page", ["training", "charts"])
def test_a_link_to_a_study_that_is_gone_says_so(page: str, open_app: OpenApp, store: RunStore) -> None:
    factories.make_run(store)
    app = open_app(f"pages/{page}.py", study="gone")
    assert [info.value for info in app.main.info] == ["Study gone is not there (any more)."]
    assert not open_app(f"pages/{page}.py", study="study").main.info
