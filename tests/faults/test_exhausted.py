"""No space and no memory: the run fails with what to do about it, keeps its last checkpoint, and goes on from there."""

from __future__ import annotations

import resource
from collections.abc import Callable

import pytest

from segcore.status import RunState
from segcore.store import RunStore
from segcore.workspace import HOME_VARIABLE
from tests.faults.conftest import Reference, SmallDisk
from tests.faults.lab import Lab, Life, check_files, check_interrupted, check_tidy, wait_for
from tests.faults.screen import check_said

pytestmark = pytest.mark.slow

MB = 1 << 20


def checkpoint_epoch(lab: Lab, store: RunStore) -> int:
    """The epoch of the only run's checkpoint, which must be sound."""
    (run,) = store.runs()
    return int(lab.saved_state(run)["epoch"])


def starve(lab: Lab, store: RunStore, how: Callable[[Life], None]) -> int:
    """Train for two epochs, starve the worker, and return its exit code."""
    (run,) = lab.queue(store)
    life = lab.start(run, slow_steps=0.2)  # starving it takes a moment, in which a fast machine would be done
    wait_for(lambda: run.status.epoch >= 2 or not life.alive)
    how(life)
    return life.end()


def recover(lab: Lab, store: RunStore, reference: Reference) -> None:
    """Resume the only run, and have it end as if nothing had been."""
    (run,) = store.runs()
    store.requeue(run)
    assert lab.start(run).end() == 0, run.log()
    assert lab.outcome(run) == reference.outcome
    check_tidy(store)


@pytest.mark.parametrize("room", ["for best weights only", "for no weights", "for nothing"])
def test_full_disk(
    lab: Lab, small_disk: SmallDisk, reference: Reference, monkeypatch: pytest.MonkeyPatch, room: str
) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(small_disk.path / "home"))
    store = lab.store(small_disk.path / "home")
    best = reference.run.best_weights.stat().st_size
    left = {"for best weights only": best + 3 * MB, "for no weights": best // 2, "for nothing": 0}[room]
    code = starve(lab, store, lambda _life: small_disk.fill(left))
    (run,) = store.runs()
    assert code != 0
    assert checkpoint_epoch(lab, store) >= 2, "the last good checkpoint is gone"
    check_files(run)
    if left:
        assert run.state is RunState.FAILED
        assert "disk is full" in run.status.message
        assert "Free some space" in f"{run.status.message} {run.status.hint}"
    else:
        # Not even the last word could be written; then whoever reads sees that the process is gone.
        assert run.state in (RunState.FAILED, RunState.INTERRUPTED)
    check_tidy(store)
    small_disk.free()
    if room == "for no weights":
        check_said(run)  # going on is tried with the other two
    else:
        recover(lab, store, reference)


def test_file_size_limit(lab: Lab, store: RunStore, reference: Reference) -> None:
    """As a quota would, but it needs no privilege: files of more than 1 MB cannot be written any more."""

    def limit(life: Life) -> None:
        resource.prlimit(life.pid, resource.RLIMIT_FSIZE, (MB, resource.RLIM_INFINITY))

    assert starve(lab, store, limit) == 1
    (run,) = store.runs()
    assert run.state is RunState.FAILED
    assert "could not be written" in run.status.message.lower() or "could not write" in run.status.message.lower()
    assert str(store.workspace.root) in run.status.message, "it does not say which file"
    assert checkpoint_epoch(lab, store) >= 2
    check_files(run)
    check_tidy(store)
    recover(lab, store, reference)


def test_too_large_for_memory(lab: Lab, store: RunStore) -> None:
    """The first batch does not fit: it says so, and what would fit better."""
    (run,) = lab.queue(store, image_size=512, batch_size=8)
    life = lab.start(run, memory=400 * MB)
    assert life.end() == 1, run.log()
    status = run.status
    assert status.state is RunState.FAILED
    assert "memory" in status.message, status.message
    assert "batch size" in status.hint
    assert run.epochs() == []
    check_files(run)
    check_said(run)
    check_tidy(store)


def test_memory_taken_away(lab: Lab, store: RunStore, reference: Reference) -> None:
    """While it trains, nothing can be allocated any more: whatever breaks first, no harm is done."""

    def limit(life: Life) -> None:
        resource.prlimit(life.pid, resource.RLIMIT_AS, (MB, resource.RLIM_INFINITY))

    assert starve(lab, store, limit) != 0
    (run,) = store.runs()
    assert run.state in (RunState.FAILED, RunState.INTERRUPTED)
    if run.state is RunState.FAILED:
        assert "memory" in f"{run.status.message} {run.status.hint}", run.status.message
    else:
        check_interrupted(run)
    assert checkpoint_epoch(lab, store) >= 1
    check_files(run)
    recover(lab, store, reference)
