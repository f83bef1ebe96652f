"""The command line: what it prints where, and with which exit code it ends."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segcore.__main__ import main
from segcore.cli import output, studies
from segcore.config import DatasetConfig, Recipe, StudyConfig
from segcore.errors import LaunchError
from segcore.launch.gpus import Gpu
from segcore.progress import Progress, silent
from segcore.runs import Run
from segcore.status import RunState
from segcore.store import RunStore
from segcore.workspace import Workspace
from tests import factories

ROOT = Path(__file__).resolve().parents[1]
RUN_KEYS = {
    *("study", "run", "encoder", "decoder", "weights", "seed", "state", "epoch", "epochs"),
    *("val_pixel_accuracy", "val_miou", "majority_baseline", "seconds", "path"),
}

Call = Callable[..., Any]


@pytest.fixture
def json_of(capsys: pytest.CaptureFixture[str]) -> Call:
    """Carries out a command with --json; returns its document after checking the exit code."""

    def call(*words: str | Path, code: int = 0) -> Any:
        capsys.readouterr()
        got = main([*map(str, words), "--json"])
        printed = capsys.readouterr()
        assert got == code, printed.err
        return json.loads(printed.out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))

    return call


@pytest.fixture
def error_of(capsys: pytest.CaptureFixture[str]) -> Call:
    """Carries out a command that must be refused; returns the one line it says."""

    def call(*words: str | Path, code: int = 2) -> str:
        capsys.readouterr()
        assert main([*map(str, words)]) == code
        printed = capsys.readouterr()
        assert printed.out == ""
        last = printed.err.splitlines()[-1]
        assert last.startswith("Error: ")
        assert "Traceback" not in printed.err
        return last

    return call


def add_words(config: DatasetConfig, name: str = "tiny") -> list[str]:
    return ["dataset", "add", name, "--images", str(config.images), "--masks", str(config.masks), "--classes",
            str(config.images.parent / "classes.csv"), "--ignore", "unlabeled"]  # fmt: skip


# Datasets ------------------------------------------------------------------------------------------


def test_dataset_from_add_to_remove(workspace: Workspace, tiny_dataset: Call, json_of: Call) -> None:
    words = add_words(tiny_dataset())
    added = json_of(*words, "--group-regex", factories.GROUP_REGEX, "--val-share", "0.25")
    assert (added["images"], added["groups"], added["classes"]) == (8, 4, 3)
    assert (added["train"], added["val"], added["test"]) == (6, 2, 0)
    assert added["report"]["problems"] == []
    assert [row["dataset"] for row in json_of("dataset", "list")] == ["tiny"]
    assert json_of("dataset", "check", "tiny")["fingerprint"] == added["fingerprint"]
    moved = json_of("dataset", "remove", "tiny")
    assert Path(moved["moved_to"]).is_dir()
    assert json_of("dataset", "list") == []


def test_dataset_add_takes_a_split_file(
    workspace: Workspace, tiny_dataset: Call, json_of: Call, tmp_path: Path
) -> None:
    config = tiny_dataset()
    names = sorted(path.stem for path in config.images.iterdir())
    (tmp_path / "split.json").write_text(json.dumps({"train": names[2:], "val": names[1:2], "test": names[:1]}))
    added = json_of(*add_words(config), "--split-file", tmp_path / "split.json")
    assert (added["train"], added["val"], added["test"]) == (6, 1, 1)


def test_dataset_check_reads_again_what_changed(workspace: Workspace, tiny_dataset: Call, json_of: Call) -> None:
    config = tiny_dataset()
    before = json_of(*add_words(config))
    next(iter(sorted(config.masks.iterdir()))).unlink()
    after = json_of("dataset", "check", "tiny")
    assert after["usable"] == before["usable"] - 1
    assert len(after["report"]["problems"]) == 1


def test_dataset_tables_are_for_people(
    workspace: Workspace, tiny_dataset: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(add_words(tiny_dataset())) == 0
    printed = capsys.readouterr()
    assert "paved-area" in printed.out
    assert "unlabeled" not in printed.out
    assert "Checking" in printed.err
    assert main(["dataset", "list"]) == 0
    assert "tiny" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"--classes": "nowhere.csv"}, "nowhere.csv"),
        ({"--images": "nowhere"}, "nowhere"),
        ({"--ignore": "unlabelled"}, "unlabeled"),
        ({"--group-regex": "("}, "regular expression"),
        ({"--group-regex": "^nothing"}, "^nothing"),
        ({"--split-file": "nowhere.json"}, "nowhere.json"),
        ({"--val-share": "1.5"}, "1.5"),
    ],
)
def test_dataset_that_cannot_be_added_leaves_nothing(
    workspace: Workspace, tiny_dataset: Call, error_of: Call, change: dict[str, str], said: str
) -> None:
    words = add_words(tiny_dataset())
    for flag, value in change.items():
        words = [*words, flag, value] if flag not in words else words
        words[words.index(flag) + 1] = value
    assert said in error_of(*words)
    assert list(workspace.datasets.iterdir()) == []


def test_unwritable_workspace_is_one_line(
    tiny_dataset: Call, error_of: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SEGCORE_HOME", str(tmp_path / "file" / "home"))
    assert str(tmp_path / "file") in error_of(*add_words(tiny_dataset()))


# Studies and runs ----------------------------------------------------------------------------------


def test_runs_lists_every_state(store: RunStore, json_of: Call, capsys: pytest.CaptureFixture[str]) -> None:
    factories.make_mixed_study(store)
    factories.make_run(store, study="other")
    rows = json_of("runs")
    assert len(rows) == 7
    assert all(set(row) >= RUN_KEYS for row in rows)
    assert {row["state"] for row in rows} == {state.value for state in RunState}
    assert [row["study"] for row in json_of("runs", "--study", "other")] == ["other"]
    assert main(["runs"]) == 0
    assert "interrupted" in capsys.readouterr().out


def test_empty_listings(workspace: Workspace, json_of: Call, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["runs"], ["study", "list"], ["dataset", "list"]):
        assert json_of(*words) == []
        assert main(words) == 0
        printed = capsys.readouterr()
        assert printed.out == ""
        assert "demo" in printed.err


def test_study_list_stop_and_remove(store: RunStore, json_of: Call, error_of: Call) -> None:
    runs = factories.make_mixed_study(store, "mixed")
    (row,) = json_of("study", "list")
    assert row["study"] == "mixed"
    assert row["states"] == {state.value: 1 for state in RunState}
    assert "training" in error_of("study", "remove", "mixed")
    stopping = json_of("study", "stop", "mixed")["stopping"]
    assert stopping == [runs[RunState.RUNNING].name, runs[RunState.QUEUED].name]
    assert runs[RunState.QUEUED].state is RunState.STOPPED
    assert runs[RunState.RUNNING].stop_requested()
    factories.make_run(store, study="done")
    assert Path(json_of("study", "remove", "done")["moved_to"]).is_dir()
    assert [row["study"] for row in json_of("study", "list")] == ["mixed"]


def test_run_stop_resume_and_remove(
    store: RunStore, json_of: Call, error_of: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Workspace] = []
    monkeypatch.setattr("segcore.launch.local.ensure_scheduler", started.append)
    run = factories.make_run(store, state=RunState.QUEUED)
    assert json_of("run", "stop", run.path)["state"] == "stopped"
    assert json_of("run", "resume", f"study/{run.name}")["state"] == "queued"
    assert len(started) == 1
    assert "queued" in error_of("run", "resume", run.path)
    assert Path(json_of("run", "remove", run.path)["moved_to"]).is_dir()
    assert not run.exists()
    assert "'study'" in error_of("run", "stop", "study/nothing")


def test_run_of_another_workspace_is_left_alone(store: RunStore, error_of: Call, tmp_path: Path) -> None:
    run = factories.make_run(RunStore(Workspace(tmp_path / "elsewhere")))
    assert "SEGCORE_HOME" in error_of("run", "remove", run.path)
    assert run.exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--seeds", "0,x"], "--seeds"),
        (["--seeds", "0,0"], "seeds must differ"),
        (["--backbones", "resnet18,"], "--backbones"),
        (["--backbones", "resnet19"], "resnet18"),
        (["--image-size", "100"], "--image-size"),
        (["--epochs", "0"], "--epochs"),
        (["--epochs", "many"], "--epochs"),
        (["--batch-size", "1"], "--batch-size"),
        (["--geometry", "zoom"], "--geometry"),
        (["--crops-per-image", "0"], "--crops-per-image"),
        (["--precision", "fp8"], "--precision"),
        (["--memory-format", "nchw"], "--memory-format"),
        (["--recipe", "cake"], "default, notebook"),
        (["--weights", "some"], "--weights"),
        (["--decoder", "unett"], "unet"),
        (["--dataset", "tyni"], "tiny"),
        (["--unknown"], "--unknown"),
    ],
)
def test_study_that_cannot_be_launched_leaves_nothing(
    workspace: Workspace, error_of: Call, tmp_path: Path, words: list[str], said: str
) -> None:
    factories.add_dataset(workspace, tmp_path / "source")
    defaults = ["--dataset", "tiny", "--backbones", "resnet18", "--weights", "none"]
    assert said in error_of("study", "run", "new", *defaults, *words)
    assert list(workspace.studies.iterdir()) == []


def test_pretrained_weights_that_are_not_here(workspace: Workspace, error_of: Call, tmp_path: Path) -> None:
    factories.add_dataset(workspace, tmp_path / "source")
    said = error_of("study", "run", "new", "--dataset", "tiny", "--backbones", "resnet18")
    assert "resnet18.tv_in1k" in said
    assert str(workspace.weights) in said


@pytest.mark.parametrize("words", [["study"], ["study", "run"], ["predict"], ["nothing"], ["--nothing"]])
def test_usage_errors_are_one_line(error_of: Call, words: list[str]) -> None:
    assert "--help" in error_of(*words)


def test_no_words_at_all_show_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "study" in capsys.readouterr().out


# Following -----------------------------------------------------------------------------------------


def fake_launch(monkeypatch: pytest.MonkeyPatch, store: RunStore, *states: RunState) -> list[StudyConfig]:
    """Make a launch write one run in each state, and the scheduler finish what waits."""
    seen: list[StudyConfig] = []

    def launch(
        config: StudyConfig, workspace: Workspace | None = None, progress: Progress = silent, **_: Any
    ) -> list[Run]:
        seen.append(config)
        return [
            factories.make_run(store, study=config.name, encoder=config.encoders[0], seed=seed, state=state)
            for seed, state in enumerate(states)
        ]

    def finish(workspace: Workspace) -> None:
        for run in RunStore(workspace).active():
            factories.set_state(run, RunState.FINISHED, done=5)

    monkeypatch.setattr("segcore.launch.plan.launch_study", launch)
    monkeypatch.setattr("segcore.cli.follow.ensure_scheduler", finish)
    monkeypatch.setattr("segcore.cli.follow.POLL_SECONDS", 0.01)
    return seen


STUDY = ("study", "run", "new", "--dataset", "tiny", "--backbones", "resnet18,resnet34", "--weights", "none")


def test_study_run_follows_to_the_end(
    store: RunStore, json_of: Call, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = fake_launch(monkeypatch, store, RunState.FINISHED, RunState.QUEUED)
    words = ("--seeds", "0,1", "--epochs", "7", "--decoder", "fpn", "--image-size", "96", "--batch-size", "4")
    words += ("--geometry", "crop", "--crops-per-image", "3", "--precision", "bf16", "--memory-format", "channels_last")
    document = json_of(*STUDY, *words)
    assert [row["state"] for row in document["runs"]] == ["finished", "finished"]
    assert document["states"] == {"finished": 2}
    assert all(set(row) >= RUN_KEYS for row in document["runs"])
    assert document["results"][0]["encoder"] == "resnet18"
    config = seen[0]
    assert (config.encoders, config.weights, config.decoder) == (("resnet18", "resnet34"), "none", "fpn")
    assert config.seeds == (0, 1)
    recipe = config.recipe
    assert (recipe.epochs, recipe.image_size, recipe.batch_size) == (7, 96, 4)
    assert (recipe.geometry, recipe.crops_per_image) == ("crop", 3)
    assert (recipe.precision, recipe.memory_format) == ("bf16", "channels_last")


def test_study_run_takes_folds(
    workspace: Workspace, json_of: Call, error_of: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    factories.add_dataset(workspace, tmp_path / "source")
    monkeypatch.setattr("segcore.launch.plan.ensure_scheduler", lambda _workspace: None)
    document = json_of(*STUDY, "--seeds", "0,1", "--folds", "2", "--detach")
    assert [(row["seed"], row["fold"], row["folds"]) for row in document["launched"]] == [
        (seed, fold, 2) for seed in (0, 1) for fold in (0, 1) for _ in range(2)
    ]
    (row,) = json_of("study", "list")
    assert row["folds"] == 2
    assert "--folds: must be 0 or at least 2, not 1" in error_of(*STUDY, "--folds", "1")
    assert "--folds: 19 folds need a group of images each" in error_of(*STUDY[:2], "more", *STUDY[3:], "--folds", "19")
    assert "folds (2, not 0)" in error_of(*STUDY)


def test_study_run_prints_a_table_and_tells_of_progress(
    store: RunStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_launch(monkeypatch, store, RunState.FINISHED)
    assert main(list(STUDY)) == 0
    printed = capsys.readouterr()
    assert "mIoU" in printed.out
    assert "epoch 5/5" in printed.err
    assert "epoch 5/5" not in printed.out


@pytest.mark.parametrize("state", [RunState.FAILED, RunState.INTERRUPTED, RunState.STOPPED])
def test_study_run_fails_with_its_runs(
    store: RunStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], state: RunState
) -> None:
    fake_launch(monkeypatch, store, RunState.FINISHED, state)
    assert main([*STUDY, "--json"]) == 1
    printed = capsys.readouterr()
    assert json.loads(printed.out)["states"] == {"finished": 1, state.value: 1}
    assert state.value in printed.err
    assert "study retry new" in printed.err


def test_detached_study_returns_at_once(store: RunStore, json_of: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_launch(monkeypatch, store, RunState.QUEUED)
    document = json_of(*STUDY, "--detach")
    assert [row["state"] for row in document["launched"]] == ["queued"]


def test_ctrl_c_leaves_the_runs_going(
    store: RunStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_launch(monkeypatch, store, RunState.RUNNING)

    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("segcore.cli.follow.time.sleep", interrupt)
    assert main([*STUDY, "--json"]) == 130
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "study stop new" in printed.err
    (run,) = store.runs("new")
    assert run.state is RunState.RUNNING
    assert not run.stop_requested()


def test_scheduler_that_does_not_come_up_is_a_failure(
    store: RunStore, monkeypatch: pytest.MonkeyPatch, error_of: Call
) -> None:
    def refuse(*_: object, **__: object) -> list[Run]:
        raise LaunchError("It did not come up.")

    monkeypatch.setattr("segcore.launch.plan.launch_study", refuse)
    assert "did not come up" in error_of(*STUDY, code=1)


def test_demo_launches_the_shared_study(store: RunStore, json_of: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    from segcore.launch.demo import demo_study

    drawn: list[bool] = []
    monkeypatch.setattr("segcore.data.store.DatasetStore.demo", lambda *_: drawn.append(True))
    seen = fake_launch(monkeypatch, store, RunState.FINISHED)
    assert json_of("demo")["states"] == {"finished": 1}
    assert seen == [demo_study()]
    assert drawn == [True]


# The queue -----------------------------------------------------------------------------------------


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Workspace]:
    """The workspaces for which a scheduler was asked; none is started."""
    asked: list[Workspace] = []
    monkeypatch.setattr("segcore.launch.local.ensure_scheduler", asked.append)
    monkeypatch.setattr("segcore.runqueue.cores", lambda: 4)
    return asked


def test_queue_from_show_to_move(store: RunStore, json_of: Call, error_of: Call, started: list[Workspace]) -> None:
    running = factories.make_run(store, seed=9, state=RunState.RUNNING)
    runs = [factories.make_run(store, seed=seed, state=RunState.QUEUED) for seed in range(3)]
    shown = json_of("queue", "show")
    assert (shown["paused"], shown["slots"], shown["cores"], shown["works"]) == (False, 1, 4, False)
    assert [row["run"] for row in shown["training"]] == [running.name]
    assert [row["run"] for row in shown["waiting"]] == [run.name for run in runs]
    moved = json_of("queue", "move", f"study/{runs[2].name}", "1")["waiting"]
    assert [row["seed"] for row in moved] == [2, 0, 1]
    assert [row["seed"] for row in json_of("queue", "move", runs[2].path, "3")["waiting"]] == [0, 1, 2]
    assert "is running" in error_of("queue", "move", running.path, "1")
    assert "--help" in error_of("queue", "move", runs[0].path, "0")
    assert json_of("queue", "slots", "2") == {"paused": False, "slots": 2, "cluster": "", "cores": 4}
    assert "1 to 4" in error_of("queue", "slots", "5")
    assert json_of("queue", "pause")["paused"] is True
    assert json_of("queue", "resume") == {"paused": False, "slots": 2, "cluster": "", "cores": 4}
    assert started


def test_queue_says_for_people_how_it_stands(
    store: RunStore,
    started: list[Workspace],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert main(["queue", "show"]) == 0
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "Nothing trains and nothing waits." in printed.err
    run = factories.make_run(store, state=RunState.QUEUED)
    run.write_status(replace(run.status, predicted=120.0))
    assert main(["queue", "show"]) == 0
    printed = capsys.readouterr()
    assert "2 min" in printed.out
    assert "Nothing works on the queue" in printed.err
    assert main(["queue", "slots", "2"]) == 0
    assert "each with 2 processor cores" in capsys.readouterr().out
    assert main(["queue", "slots", "1"]) == 0
    assert "with the whole processor" in capsys.readouterr().out
    with monkeypatch.context() as patch:
        patch.setattr("segcore.launch.gpus.gpus", lambda: [Gpu(0, "A", 8000, 8000), Gpu(1, "B", 8000, 8000)])
        assert main(["queue", "resume"]) == 0
        assert "One run trains on each of 2 GPUs." in capsys.readouterr().out
    assert main(["queue", "pause"]) == 0
    assert "is paused" in capsys.readouterr().out
    assert main(["queue", "show"]) == 0
    assert "queue resume" in capsys.readouterr().err


def test_queueing_into_a_paused_queue_is_told(
    store: RunStore, started: list[Workspace], capsys: pytest.CaptureFixture[str]
) -> None:
    run = factories.make_run(store, state=RunState.STOPPED)
    store.set_queue(paused=True)
    assert main(["run", "resume", str(run.path)]) == 0
    assert "queue resume" in capsys.readouterr().err


def test_run_extend(store: RunStore, json_of: Call, error_of: Call, started: list[Workspace]) -> None:
    run = factories.make_run(store)
    row = json_of("run", "extend", run.path, "--epochs", "9")
    assert (row["state"], row["epoch"], row["epochs"]) == ("queued", 5, 9)
    assert len(started) == 1
    assert "not finished" in error_of("run", "extend", run.path, "--epochs", "12")
    assert json_of("run", "stop", run.path)["state"] == "finished"
    assert error_of("run", "extend", run.path, "--epochs", "5").startswith("Error: --epochs: ")
    assert "--help" in error_of("run", "extend", run.path)


def test_study_extend_takes_what_is_finished(
    store: RunStore, json_of: Call, error_of: Call, started: list[Workspace]
) -> None:
    runs = factories.make_mixed_study(store)
    document = json_of("study", "extend", "mixed", "--epochs", "9")
    assert document == {"study": "mixed", "queued": [runs[RunState.FINISHED].name], "left": 5}
    assert len(started) == 1
    assert "only finished runs" in error_of("study", "extend", "mixed", "--epochs", "9")
    factories.make_run(store, study="done")
    assert error_of("study", "extend", "done", "--epochs", "5").startswith("Error: --epochs: ")


def test_study_retry(
    store: RunStore, json_of: Call, started: list[Workspace], capsys: pytest.CaptureFixture[str]
) -> None:
    runs = factories.make_mixed_study(store)
    failed = [runs[RunState.FAILED].name, runs[RunState.INTERRUPTED].name]
    assert json_of("study", "retry", "mixed") == {"study": "mixed", "queued": failed}
    assert len(started) == 1
    assert main(["study", "retry", "mixed"]) == 0
    assert "no run that failed" in capsys.readouterr().out
    assert len(started) == 1


def test_what_was_interrupted_and_stopped_is_named_with_the_way_on(
    store: RunStore, started: list[Workspace], capsys: pytest.CaptureFixture[str]
) -> None:
    runs = factories.make_mixed_study(store)
    for command in (["queue", "show"], ["queue", "resume"]):
        assert main(command) == 0
        assert "1 run of study mixed interrupted; 'python -m segcore study retry mixed'" in capsys.readouterr().err
    assert main(["runs"]) == 0
    assert f"mixed/{runs[RunState.INTERRUPTED].name}: The training process is gone" in capsys.readouterr().err
    assert main(["study", "retry", "mixed"]) == 0
    capsys.readouterr()
    assert main(["study", "retry", "mixed"]) == 0
    assert f"run resume mixed/{runs[RunState.STOPPED].name}" in capsys.readouterr().err


def test_a_run_that_is_being_stopped_says_so(store: RunStore, capsys: pytest.CaptureFixture[str]) -> None:
    runs = factories.make_mixed_study(store)
    runs[RunState.RUNNING].request_stop()
    assert main(["queue", "show"]) == 0
    assert "stopping" in capsys.readouterr().out


def test_a_mistyped_run_is_answered_with_the_nearest(store: RunStore, error_of: Call) -> None:
    factories.make_run(store, study="done", weights="none")
    assert "Did you mean resnet18.tv_in1k-scratch-seed0?" in error_of("run", "stop", "done/resnet18.tv_in1k-seed0")


def test_stopping_says_what_became_of_the_run(store: RunStore, capsys: pytest.CaptureFixture[str]) -> None:
    runs = factories.make_mixed_study(store)
    said = {
        RunState.QUEUED: "does not wait any more; it is stopped",
        RunState.RUNNING: "is being stopped",
        RunState.FINISHED: "is finished already",
    }
    for state, text in said.items():
        assert main(["run", "stop", str(runs[state].path)]) == 0
        assert text in capsys.readouterr().out


def test_stopping_a_run_that_heeds_nothing_says_that_it_was_ended(
    store: RunStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = factories.make_run(store, state=RunState.RUNNING)
    run.request_stop()
    monkeypatch.setattr("segcore.runqueue.HUNG_SECONDS", -1.0)
    monkeypatch.setattr("segcore.runqueue.end_process", lambda _status: True)
    assert main(["run", "stop", str(run.path)]) == 0
    assert "gave no sign of life and was ended" in capsys.readouterr().out


def test_listings_say_where_and_how_long(store: RunStore, capsys: pytest.CaptureFixture[str]) -> None:
    run = factories.make_run(store, state=RunState.RUNNING)
    run.write_status(replace(run.status, device="cuda:1", phase="validating", predicted=600.0))
    assert main(["runs"]) == 0
    printed = capsys.readouterr().out
    assert "running on cuda:1: validating" in printed
    assert "10 min" in printed
    run.write_status(replace(run.status, predicted_after_epoch=1200.0, heartbeat=0.0))
    assert main(["runs"]) == 0
    printed = capsys.readouterr().out
    assert "20 min" in printed
    assert "no sign of life" in printed


def test_following_a_paused_queue_says_so_once(
    store: RunStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_launch(monkeypatch, store, RunState.QUEUED)
    store.set_queue(paused=True)
    naps: list[float] = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            store.set_queue(paused=False)

    def finish_unless_paused(workspace: Workspace) -> None:
        if not store.queue_settings().paused:
            (run,) = store.runs("new")
            factories.set_state(run, RunState.FINISHED, done=5)
            run.write_status(replace(run.status, seconds=700.0, predicted=600.0))

    monkeypatch.setattr("segcore.cli.follow.ensure_scheduler", finish_unless_paused)
    monkeypatch.setattr("segcore.cli.follow.time.sleep", nap)
    assert main(list(STUDY)) == 0
    printed = capsys.readouterr().err
    assert printed.count("queue resume") == 1
    assert "took 12 min (expected 10 min)" in printed


def test_choices_are_those_of_the_recipe() -> None:
    for name, choices in (
        ("geometry", studies.Geometry),
        ("precision", studies.Precision),
        ("memory_format", studies.MemoryFormat),
    ):
        assert Recipe.model_fields[name].annotation == choices


# Networks ------------------------------------------------------------------------------------------


def test_summary(workspace: Workspace, json_of: Call, capsys: pytest.CaptureFixture[str]) -> None:
    document = json_of("summary", "resnet18", "--image-size", "64", "--classes", "3")
    assert document["encoder"]["parameters"] == 11_176_512  # torchvision's resnet18 without its classifier
    assert document["stages"][2]["blocks"][0]["label"] == "BasicBlock 128-128" and document["edges"]
    assert main(["summary", "resnet18", "--image-size", "64"]) == 0
    said = capsys.readouterr().out
    assert "decoder" in said and "435 px" in said and "2 × BasicBlock" in said


def test_summary_draws_into_a_file(
    workspace: Workspace, tmp_path: Path, error_of: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "network.svg"
    assert main(["summary", "resnet18", "--image-size", "64", "--svg", str(target)]) == 0
    assert target.read_text(encoding="utf-8").startswith("<svg") and str(target) in capsys.readouterr().err
    assert ".svg" in error_of("summary", "resnet18", "--svg", str(tmp_path / "network.png"))
    assert [path.name for path in tmp_path.iterdir() if path.suffix in (".svg", ".png")] == ["network.svg"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["resnet19"], "resnet18"),
        (["resnet18", "--decoder", "unett"], "unet"),
        (["resnet18", "--image-size", "100"], "100"),
    ],
)
def test_summary_of_what_does_not_exist(error_of: Call, words: list[str], said: str) -> None:
    assert said in error_of("summary", *words)


@pytest.fixture
def trained(store: RunStore) -> Run:
    return factories.make_run(store, encoder="resnet18", weights="none", epochs=1, with_weights=True)


def test_predict_writes_masks_that_explain_themselves(trained: Run, json_of: Call, tmp_path: Path) -> None:
    config = factories.write_dataset(tmp_path / "source", scenes=1)
    images = sorted(config.images.iterdir())
    Image.open(images[0]).resize((50, 70)).save(images[0])
    out = tmp_path / "out" / "masks"
    document = json_of("predict", trained.path, *images, "--out", out)
    assert [row["mask"] for row in document["predictions"]] == [str(out / image.name) for image in images]
    assert (document["predictions"][0]["width"], document["predictions"][0]["height"]) == (50, 70)
    mask = Image.open(out / images[0].name)
    assert (mask.mode, mask.size) == ("P", (50, 70))
    labels = np.asarray(mask)
    assert labels.max() < 3
    trained_colors = np.array([info.color for info in factories.CLASSES[1:]])
    assert (np.asarray(mask.convert("RGB")) == trained_colors[labels]).all()
    assert (out / "classes.csv").read_text().splitlines()[1] == "paved-area,128,64,128"
    assert math.isclose(sum(document["predictions"][0]["shares"].values()), 1.0)


def test_predict_refuses_before_it_writes(trained: Run, error_of: Call, tmp_path: Path) -> None:
    config = factories.write_dataset(tmp_path / "source", scenes=1)
    image, other = sorted(config.images.iterdir())
    out = tmp_path / "out"
    assert "missing.png" in error_of("predict", trained.path, image, tmp_path / "missing.png", "--out", out)
    assert "replace" in error_of("predict", trained.path, image, "--out", image.parent)
    assert image.stem in error_of("predict", trained.path, image, config.masks / image.name, "--out", out)
    assert "no run" in error_of("predict", tmp_path, other, "--out", out)
    assert not out.exists()


def test_predict_with_a_run_that_has_no_weights(store: RunStore, error_of: Call, tmp_path: Path) -> None:
    run = factories.make_run(store, encoder="resnet18", weights="none", state=RunState.QUEUED)
    image = next(factories.write_dataset(tmp_path / "source", scenes=1).images.iterdir())
    assert "no weights yet" in error_of("predict", run.path, image, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


# The whole -----------------------------------------------------------------------------------------


def test_json_has_no_nan_and_takes_what_the_library_returns() -> None:
    value = {
        "a": float("nan"),
        "b": np.float32(0.5),
        "c": np.arange(2),
        "d": Path("x"),
        "e": (math.inf, RunState.FAILED),
    }
    assert output.plain(value) == {"a": None, "b": 0.5, "c": [0, 1], "d": "x", "e": [None, "failed"]}
    with pytest.raises(TypeError):
        output.plain(object())


@pytest.mark.slow
def test_a_real_study_in_processes_of_its_own(workspace: Workspace, tmp_path: Path) -> None:
    factories.add_dataset(workspace, tmp_path / "source")
    words = ["study", "run", "real", "--dataset", "tiny", "--backbones", "resnet18", "--weights", "none"]
    words += ["--epochs", "1", "--image-size", "64", "--batch-size", "2", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "segcore", *words],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    (run,) = document["runs"]
    assert (run["state"], run["epoch"], run["weights"]) == ("finished", 1, "none")
    assert 0 <= run["val_miou"] <= 1
    assert 0 < run["majority_baseline"] < 1
    assert document["results"][0]["n"] == 1
    assert "epoch 1/1" in done.stderr


@pytest.mark.parametrize("path", ["~nosuchuser/x", "x" * 5000, "/tmp/" + "y" * 400])
@pytest.mark.parametrize("flag", ["--images", "--masks", "--classes", "--split-file"])
def test_paths_that_cannot_be_are_one_line_that_names_the_flag(
    workspace: Workspace, tiny_dataset: Call, error_of: Call, path: str, flag: str
) -> None:
    words = add_words(tiny_dataset())
    words = words if flag in words else [*words, flag, ""]
    words[words.index(flag) + 1] = path
    assert error_of(*words).startswith(f"Error: {flag}: ")


@pytest.mark.parametrize("name", ["~nosuchuser/x", "x" * 5000])
def test_run_names_that_cannot_be_are_one_line(workspace: Workspace, error_of: Call, name: str) -> None:
    assert "cannot be used as a path" in error_of("run", "stop", name)


def test_expression_that_is_none_names_its_flag(workspace: Workspace, tiny_dataset: Call, error_of: Call) -> None:
    said = error_of(*add_words(tiny_dataset()), "--group-regex", "(")
    assert said.startswith("Error: --group-regex: ")
    assert said.count("group_regex") == 0


def test_folder_that_is_no_run_is_not_taken_for_study_and_run(
    workspace: Workspace, error_of: Call, tmp_path: Path
) -> None:
    assert "is no run directory" in error_of("run", "stop", "/tmp")
    assert "is no run directory" in error_of("run", "stop", tmp_path)


def test_predict_goes_on_after_an_image_that_is_damaged(
    trained: Run, json_of: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = sorted(factories.write_dataset(tmp_path / "source", scenes=1, frames=3).images.iterdir())
    images[1].write_bytes(images[1].read_bytes()[:3000])
    out = tmp_path / "out"
    rows = json_of("predict", trained.path, *images, "--out", out, code=1)["predictions"]
    assert [row["mask"] for row in rows] == [str(out / images[0].name), None, str(out / images[2].name)]
    assert ["error" in row for row in rows] == [False, True, False]
    assert images[1].name in rows[1]["error"]
    assert (out / images[2].name).is_file()
    assert main(["predict", str(trained.path), *map(str, images), "--out", str(out)]) == 1
    printed = capsys.readouterr()
    assert f"No mask of {images[1]}" in printed.err
    assert images[2].name in printed.out


def test_predict_finds_the_home_directory(
    trained: Run, json_of: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    image = min(factories.write_dataset(tmp_path / "source", scenes=1).images.iterdir())
    (row,) = json_of("predict", trained.path, image, "--out", "~/masks")["predictions"]
    assert row["mask"] == str(tmp_path / "masks" / image.name)


def test_what_nobody_foresaw_of_a_file_system_is_one_line(
    workspace: Workspace, error_of: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError(5, "Input/output error", "/a/disk")

    monkeypatch.setattr("segcore.store.RunStore.runs", broken)
    assert "Input/output error" in error_of("runs", code=1)


def test_launch_reports_on_a_dataset_that_is_checked_again(
    store: RunStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_launch(monkeypatch, store, RunState.FINISHED)
    assert main([*STUDY, "--detach"]) == 0
    assert "have changed" not in capsys.readouterr().err

    def launch(config: StudyConfig, workspace: Workspace, *, progress: Progress, **_: Any) -> list[Run]:
        progress(1, 8)
        return []

    monkeypatch.setattr("segcore.launch.plan.launch_study", launch)
    assert main([*STUDY, "--detach"]) == 0
    assert "have changed" in capsys.readouterr().err
