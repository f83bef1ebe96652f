"""A scheduler that is killed, stopped or starved: no run is lost, none is trained twice, and the next one goes on."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path

import pytest

from segcore.errors import SegcoreError
from segcore.launch.local import ensure_scheduler, scheduler_alive
from segcore.launch.processes import scheduler_log
from segcore.status import RunState
from segcore.store import RunStore
from segcore.workspace import HOME_VARIABLE
from tests.faults.conftest import Reference, SmallDisk
from tests.faults.lab import Lab, check_files, check_interrupted, wait_for, wait_for_epoch
from tests.faults.queueing import Queue, check_log, scheduler_pid, wait_for_all
from tests.faults.screen import check_said

pytestmark = pytest.mark.slow

SEED = 21


def go_on(store: RunStore) -> None:
    """What a person does who sees that something is wrong: resume what was interrupted."""
    for run in store.runs():
        if run.state is RunState.INTERRUPTED:
            check_interrupted(run)
            store.requeue(run)
    ensure_scheduler(store.workspace)


def test_killed_at_its_operations(lab: Lab, queue: Queue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before each kind of thing it writes, while it takes a run from the queue, starts it and notes its end."""
    store = lab.store(tmp_path / "undisturbed")
    queue.plan(root=str(store.workspace.root), record=str(tmp_path / "trace"))
    lab.queue(store, seeds=(0, 1))
    ensure_scheduler(store.workspace)
    wait_for_all(store)
    queue.check_each_once(store.runs())
    check_log(store)
    trace = [tuple(json.loads(line)) for line in (tmp_path / "trace").read_text().splitlines()]
    places = [(kind, name, trace[: index + 1].count((kind, name))) for index, (kind, name) in enumerate(trace)]
    assert any("status.json" in name for _, name, _ in places)
    chosen = random.Random(SEED).sample(places, min(4, len(places)))
    kills = 0
    for number, (kind, name, nth) in enumerate(chosen):
        queue.journal.write_text("")
        store = lab.store(tmp_path / f"home{number}")
        queue.plan(root=str(store.workspace.root), kill_at={"kind": kind, "name": name, "nth": nth})
        runs = lab.queue(store, seeds=(0, 1))
        ensure_scheduler_or_its_end(store)
        wait_for(lambda: not scheduler_alive(store.workspace))  # noqa: B023 (called at once)
        kills += any(run.state is not RunState.FINISHED for run in runs)
        print(f"seed {SEED}: killed before {kind} of {name} ({nth}): {[str(run.state) for run in runs]}")
        assert store.runs() == runs, "a run is lost"
        for run in runs:
            check_files(run)
        wait_for(lambda: all(run.state is not RunState.RUNNING for run in runs))  # noqa: B023
        queue.plan()
        go_on(store)
        wait_for_all(store)
        # A worker whose scheduler died before it could write down its pid is not seen until it has begun: for that
        # moment the next run may be started beside it.
        queue.check_each_once(runs, slots=2)
        check_log(store)
    assert kills >= 3, "too few kills came before the end"


def ensure_scheduler_or_its_end(store: RunStore) -> None:
    """Start a scheduler that may be killed before it is seen."""
    try:
        ensure_scheduler(store.workspace)
    except SegcoreError as error:
        print(error)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_ended_while_runs_train(lab: Lab, store: RunStore, queue: Queue, how: signal.Signals) -> None:
    """Its worker goes on without it, what waits waits, and the next scheduler counts the run that still trains."""
    runs = lab.queue(store, seeds=range(4))
    for _ in range(3):
        ensure_scheduler(store.workspace)
        wait_for(lambda: any(run.state is RunState.RUNNING and run.status.phase == "training" for run in runs))
        os.kill(scheduler_pid(store), how)
        wait_for(lambda: not scheduler_alive(store.workspace))
        assert {run.state for run in runs} <= {RunState.QUEUED, RunState.RUNNING, RunState.FINISHED}
    ensure_scheduler(store.workspace)
    wait_for_all(store)
    queue.check_each_once(runs)
    check_log(store)


