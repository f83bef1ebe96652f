"""Several who launch and stop at once, and one who is killed while launching: every run there, once, trained once."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from segcore.launch.local import ensure_scheduler
from segcore.runs import Run
from segcore.status import RunState
from segcore.store import RunStore
from segcore.workspace import Workspace
from tests.faults import inject
from tests.faults.lab import ROOT, Lab, check_files, check_interrupted, check_tidy
from tests.faults.queueing import Queue, check_log, wait_for_all

pytestmark = pytest.mark.slow

SEED = 22


def test_two_apps_and_a_command_line(lab: Lab, store: RunStore, queue: Queue, tmp_path: Path) -> None:
    crowd = [("app", SEED), ("app", SEED + 1), ("command", SEED + 2)]
    people = []
    for kind, seed in crowd:
        with open(tmp_path / f"{seed}.log", "wb") as log:
            command = [sys.executable, "-m", "tests.faults.crowd", kind, str(seed), str(tmp_path / f"{seed}.json")]
            people.append(subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT))
    for person, (kind, seed) in zip(people, crowd, strict=True):
        assert person.wait(timeout=120) == 0, (tmp_path / f"{seed}.log").read_text()
        print(f"{kind}, seed {seed}:\n{(tmp_path / f'{seed}.log').read_text()}")
    new = [run for _, seed in crowd for run in json.loads((tmp_path / f"{seed}.json").read_text())]
    runs = store.runs()
    assert sorted(new) == sorted(f"{run.study_name}/{run.name}" for run in runs), "each run is new to one, once"
    assert len(runs) >= 4

    store.set_queue(paused=False, slots=1)
    ensure_scheduler(store.workspace)
    wait_for_all(store)
    assert {run.state for run in runs} <= {RunState.FINISHED, RunState.STOPPED}, [str(run.state) for run in runs]
    for run in runs:
        if run.state is RunState.STOPPED:
            store.requeue(run)
    ensure_scheduler(store.workspace)
    wait_for_all(store)
    queue.check_each_once(runs, slots=2)
    check_log(store)


def launch(root: str, plan: dict[str, Any]) -> None:
    """Queue two runs, prepared for a fault; nothing is started."""
    if plan:
        inject.arm({"root": root, **plan})
    queue_two(RunStore(Workspace(root)))


def queue_two(store: RunStore) -> list[Run]:
    return Lab.queue(store, seeds=(0, 1), epochs=1)


def test_killed_while_launching(lab: Lab, tmp_path: Path) -> None:
    """Whoever launches is killed before any of the files is written: what is there is whole, and a second launch
    makes the rest."""
    store = lab.store(tmp_path / "undisturbed")
    assert lab.call(launch, str(store.workspace.root), {"record": str(tmp_path / "trace")}) == 0
    names = [run.name for run in store.runs()]
    trace = [tuple(json.loads(line)) for line in (tmp_path / "trace").read_text().splitlines()]
    places = [(kind, name, trace[: index + 1].count((kind, name))) for index, (kind, name) in enumerate(trace)]
    kills = 0
    for number, (kind, name, nth) in enumerate(random.Random(SEED).sample(places, min(12, len(places)))):
        store = lab.store(tmp_path / f"home{number}")
        plan = {"kill_at": {"kind": kind, "name": name, "nth": nth}}
        code = lab.call(launch, str(store.workspace.root), plan)
        kills += code == -signal.SIGKILL
        print(f"seed {SEED}: killed before {kind} of {name} ({nth}): exit {code}, {len(store.runs())} runs there")
        for run in store.runs():
            assert run.state is RunState.QUEUED
            check_files(run)
        queue_two(store)
        assert [run.name for run in store.runs()] == names
        assert all(run.state is RunState.QUEUED and run.config.recipe.epochs for run in store.runs())
        assert store.study("s").split.val
        assert store.unreadable_studies() == []
    assert kills >= 8


def test_killed_while_launching_leaves_no_litter(lab: Lab, tmp_path: Path) -> None:
    """Half-written files of a launch that was killed are gone once the run has been trained."""
    store = lab.store(tmp_path / "home")
    name = "studies/s/study.json"
    assert lab.call(launch, str(store.workspace.root), {"kill_at": {"kind": "rename", "name": name}}) == -signal.SIGKILL
    runs = queue_two(store)
    assert lab.start(runs[0]).end() == 0
    check_tidy(store)


def test_a_claimed_run_whose_scheduler_died_at_once(lab: Lab, store: RunStore, queue: Queue) -> None:
    """Taken from the queue, and nothing else: the next scheduler trains it, or a person sees it interrupted."""
    (run,) = lab.queue(store)
    assert lab.call(claim, str(store.workspace.root)) == 0
    if run.state is not RunState.QUEUED:
        check_interrupted(run)
    ensure_scheduler(store.workspace)
    wait_for_all(store)
    if run.state is RunState.INTERRUPTED:
        store.requeue(run)
        ensure_scheduler(store.workspace)
        wait_for_all(store)
    queue.check_each_once([run])


def claim(root: str) -> None:
    """Take the next run out of the queue, and end."""
    assert RunStore(Workspace(root)).claim_next() is not None
