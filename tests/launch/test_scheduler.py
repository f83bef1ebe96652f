"""The scheduler step by step, with workers that are no more than a few lines of Python."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from segcore.errors import ConfigError, WorkspaceError
from segcore.launch import scheduler as module
from segcore.launch.gpus import Gpu
from segcore.launch.processes import scheduler_lock
from segcore.launch.scheduler import Scheduler
from segcore.runqueue import RESTARTS
from segcore.runs import Run
from segcore.status import CLAIMED, OTHER_WORKER, RunState, process_identity
from segcore.store import RunStore
from tests.factories import make_run

LIMIT = 60.0
WORKER = """
import json, os, pathlib, sys, time
run = pathlib.Path(sys.argv[1])
(run / "places.txt").open("a").write(" ".join(os.environ.get(n, "-") for n in sys.argv[2:]) + "\\n")
while not (run / "end").exists():
    time.sleep(0.005)
code = int((run / "end").read_text())
if code == 0:
    status = json.loads((run / "status.json").read_text())
    (run / "status.json").write_text(json.dumps({**status, "state": "finished"}))
sys.exit(code)
"""
"""A worker that writes down its place, waits to be told its exit code, and says it has finished where that is 0."""

VARIABLES = ("CUDA_VISIBLE_DEVICES", "SEGCORE_DEVICE_LABEL", "OMP_NUM_THREADS")


def eventually(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.005)


class Bench:
    """A scheduler whose steps are taken one by one, and its stand-in workers."""

    def __init__(self, store: RunStore) -> None:
        self.store = store
        self.scheduler = Scheduler(store.workspace)
        self.lock = scheduler_lock(store.workspace)
        self.processes: list[subprocess.Popen[bytes]] = []

    def spawn(
        self,
        _module: str,
        path: str,
        *,
        log: Path,
        environment: dict[str, str] | None = None,
        descriptors: Sequence[int] = (),
    ) -> subprocess.Popen[bytes]:
        with open(log, "ab"):
            words = [sys.executable, "-S", "-c", WORKER, path, *VARIABLES]
            process = subprocess.Popen(
                words,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
                pass_fds=tuple(descriptors),
            )
        self.processes.append(process)
        return process

    def look(self) -> bool:
        """One round of the scheduler; whether it is done."""
        self.scheduler.reap()
        return self.scheduler.look(self.lock)

    def end(self, run: Run, code: int = 0) -> None:
        """Let a run's worker end and be taken note of."""
        (run.path / "end~").write_text(str(code))
        (run.path / "end~").rename(run.path / "end")  # it never reads half of it
        eventually(lambda: self.scheduler.reap() or run not in self.scheduler.workers)

    def kill(self, run: Run) -> None:
        """Kill a run's worker and let it be taken note of."""
        self.scheduler.workers[run].process.kill()
        eventually(lambda: self.scheduler.reap() or run not in self.scheduler.workers)

    def place(self, run: Run) -> list[str]:
        """What the last worker of a run found in its environment."""
        file = run.path / "places.txt"
        eventually(lambda: file.exists() and file.read_text().endswith("\n"))
        return file.read_text().splitlines()[-1].split()


