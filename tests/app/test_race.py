"""A race on screen: asking for it, a run that waits at its rung, and one that stopped there."""

from __future__ import annotations

from pathlib import Path

import pytest

from segcore.launch import plan
from segcore.launch.race import settle_races
from segcore.status import RunState
from segcore.store import RunStore
from segcore.ui.state import Key
from segcore.workspace import Workspace
from tests import factories
from tests.app.conftest import OpenApp, texts
from tests.app.test_launch_form import said
from tests.app.test_training import draw_live


def test_the_form_asks_for_a_race_and_says_what_it_takes(
    open_app: OpenApp, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    factories.add_dataset(workspace, tmp_path / "source")
    monkeypatch.setattr(plan, "ensure_scheduler", lambda _workspace: None)
    app = open_app()
    (options,) = [block for block in app.sidebar.expander if block.label == "More options"]
    assert not options.checkbox(key=Key.LAUNCH_RACING).value
    assert any("20 % and 50 % of the epochs" in caption.value for caption in options.caption)
    app.segmented_control(key=Key.LAUNCH_WEIGHTS).set_value("From scratch").run()
    assert "at most about" not in said(app)
    app.checkbox(key=Key.LAUNCH_RACING).check().run()
    assert "at most about **" in said(app)
    app.button(key=Key.LAUNCH).click().run()
    assert any("Racing takes at least 2 seeds, not 1" in error.value for error in app.sidebar.error)
    assert not RunStore(workspace).runs()
    app.number_input(key=Key.LAUNCH_SEEDS).set_value(2).run()
    app.text_input(key=Key.LAUNCH_NAME).set_value("raced").run()
    app.button(key=Key.LAUNCH).click().run()
    assert not app.exception and not app.sidebar.error
    study = RunStore(workspace).study("raced")
    assert study.racing
    assert all(run.status.rung for run in study.runs())


def test_a_run_that_waits_at_its_rung_says_so(store: RunStore) -> None:
    run = factories.make_race(store)[0]
    app = draw_live(run)
    assert not app.exception
    shown = texts(app).replace("\\", "")
    assert "It waits at epoch 6 for the other runs of its race." in shown
    assert "Once all of them have come so far it goes on" in shown
    table = app.dataframe[0].value
    assert set(table["state"]) == {"waiting (race)"}
    assert set(table["epoch"]) == {"6 of 30"}


def test_the_sidebar_says_who_waits_at_a_rung(store: RunStore, open_app: OpenApp) -> None:
    runs = factories.make_race(store)
    app = open_app("pages/training.py")
    assert not app.exception
    assert "· at epoch 6 (race)" in said(app)
    for run in runs:
        store.stop(run)
    assert "(race)" not in said(app.run())


def test_a_run_that_was_clearly_behind_says_so(store: RunStore) -> None:
    runs = factories.make_race(store)
    settle_races(store, print)
    out = next(run for run in runs if run.state is RunState.STOPPED)
    app = draw_live(out)
    assert not app.exception
    shown = texts(app).replace("\\", "")
    assert "Stopped at epoch 6 of 30: clearly behind ResNet-34, by " in shown
    assert "Resume it to let it train to its end all the same." in shown
    assert app.button(key=Key.RESUME)
