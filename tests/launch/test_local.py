"""The queue with real processes; each of them imports torch, hence few tests."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from segcore.config import Recipe, StudyConfig
from segcore.errors import LaunchError
from segcore.launch import local
from segcore.launch.local import ensure_scheduler, scheduler_alive
from segcore.launch.plan import launch_study
from segcore.runs import Run
from segcore.status import OTHER_WORKER, RunState
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
    recipe = Recipe(epochs=epochs, image_size=32, batch_size=4)
    return StudyConfig(name="s", dataset="tiny", encoders=("resnet18",), weights="none", seeds=seeds, recipe=recipe)


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
def test_a_killed_worker_is_interrupted_stop_stops_and_the_rest_goes_on(workspace: Workspace, tmp_path: Path) -> None:
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
    assert killed.state is RunState.INTERRUPTED
    assert "signal 9" in killed.status.message
    store.stop(stopped)
    wait_for(lambda: stopped.state is RunState.STOPPED)
    assert cancelled.state is RunState.STOPPED
    wait_for(lambda: not scheduler_alive(workspace))
    assert (stopped.last_directory / "checkpoint.pt").is_file()


def test_a_scheduler_that_does_not_come_up_is_told(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    make_run(RunStore(workspace), state=RunState.QUEUED)
    monkeypatch.setattr(local.sys, "executable", "/bin/false")
    with pytest.raises(LaunchError, match="did not come up"):
        ensure_scheduler(workspace)


def test_a_run_removed_under_its_worker_does_no_harm(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(store, state=RunState.QUEUED)
    assert store.claim_next() == run

    class Gone:
        pid = os.getpid()

        def wait(self) -> int:
            run.path.rename(run.path.parent / ".gone")
            return 1

    monkeypatch.setattr(local, "spawn", lambda *_args, **_options: Gone())
    local.work_on(run, store)
    assert not run.exists()


def test_a_worker_that_could_not_speak_is_spoken_for(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(store, state=RunState.QUEUED)
    store.claim_next()

    class Broken:
        pid = os.getpid()

        def wait(self) -> int:
            run.log_path.write_text("ModuleNotFoundError: No module named 'torch'\n")
            return 1

    monkeypatch.setattr(local, "spawn", lambda *_args, **_options: Broken())
    local.work_on(run, store)
    assert run.state is RunState.FAILED
    assert "No module named 'torch'" in run.status.message


def test_a_live_run_of_a_dead_scheduler_is_waited_for(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(store, state=RunState.RUNNING)
    naps: list[float] = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            run.write_status(Run(run.path).status.__class__(**{**run.status.to_json(), "state": RunState.FINISHED}))

    monkeypatch.setattr(local.time, "sleep", nap)
    local.wait_for_others(store)
    assert len(naps) == 3


def test_a_claimed_run_lives_on_when_the_scheduler_dies(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the start of a worker and its first word, the status names the worker, not the scheduler."""
    run = make_run(store, state=RunState.QUEUED)
    store.claim_next()
    seen: list[int | None] = []

    class Starting:
        pid = os.getppid()

        def wait(self) -> int:
            seen.append(run.status.pid)
            return 0

    monkeypatch.setattr(local, "spawn", lambda *_args, **_options: Starting())
    local.work_on(run, store)
    assert seen == [os.getppid()]


def test_a_run_that_another_worker_has_is_left_alone(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(store, state=RunState.RUNNING)

    class Second:
        pid = os.getppid()

        def wait(self) -> int:
            return OTHER_WORKER

    monkeypatch.setattr(local, "spawn", lambda *_args, **_options: Second())
    local.work_on(run, store)
    assert run.state is RunState.RUNNING
