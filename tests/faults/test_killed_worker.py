"""A worker that is killed, or asked to stop, at any moment: the run goes on to what it would have been, bit for bit."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from segcore.runs import Run
from segcore.status import OTHER_WORKER, RunState
from segcore.store import RunStore
from segcore.workspace import Workspace
from tests.faults.conftest import Reference
from tests.faults.lab import (
    EPOCHS,
    LIMIT,
    STEPS,
    Lab,
    Life,
    check_files,
    check_interrupted,
    check_tidy,
    resume,
    wait_for,
)
from tests.faults.screen import check_said, command

pytestmark = pytest.mark.slow

SEED = 20
"""Of all random moments; they are printed, so that a failure can be followed."""
KEPT = ("last/", "best.", "evaluation.", "metrics.", "provenance.", "cost.", "previews/epoch00002")
"""How the names begin of files that must not be lost."""


@dataclass
class Moment:
    """When to kill: before a file operation (`plan`), or after some seconds."""

    text: str
    plan: dict[str, Any] = field(default_factory=dict)
    seconds: float | None = None


def moments(reference: Reference, track: int) -> Iterator[Moment]:
    """Yield moments without end: first operations by which results are kept and partial writes, in random order and
    not the same ones on both tracks; then times, too."""
    chance = random.Random(SEED)
    seen: dict[str, tuple[str, str]] = {}
    for kind, name in reference.trace:
        if name.startswith(KEPT):
            # Of the previews of an epoch, which are alike, one.
            seen.setdefault(f"{kind} {re.sub(r'-.*', '', name)}", (kind, name))
    kept = [Moment(f"before {kind} of {name}", {"kind": kind, "name": name}) for kind, name in seen.values()]
    halves = [
        Moment(f"{share:.0%} into writing {name}", {"kind": "open", "name": name, "size": int(share * size)})
        for name, size in _large_files(reference)
        for share in (chance.uniform(0.0, 0.5), chance.uniform(0.5, 1.0))
    ]
    chance.shuffle(kept)
    first = kept[:12] + halves
    chance.shuffle(first)
    yield from first[track::2]
    rest = kept[12:][track::2]
    chance = random.Random(SEED + track)
    while True:
        if rest and chance.random() < 0.3:
            yield rest.pop()
        seconds = chance.uniform(0.0, 1.6)
        yield Moment(f"{seconds:.2f} s after its start", seconds=seconds)


def _large_files(reference: Reference) -> Iterator[tuple[str, int]]:
    """Yield (temporary name, final bytes) of what takes long enough to write that a kill can hit its middle."""
    for file in sorted(reference.run.path.rglob("*")):
        if file.is_file() and file.stat().st_size > 1_000_000:
            name = f"{file.relative_to(reference.run.path).as_posix()}~"
            if ("open", name) in reference.trace:
                yield name, file.stat().st_size


def prefixed(run: Run, plan: dict[str, Any]) -> dict[str, Any]:
    """The plan with names as seen from the workspace."""
    return {**plan, "name": f"studies/{run.study_name}/{run.name}/{plan['name']}"}


def live_until(lab: Lab, run: Run, moment: Moment) -> int:
    """Be a worker's life that ends at `moment`, or with the run."""
    if moment.seconds is None:
        return lab.start(run, kill_at=prefixed(run, moment.plan)).end()
    life = lab.start(run)
    life.process.join(moment.seconds)
    return life.kill()


def test_killed_at_twenty_moments(lab: Lab, store: RunStore, reference: Reference) -> None:
    """Lives follow one another on a run, each killed at another moment, until it is done; then on the next run. Two
    such tracks side by side, as there are two processors."""
    with ThreadPoolExecutor(2) as pool:
        tracks = [pool.submit(be_killed, lab, store, reference, track) for track in range(2)]
        counts = [track.result() for track in tracks]
    runs, kills, inside = map(sum, zip(*counts, strict=True))
    assert kills >= 20, "too few kills"
    assert inside >= 12, "too few of them inside writes"
    assert len(store.runs()) == runs
    check_tidy(store)


def be_killed(lab: Lab, store: RunStore, reference: Reference, track: int) -> tuple[int, int, int]:
    """Have runs killed 11 times and check them; return how many runs that took, the kills, and those inside writes."""
    pending, kills, runs, inside = moments(reference, track), 0, 0, 0
    while kills < 11:
        (run,) = lab.queue(store, study=f"track{track}-{runs}")
        runs += 1
        lives = 0
        while run.state is not RunState.FINISHED:
            moment = next(pending) if kills < 11 and lives < 8 else Moment("never", seconds=LIMIT)
            lives += 1
            code = live_until(lab, run, moment)
            print(
                f"seed {SEED}, track {track}, run {runs}, life {lives}: killed {moment.text}: "
                f"exit {code}, {len(run.epochs())} epochs recorded"
            )
            assert code in (0, -signal.SIGKILL), run.log()
            check_files(run)
            if code == 0:
                continue
            kills += 1
            inside += moment.seconds is None
            if run.state is not RunState.QUEUED:  # else it was killed before its first word
                check_interrupted(run)
            resume(store, run)
        assert lab.outcome(run) == reference.outcome
        check_recorded_alike(run)
    return runs, kills, inside


