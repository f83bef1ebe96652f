"""Where faults are tried: runs of a tiny network in workers that start fast, and what must hold whatever happens.

A worker takes seconds to import torch. `Lab` starts one process that has done so and forks every worker from it:
real processes with real process ids that real signals kill, only born faster.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from segcore.config import Recipe, StudyConfig
from segcore.errors import WorkspaceError
from segcore.runs import Run
from segcore.status import RunState
from segcore.store import RunStore
from segcore.workspace import Workspace
from tests.factories import add_dataset
from tests.faults import inject

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 90.0
"""Seconds after which a wait is given up; many times what it takes."""
ENCODER = "test_efficientnet"
"""The smallest that timm has, made for tests."""
SIZE = 32
"""Pixels, as small as the network allows."""
EPOCHS = 4
STEPS = 4
"""Of each epoch."""
TIMES = ("seconds", "images_per_second")
"""Fields of records that differ from life to life."""


def recipe(**changes: Any) -> Recipe:
    """The campaign's recipe: 4 epochs of 4 steps, precision settled beforehand so that nothing is measured."""
    return Recipe(
        **{
            "epochs": EPOCHS,
            "image_size": SIZE,
            "batch_size": 2,
            "precision": "fp32",
            "memory_format": "contiguous",
            **changes,
        }
    )


def wait_for(condition: Callable[[], bool], what: str = "it") -> None:
    """Wait until `condition` holds."""
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, f"waited too long for {what}"
        time.sleep(0.005)


def environment(changes: Mapping[str, str] | None = None) -> dict[str, str]:
    """Variables for processes started from the repository's root."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1", **(changes or {})}


def wait_for_epoch(run: Run, epoch: int) -> None:
    """Wait until a run has done so many epochs; it must not end before in any other way."""
    wait_for(lambda: run.status.epoch >= epoch or not run.state.active, f"epoch {epoch} of {run.name}")
    assert run.status.epoch >= epoch, f"{run.status} {run.log()}"


# Processes -----------------------------------------------------------------------------------------


def _live(run: str, log: str, plan: dict[str, Any]) -> None:
    """Be a worker, as `python -m segcore.training.worker RUN_DIR` is."""
    os.setsid()
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(file, 1)
    os.dup2(file, 2)
    if plan:
        inject.arm(plan)
    from segcore.training import worker

    sys.exit(worker.main([run]))


def _tell_state(run: str, answer: str) -> None:
    import torch

    from segcore.training.checkpoint import CHECKPOINT

    path = Run(run).last_directory / CHECKPOINT
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None, "its checksums are wrong"
    state = torch.load(path, map_location="cpu", weights_only=True)
    Path(answer).write_text(json.dumps({key: _digest(value) for key, value in state.items()}))


def _digest(value: Any) -> Any:
    """Numbers as they are, anything larger by a hash of all its bytes."""
    import torch

    if value is None or isinstance(value, (bool, int, float, str)):
        return value

    def feed(part: Any) -> None:
        if isinstance(part, torch.Tensor):
            digest.update(f"{part.dtype}{tuple(part.shape)}".encode())
            digest.update(part.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        elif isinstance(part, dict):
            for key in sorted(part, key=str):
                digest.update(str(key).encode())
                feed(part[key])
        elif isinstance(part, (list, tuple)):
            for item in part:
                feed(item)
        else:
            digest.update(repr(part).encode())

    digest = hashlib.sha256()
    feed(value)
    return digest.hexdigest()


@dataclass
class Life:
    """A worker process."""

    process: BaseProcess

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.is_alive()

    def end(self) -> int:
        """Wait for its end; return its exit code, or minus the signal that killed it."""
        self.process.join(LIMIT)
        if self.process.exitcode is None:
            self.process.kill()
            raise AssertionError(f"worker {self.pid} did not end within {LIMIT:.0f} s")
        return self.process.exitcode

    def kill(self) -> int:
        """Kill it now, and wait until it is gone."""
        self.process.kill()
        return self.end()

    def terminate(self, after: float = 0.0) -> int:
        """Send SIGTERM, and wait until it is gone. With `after`, the process stands still for so many seconds before,
        as under a closed lid, so that it finds the signal in the middle of what it was doing."""
        if after:
            os.kill(self.pid, signal.SIGSTOP)
            time.sleep(after)
        os.kill(self.pid, signal.SIGTERM)
        os.kill(self.pid, signal.SIGCONT)
        return self.end()


class Lab:
    """Makes workspaces and starts workers."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self.context: ForkServerContext = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["tests.faults.warm"])
        self.lives: list[Life] = []
        self._starting = threading.Lock()

    def store(self, root: Path) -> RunStore:
        """Make a workspace at `root` with the campaign's dataset of 8 training and 4 validation images."""
        workspace = Workspace(root)
        workspace.ensure_writable()
        add_dataset(workspace, self.scratch / "source", scenes=6)
        return RunStore(workspace)

    @staticmethod
    def queue(
        store: RunStore, study: str = "s", seeds: Iterable[int] = (0,), *, racing: bool = False, **changes: Any
    ) -> list[Run]:
        """Queue runs of the campaign's recipe; nothing is started."""
        from segcore.data.store import DatasetStore

        dataset = DatasetStore(store.workspace).get("tiny")
        assert dataset.split is not None
        config = StudyConfig(
            name=study,
            dataset="tiny",
            encoders=(ENCODER,),
            weights="none",
            seeds=tuple(seeds),
            racing=racing,
            recipe=recipe(**changes),
        )
        return store.create_study(config, dataset.config, dataset.fingerprint, dataset.split)

    def start(self, run: Run, *, log: Path | None = None, **plan: Any) -> Life:
        """Start a worker on a run, prepared for the fault that `plan` describes (see `inject.arm`)."""
        if plan:
            plan["root"] = str(run.path.parents[2])
        return self._start(_live, str(run.path), str(log or run.log_path), plan)

    def call(self, function: Callable[..., None], *arguments: Any) -> int:
        """Run a function in a process of its own and return its exit code."""
        return self._start(function, *arguments).end()

    def _start(self, function: Callable[..., None], *arguments: Any) -> Life:
        life = Life(self.context.Process(target=function, args=arguments))
        with self._starting, pytest.MonkeyPatch.context() as patch:
            # A new process imports what is __main__ here, which is no business of a worker's (nor is it pytest
            # any more, once a page was tested).
            patch.setitem(sys.modules, "__main__", ModuleType("__main__"))
            life.process.start()
        self.lives.append(life)
        return life

    def saved_state(self, run: Run) -> dict[str, Any]:
        """What the last checkpoint holds: plain values, and a hash in place of each collection of tensors."""
        answer = self.scratch / f"{run.study_name}-{threading.get_ident()}.json"
        assert self.call(_tell_state, str(run.path), str(answer)) == 0, "the checkpoint cannot be read"
        parts: dict[str, Any] = json.loads(answer.read_text())
        return parts

    def outcome(self, run: Run) -> Outcome:
        """All that a run leaves, in a form that can be compared."""
        records = [{key: value for key, value in asdict(record).items() if key not in TIMES} for record in run.epochs()]
        evaluation = run.evaluation()
        state = self.saved_state(run)
        return Outcome(
            records=json.dumps(records),
            best=hashlib.sha256(run.best_weights.read_bytes()).hexdigest(),
            counts=None if evaluation is None else hashlib.sha256(evaluation.counts.tobytes()).hexdigest(),
            previews={
                file.name: hashlib.sha256(file.read_bytes()).hexdigest()
                for files in run.previews().values()
                for file in files
            },
            state={key: state.get(key) for key in ("model", "optimizer", "schedule", "epoch", "step", "best_miou")},
        )

    def clear(self) -> None:
        """Kill what a failed test left."""
        for life in self.lives:
            if life.alive:
                life.kill()
        self.lives.clear()