@pytest.fixture
def bench(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    bench = Bench(store)
    monkeypatch.setattr(module, "spawn", bench.spawn)
    monkeypatch.setattr(module, "gpus", list)
    monkeypatch.setattr(module, "cores", lambda: 4)
    monkeypatch.setattr("segcore.runqueue.cores", lambda: 4)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    yield bench
    for process in bench.processes:
        process.kill()
        process.wait()


def queue(store: RunStore, count: int) -> list[Run]:
    return [make_run(store, seed=seed, state=RunState.QUEUED) for seed in range(count)]


def states(runs: list[Run]) -> str:
    return " ".join(run.state.value for run in runs)


def test_one_run_at_a_time_with_all_cores(bench: Bench) -> None:
    runs = queue(bench.store, 2)
    assert not bench.look()
    assert not bench.look()
    assert states(runs) == "running queued"
    assert runs[0].status.pid == bench.processes[0].pid
    assert bench.place(runs[0]) == ["-", "-", "-"]
    bench.end(runs[0])
    assert not bench.look()
    assert states(runs) == "finished running"
    bench.end(runs[1])
    assert bench.look()
    assert len(bench.processes) == 2


def test_slots_share_the_cores_and_follow_the_settings(bench: Bench) -> None:
    runs = queue(bench.store, 4)
    bench.store.set_queue(slots=2)
    bench.look()
    assert states(runs) == "running running queued queued"
    assert bench.place(runs[1])[2] == "2"
    bench.store.set_queue(slots=3)
    bench.look()
    assert states(runs) == "running running running queued"
    assert bench.place(runs[2])[2] == "1"
    bench.store.set_queue(slots=1)
    bench.end(runs[0])
    bench.end(runs[1])
    bench.look()
    assert states(runs) == "finished finished running queued"
    bench.end(runs[2])
    bench.look()
    assert states(runs) == "finished finished finished running"


def test_a_limit_on_threads_holds_in_every_slot(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    (run,) = queue(bench.store, 1)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    bench.store.set_queue(slots=2)
    bench.look()
    assert bench.place(run)[2] == "1"


def test_each_gpu_takes_one_run_the_freest_first(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [Gpu(1, "B", 8000, 7900), Gpu(0, "A", 8000, 3000)]
    monkeypatch.setattr(module, "gpus", lambda: found)
    runs = queue(bench.store, 4)
    bench.store.set_queue(slots=4)  # does not count here
    bench.look()
    assert states(runs) == "running running queued queued"
    assert [run.status.device for run in runs[:2]] == ["cuda:1", "cuda:0"]
    assert bench.place(runs[0]) == ["1", "cuda:1", "2"]
    assert bench.place(runs[1]) == ["0", "cuda:0", "2"]
    monkeypatch.setattr(module, "gpus", list)  # a driver that does not answer for a while
    bench.end(runs[1])
    bench.look()
    assert (states(runs), runs[2].status.device) == ("running finished running queued", "cuda:0")


def test_runs_of_a_dead_scheduler_keep_their_places(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = make_run(bench.store, study="old", state=RunState.RUNNING)
    (run,) = queue(bench.store, 1)
    assert not bench.look()
    assert run.state is RunState.QUEUED
    foreign.write_status(replace(foreign.status, host="elsewhere"))  # another machine's takes no place of ours
    bench.look()
    assert run.state is RunState.RUNNING
    bench.end(run)
    foreign.write_status(replace(foreign.status, device="cuda:0", **process_identity()))
    monkeypatch.setattr(module, "gpus", lambda: [Gpu(0, "A", 8000, 7000), Gpu(1, "B", 8000, 5000)])
    second = make_run(bench.store, seed=7, state=RunState.QUEUED)
    bench.look()
    assert second.status.device == "cuda:1"


def test_a_paused_queue_starts_nothing_and_needs_nobody(bench: Bench) -> None:
    runs = queue(bench.store, 2)
    bench.look()
    bench.store.set_queue(paused=True)
    bench.end(runs[0])
    assert bench.look()
    assert states(runs) == "finished queued"
    bench.store.set_queue(paused=False)
    assert not bench.look()
    assert states(runs) == "finished running"


def test_the_queue_is_worked_on_in_its_order(bench: Bench) -> None:
    runs = queue(bench.store, 3)
    bench.store.move(runs[2], 0)
    for expected in (runs[2], runs[0], runs[1]):
        bench.look()
        assert list(bench.scheduler.workers) == [expected]
        bench.end(expected)


def test_a_worker_that_could_not_speak_is_spoken_for(bench: Bench) -> None:
    (run,) = queue(bench.store, 1)
    bench.look()
    run.log_path.write_text("ModuleNotFoundError: No module named 'torch'\n")
    bench.end(run, 1)
    assert bench.look()
    assert run.state is RunState.FAILED
    assert "No module named 'torch'" in run.status.message


def test_a_worker_that_spoke_has_the_last_word(bench: Bench) -> None:
    (run,) = queue(bench.store, 1)
    bench.look()
    run.write_status(replace(run.status, state=RunState.FAILED, message="The loss is no number."))
    bench.end(run, 1)
    assert bench.look()
    assert run.status.message == "The loss is no number."


def test_a_run_that_another_worker_has_is_left_to_it(bench: Bench) -> None:
    (run,) = queue(bench.store, 1)
    bench.look()
    run.write_status(replace(run.status, **process_identity(os.getppid())))
    bench.end(run, OTHER_WORKER)
    assert bench.look()
    assert (run.state, run.status.pid, run.status.message) == (RunState.RUNNING, os.getppid(), "")


def test_a_run_whose_other_worker_says_nothing_is_told(bench: Bench) -> None:
    (run,) = queue(bench.store, 1)
    bench.look()
    bench.end(run, OTHER_WORKER)
    assert bench.look()
    assert run.state is RunState.INTERRUPTED
    assert "earlier process" in run.status.message


def test_a_killed_run_goes_on_by_itself_but_not_for_ever(bench: Bench) -> None:
    run, *others = queue(bench.store, 1 + RESTARTS)
    bench.look()
    for restarts, other in enumerate(others, start=1):
        bench.kill(run)
        bench.look()
        assert (run.state, run.status.restarts) == (RunState.QUEUED, restarts)
        assert "signal 9" in run.status.message
        assert other.state is RunState.RUNNING  # those that waited before it have their turn first
        bench.store.move(run, 0)
        bench.end(other)
        bench.look()
        assert run.state is RunState.RUNNING
    bench.kill(run)
    bench.look()
    assert run.state is RunState.INTERRUPTED
    bench.store.requeue(run)
    assert run.status.restarts == 0


def test_a_run_killed_while_it_was_being_stopped_does_not_go_on(bench: Bench) -> None:
    (run,) = queue(bench.store, 1)
    bench.look()
    bench.store.stop(run)
    bench.kill(run)
    bench.look()
    assert run.state is RunState.INTERRUPTED


@pytest.mark.parametrize("when", ["queued", "claimed", "running"])
def test_a_run_removed_by_hand_does_no_harm(bench: Bench, when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    gone, run = queue(bench.store, 2)

    def spawn(module: str, path: str, **options: object) -> subprocess.Popen[bytes]:
        if path == str(gone.path):
            shutil.rmtree(gone.path)
        return bench.spawn(module, path, **options)  # type: ignore[arg-type]

    if when == "queued":
        shutil.rmtree(gone.path)
    elif when == "claimed":
        monkeypatch.setattr(module, "spawn", spawn)
    bench.look()
    if when == "running":
        bench.place(gone)
        shutil.rmtree(gone.path)
        bench.processes[0].kill()
        eventually(lambda: bench.scheduler.reap() or not bench.scheduler.workers)
        bench.look()
    assert run.state is RunState.RUNNING
    bench.end(run)
    assert bench.look()
    assert not gone.path.exists()


def test_a_run_queued_again_waits_for_its_last_process_to_end(bench: Bench) -> None:
    """A worker writes its last word a while before its process is gone."""
    run, other = queue(bench.store, 2)
    bench.store.set_queue(slots=2)
    bench.store.stop(other)
    bench.look()
    run.write_status(replace(run.status, state=RunState.STOPPED))
    bench.store.requeue(run)
    bench.store.requeue(other)
    assert not bench.look()
    assert states([run, other]) == "queued running"
    bench.end(run, 3)
    bench.look()
    assert states([run, other]) == "running running"
    assert len(bench.processes) == 3


def test_a_damaged_run_spares_the_others(bench: Bench) -> None:
    damaged, run = queue(bench.store, 2)
    (damaged.path / "status.json").write_text("{")
    bench.look()
    assert run.state is RunState.RUNNING


class FullDisk:
    """Refuses to write the status of every run, or of those named."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
        self.full = True
        write = Run.write_status

        def refuse(run: Run, status: object) -> None:
            if self.full and (not names or run.name in names):
                raise WorkspaceError("The disk is full.")
            write(run, status)  # type: ignore[arg-type]

        monkeypatch.setattr(Run, "write_status", refuse)


def test_nothing_is_lost_on_a_full_disk(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = queue(bench.store, 2)
    disk = FullDisk(monkeypatch)
    assert not bench.look()
    assert not bench.look()
    assert states(runs) == "queued queued"
    disk.full = False
    bench.look()
    disk.full = True
    os.kill(bench.processes[0].pid, signal.SIGKILL)
    eventually(lambda: bench.scheduler.reap() or not bench.scheduler.workers)
    assert not bench.look()
    assert states(runs) == "interrupted queued"  # as its process is gone, even if nobody could write it
    disk.full = False
    bench.look()
    assert "signal 9" in runs[0].status.message
    assert states(runs) == "queued running"


def test_a_run_that_cannot_be_written_does_not_hold_up_the_queue(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = queue(bench.store, 2)
    disk = FullDisk(monkeypatch, runs[0].name)
    bench.look()
    assert states(runs) == "queued running"
    bench.end(runs[1])
    disk.full = False
    bench.look()
    assert runs[0].state is RunState.RUNNING


def test_a_process_that_cannot_start_leaves_its_run_waiting_in_its_place(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = queue(bench.store, 2)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(module, "spawn", refuse)
    assert not bench.look()
    assert states(runs) == "queued queued"
    assert "Cannot allocate memory" in runs[0].status.message
    monkeypatch.setattr(module, "spawn", bench.spawn)
    bench.look()
    assert states(runs) == "running queued"
    assert runs[0].status.message == ""


def test_a_run_that_cannot_start_does_not_hold_up_the_queue(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    refused, run = queue(bench.store, 2)

    def spawn(name: str, path: str, **options: Any) -> subprocess.Popen[bytes]:
        if path == str(refused.path):
            raise OSError(13, "Permission denied")
        return bench.spawn(name, path, **options)

    monkeypatch.setattr(module, "spawn", spawn)
    assert not bench.look()
    assert states([refused, run]) == "queued running"
    assert "Permission denied" in refused.status.message


def test_what_a_dead_scheduler_took_and_did_not_start_waits_on(bench: Bench) -> None:
    taken, run = queue(bench.store, 2)
    assert bench.store.claim_next() == taken
    dead = replace(taken.status, pid=2**22 + 1)
    taken.write_status(dead)
    assert dead.phase == CLAIMED
    assert taken.state is RunState.INTERRUPTED
    bench.look()
    assert states([taken, run]) == "running queued"


def test_a_worker_whose_scheduler_died_before_it_knew_its_pid_is_seen(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, waiting = queue(bench.store, 2)
    monkeypatch.setattr(bench.scheduler.store, "hand_over", lambda *_: None)
    bench.look()
    assert run.status.phase == CLAIMED
    run.write_status(replace(run.status, pid=2**22 + 1))  # the scheduler is dead
    assert run.state is RunState.RUNNING
    with pytest.raises(ConfigError, match="is running"):
        bench.store.requeue(run)
    successor = Scheduler(bench.store.workspace)
    successor.look(bench.lock)
    assert states([run, waiting]) == "running queued"
    bench.processes[0].kill()
    bench.processes[0].wait()
    assert run.state is RunState.INTERRUPTED
    bench.scheduler = successor
    successor.recover()
    successor.look(bench.lock)
    assert states([run, waiting]) == "running queued"  # it never began: it is started again by itself
    assert len(bench.processes) == 2


def test_interrupted_runs_are_not_started_again_unasked(bench: Bench) -> None:
    run = make_run(bench.store, state=RunState.INTERRUPTED)
    assert bench.look()
    assert run.state is RunState.INTERRUPTED


def test_the_same_problem_is_said_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    queue(bench.store, 1)
    FullDisk(monkeypatch)
    for _ in range(3):
        bench.look()
    assert capsys.readouterr().out.count("The disk is full") == 1


def test_asked_to_leave_it_leaves_its_workers(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    (run,) = queue(bench.store, 1)

    def nap(_seconds: float) -> None:
        bench.scheduler.leaving = True

    monkeypatch.setattr(module.time, "sleep", nap)
    bench.scheduler.run()
    assert bench.processes[0].poll() is None
    assert run.state is RunState.RUNNING
    bench.lock.acquire(timeout=0)
    bench.lock.release()


def test_it_ends_when_its_workspace_is_removed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    queue(bench.store, 1)
    root = bench.store.workspace.root
    monkeypatch.setattr(module.time, "sleep", lambda _seconds: root.rename(root.with_name("elsewhere")))
    bench.scheduler.run()
    assert not root.exists()


def test_a_second_scheduler_leaves_at_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    (run,) = queue(bench.store, 1)
    monkeypatch.setattr(module, "LOCK_SECONDS", 0.01)
    with bench.lock.acquire(timeout=0):
        bench.scheduler.run()
    assert run.state is RunState.QUEUED
