"""Several processes that train one run together, as `accelerate launch` starts them; on this machine alone."""

from __future__ import annotations

import importlib
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from multiprocessing.pool import ThreadPool
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from segcore.launch.worker_jobs import training_command
from segcore.runs import Run
from segcore.status import OTHER_WORKER, RunState
from segcore.store import RunStore
from segcore.training import worker
from segcore.training.checkpoint import load_state
from segcore.training.group import Group, LeaderEnded
from segcore.training.journal import StopRequested
from tests.faults.lab import Lab
from tests.ray_cluster import wait_for
from tests.training import without_batch_norm
from tests.training.conftest import CPU

ROOT = Path(__file__).resolve().parents[2]
MEASURED = "mobilenetv3_small_050"
"""For which it was measured how far sums in another order lead apart."""


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def launch(module: str, run: Run, *arguments: str, processes: int = 2) -> subprocess.CompletedProcess[str]:
    options = [
        "--multi_gpu",
        "--num_processes",
        str(processes),
        "--num_machines",
        "1",
        "--main_process_port",
        str(free_port()),
    ]
    command = [sys.executable, "-m", "accelerate.commands.launch", *options, "--mixed_precision", "no"]
    return subprocess.run(
        [*command, "--dynamo_backend", "no", "-m", module, str(run.path), *arguments],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"},
        capture_output=True,
        text=True,
        timeout=240,
    )


def launch_forked(lab: Lab, module: str, run: Run, *arguments: str, processes: int = 2) -> list[int]:
    """Start as many as `launch` does, with the variables that it sets, from one that has imported torch."""
    port = free_port()

    def start(rank: int) -> int:
        return lab.call(_member, rank, processes, port, module, [str(run.path), *arguments])

    with ThreadPool(processes) as pool:
        return pool.map(start, range(processes))


def _member(rank: int, processes: int, port: int, module: str, arguments: list[str]) -> None:
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes}
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "GLOO_SOCKET_IFNAME": "lo"}
    os.environ.update({name: str(value) for name, value in {**place, **address}.items()})
    sys.exit(importlib.import_module(module).main(arguments))


def last_weights(run: Run) -> dict[str, torch.Tensor]:
    state, _ = load_state(run)
    assert state is not None
    weights: dict[str, torch.Tensor] = state["model"]
    return weights


def test_a_process_by_itself_needs_no_connection() -> None:
    group = Group(device=CPU)
    sums = torch.ones(3, requires_grad=True)
    assert group.leads and group.alone
    assert group.total(sums) is sums
    assert (group.any(True), group.any(False)) == (True, False)
    assert group.gather(5) == [5]
    assert group.told("word") == "word"
    assert group.reason() is None
    module = torch.nn.Linear(2, 2)
    assert group.wrap(module) is module


