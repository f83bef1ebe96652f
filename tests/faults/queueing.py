"""For tests of the queue alone: a scheduler whose workers are stand-ins that take less than a second."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest

from segcore.launch.local import scheduler_alive
from segcore.launch.processes import scheduler_log
from segcore.runs import Run
from segcore.status import RunState
from segcore.store import RunStore
from tests.faults.lab import ROOT, check_tidy, wait_for

HOOKS = Path(__file__).parent / "hooks"
STAND_IN = Path(__file__).parent / "standin_worker.py"


class Queue:
    """Faults for the processes that are started from now on, and the journal of the stand-ins."""

    def __init__(self, scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.journal = scratch / "journal"
        self.journal.touch()
        self._patch = monkeypatch
        path = os.pathsep.join(filter(None, [str(HOOKS), str(ROOT), os.environ.get("PYTHONPATH")]))
        monkeypatch.setenv("PYTHONPATH", path)
        monkeypatch.setenv("SEGCORE_TEST_JOURNAL", str(self.journal))
        self.plan()

    def plan(self, **scheduler: Any) -> None:
        """Prepare schedulers that are started from now on for a fault (see `inject.arm`); none ends that."""
        plans: list[dict[str, Any]] = [
            {"module": "segcore.training.worker", "root": str(ROOT), "stand_in": str(STAND_IN)}
        ]
        if scheduler:
            plans.append({"module": "segcore.launch.local", **scheduler})
        self._patch.setenv("SEGCORE_TEST_FAULTS", json.dumps(plans))

    def lives(self) -> dict[str, list[tuple[float, float, str]]]:
        """By run: (begin, end, how) of each life; of one that was killed the end is not known, hence its begin."""
        found: dict[str, dict[int, tuple[float, float, str]]] = defaultdict(dict)
        for line in self.journal.read_text().splitlines():
            run, pid, event, now = json.loads(line)
            found[run][pid] = (now, now, "killed") if event == "begin" else (found[run][pid][0], now, event)
        return {run: sorted(lives.values()) for run, lives in found.items()}

    def check_each_once(self, runs: Iterable[Run], slots: int = 1) -> None:
        """Every run finished, once, never twice at the same time, and never more at once than there are slots."""
        lives = self.lives()
        for run in runs:
            assert run.state is RunState.FINISHED
            own = lives[f"{run.study_name}/{run.name}"]
            assert [how for _, _, how in own].count("finished") == 1, f"{run}: {own}"
            assert all(before[1] <= after[0] for before, after in pairwise(own)), f"{run}: {own}"
        changes = [change for own in lives.values() for b, e, _ in own for change in ((b, 1), (e, -1))]
        count = 0
        for _, change in sorted(changes):
            count += change
            assert count <= slots, "more at once than there are slots"


def processes(*modules: str) -> list[psutil.Process]:
    """The processes below this one that run one of these modules."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it has ended
            if set(modules) & set(process.cmdline()):
                found.append(process)
    return found


def scheduler_pid(store: RunStore) -> int:
    """The pid of the workspace's scheduler, which this process has started."""
    (process,) = [one for one in processes("segcore.launch.local") if str(store.workspace.root) in one.cmdline()]
    return process.pid


def wait_for_all(store: RunStore) -> None:
    """Wait until nothing waits or trains, and the scheduler has left."""
    wait_for(lambda: not store.active(), "the queue to become empty")
    wait_for(lambda: not scheduler_alive(store.workspace), "the scheduler to leave")


def check_log(store: RunStore) -> None:
    """The scheduler met nothing that it was not made for, and no half-written file is left."""
    log = scheduler_log(store.workspace)
    text = log.read_text() if log.exists() else ""
    assert "Traceback" not in text, text
    check_tidy(store)
