"""The Training page: a live run, why one failed, previews, stopping, resuming, deleting, the trash."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from segcore.runs import Run
from segcore.status import RunState
from segcore.store import RunStore
from segcore.ui import queue_actions, readers, train_longer, training_facts
from segcore.ui.state import Key
from tests import factories
from tests.app.conftest import OpenApp, collapse, texts

PAGE = "pages/training.py"

EXECUTION = {
    "precision": "bf16",
    "memory_format": "channels_last",
    "compile": False,
    "forced": False,
    "reason": "bf16, channels_last: 21.1 images/s, the fastest of what was tried.",
    "rates": [
        {"precision": "fp32", "memory_format": "contiguous", "compile": False, "images_per_second": 5.0},
        {"precision": "bf16", "memory_format": "channels_last", "compile": False, "images_per_second": 21.1},
    ],
    "encoder": "vgg16_bn.tv_in1k",
    "batch_size": 8,
    "image_size": 256,
    "device": "cpu",
}


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The workspaces for which a scheduler would have been started."""
    roots: list[Path] = []
    monkeypatch.setattr(queue_actions, "ensure_scheduler", lambda workspace: roots.append(workspace.root))
    return roots


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


@pytest.mark.parametrize(
    ("state", "done", "word"),
    [
        (RunState.STOPPED, 2, "Resume"),
        (RunState.STOPPED, 0, "Queue again"),
        (RunState.FAILED, 2, "Retry"),
        (RunState.INTERRUPTED, 2, "Retry"),
    ],
)
def test_what_ended_early_is_queued_again(
    state: RunState, done: int, word: str, store: RunStore, started: list[Path]
) -> None:
    run = factories.make_run(store, state=state, done=done)
    button = draw_live(run).button(key=Key.RESUME)
    assert button.label == word
    button.click().run()
    assert run.state is RunState.QUEUED
    assert started == [store.workspace.root]


def test_all_that_failed_is_retried_at_once(store: RunStore, started: list[Path]) -> None:
    runs = factories.make_mixed_study(store)
    other = factories.make_run(store, study="other", state=RunState.FAILED)
    app = draw_live(runs[RunState.FAILED])
    button = app.button(key=Key.RETRY_ALL)
    assert "2 runs" in button.label
    button.click().run()
    assert not app.exception
    assert [runs[state].state for state in (RunState.FAILED, RunState.INTERRUPTED)] == [RunState.QUEUED] * 2
    assert runs[RunState.STOPPED].state is RunState.STOPPED, "a person stopped it"
    assert other.state is RunState.FAILED
    assert len(started) == 1
    assert Key.RETRY_ALL not in {button.key for button in app.button}


def test_waiting_run_says_when_it_starts(store: RunStore) -> None:
    first, second = (factories.make_run(store, seed=seed, state=RunState.QUEUED) for seed in range(2))
    assert "next one to start" in texts(draw_live(first))
    assert "1 run will start before it" in texts(draw_live(second))
    store.set_queue(paused=True)
    assert "queue is paused" in texts(draw_live(first))