@dataclass(frozen=True)
class Outcome:
    """What a finished run is compared by, bit for bit; times are left out."""

    records: str
    best: str
    counts: str | None
    previews: dict[str, str] = field(hash=False)
    state: dict[str, Any] = field(hash=False)


# What must hold ------------------------------------------------------------------------------------


def check_files(run: Run) -> None:
    """Everything the run shows can be read, and no two of its files contradict each other."""
    status = run.status
    for file in run.path.glob("*.json"):
        assert isinstance(json.loads(file.read_text()), dict), f"{file.name} is half-written"
    records = run.epochs()
    assert [record.epoch for record in records] == list(range(1, len(records) + 1)), "an epoch is missing"
    assert len(records) >= status.epoch, "the status counts epochs that were not recorded"
    if any(record.best for record in records):
        assert run.best_weights.is_file()
        evaluation = run.evaluation()
        assert evaluation is not None
        assert evaluation.epoch <= len(records) + 1


def check_interrupted(run: Run) -> None:
    """The state says that the process is gone, what that means and what to do."""
    status = run.status
    assert status.state is RunState.INTERRUPTED, f"{run.log()}\n{status}"
    assert status.eta is None
    assert status.message
    assert "Resume" in status.hint


def leftovers(root: Path) -> list[str]:
    """Names of half-written files and directories anywhere in a workspace."""
    return sorted(
        path.relative_to(root).as_posix()
        for path in root.rglob(".*")
        if path.name.endswith(".tmp") or "-building-" in path.name
    )


def check_tidy(store: RunStore) -> None:
    """All studies can be read, and nothing half-written is left."""
    assert store.unreadable_studies() == []
    left = leftovers(store.workspace.root)
    assert not left, f"half-written files are left: {left}"


def resume(store: RunStore, run: Run) -> None:
    """Put a run back into the queue as a click on Resume does; one that never began waits there already."""
    if run.state is not RunState.QUEUED:
        store.requeue(run)


def readable(run: Run) -> bool:
    """Whether the run's status can be read at this moment."""
    try:
        return bool(run.status)
    except WorkspaceError:
        return False
