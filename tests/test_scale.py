"""What must not grow with the size of a workspace or a dataset. Reads are counted, not timed: the clock of a busy
machine proves nothing. `benchmarks/scale.py` measures the same at full size."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segcore import runs as runs_module
from segcore.config import Recipe, StudyConfig
from segcore.data.loaders import build_loaders
from segcore.data.prepared import prepare
from segcore.launch import past
from segcore.launch.estimate import estimate
from segcore.runs import Run, Study
from segcore.status import RunState, Status
from segcore.store import RunStore
from segcore.workspace import Workspace
from tests.factories import RESNET18, add_dataset, fake_dataset, make_run

ROOT = Path(__file__).resolve().parents[1]
MANY = 10_000


def counting(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> list[tuple[Any, ...]]:
    """Write down the arguments of each call of `owner.name` from now on."""
    calls: list[tuple[Any, ...]] = []
    original: Callable[..., Any] = getattr(owner, name)

    def counted(*arguments: Any, **options: Any) -> Any:
        calls.append(arguments)
        return original(*arguments, **options)

    monkeypatch.setattr(owner, name, counted)
    return calls


def test_ten_thousand_statuses_are_read_once_and_looked_at_once_a_time(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = store.workspace.studies / "many"
    dataset = fake_dataset()
    shared = {"created": 1.0, "dataset": dataset.config.to_json(), "dataset_fingerprint": "", "recipe": {}}
    Study(study).create({**shared, "decoder": "unet"}, dataset.split)
    text = json.dumps(Status(RunState.FINISHED, created=1.0, queued=1.0).to_json())
    for number in range(MANY):
        (study / f"run{number:05d}").mkdir()
        (study / f"run{number:05d}/status.json").write_text(text)
    reads = counting(monkeypatch, runs_module, "read_json")
    assert len(store.statuses()) == MANY
    assert len(reads) == MANY + 1, "each status, and the study"
    reads.clear()
    looks = counting(monkeypatch, os, "stat")
    assert [run.name for run, _ in store.statuses()] == [f"run{number:05d}" for number in range(MANY)]
    assert (len(reads), len(looks)) == (0, MANY + 1)
    changed = Run(study / "run00007")
    changed.write_status(replace(changed.status, state=RunState.STOPPED))
    reads.clear()
    assert [run for run, status in store.statuses() if status.state is RunState.STOPPED] == [changed]
    assert len(reads) == 1


def test_runs_of_a_study_share_what_their_dataset_is(store: RunStore) -> None:
    first, second = (make_run(store, seed=seed) for seed in (0, 1))
    other = make_run(store, study="other", dataset=fake_dataset("another"))
    assert first.config.dataset is second.config.dataset
    assert other.config.dataset.name == "another"


@pytest.mark.parametrize("dataset", [None, 7, {}, {"name": "tiny"}])
def test_a_damaged_dataset_is_named_as_part_of_its_run(store: RunStore, dataset: object) -> None:
    run = make_run(store)
    value = json.loads((run.path / "config.json").read_text())
    (run.path / "config.json").write_text(json.dumps({**value, "dataset": dataset}))
    with pytest.raises(runs_module.WorkspaceError, match=r"config.json is damaged \(dataset"):
        _ = run.config


def test_an_estimate_reads_the_latest_runs_alone(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    backbones = (RESNET18, "vgg16.tv_in1k")
    for seed in range(past.RECENT + 3):
        for encoder in backbones:
            run = make_run(store, study="s", encoder=encoder, seed=seed, epochs=1)
            run.append_epoch(replace(run.epochs()[0], seconds=1.0 + seed))
            run.write_cost({**run.cost(), "macs": 10**9, "macs_head": 0})
            run.write_status(replace(run.status, ended=run.status.ended or 0.0 + seed))
    config = StudyConfig(name="next", dataset="tiny", encoders=(RESNET18,), recipe=Recipe(epochs=2))

    def expected() -> float:
        found = estimate(config, 3, fake_dataset().split, store)
        assert found is not None and found.measured
        return found.seconds

    read = counting(monkeypatch, past, "_measured")
    of_the_latest = expected()
    assert len(read) == past.RECENT * len(backbones)
    read.clear()
    monkeypatch.setattr(past, "RECENT", MANY)
    assert expected() == of_the_latest
    assert len(read) == (12 + 3) * len(backbones)


def test_loader_processes_get_pixels_and_no_names(workspace: Workspace, tmp_path: Path) -> None:
    dataset = add_dataset(workspace, tmp_path / "source")
    prepared, split = prepare(dataset, 32), dataset.split
    assert split is not None
    loaders = build_loaders(prepared, split, Recipe(image_size=32, batch_size=2), seed=0)
    for loader in (loaders.train_loader, loaders.val_loader):
        sent = pickle.dumps(loader.dataset)
        assert not any(name.encode() in sent for name in prepared.names)
        # Numbers in lists are objects, whose pages every process copies that only reads them.
        held = {**vars(loader.dataset), **vars(loader.dataset.pixels)}  # type: ignore[attr-defined]
        by_image = [value for value in held.values() if hasattr(value, "__len__") and len(value) >= len(split.val)]
        assert by_image and not [value for value in by_image if isinstance(value, (list, dict, tuple))]
        assert isinstance(held["indices"], np.ndarray)


@pytest.mark.slow
@pytest.mark.parametrize("part", [["store", "--runs", "100", "--rounds", "1"], ["prepared", "--images", "40", "80"]])
def test_the_benchmark_runs(part: list[str]) -> None:
    script = [sys.executable, "benchmarks/scale.py", *part]
    done = subprocess.run(script, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if " MB" in line]
    assert len(rows) == (9 if part[0] == "store" else 2)
