"""The fault campaign: real processes, killed, starved and misled. All of it is slow, as each test starts several."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from segcore.runs import Run
from segcore.status import RunState
from segcore.store import RunStore
from segcore.workspace import HOME_VARIABLE
from tests.faults.lab import Lab, Outcome, check_tidy
from tests.faults.queueing import Queue, processes


@dataclass(frozen=True)
class Reference:
    """A run of the campaign's recipe that nothing disturbed."""

    run: Run
    outcome: Outcome
    trace: list[tuple[str, str]]
    """Kind and name of each file operation of its worker, in order."""


class SmallDisk:
    """A file system of its own, small enough to be filled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fill(self, left: int) -> None:
        """Take all space but `left` bytes."""
        taken = shutil.disk_usage(self.path).free - left
        with open(self.path / "ballast", "wb") as file:
            os.posix_fallocate(file.fileno(), 0, taken)

    def free(self) -> None:
        """Give it back."""
        (self.path / "ballast").unlink()


@pytest.fixture(scope="session", autouse=True)
def linux_only() -> None:
    if sys.platform != "linux":
        pytest.skip("the faults are made with what Linux has: /proc, limits set from outside, mounted disks")


@pytest.fixture
def lab(session_lab: Lab) -> Iterator[Lab]:
    """Starts workers; those that a failed test leaves are killed."""
    yield session_lab
    session_lab.clear()


@pytest.fixture
def store(session_lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunStore:
    """The store of a new workspace with the campaign's dataset; `Workspace()` finds it."""
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("SEGCORE_WEIGHTS", raising=False)
    return session_lab.store(tmp_path / "home")


@pytest.fixture(scope="session")
def reference(session_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """What every disturbed run must end as."""
    folder = tmp_path_factory.mktemp("reference")
    store = session_lab.store(folder / "home")
    (run,) = session_lab.queue(store)
    life = session_lab.start(run, record=str(folder / "trace"))
    assert life.end() == 0, run.log()
    assert run.state is RunState.FINISHED
    check_tidy(store)
    trace = [tuple(json.loads(line)) for line in (folder / "trace").read_text().splitlines()]
    prefix = f"studies/{run.study_name}/{run.name}/"
    return Reference(run, session_lab.outcome(run), [(kind, name.removeprefix(prefix)) for kind, name in trace])


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """256 MB in memory; skipped where this process may not mount (then the file-size limit stands in)."""
    path = tmp_path / "disk"
    path.mkdir()
    if shutil.which("mount") is None:
        pytest.skip("no mount command to make a small disk with")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256m", "tmpfs", str(path)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"may not mount a small disk: {mounted.stderr.strip()}")
    yield SmallDisk(path)
    subprocess.run(["umount", "--lazy", str(path)], check=True)


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Queue:
    """From now on the workers that schedulers start are stand-ins."""
    return Queue(tmp_path, monkeypatch)


@pytest.fixture(autouse=True)
def nothing_left_running() -> Iterator[None]:
    """End what a failed test leaves: schedulers and workers outlive whoever started them."""
    yield
    for process in processes("segcore.launch.local", "segcore.training.worker"):
        with suppress(psutil.Error):
            process.kill()
