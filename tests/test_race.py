"""Asking for a race: on the command line, in the plan, and what is said when some contenders stopped early."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from segcore.__main__ import main
from segcore.config import Recipe, StudyConfig
from segcore.errors import ConfigError
from segcore.launch import plan
from segcore.launch.race import settle_races
from segcore.status import RunState
from segcore.store import RunStore
from segcore.workspace import Workspace
from tests import factories

STUDY = ("study", "run", "raced", "--dataset", "tiny", "--backbones", "resnet18,resnet34", "--weights", "none")


@pytest.fixture
def tiny(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setattr(plan, "ensure_scheduler", lambda _workspace: None)
    factories.add_dataset(workspace, tmp_path / "source")
    return workspace


def test_study_run_takes_racing(tiny: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*STUDY, "--seeds", "0,1", "--racing", "--detach"]) == 0
    study = RunStore(tiny).study("raced")
    assert study.racing
    assert {run.status.rung for run in study.runs()} == {6}
    assert main([*STUDY, "--seeds", "0,1", "--epochs", "30", "--detach"]) == 2
    assert "racing (on, not off)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"), [(("--seeds", "3"), "2 seeds, not 1"), (("--seeds", "0,1", "--epochs", "5"), "6 epochs, not 5")]
)
def test_study_run_says_what_racing_takes(
    tiny: Workspace, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    assert main([*STUDY, *words, "--racing", "--detach"]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert RunStore(tiny).runs() == []


def test_a_race_grows_by_a_single_seed(tiny: Workspace) -> None:
    config = StudyConfig(
        name="s", dataset="tiny", encoders=("resnet18",), weights="none", seeds=(0, 1), racing=True,
        recipe=Recipe(epochs=6, image_size=64),
    )  # fmt: skip
    plan.launch_study(config, tiny)
    (more,) = plan.launch_study(config.model_copy(update={"seeds": (2,)}), tiny)
    assert more.status.rung == 2
    with pytest.raises(ConfigError) as caught:
        plan.launch_study(config.model_copy(update={"name": "other", "seeds": (2,)}), tiny)
    assert caught.value.field == "racing"


def finish_race(store: RunStore) -> Mapping[str, Any]:
    """A study of which one contender stopped at the first rung, and all others are finished."""
    runs = factories.make_race(store, name="raced")
    said: list[str] = []
    settle_races(store, said.append)
    assert len(said) == 3
    for run in runs:
        if run.state is RunState.QUEUED:
            run.write_status(replace(run.status, state=RunState.FINISHED, rung=None))
    return {run.name: run for run in runs}


def test_who_was_behind_is_named_and_is_no_failure(
    store: RunStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def launch(_config: StudyConfig, _workspace: Workspace, **_: object) -> list[Any]:
        return list(finish_race(store).values())

    monkeypatch.setattr("segcore.launch.plan.launch_study", launch)
    assert main([*STUDY, "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["states"] == {"finished": 6, "stopped": 3}
    (line,) = printed.err.replace("\n", " ").split("VGG-16: ")[1:]
    assert line.startswith("Stopped at epoch 6 of 30: clearly behind ResNet-34, by ")
    assert "study retry" not in printed.err


def test_a_run_of_it_that_failed_is_a_failure_all_the_same(
    store: RunStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def launch(_config: StudyConfig, _workspace: Workspace, **_: object) -> list[Any]:
        runs = finish_race(store)
        failed = next(run for run in runs.values() if run.state is RunState.FINISHED)
        failed.write_status(replace(failed.status, state=RunState.FAILED, message="No disk."))
        return list(runs.values())

    monkeypatch.setattr("segcore.launch.plan.launch_study", launch)
    assert main(list(STUDY)) == 1
    assert "No disk." in capsys.readouterr().err
