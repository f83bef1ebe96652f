"""The Training page: a live run, why one failed, previews, stopping, resuming, deleting, the trash."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from segcore.launch import local
from segcore.runs import Run
from segcore.status import RunState
from segcore.store import RunStore
from segcore.ui import readers
from segcore.ui.state import Key
from tests import factories
from tests.app.conftest import OpenApp, texts

PAGE = "pages/training.py"


def body() -> None:
    """The live part alone, as the timer draws it."""
    import streamlit as st

    from segcore.store import RunStore
    from segcore.ui import training_view

    training_view.draw(RunStore(), st.session_state["study"], st.session_state["run"])


def draw_live(run: Run) -> AppTest:
    app = AppTest.from_function(body, default_timeout=30)
    app.session_state["study"], app.session_state["run"] = run.study_name, run.name
    return app.run()


def test_empty_page_offers_the_demo(open_app: OpenApp) -> None:
    app = open_app(PAGE)
    assert "Nothing was launched yet" in texts(app)


def test_running_run_shows_progress_and_curves(store: RunStore) -> None:
    run = factories.make_run(store, state=RunState.RUNNING, epochs=8)
    app = draw_live(run)
    assert not app.exception
    assert "epoch 5 of 8" in app.get("progress")[0].proto.text.replace("\\", "")
    assert len(app.get("plotly_chart")) == 2
    assert "Now, after epoch 4" in texts(app)


def test_new_epochs_appear_without_a_new_page(store: RunStore) -> None:
    run = factories.make_run(store, state=RunState.RUNNING, epochs=8)
    app = draw_live(run)
    run.append_epoch(replace(run.epochs()[-1], epoch=5))
    assert "Now, after epoch 5" in texts(app.run())


@pytest.mark.parametrize("state", list(RunState))
def test_each_state_has_its_button(state: RunState, store: RunStore) -> None:
    run = factories.make_run(store, state=state)
    app = draw_live(run)
    keys = {button.key for button in app.button}
    assert (Key.STOP in keys) == state.active
    assert (Key.RESUME in keys) == state.resumable


def test_failure_says_why_and_what_to_do_harmlessly(store: RunStore) -> None:
    run = factories.make_run(store, state=RunState.FAILED, message="Loss is <img src=x onerror=alert(1)> **NaN**")
    app = draw_live(run)
    assert r"\<img" in app.error[0].value
    assert r"\*\*NaN" in app.error[0].value


def test_stop_asks_the_worker(store: RunStore) -> None:
    run = factories.make_run(store, state=RunState.RUNNING)
    app = draw_live(run)
    app.button(key=Key.STOP).click().run()
    assert run.stop_requested()
    assert app.button(key=Key.STOP).disabled


def test_resume_queues_the_run_again(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    started = []
    monkeypatch.setattr(local, "ensure_scheduler", started.append)
    run = factories.make_run(store, state=RunState.STOPPED)
    draw_live(run).button(key=Key.RESUME).click().run()
    assert run.state is RunState.QUEUED
    assert [workspace.root for workspace in started] == [store.workspace.root]


def test_run_that_vanishes_meanwhile_is_no_error(store: RunStore) -> None:
    run = factories.make_run(store)
    factories.make_run(store, seed=1)
    app = draw_live(run)
    shutil.rmtree(run.path)
    app.run()
    assert not app.exception
    assert "not there any more" in app.info[0].value
    shutil.rmtree(run.path.parent)
    assert not app.run().exception


def test_previews_follow_the_training_until_the_slider_is_moved(store: RunStore, tmp_path: Path) -> None:
    dataset = factories.add_dataset(store.workspace, tmp_path / "source")
    run = factories.make_run(store, state=RunState.RUNNING, epochs=9, dataset=dataset)
    app = draw_live(run)
    assert app.select_slider(key=Key.PREVIEW_EPOCH).value == 4
    assert len(app.get("image") or app.get("imgs")) == 6  # image, mask, prediction of two images

    shutil.copy(run.previews()[4][0], run.preview_path(5, run.previews()[4][0].stem.split("-", 1)[1]))
    assert app.run().select_slider(key=Key.PREVIEW_EPOCH).value == 5
    app.select_slider(key=Key.PREVIEW_EPOCH).set_value(2).run()
    assert app.select_slider(key=Key.PREVIEW_EPOCH).value == 2
    assert not app.exception


def test_previews_without_the_dataset(store: RunStore) -> None:
    app = draw_live(factories.make_run(store))
    assert not app.exception
    assert "not at hand" in texts(app)


def test_deleting_a_run_asks_then_moves_it_to_the_trash(open_app: OpenApp, store: RunStore) -> None:
    run = factories.make_run(store)
    factories.make_run(store, seed=1)
    app = open_app(PAGE, study=run.study_name, run=run.name)
    app.button(key=Key.DELETE).click().run()
    assert run.exists()
    app.button(key=Key.CONFIRM).click().run()
    assert not app.exception
    assert not run.exists()
    assert store.workspace.trash_size()[0] == 1

    app.run()
    app.button(key=Key.TRASH_EMPTY).click().run()
    assert store.workspace.trash_size()[0] == 1
    app.button(key=Key.CONFIRM).click().run()
    assert store.workspace.trash_size() == (0, 0)


def test_training_run_is_not_deleted(open_app: OpenApp, store: RunStore) -> None:
    run = factories.make_run(store, state=RunState.RUNNING)
    app = open_app(PAGE)
    app.button(key=Key.DELETE).click().run()
    app.button(key=Key.CONFIRM).click().run()
    assert run.exists()
    assert "Stop it first" in str(app.session_state["confirm.refused"])


def test_study_can_be_stopped_and_deleted(open_app: OpenApp, store: RunStore) -> None:
    runs = factories.make_study(store, state=RunState.QUEUED)
    app = open_app(PAGE)
    app.button(key=Key.STOP_STUDY).click().run()
    assert {run.state for run in runs} == {RunState.STOPPED}
    app.button(key=Key.DELETE_STUDY).click().run()
    app.button(key=Key.CONFIRM).click().run()
    assert not store.studies()
    assert not app.run().exception


@pytest.mark.parametrize("file", ["config.json", "cost.json"])
def test_damaged_run_is_named_beside_the_others(file: str, store: RunStore) -> None:
    sound = factories.make_run(store, seed=0)
    broken = factories.make_run(store, seed=1)
    (broken.path / file).write_text("{")
    app = draw_live(sound)
    assert not app.exception
    assert not app.error
    assert broken.name in app.warning[0].value.replace("\\", "")
    assert len(app.dataframe[0].value) == 1
    assert "At its end, after epoch 5" in texts(app)
    app = draw_live(broken)
    assert not app.exception
    assert not app.info  # it is there, though damaged


def test_previews_are_kept_small(store: RunStore) -> None:
    run = factories.make_run(store)
    path = run.previews()[5][0]
    Image.fromarray(np.full((1200, 800), 2, dtype=np.uint8)).save(path)
    picture = readers.preview(path, run.config)
    assert picture.shape == (384, 256, 3)
    assert (picture == factories.CLASSES[3].color).all()