def check_recorded_alike(run: Run) -> None:
    """An epoch that was done again must have been recorded alike: nothing is counted in two ways."""
    seen: dict[int, dict[str, Any]] = {}
    for line in (run.path / "metrics.jsonl").read_text().splitlines():
        row = {
            key: repr(value) for key, value in json.loads(line).items() if key not in ("seconds", "images_per_second")
        }
        assert seen.setdefault(row["epoch"], row) == row


def test_killed_at_its_very_beginning(lab: Lab, store: RunStore, reference: Reference) -> None:
    """Before the network exists: while the dataset is decoded and the first files are written."""
    operations = [pair for pair in reference.trace if pair[1].startswith("datasets/")]
    assert any("prepared" in name for _, name in operations), "decoding must have been recorded"
    for kind, name in random.Random(SEED).sample(sorted(set(operations)), 4):
        (run,) = lab.queue(store, study=f"s{len(store.runs())}", epochs=1)
        print(f"killed before {kind} of {name}")
        prepared = name.replace(reference.run.config.dataset_fingerprint, run.config.dataset_fingerprint)
        assert lab.start(run, kill_at={"kind": kind, "name": prepared}).end() == -signal.SIGKILL
        check_interrupted(run)
        resume(store, run)
        assert lab.start(run).end() == 0, run.log()
        check_files(run)
        check_tidy(store)
        for cache in (store.workspace.datasets / "tiny" / "prepared").iterdir():
            cache.rename(store.workspace.root / f"cache{len(store.runs())}")  # the next one must decode again


def wait_until_training(run: Run, life: Life) -> None:
    """Wait until a worker has begun with the batches, or has ended."""
    wait_for(lambda: not life.alive or run.status.phase == "training", "training to begin")


def test_sigterm_saves_then_stops(lab: Lab, store: RunStore, reference: Reference) -> None:
    """At random moments, in the middle of epochs, too; nothing that was learnt is learnt again."""
    chance = random.Random(SEED)
    (run,) = lab.queue(store)
    stopped_within = 0
    for number in range(3):
        life = lab.start(run, slow_steps=0.1)
        before = run.status.step if run.status.epoch else 0
        wait_until_training(run, life)
        time.sleep(chance.uniform(0.0, 0.3))
        code = life.terminate(after=0.3)
        status = run.status
        print(
            f"SIGTERM {number}: exit {code}, {status.state}, epoch {status.epoch}, step {status.step} of {status.steps}"
        )
        assert code == 0, run.log()
        if status.state is RunState.FINISHED:
            break
        assert status.state is RunState.INTERRUPTED
        assert status.step >= before
        assert "The system told it to end" in status.message
        assert "Resume" in status.hint
        check_files(run)
        check_tidy(store)
        saved = lab.saved_state(run)
        assert saved.get("step", 0) == status.step, "steps were done that are not saved"
        stopped_within += status.step % STEPS != 0
        if number == 0:
            check_said(run)
        store.requeue(run)
    assert stopped_within >= 1, "no stop fell within an epoch"
    if run.state is not RunState.FINISHED:
        assert lab.start(run).end() == 0
    assert lab.outcome(run) == reference.outcome


def test_sigterm_at_its_very_beginning(lab: Lab, store: RunStore) -> None:
    """Also a worker that has not begun to train ends at once, and in a state that is true."""
    for seconds in (0.0, 0.02, 0.1):
        (run,) = lab.queue(store, study=f"s{seconds}")
        life = lab.start(run)
        time.sleep(seconds)
        assert life.terminate() in (0, -signal.SIGTERM)
        assert run.state in (RunState.QUEUED, RunState.STOPPED, RunState.INTERRUPTED)
        resume(store, run)
        check_files(run)
        check_tidy(store)


def test_killed_while_measuring_precision(lab: Lab, store: RunStore) -> None:
    """The study's first run dies before it has chosen how all of them compute: the next one chooses, for all."""
    first, second = runs = lab.queue(store, seeds=(0, 1), epochs=1, precision="auto", memory_format="auto")
    life = lab.start(first)
    wait_for(lambda: not life.alive or "precision" in first.status.phase, "measuring")
    life.kill()
    check_interrupted(first)
    store.requeue(first)
    for run in (second, first):
        assert lab.start(run).end() == 0, run.log()
        check_files(run)
    chosen = store.study("s").execution()
    assert chosen is not None
    for run in runs:
        assert run.provenance()["execution"]["precision"] == chosen["precision"]
        assert run.provenance()["execution"]["memory_format"] == chosen["memory_format"]
    check_tidy(store)


