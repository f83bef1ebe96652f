"""Files that go bad on the disk: bytes that flip, ends that are lost. What can be made again is; the rest is named."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from segcore.runs import Run
from segcore.status import RunState
from segcore.store import RunStore
from tests.faults.conftest import Reference
from tests.faults.lab import Lab, check_files, check_tidy, wait_for
from tests.faults.screen import check_said

pytestmark = pytest.mark.slow


def flip(file: Path, *places: float, length: int = 64) -> None:
    """Invert `length` bytes at each of `places`, shares of the file's size."""
    data = bytearray(file.read_bytes())
    for place in places:
        start = int(place * (len(data) - length))
        data[start : start + length] = bytes(255 - byte for byte in data[start : start + length])
    file.write_bytes(data)


def flip_middle(file: Path) -> None:
    flip(file, 0.5)


def flip_end(file: Path) -> None:
    flip(file, 1.0)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def train_on(lab: Lab, run: Run, epochs: int = 0) -> None:
    """Have a worker train until so many epochs are done, or it has just begun, and kill it."""
    before = run.status.heartbeat
    life = lab.start(run)

    def far_enough() -> bool:
        status = run.status
        return status.heartbeat != before and status.phase == "training" and status.epoch >= epochs

    wait_for(lambda: not life.alive or far_enough(), "it to train")
    life.kill()
    assert run.state is RunState.INTERRUPTED, f"{run.status.message} {run.log()}"


def test_a_prepared_cache_that_rots_is_made_again(lab: Lab, store: RunStore, reference: Reference) -> None:
    """Each of its files in turn, between the lives of one run, which must not learn from a single wrong pixel."""
    (run,) = lab.queue(store)
    train_on(lab, run, epochs=1)
    (cache,) = (store.workspace.datasets / "tiny" / "prepared").iterdir()
    sound = {file.name: file.read_bytes() for file in cache.iterdir()}
    for name in sorted(sound):
        # Near both ends and in the middle; index.json is small, so one place is enough to make it no JSON.
        flip(cache / name, *((0.5,) if name.endswith(".json") else (0.3, 0.6, 1.0)), length=16)
        store.requeue(run)
        said = len(run.log())
        train_on(lab, run)
        assert {file.name: file.read_bytes() for file in cache.iterdir()} == sound, f"{name} stayed damaged"
        assert re.search("damag|again|rebuil", run.log()[said:]), f"the log does not say that {name} was made again"
        check_files(run)
    store.requeue(run)
    assert lab.start(run).end() == 0, run.log()
    assert lab.outcome(run) == reference.outcome
    check_tidy(store)


def test_a_damaged_checkpoint_costs_little(lab: Lab, store: RunStore, reference: Reference, tmp_path: Path) -> None:
    """The run goes on from the one before, says so, and ends as if nothing had been."""
    (run,) = lab.queue(store)
    train_on(lab, run, epochs=2)
    kept = shutil.copytree(run.last_directory, tmp_path / "kept")
    for damage in (flip_middle, flip_end, cut, empty):
        shutil.rmtree(run.last_directory)
        shutil.copytree(kept, run.last_directory)
        damage(max(run.last_directory.glob("*.pt"), key=lambda file: file.stat().st_mtime_ns))
        store.requeue(run)
        said, lives = len(run.log()), len(run.provenance().get("resumed", []))
        train_on(lab, run)
        assert "damaged" in run.log()[said:], damage.__name__
        assert "damaged" in str(run.provenance()["resumed"][lives:]), f"{damage.__name__}: not in provenance"
        check_files(run)
    store.requeue(run)
    assert lab.start(run).end() == 0, run.status.message
    assert lab.outcome(run) == reference.outcome
    check_tidy(store)


def test_no_sound_checkpoint_left(lab: Lab, store: RunStore) -> None:
    """Nothing to go on from: the run fails, says why and what to do, and what it has recorded stays."""
    (run,) = lab.queue(store)
    train_on(lab, run, epochs=2)
    recorded = run.epochs()
    for file in run.last_directory.glob("*.pt"):
        flip_middle(file)
    store.requeue(run)
    assert lab.start(run).end() == 1
    assert run.state is RunState.FAILED
    assert "damaged" in run.status.message
    assert run.epochs() == recorded
    check_files(run)
    check_said(run)
