"""Every page on every kind of workspace, the sidebar's launch form, and what opening the app costs."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from segcore.config import Recipe, StudyConfig
from segcore.errors import SegcoreError, WeightsError
from segcore.launch import plan
from segcore.models import catalog
from segcore.progress import Progress, silent
from segcore.runs import Run
from segcore.status import RunState, Status
from segcore.store import RunStore
from segcore.ui import launch_form, launch_recipe, queue_actions, queue_slots, queue_view, queue_waiting, readers
from segcore.ui.components import progress_share
from segcore.ui.state import Key
from segcore.workspace import HOME_VARIABLE, Workspace
from tests import factories
from tests.app.conftest import ROOT, OpenApp, collapse, texts

PAGES = sorted(path.name for path in (ROOT / "pages").glob("*.py"))


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch, store: RunStore) -> list[StudyConfig]:
    """Replaces launching by noting what was asked for and queueing made-up runs."""
    asked: list[StudyConfig] = []

    def launch_study(
        config: StudyConfig, workspace: Workspace | None = None, progress: Progress = silent, **_: object
    ) -> list[Run]:
        asked.append(config)
        source = factories.fake_dataset(config.dataset)
        return store.create_study(config, source.config, source.fingerprint, source.split)

    monkeypatch.setattr(plan, "launch_study", launch_study)
    return asked


@pytest.mark.parametrize("page", PAGES)
def test_page_draws(page: str, any_workspace: Workspace, open_app: OpenApp) -> None:
    app = open_app(f"pages/{page}")
    assert not app.exception
    assert len(app.title) == 1


@pytest.mark.parametrize("page", PAGES)
def test_unwritable_workspace_is_said(
    page: str, open_app: OpenApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "file" / "home"))
    app = open_app(f"pages/{page}")
    assert not app.exception
    assert any("file/home" in error.value.replace("\\", "") for error in app.sidebar.error)


def test_unknown_names_in_the_url_are_ignored(open_app: OpenApp, store: RunStore) -> None:
    run = factories.make_run(store)
    app = open_app("pages/training.py", study="../../etc", run="<b>")
    assert not app.exception
    assert app.query_params["study"] in (run.study_name, [run.study_name])


def test_opening_pages_imports_no_torch(workspace: Workspace, store: RunStore, tmp_path: Path) -> None:
    factories.make_mixed_study(store, dataset=factories.add_dataset(workspace, tmp_path / "source"))
    code = (
        "import sys\n"
        "from streamlit.testing.v1 import AppTest\n"
        "app = AppTest.from_file('streamlit_app.py', default_timeout=60).run()\n"
        "for page in ('overview', 'dataset', 'training', 'charts'):\n"
        "    app.switch_page(f'pages/{page}.py').run()\n"
        "    assert not app.exception, app.exception\n"
        "    heavy = {'torch', 'timm', 'segmentation_models_pytorch'} & set(sys.modules)\n"
        "    assert not heavy, (page, heavy)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr[-2000:]


def test_config_keeps_the_app_on_this_machine() -> None:
    config = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
    assert config["server"]["address"] == "localhost"
    assert config["server"]["fileWatcherType"] == "none"
    assert config["browser"]["gatherUsageStats"] is False
    assert {"light", "dark"} <= set(config["theme"])


def test_first_visit_of_a_page_has_the_sidebar(open_app: OpenApp) -> None:
    # Streamlit runs pages/*.py by itself until st.navigation was called once; AppTest starts each run like that.
    app = open_app("pages/dataset.py")
    app.run()
    assert [title.value for title in app.title] == ["Dataset"]
    assert app.sidebar.button(key=Key.LAUNCH)


# The launch form ---------------------------------------------------------------------------------------


def test_launch_without_a_dataset_is_not_possible(open_app: OpenApp) -> None:
    app = open_app()
    assert app.button(key=Key.LAUNCH).disabled


def test_form_makes_the_study_it_shows(
    open_app: OpenApp, workspace: Workspace, tmp_path: Path, launched: list[StudyConfig]
) -> None:
    factories.add_dataset(workspace, tmp_path / "source")
    app = open_app()
    app.button(key=Key.LAUNCH_ORIGINAL_SIX).click().run()
    app.text_input(key=Key.LAUNCH_OTHER).set_value("resnet26, resnet18").run()
    app.segmented_control(key=Key.LAUNCH_WEIGHTS).set_value(launch_form.SCRATCH)
    app.number_input(key=Key.LAUNCH_EPOCHS).set_value(7)
    app.number_input(key=Key.LAUNCH_SEEDS).set_value(3)
    app.number_input(key=Key.LAUNCH_BATCH_SIZE).set_value(4)
    app.button(key=Key.LAUNCH).click().run()
    assert not app.exception
    (config,) = launched
    assert set(config.encoders) == {*catalog.ORIGINAL_SIX, "resnet26"}
    assert (config.weights, config.seeds, config.name) == ("none", (0, 1, 2), "tiny-1")
    assert (config.recipe.epochs, config.recipe.batch_size) == (7, 4)
    assert app.title[0].value == "Training"
    assert app.text_input(key=Key.LAUNCH_NAME).value == "tiny-2"


def test_recipe_fills_in_its_settings(open_app: OpenApp, launched: list[StudyConfig], workspace: Workspace,
                                      tmp_path: Path) -> None:  # fmt: skip
    factories.add_dataset(workspace, tmp_path / "source")
    app = open_app()
    app.selectbox(key=Key.LAUNCH_RECIPE).set_value("notebook").run()
    assert app.number_input(key=Key.LAUNCH_EPOCHS).value == 100
    app.button(key=Key.LAUNCH).click().run()
    assert launched[0].recipe == Recipe.named("notebook")


def test_form_survives_a_change_of_page(open_app: OpenApp, workspace: Workspace, tmp_path: Path) -> None:
    factories.add_dataset(workspace, tmp_path / "source")
    app = open_app()
    app.number_input(key=Key.LAUNCH_EPOCHS).set_value(12).run()
    app.switch_page("pages/training.py").run()
    assert app.number_input(key=Key.LAUNCH_EPOCHS).value == 12


@pytest.mark.parametrize(
    ("field", "label"),
    [("encoders", "Other backbones"), ("weights", "Start from"), ("decoder", "Decoder"), ("name", "Study name")],
)
def test_error_stands_beside_its_field(
    field: str, label: str, open_app: OpenApp, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    factories.add_dataset(workspace, tmp_path / "source")

    def refuse(*_: object, **__: object) -> list[Run]:
        raise WeightsError("No *weights* here: put them into <folder>.", field=field)

    monkeypatch.setattr(plan, "launch_study", refuse)
    app = open_app()
    app.button(key=Key.LAUNCH).click().run()
    (error,) = app.sidebar.error
    assert error.value == r"No \*weights\* here: put them into \<folder\>\.".replace(":", r"\:")
    elements = list(_walk(app.sidebar))
    before = [e for e in elements[: elements.index(error)] if getattr(e, "label", "")]
    assert before[-1].label == label
    app.number_input(key=Key.LAUNCH_EPOCHS).set_value(3).run()
    assert not app.sidebar.error, "an error must go once the form was changed"


def test_bad_study_name_is_an_error_beside_the_field(open_app: OpenApp, workspace: Workspace, tmp_path: Path) -> None:
    factories.add_dataset(workspace, tmp_path / "source")
    app = open_app()
    app.text_input(key=Key.LAUNCH_NAME).set_value("../up").run()
    app.button(key=Key.LAUNCH).click().run()
    assert len(app.sidebar.error) == 1
    assert not RunStore(workspace).runs()


def test_no_backbone_is_an_error(open_app: OpenApp, workspace: Workspace, tmp_path: Path) -> None:
    factories.add_dataset(workspace, tmp_path / "source")
    app = open_app()
    app.text_input(key=Key.LAUNCH_OTHER).set_value("resnet26").run()
    app.button(key=Key.LAUNCH_CLEAR).click().run()
    app.button(key=Key.LAUNCH).click().run()
    assert "at least one backbone" in app.sidebar.error[0].value


@pytest.mark.parametrize("field", launch_recipe.RECIPE_KEYS)
def test_every_recipe_setting_has_label_and_bounds_of_the_field(field: str) -> None:
    assert launch_recipe.FIELD_LABELS[field]
    if Recipe.model_fields[field].annotation not in (int, float):
        return
    low, high, step = launch_recipe.bounds(field)
    Recipe(**{"batch_size": 1024, field: low})  # enough for as many GPUs as there may be
    Recipe(**{"batch_size": 1024, field: high})
    with pytest.raises(SegcoreError):
        Recipe(**{"batch_size": 1024, field: high + (step or 1)})


def test_form_offers_every_field_of_the_recipe() -> None:
    assert set(launch_recipe.RECIPE_KEYS) == set(Recipe.model_fields) - {"name"}


# The queue ---------------------------------------------------------------------------------------------


def test_sidebar_lists_what_runs_and_stops_it(open_app: OpenApp, store: RunStore) -> None:
    running = factories.make_run(store, state=RunState.RUNNING)
    waiting = factories.make_run(store, seed=1, state=RunState.QUEUED)
    app = open_app()
    for run in (running, waiting):
        app.button(key=Key.STOP.of(f"sidebar/{run.study_name}/{run.name}")).click().run()
    assert running.stop_requested()
    assert waiting.state is RunState.STOPPED
    assert app.button(key=Key.STOP.of(f"sidebar/{running.study_name}/{running.name}")).disabled


def test_long_queue_is_cut(open_app: OpenApp, store: RunStore) -> None:
    factories.make_study(store, seeds=range(10), state=RunState.QUEUED)
    app = open_app()
    fold = next(e for e in app.sidebar.expander if e.label == f"{20 - queue_waiting.SHOWN} more runs waiting")
    assert len([line for line in fold.markdown if "seed" in line.value]) == 20 - queue_waiting.SHOWN


def waiting_key(key: Key, run: Run) -> str:
    return key.of(f"{run.study_name}/{run.name}")


def test_waiting_runs_are_moved(open_app: OpenApp, store: RunStore) -> None:
    runs = [factories.make_run(store, seed=seed, state=RunState.QUEUED) for seed in range(4)]
    app = open_app()
    assert app.button(key=waiting_key(Key.QUEUE_UP, runs[0])).disabled
    assert app.button(key=waiting_key(Key.QUEUE_FIRST, runs[0])).disabled
    assert app.button(key=waiting_key(Key.QUEUE_DOWN, runs[3])).disabled
    app.button(key=waiting_key(Key.QUEUE_FIRST, runs[3])).click().run()
    app.button(key=waiting_key(Key.QUEUE_DOWN, runs[0])).click().run()
    app.button(key=waiting_key(Key.QUEUE_UP, runs[2])).click().run()
    assert not app.exception
    assert [run.config.seed for run in store.waiting()] == [3, 1, 2, 0]
    lines = [line.value for line in app.sidebar.markdown if "seed" in line.value]
    assert [line[-2] for line in lines] == ["3", "1", "2", "0"]


def test_run_that_began_meanwhile_is_not_moved(open_app: OpenApp, store: RunStore) -> None:
    runs = [factories.make_run(store, seed=seed, state=RunState.QUEUED) for seed in range(2)]
    app = open_app()
    factories.set_state(runs[1], RunState.RUNNING, done=0)
    app.button(key=waiting_key(Key.QUEUE_UP, runs[1])).click().run()
    assert not app.exception
    assert not app.error
    assert store.waiting() == runs[:1]


def test_queue_is_paused_and_goes_on(open_app: OpenApp, store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_view, "scheduler_alive", lambda *_: True)
    started: list[Workspace] = []
    monkeypatch.setattr(queue_actions, "ensure_scheduler", started.append)
    factories.make_run(store, state=RunState.RUNNING)
    factories.make_run(store, seed=1, state=RunState.QUEUED)
    app = open_app()
    app.button(key=Key.QUEUE_PAUSE).click().run()
    assert store.queue_settings().paused
    (warning,) = app.sidebar.warning
    assert "The queue is paused." in warning.value
    assert "What trains (1 run) goes on" in warning.value
    assert not started
    app.button(key=Key.QUEUE_PAUSE).click().run()
    assert not store.queue_settings().paused
    assert len(started) == 1
    assert not app.sidebar.warning


def test_pause_is_seen_while_nothing_waits(open_app: OpenApp, store: RunStore) -> None:
    store.set_queue(paused=True)
    app = open_app()
    assert "What you launch will wait" in app.sidebar.warning[0].value
    assert app.sidebar.button(key=Key.QUEUE_PAUSE).label == "Go on"


def test_all_that_waits_is_cancelled_after_a_question(open_app: OpenApp, store: RunStore) -> None:
    training = factories.make_run(store, seed=9, state=RunState.RUNNING)
    runs = [factories.make_run(store, seed=seed, state=RunState.QUEUED) for seed in range(3)]
    app = open_app()
    app.button(key=Key.QUEUE_CANCEL_ALL).click().run()
    assert len(store.waiting()) == 3
    app.button(key=Key.CONFIRM).click().run()
    assert not app.exception
    assert {run.state for run in runs} == {RunState.STOPPED}
    assert not training.stop_requested()


def test_slots_are_chosen_on_the_processor(open_app: OpenApp, store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_slots, "cores", lambda: 4)
    monkeypatch.setattr("segcore.runqueue.cores", lambda: 4)
    app = open_app()
    app.number_input(key=Key.QUEUE_SLOTS.of("1")).set_value(2).run()
    assert not app.exception
    assert store.queue_settings().slots == 2
    assert "each with 2 processor cores" in texts(app)
    store.set_queue(slots=3)  # as from a terminal
    assert app.run().number_input(key=Key.QUEUE_SLOTS.of("3")).value == 3
    app.switch_page("pages/charts.py").run()
    assert store.queue_settings().slots == 3


def test_gpus_leave_no_choice_of_slots(open_app: OpenApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "gpu_count", lambda: 2)
    app = open_app()
    assert "this machine has 2 GPUs" in texts(app)
    assert not [field for field in app.number_input if (field.key or "").startswith(Key.QUEUE_SLOTS)]


def test_running_card_shows_a_collapse_and_its_gpu(open_app: OpenApp, store: RunStore) -> None:
    run = factories.make_run(store, state=RunState.RUNNING, epochs=9)
    run.write_status(replace(run.status, device="cuda:1"))
    assert not any("answers only" in line.value for line in open_app().sidebar.markdown)
    collapse(run)
    app = open_app()
    assert any("answers only grass" in line.value for line in app.sidebar.markdown)
    assert any("GPU 1" in line.value for line in app.sidebar.caption)


def test_time_left_fills_the_slots() -> None:
    def waiting(seconds: float | None) -> Status:
        return Status(RunState.QUEUED, 0.0, 0.0, predicted=seconds)

    training = Status(RunState.RUNNING, 0.0, 0.0, eta=10.0)
    assert queue_view.time_left([training], 1) == 10
    assert queue_view.time_left([training, waiting(5), waiting(7)], 1) == 22
    assert queue_view.time_left([training, waiting(5), waiting(7)], 2) == 12
    assert queue_view.time_left([training, waiting(None)], 2) is None
    begun = Status(RunState.QUEUED, 0.0, 0.0, predicted=100.0, predicted_after_epoch=80.0, step=30, steps=40)
    assert queue_view.time_left([begun], 1) == 20


def test_a_run_that_waits_to_train_longer_is_not_done(store: RunStore) -> None:
    run = factories.make_run(store, epochs=5)
    run.write_status(replace(run.status, predicted=10.0))
    store.extend([run], 8)
    assert queue_view.time_left([run.status], 1) == pytest.approx(6.0)
    assert progress_share(run.status, 8) == pytest.approx(5 / 8)


def test_cancelling_all_goes_on_past_a_run_that_vanishes(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [factories.make_run(store, seed=seed, state=RunState.QUEUED) for seed in range(3)]
    monkeypatch.setattr(store, "waiting", lambda: runs)
    shutil.rmtree(runs[1].path)
    queue_actions.cancel_waiting(store)
    assert [runs[0].state, runs[2].state] == [RunState.STOPPED] * 2


def _walk(block: object) -> list:
    found = []
    for child in getattr(block, "children", {}).values():
        found.append(child)
        found.extend(_walk(child))
    return found


def test_a_queue_that_nobody_works_on_says_so_and_goes_on(
    open_app: OpenApp, store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    factories.make_run(store, state=RunState.QUEUED)
    started: list[Workspace] = []
    monkeypatch.setattr(queue_actions, "ensure_scheduler", started.append)
    app = open_app()
    assert any("its process has ended" in warning.value for warning in app.sidebar.warning)
    app.button(key=Key.QUEUE_START).click().run()
    assert [workspace.root for workspace in started] == [store.workspace.root]


# What is damaged ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("text", ["{", '{"state": "dancing"}'])
def test_damaged_run_is_named_and_blanks_no_page(page: str, text: str, store: RunStore, open_app: OpenApp) -> None:
    factories.make_run(store, seed=0, state=RunState.RUNNING)
    broken = factories.make_run(store, seed=1, state=RunState.RUNNING)
    (broken.path / "status.json").write_text(text)
    app = open_app(f"pages/{page}")
    assert not app.exception
    assert app.title
    (warning,) = [w.value.replace("\\", "") for w in app.sidebar.warning if "could not be read" in w.value]
    assert broken.name in warning
    assert app.sidebar.button(key=Key.LAUNCH)
    assert any("seed 0" in element.value for element in app.sidebar.markdown)  # the sound one is there


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("text", ["[", "{}"])
def test_damaged_study_is_named_and_blanks_no_page(page: str, text: str, store: RunStore, open_app: OpenApp) -> None:
    factories.make_run(store, study="sound")
    broken = factories.make_run(store, study="broken")
    (broken.path.parent / "study.json").write_text(text)
    app = open_app(f"pages/{page}")
    assert not app.exception
    assert app.title
    assert any("broken/study.json" in w.value.replace("\\", "") for w in app.sidebar.warning)


def test_sidebar_that_fails_leaves_the_page(open_app: OpenApp, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise SegcoreError("The queue cannot be read.")

    monkeypatch.setattr(queue_view, "draw", broken)
    monkeypatch.setattr("segcore.ui.readers.active_studies", broken)
    app = open_app()
    assert not app.exception
    assert app.title
    assert any("queue cannot be read" in error.value for error in app.sidebar.error)
    monkeypatch.setattr("segcore.ui.sidebar.draw", broken)
    app = open_app()
    assert not app.exception
    assert app.title


def test_changed_dataset_is_checked_with_a_bar(
    open_app: OpenApp, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    factories.add_dataset(workspace, tmp_path / "source")
    moved = []

    def launch_study(config: StudyConfig, workspace: Workspace, progress: Progress, **_: object) -> list[Run]:
        progress(1, 2)
        moved.append(progress)
        raise SegcoreError("enough", field="name")

    monkeypatch.setattr(plan, "launch_study", launch_study)
    app = open_app()
    app.button(key=Key.LAUNCH).click().run()
    assert not app.exception
    assert len(moved) == 1
