"""Races in which the worker or the scheduler is killed: none waits for ever, and no contender is stopped by halves."""

from __future__ import annotations

import os
import random
import signal

import pytest

from segcore.evaluation import racing
from segcore.launch.local import ensure_scheduler, scheduler_alive
from segcore.launch.processes import scheduler_log
from segcore.launch.race import settle_races
from segcore.runs import Run, Study
from segcore.status import RunState
from segcore.store import RunStore
from tests.factories import RACE_SKILLS, make_race
from tests.faults.lab import Lab, Outcome, check_files, resume, wait_for
from tests.faults.queueing import Queue, check_log, wait_for_all
from tests.faults.test_scheduler import ensure_scheduler_or_its_end

pytestmark = pytest.mark.slow

SEED = 22
RACED = 6
"""Epochs, of which the first rung is the second."""


def whole(lab: Lab, store: RunStore) -> Outcome:
    """What a run of as many epochs comes to that never waited."""
    (run,) = lab.queue(store, study="whole", epochs=RACED)
    assert lab.start(run).end() == 0, run.log()
    return lab.outcome(run)


def test_killed_while_it_hands_itself_back(lab: Lab, store: RunStore) -> None:
    """Before each step of writing that it waits: it is found at its rung, or takes itself there again."""
    expected = whole(lab, store)
    trace = store.workspace.root.parent / "trace"
    (run, *_) = lab.queue(store, study="traced", seeds=(0, 1), racing=True, epochs=RACED)
    assert lab.start(run, record=str(trace)).end() == 0
    assert run.status.standing
    writes = trace.read_text().count('"rename", "studies/traced/' + run.name + '/status.json"')
    for kind, back in (("open", 0), ("rename", 0), ("rename", 1)):
        (run, other) = lab.queue(store, study=f"s-{kind}-{back}", seeds=(0, 1), racing=True, epochs=RACED)
        name = f"studies/{run.study_name}/{run.name}/status.json" + ("~" if kind == "open" else "")
        # How often the status is written in between depends on the time: the last ones come at the latest.
        seen = {"kind": kind, "name": name, "nth": writes - back}
        code = lab.start(run, kill_at=seen).end()
        assert code in (0, -signal.SIGKILL), run.log()
        assert not (run.state is RunState.QUEUED and not run.status.standing)
        print(f"killed before {kind} {writes - back} of {name}: exit {code}, {run.state}, epoch {run.status.epoch}")
        check_files(run)
        if code:
            store.killed(run, signal.SIGKILL)  # as the scheduler does, which finds it interrupted
            if not run.status.standing:
                assert lab.start(run).end() == 0
        assert run.status.standing
        assert len(run.epochs()) == 2
        assert lab.start(other).end() == 0
        settle_races(store, print)
        assert run.status.rung is None
        assert lab.start(run).end() == 0
        assert lab.outcome(run) == expected


def test_a_race_in_which_a_worker_is_killed(lab: Lab, store: RunStore) -> None:
    """With the real scheduler: it goes on by itself, and the others wait for it."""
    expected = whole(lab, store)
    runs = lab.queue(store, seeds=(0, 1), racing=True, epochs=RACED)
    ensure_scheduler(store.workspace)
    wait_for(lambda: runs[0].status.phase == "training")
    pid = runs[0].status.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_for_all(store)
    assert [run.state for run in runs] == [RunState.FINISHED] * 2, [run.status for run in runs]
    assert runs[0].status.restarts <= 1
    for run in runs:
        check_files(run)
    assert lab.outcome(runs[0]) == expected
    check_log(store)
    log = scheduler_log(store.workspace).read_text()
    assert log.count("starting s/") == 5, log  # twice each, and once for the kill
    assert len(Study(runs[0].path.parent).race()) == 1


def test_scheduler_killed_while_it_carries_out_a_decision(lab: Lab, store: RunStore, queue: Queue) -> None:
    """Before the decision is written, in between, and when all but two runs know."""
    chance = random.Random(SEED)
    for number, last in enumerate((0, chance.randrange(1, 5), 8)):
        runs = make_race(store, name=f"race{number}", epochs=RACED)
        study = Study(runs[0].path.parent)
        files = [study.path / "race.json", *(run.path / "status.json" for run in runs)]
        target = files[last].relative_to(store.workspace.root).as_posix()
        queue.plan(root=str(store.workspace.root), kill_at={"kind": "rename", "name": target})
        ensure_scheduler_or_its_end(store)
        wait_for(lambda: not scheduler_alive(store.workspace))
        states = [str(run.state) for run in runs]
        print(f"seed {SEED}: killed before the rename of {target}: {states}")
        assert RunState.FINISHED not in states
        decided = study.race()
        assert len(decided) == (last > 0)
        queue.plan()
        ensure_scheduler(store.workspace)
        wait_for_all(store)
        check_race(runs)
        assert study.race()[:1] == decided or not decided
        check_log(store)


def check_race(runs: list[Run]) -> None:
    """The one that is far behind has stopped, all of it, with the same words; all others are finished."""
    behind = min(RACE_SKILLS, key=lambda name: RACE_SKILLS[name])
    out = [run for run in runs if run.config.encoder == behind]
    assert [run.state for run in out] == [RunState.STOPPED] * len(out)
    assert len({run.status.message for run in out}) == 1
    assert all(run.state is RunState.FINISHED for run in runs if run not in out)
    (told,) = racing.outcome(Study(runs[0].path.parent))
    assert told.runs == tuple(sorted(run.name for run in out))


def test_what_was_stopped_goes_on_when_it_is_resumed(lab: Lab, store: RunStore, queue: Queue) -> None:
    runs = make_race(store, epochs=RACED)
    ensure_scheduler(store.workspace)
    wait_for_all(store)
    check_race(runs)
    for run in runs:
        if run.state is RunState.STOPPED:
            resume(store, run)
    ensure_scheduler(store.workspace)
    wait_for_all(store)
    queue.check_each_once(runs)
    assert racing.outcome(Study(runs[0].path.parent)) == []