def test_run_that_heeds_no_stop_can_be_ended(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    run = factories.make_run(store, state=RunState.RUNNING)
    run.request_stop()
    assert draw_live(run).button(key=Key.STOP).disabled
    monkeypatch.setattr(queue_actions, "HUNG_SECONDS", -1.0)
    app = draw_live(run)
    assert (app.button(key=Key.STOP).label, app.button(key=Key.STOP).disabled) == ("End it", False)


def test_silent_run_is_said(store: RunStore) -> None:
    run = factories.make_run(store, state=RunState.RUNNING)
    run.write_status(replace(run.status, heartbeat=run.status.created - 3600))
    assert "no sign of life for 60 min" in texts(draw_live(run))


# The collapse alarm ----------------------------------------------------------------------------------


def test_collapse_is_an_alarm_beside_the_majority_class_line(store: RunStore) -> None:
    run = collapse(factories.make_run(store))
    factories.make_run(store, seed=1)
    app = draw_live(run)
    said = app.error[0].value.replace("\\", "")
    assert "For 3 epochs this network has answered “grass” everywhere: 44.7 % right" in said
    assert "no better than the majority-class line of 45.0 %" in said
    assert "Try a lower learning rate" in said
    assert "It may still recover" not in said
    assert list(app.dataframe[0].value["alarm"]) == ["⚠ answers only grass", ""]


def test_network_that_trains_on_may_recover(store: RunStore) -> None:
    run = collapse(factories.make_run(store, state=RunState.RUNNING, epochs=9))
    assert "It may still recover" in draw_live(run).error[0].value.replace("\\", "")
    run.append_epoch(replace(run.epochs()[-1], epoch=99, top_share=0.5))
    app = draw_live(run)
    assert not app.error
    assert "alarm" not in app.dataframe[0].value


def test_alarm_bears_a_class_that_the_table_lacks(store: RunStore) -> None:
    assert "class 77" in draw_live(collapse(factories.make_run(store), 77)).error[0].value


# How it computes, time and memory ----------------------------------------------------------------------


def test_precision_of_the_study_is_shown_with_its_rates(store: RunStore, open_app: OpenApp) -> None:
    run = factories.make_run(store)
    assert "How it computes" not in [expander.label for expander in draw_live(run).expander]
    store.study("study").write_execution(EXECUTION)
    app = draw_live(run)
    labels = [expander.label.replace("\\", "") for expander in app.expander]
    assert "How it computes: bf16, channels_last: 4.2 × as fast as plain fp32" in labels
    rates = app.dataframe[1].value
    assert list(rates["images/s"]) == [21.1, 5.0]
    assert list(rates[""]) == ["✓", ""]
    assert "VGG-16" in texts(app).replace("\\", "")


def test_forced_precision_says_so() -> None:
    assert "set in the recipe" in training_facts.execution_title({**EXECUTION, "forced": True, "rates": []})


@pytest.mark.parametrize("rates", [None, 7, [3], [{"precision": "fp32"}], {}])
def test_odd_rates_are_passed_over(rates: object) -> None:
    value = {**EXECUTION, "rates": rates}
    assert training_facts.rate_rows(value) == []
    assert training_facts.execution_title(value) == "How it computes: bf16, channels_last"


def test_time_expected_stands_beside_time_taken(store: RunStore) -> None:
    run = factories.make_run(store)
    status = replace(run.status, seconds=600.0, predicted=900.0, predicted_after_epoch=606.0)
    assert training_facts.time_text(status) == (
        "It took 10 min. Expected: 15 min at the launch (50 % too long), 10 min after the first epoch."
    )
    assert "30 min at the launch (3.0 × as long)" in training_facts.time_text(replace(status, predicted=1800.0))
    running = replace(status, state=RunState.RUNNING, seconds=60.0, predicted_after_epoch=None)
    assert training_facts.time_text(running) == "60 s so far. Expected in all: 15 min at the launch."
    waiting = replace(status, state=RunState.QUEUED, seconds=0.0, predicted_after_epoch=None)
    assert training_facts.time_text(waiting) == "Expected to take 15 min."
    assert training_facts.time_text(replace(waiting, predicted=None)) == ""
    assert training_facts.time_text(replace(status, predicted=None, predicted_after_epoch=None)) == "It took 10 min."


def test_device_threads_and_memory_are_said(store: RunStore) -> None:
    run = factories.make_run(store)
    run.write_status(replace(run.status, device="cpu", threads=2))
    said = texts(draw_live(run)).replace("\\", "")
    assert "On the processor, 2 threads." in said
    assert "At most 524 MB of memory" in said
    assert "expected)" in said
    assert training_facts.place_text(replace(run.status, device="cuda:1")) == "On GPU 1."
    unknown = factories.make_run(store, encoder="x" * 10)
    assert "expected" not in training_facts.memory_text(unknown, unknown.status)


# Training longer ---------------------------------------------------------------------------------------


def longer(app: AppTest, epochs: int) -> AppTest:
    (field,) = [field for field in app.number_input if field.key.startswith(Key.LONGER_EPOCHS)]
    field.set_value(epochs).run()
    return app.button(key=Key.LONGER).click().run()


def test_whole_study_is_trained_longer(store: RunStore, open_app: OpenApp, started: list[Path]) -> None:
    runs = factories.make_study(store)
    app = open_app(PAGE)
    assert "rises again" in texts(app)
    longer(app, 8)
    assert not app.exception
    assert [(run.state, run.config.recipe.epochs) for run in runs] == [(RunState.QUEUED, 8)] * 4
    assert store.study("study").recipe.epochs == 8
    assert started == [store.workspace.root]


def test_one_run_is_trained_longer_and_the_charts_say_so(
    store: RunStore, open_app: OpenApp, started: list[Path]
) -> None:
    runs = factories.make_study(store)
    app = open_app(PAGE, study="study", run=runs[0].name)
    (which,) = [group for group in app.button_group if group.key.startswith(Key.LONGER_WHICH)]
    which.set_value(which.options[1]).run()
    assert "do not compare fairly" in texts(app)
    longer(app, 9)
    assert [run.config.recipe.epochs for run in runs] == [9, 5, 5, 5]
    assert "Not all runs are equally long" in texts(open_app("pages/charts.py"))


def test_unfinished_runs_cannot_be_trained_longer(store: RunStore, open_app: OpenApp) -> None:
    factories.make_run(store, state=RunState.STOPPED)
    assert Key.LONGER not in {button.key for button in open_app(PAGE).button}


def test_what_longer_means_depends_on_the_schedule(store: RunStore) -> None:
    run = factories.make_run(store)
    constant = run.config.recipe.model_copy(update={"schedule": "constant"})
    assert "rises again" in train_longer.meaning([run], [run], 9)
    assert "About **8 s** more" in train_longer.meaning([run], [run], 9)
    run.write_config(run.config.model_copy(update={"recipe": constant}))
    assert "same learning rate" in train_longer.meaning([run], [run], 9)


def test_extended_run_says_so(store: RunStore) -> None:
    run = factories.make_run(store, epochs=8)
    entry = {"from": 5, "to": 8, "time": 1.0, "note": "Finished after 5 epochs, then trained on to 8."}
    run.write_provenance({**run.provenance(), "extended": [entry]})
    app = draw_live(run)
    assert "then trained on to 8" in texts(app)
    assert "trained longer" in app.get("plotly_chart")[0].proto.spec
    run.write_provenance({"extended": 3})
    assert not draw_live(run).exception


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