def test_killed_while_training_longer(lab: Lab, reference: Reference, tmp_path: Path) -> None:
    """A finished run is extended by two epochs, and killed twice on the way: it ends as one that was not."""
    outcomes = []
    for name, kills in (("undisturbed", 0), ("killed", 2)):
        shutil.copytree(reference.run.path.parents[2], tmp_path / name)
        store = RunStore(Workspace(tmp_path / name))
        (run,) = store.runs()
        store.extend([run], EPOCHS + 2)
        for number in range(kills):
            life = lab.start(run, slow_steps=0.1)
            wait_until_training(run, life)
            time.sleep(0.3 * number)
            life.kill()
            check_interrupted(run)
            check_files(run)
            store.requeue(run)
        assert lab.start(run).end() == 0, run.log()
        assert len(run.epochs()) == EPOCHS + 2
        assert run.provenance()["extended"][0]["to"] == EPOCHS + 2
        check_files(run)
        check_tidy(store)
        outcomes.append(lab.outcome(run))
    assert outcomes[0] == outcomes[1]


def test_torn_last_lines(lab: Lab, store: RunStore, reference: Reference) -> None:
    """A line cut in the middle hides no other line, and stays no gap."""
    (run,) = lab.queue(store)
    life = lab.start(run, slow_steps=0.1)
    wait_for(lambda: len(run.epochs()) >= 2 or not life.alive)
    life.kill()
    recorded = run.epochs()
    for name in ("metrics.jsonl", "steps.jsonl"):
        with open(run.path / name, "ab") as lines:
            lines.write(b'{"epoch": 3, "train_lo')
    assert run.epochs() == recorded
    run.steps()
    listed = command(run, "runs", "--json")
    assert listed.returncode == 0, listed.stderr
    assert json.loads(listed.stdout)[0]["state"] == "interrupted"
    store.requeue(run)
    assert lab.start(run).end() == 0, run.log()
    assert lab.outcome(run) == reference.outcome


def test_a_record_torn_after_its_checkpoint(lab: Lab, store: RunStore, reference: Reference) -> None:
    """Power fails: the checkpoint reached the disk, the last line before it only in part."""
    (run,) = lab.queue(store)
    life = lab.start(run, slow_steps=0.1)
    wait_for(lambda: run.status.epoch >= 2 or not life.alive)
    life.kill()
    done = lab.saved_state(run)["epoch"]
    file = run.path / "metrics.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)[:done]
    file.write_bytes(b"".join(lines)[:-40])
    assert len(run.epochs()) == done - 1
    store.requeue(run)
    assert lab.start(run).end() == 0, run.log()
    assert [record.epoch for record in run.epochs()] == list(range(1, EPOCHS + 1)), "an epoch is missing for good"
    assert lab.outcome(run) == reference.outcome


def test_two_workers_at_one_run(lab: Lab, store: RunStore, reference: Reference) -> None:
    (run,) = lab.queue(store)
    lives = [lab.start(run) for _ in range(3)]
    assert sorted(life.end() for life in lives) == [0, OTHER_WORKER, OTHER_WORKER]
    assert run.state is RunState.FINISHED
    assert lab.outcome(run) == reference.outcome
    assert len((run.path / "metrics.jsonl").read_text().splitlines()) == EPOCHS


def test_a_pid_used_again(lab: Lab, store: RunStore, reference: Reference) -> None:
    """Another program has the dead worker's number: the run is not taken for alive, nor the program for its worker."""
    (run,) = lab.queue(store)
    life = lab.start(run, slow_steps=0.1)
    wait_for(lambda: run.status.epoch >= 1 or not life.alive)
    life.kill()
    file = run.path / "status.json"
    status = json.loads(file.read_text())
    assert status["state"] == "running"
    file.write_text(json.dumps({**status, "pid": os.getpid()}))  # this very process, which began long before
    check_interrupted(run)
    store.stop(run)
    store.requeue(run)
    assert lab.start(run).end() == 0, run.log()
    assert lab.outcome(run) == reference.outcome


def remove_tree(path: Path) -> None:
    """Delete a directory while somebody writes into it: as `rm -r`, typed again while something is left."""
    for _ in range(100):
        shutil.rmtree(path, ignore_errors=True)
        if not path.exists():
            return


def test_a_run_directory_deleted_under_its_worker(lab: Lab, store: RunStore, tmp_path: Path) -> None:
    """It ends, says so, and leaves the directory deleted, whether it was removed or moved away."""
    log = tmp_path / "log"
    for number, remove in enumerate((remove_tree, store.workspace.discard)):
        gone, other = lab.queue(store, study=f"s{number}", seeds=(0, 1), epochs=200)
        life = lab.start(gone, log=log)
        wait_until_training(gone, life)
        remove(gone.path)
        life.end()
        said = log.read_text()
        assert "removed" in said
        assert "Traceback" not in said
        assert not gone.path.exists(), f"back again: {sorted(gone.path.rglob('*'))}"
        assert store.study(f"s{number}").runs() == [other]
        assert other.state is RunState.QUEUED
        assert store.unreadable_studies() == []
        listed = command(other, "runs", "--json")
        assert listed.returncode == 0, listed.stderr