def test_directories_deleted_under_it(lab: Lab, store: RunStore, queue: Queue) -> None:
    """Of a run that trains, one that waits, and a whole study: the others are trained."""
    running, waiting, *others = lab.queue(store, seeds=range(4))
    lab.queue(store, study="away", seeds=range(2))
    ensure_scheduler(store.workspace)
    wait_for(lambda: running.status.phase == "training")
    store.workspace.discard(waiting.path)
    store.workspace.discard(running.path)
    store.workspace.discard(store.study("away").path)
    wait_for_all(store)
    assert store.runs() == others
    assert sorted(path.name for path in store.workspace.studies.iterdir()) == ["s"]
    queue.check_each_once(others)
    check_log(store)


def test_full_disk(lab: Lab, small_disk: SmallDisk, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing can be written, neither that a run begins nor how one ended: all of it is made up for later."""
    monkeypatch.setenv(HOME_VARIABLE, str(small_disk.path / "home"))
    store = lab.store(small_disk.path / "home")
    first, second = lab.queue(store, seeds=(0, 1))
    ensure_scheduler(store.workspace)
    wait_for(lambda: first.status.phase == "training")
    small_disk.fill(0)
    wait_for(lambda: first.state is not RunState.RUNNING)
    time.sleep(2)  # it tries, and must neither die nor spin
    assert scheduler_alive(store.workspace), scheduler_log(store.workspace).read_text()
    assert second.state is RunState.QUEUED
    assert first.state in (RunState.INTERRUPTED, RunState.FAILED), "its worker is gone"
    small_disk.free()
    wait_for(lambda: second.state is RunState.FINISHED)
    wait_for_all(store)
    assert first.state is RunState.FAILED
    assert first.status.message
    assert first.status.hint
    assert len(scheduler_log(store.workspace).read_text().splitlines()) < 20, "it writes without end"
    go_on(store)
    store.requeue(first)
    ensure_scheduler(store.workspace)
    wait_for_all(store)
    queue.check_each_once([first, second])
    check_log(store)


def test_a_worker_that_is_killed_each_time(
    lab: Lab, store: RunStore, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may go on by itself, but not for ever: then the next run is trained, and the screen says what happened."""
    monkeypatch.setenv("SEGCORE_TEST_SECONDS", "60")
    doomed, _ = lab.queue(store, seeds=(0, 1))
    ensure_scheduler(store.workspace)
    for kills in range(1, 6):
        wait_for(lambda: doomed.status.phase == "training" or doomed.state is RunState.INTERRUPTED)
        status = doomed.status
        if status.state is RunState.INTERRUPTED:
            break
        assert status.pid is not None
        os.kill(status.pid, signal.SIGKILL)
        print(f"kill {kills}: {status.pid}")
        wait_for(lambda: doomed.status.phase != "training" or doomed.status.pid != status.pid)  # noqa: B023
        for other in store.active():
            if other != doomed:
                store.stop(other)
    check_interrupted(doomed)
    assert "killed by signal 9" in doomed.status.message
    check_said(doomed)
    wait_for_all(store)
    check_log(store)


def test_two_kills_and_real_workers(lab: Lab, store: RunStore, reference: Reference) -> None:
    """The worker is killed, then the scheduler, with nothing standing in: the run ends as if nothing had been."""
    (run,) = lab.queue(store)
    ensure_scheduler(store.workspace)
    wait_for_epoch(run, 1)
    pid = run.status.pid
    assert pid is not None
    assert os.getsid(pid) != os.getsid(0)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: run.status.pid != pid or run.state is not RunState.RUNNING)
    if run.state is RunState.INTERRUPTED:
        go_on(store)
    wait_for_epoch(run, 2)
    os.kill(scheduler_pid(store), signal.SIGKILL)
    wait_for(lambda: not scheduler_alive(store.workspace))
    assert run.state is RunState.RUNNING
    ensure_scheduler(store.workspace)
    wait_for_all(store)
    check_files(run)
    check_log(store)
    assert "ended with exit code -9" in scheduler_log(store.workspace).read_text()
    assert lab.outcome(run) == reference.outcome
    assert len(run.provenance()["resumed"]) == 1, "it was started more often than it was killed"
