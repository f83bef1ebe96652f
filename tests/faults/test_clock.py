"""A clock that somebody sets while runs train: no run dies of it, none is taken for dead, no time is absurd."""

from __future__ import annotations

import math
import time

import psutil
import pytest

from segcore.status import RunState
from segcore.store import RunStore
from tests.faults.conftest import Reference
from tests.faults.lab import LIMIT, Lab, check_tidy, wait_for

pytestmark = pytest.mark.slow

HOUR, DAY = 3600.0, 86_400.0


@pytest.mark.parametrize("jump", [DAY, -DAY], ids=["forwards", "backwards"])
def test_a_clock_that_jumps_under_the_worker(lab: Lab, store: RunStore, reference: Reference, jump: float) -> None:
    (run,) = lab.queue(store)
    life = lab.start(run, jumping_clock=[(40, jump)])
    etas: set[float] = set()
    while life.alive:
        status = run.status
        assert status.state in (RunState.QUEUED, RunState.RUNNING, RunState.FINISHED), "a live worker's run"
        if status.eta is not None:
            etas.add(status.eta)
        time.sleep(0.02)
    assert life.end() == 0, run.log()
    assert lab.outcome(run) == reference.outcome
    assert 0 < run.status.seconds < LIMIT, "its training time is not what it took"
    assert all(0 <= eta < LIMIT for eta in etas), f"seconds to go: {sorted(etas)}"
    for record in run.epochs():
        assert 0 < record.seconds < LIMIT
        assert 0 < record.images_per_second < math.inf
    check_tidy(store)


def test_a_live_run_stays_alive_when_the_clock_is_set(
    lab: Lab, store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Setting the clock moves the time of boot that the system tells, and with it the start of every process."""
    (run,) = lab.queue(store, epochs=200)
    life = lab.start(run, slow_steps=0.1)
    wait_for(lambda: run.status.epoch >= 1 or not life.alive)
    true_time, platform = time.time, psutil._psplatform
    true_boot = platform.boot_time
    for shift in (HOUR, -HOUR):
        with monkeypatch.context() as patch:
            patch.setattr(time, "time", lambda: true_time() + shift)  # noqa: B023 (called in this round)
            patch.setattr(platform, "boot_time", lambda: true_boot() + shift)  # noqa: B023
            assert run.state is RunState.RUNNING, "a run that trains is shown as dead"
    store.stop(run)
    assert life.end() == 0
    assert run.state is RunState.STOPPED


def test_a_stop_is_obeyed_after_the_clock_went_back(lab: Lab, store: RunStore) -> None:
    (run,) = lab.queue(store, epochs=200)
    life = lab.start(run, jumping_clock=[(30, -DAY)])
    wait_for(lambda: run.status.epoch >= 2 or not life.alive)
    store.stop(run)
    assert life.end() == 0
    assert run.state is RunState.STOPPED
    assert run.status.epoch < 200
