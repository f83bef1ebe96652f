"""The queue with real processes; each of them imports torch, hence few tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from segcore.config import Recipe, StudyConfig
from segcore.errors import LaunchError
from segcore.launch import processes
from segcore.launch.local import ensure_scheduler, scheduler_alive
from segcore.launch.plan import launch_study
from segcore.launch.processes import scheduler_log
from segcore.runqueue import cores
from segcore.status import RunState
from segcore.store import RunStore
from segcore.workspace import Workspace
from tests.factories import add_dataset, make_run

LIMIT = 120.0


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.1)


def study(epochs: int, seeds: tuple[int, ...] = (0, 1)) -> StudyConfig:
    # The smallest network that timm has, computing in a way that is named: to measure which is fastest takes longer.
    recipe = Recipe(epochs=epochs, image_size=32, batch_size=4, precision="fp32", memory_format="contiguous")
    backbones = ("test_efficientnet",)
    return StudyConfig(name="s", dataset="tiny", encoders=backbones, weights="none", seeds=seeds, recipe=recipe)


@pytest.mark.slow
def test_runs_train_one_after_another_and_the_scheduler_leaves(workspace: Workspace, tmp_path: Path) -> None:
    add_dataset(workspace, tmp_path / "source")
    runs = launch_study(study(epochs=1), workspace)
    assert scheduler_alive(workspace)
    ensure_scheduler(workspace)  # no second one
    wait_for(lambda: all(run.state is RunState.FINISHED for run in runs))
    first, second = (run.status for run in runs)
    assert first.ended is not None
    assert second.started is not None
    assert first.ended <= second.started
    wait_for(lambda: not scheduler_alive(workspace))
    assert "Finished" in runs[0].log()
    assert launch_study(study(epochs=1), workspace) == []


@pytest.mark.slow
def test_a_killed_worker_waits_to_go_on_stop_stops_and_the_rest_goes_on(workspace: Workspace, tmp_path: Path) -> None:
    add_dataset(workspace, tmp_path / "source")
    store = RunStore(workspace)
    killed, stopped, cancelled = launch_study(study(epochs=2000, seeds=(0, 1, 2)), workspace)
    store.stop(cancelled)
    wait_for(lambda: killed.status.epoch >= 1)
    pid = killed.status.pid
    assert pid is not None
    assert pid != os.getpid()
    assert os.getsid(pid) != os.getsid(0)  # closing the terminal or the server does not reach it
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: stopped.status.epoch >= 1)
    assert (killed.state, killed.status.restarts) == (RunState.QUEUED, 1)
    assert "signal 9" in killed.status.message
    store.stop(killed)
    store.stop(stopped)
    wait_for(lambda: stopped.state is RunState.STOPPED)
    assert cancelled.state is RunState.STOPPED
    wait_for(lambda: not scheduler_alive(workspace))
    assert (stopped.last_directory / "checkpoint.pt").is_file()


def test_a_scheduler_that_does_not_come_up_is_told(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    make_run(RunStore(workspace), state=RunState.QUEUED)
    monkeypatch.setattr(processes.sys, "executable", "/bin/false")
    with pytest.raises(LaunchError, match="did not come up"):
        ensure_scheduler(workspace)


def test_a_program_that_is_not_there_is_told(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    make_run(RunStore(workspace), state=RunState.QUEUED)
    monkeypatch.setattr(processes.sys, "executable", "/nowhere/python")
    with pytest.raises(LaunchError, match="could not be started"):
        ensure_scheduler(workspace)


def test_a_paused_queue_gets_no_scheduler(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    store = RunStore(workspace)
    make_run(store, state=RunState.QUEUED)
    store.set_queue(paused=True)
    monkeypatch.setattr(processes.sys, "executable", "/nowhere/python")
    ensure_scheduler(workspace)
    store.set_queue(paused=False)
    with pytest.raises(LaunchError):
        ensure_scheduler(workspace)


def test_logs_are_not_written_into_a_folder_that_was_removed(workspace: Workspace) -> None:
    with pytest.raises(FileNotFoundError):
        processes.spawn("json.tool", log=workspace.root / "gone" / "log.txt")
    assert not (workspace.root / "gone").exists()


STAND_IN = """
import json, os, sys, time
from pathlib import Path

if "segcore.training.worker" in sys.orig_argv:
    run = Path(sys.orig_argv[-1])
    try:
        os.close(os.open(run / "alive", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        (run / "trained twice at once").touch()
    with open(run / "lives.txt", "a") as lives:
        lives.write("life\\n")
    for _ in range(10):
        time.sleep(0.01)
        if stopped := (run / "request.json").exists():
            (run / "request.json").unlink()
            break
    status = json.loads((run / "status.json").read_text())
    (run / "new").write_text(json.dumps({**status, "state": "stopped" if stopped else "finished"}))
    (run / "alive").unlink()
    (run / "new").rename(run / "status.json")
    os._exit(0)
"""
"""As sitecustomize.py it takes the place of every worker: it trains a tenth of a second and heeds requests to stop."""

APP = """
import random, sys
from segcore.errors import ConfigError
from segcore.launch.local import ensure_scheduler
from segcore.status import RunState
from segcore.store import RunStore
from tests.factories import make_run

store, chance = RunStore(), random.Random(sys.argv[1])
for seed in range(4):
    make_run(store, study=sys.argv[1], seed=seed, state=RunState.QUEUED)
    ensure_scheduler(store.workspace)
    for _ in range(3):
        run = chance.choice(store.runs())
        try:
            chance.choice([store.stop, store.requeue, lambda run: store.move(run, 0)])(run)
        except ConfigError:
            pass
    store.set_queue(paused=chance.random() < 0.3, slots=chance.choice([1, 2]) if sys.argv[2] > "1" else None)
"""
"""Somebody who launches, stops, resumes, moves and pauses as fast as possible."""


@pytest.mark.slow  # real schedulers, whose interpreters take their time to start
def test_three_who_launch_and_stop_at_once_lose_no_run_and_repeat_none(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(STAND_IN.replace("\\\\", "\\"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(Path(__file__).resolve().parents[2])]))
    apps = [
        subprocess.Popen([sys.executable, "-c", APP, name, str(cores())], stdin=subprocess.DEVNULL)
        for name in ("a", "b", "c")
    ]
    assert [app.wait(LIMIT) for app in apps] == [0, 0, 0]
    store = RunStore(workspace)
    store.set_queue(paused=False)
    runs = store.runs()
    assert len(runs) == 12
    wait_for(lambda: not store.training())
    for run in runs:
        if run.state.resumable:
            store.requeue(run)
    ensure_scheduler(workspace)
    wait_for(lambda: all(run.state is RunState.FINISHED for run in runs))
    wait_for(lambda: not scheduler_alive(workspace))
    assert not [run.name for run in runs if (run.path / "trained twice at once").exists()]
    log = scheduler_log(workspace).read_text()
    assert log.count(" starting ") == sum((run.path / "lives.txt").read_text().count("life") for run in runs)