def test_where_the_leading_process_ends_the_others_do(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[object] = []

    def told(group: Group, value: object) -> object:
        if group.leads:
            said.append(value)
        return said[-1]

    monkeypatch.setattr(Group, "told", told)
    leading, other = Group(0, 2, CPU), Group(1, 2, CPU)
    assert leading.led(lambda: 5) == 5
    assert other.led(lambda: pytest.fail("it is not its work")) == 5

    def stop() -> None:
        raise StopRequested

    with pytest.raises(StopRequested):
        leading.led(stop)
    with pytest.raises(LeaderEnded, match="StopRequested"):
        other.led(stop)


@pytest.mark.slow  # starts processes that each import torch
def test_two_processes_take_the_steps_of_one(queue: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    # All 6 images in each batch: a last batch of 2 could not be shared, so that the steps would be others.
    one, two = (queue(study=study, encoder=MEASURED, batch_size=6, epochs=3) for study in ("one", "two"))
    with monkeypatch.context() as patch:
        patch.setattr(worker, "build", worker.build)  # given back afterwards
        assert without_batch_norm.main([str(one.path)]) == 0
    done = launch("tests.training.without_batch_norm", two)
    assert done.returncode == 0, done.stderr[-3000:]
    assert two.state is RunState.FINISHED
    assert two.provenance()["processes"] == 2

    weights = last_weights(two)
    for name, tensor in last_weights(one).items():
        # Measured: 8e-6 at most, where three steps moved them by 1e-3.
        torch.testing.assert_close(weights[name], tensor, rtol=0, atol=5e-5, msg=name)
    for mine, theirs in zip(one.epochs(), two.epochs(), strict=True):
        assert theirs.train_loss == pytest.approx(mine.train_loss, rel=1e-4)
        assert theirs.val_loss == pytest.approx(mine.val_loss, rel=1e-4)
    first, second = one.evaluation(), two.evaluation()
    assert first is not None and second is not None
    assert second.names == first.names
    assert np.array_equal(second.counts.sum(2), first.counts.sum(2)), "each image counts once, in its place"
    assert first.sizes is not None and second.sizes is not None
    assert np.array_equal(second.sizes[..., 0], first.sizes[..., 0])
    lines = {name: len((two.path / name).read_text().splitlines()) for name in ("metrics.jsonl", "steps.jsonl")}
    assert lines["metrics.jsonl"] == 3 and 1 <= lines["steps.jsonl"] <= 3, "one of them writes"
    assert done.stdout.count("epoch 1/3") == 1


@pytest.mark.slow  # one process imports torch, and others are forked from it
def test_with_batch_norm_a_stopped_run_goes_on_alone(
    queue: Callable[..., Run], store: RunStore, session_lab: Lab
) -> None:
    run = queue(epochs=3)
    run.request_stop()
    assert launch_forked(session_lab, "segcore.training.worker", run) == [0, 0]
    assert (run.state, run.status.message) == (RunState.STOPPED, "Stopped before its first step.")
    store.requeue(run)
    assert launch_forked(session_lab, "tests.training.without_batch_norm", run, "--stop") == [0, 0]
    assert run.state is RunState.STOPPED
    assert run.status.step >= 1
    store.requeue(run)
    assert worker.main([str(run.path)]) == 0
    assert any("1 from now on, 2 before" in note for note in run.provenance()["resumed"][0]["notes"])
    assert [record.epoch for record in run.epochs()] == [1, 2, 3]
    evaluation = run.evaluation()
    assert evaluation is not None
    assert evaluation.counts.sum(axis=(1, 2)).tolist() == [32 * 30] * 2


@pytest.mark.slow  # starts processes that each import torch
def test_when_one_fails_all_end_and_the_leading_one_says_why(queue: Callable[..., Run]) -> None:
    run = queue()
    done = launch("tests.training.without_batch_norm", run, "--fail-in", "1")
    assert done.returncode != 0
    assert run.state is RunState.FAILED
    assert "One of the 2 processes ended: ValueError: broken on purpose" in run.status.message


def start_several(run: Run) -> subprocess.Popen[str]:
    """Start what a job of a cluster carries out for a run on two GPUs; there are none here, so on the processor."""
    folder = str(Path(sys.executable).parent)
    return subprocess.Popen(
        ["sh", "-c", f"exec {training_command(run, 2)}"],
        cwd=ROOT,
        env={**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_one_process_needs_no_launcher(queue: Callable[..., Run]) -> None:
    run = queue()
    assert shlex.split(training_command(run)) == ["python", "-m", "segcore.training.worker", str(run.path)]


@pytest.mark.slow  # starts processes that each import torch
def test_the_command_of_a_job_does_what_accelerate_launch_does(queue: Callable[..., Run]) -> None:
    ours, theirs = queue(study="ours"), queue(study="theirs")
    started = start_several(ours)
    assert launch("segcore.training.worker", theirs).returncode == 0
    said, _ = started.communicate(timeout=240)
    assert started.returncode == 0, said
    for run in (ours, theirs):
        assert (run.state, run.provenance()["processes"], run.status.threads) == (RunState.FINISHED, 2, 1)
    for name, tensor in last_weights(theirs).items():
        assert torch.equal(last_weights(ours)[name], tensor), name


@pytest.mark.slow  # starts processes that each import torch
def test_it_ends_as_the_first_of_its_processes_did(queue: Callable[..., Run]) -> None:
    run = queue(epochs=1000)
    held = run.worker_lock()
    with held:
        refused = start_several(run)
        said, _ = refused.communicate(timeout=240)
        assert refused.returncode == OTHER_WORKER, said
    started = start_several(run)
    wait_for(lambda: run.status.step > 0, "its first step")
    psutil.Process(run.status.pid).kill()  # the leading one, which has no last word then
    said, _ = started.communicate(timeout=240)
    assert started.returncode == 128 + signal.SIGKILL, said
