"""What changes when there is a lot: ten thousand runs in a workspace, a hundred thousand prepared images.

    python benchmarks/scale.py store [--runs 10000] [--home FOLDER]   commands, pages and scheduler among many runs
    python benchmarks/scale.py prepared [--images 1000 100000]        opening prepared data, memory of loader processes

store     Studies of 100 runs (20 backbones × 5 seeds, 30 epochs) as `workspace.py` makes them up, beside a small
          dataset, so that the launch form has all runs to reckon from. Two runs train and three wait, as far as files
          tell. Each row is measured in a process of its own: cold is the first time in it, warm the median of those
          that follow. Wanted: what is drawn or looked at again and again takes less than a second of processor time
          warm. Writing 10,000 runs takes five minutes of processor time and 0.8 GB; with --home they are kept.
prepared  Images of 64 px (1.6 GB for 100,000) that never were files: the files are empty, what is decoded from them is
          made up, all else is real. Wanted: a loader process takes as much memory of its own for 100,000 images as for
          1,000. `fork` is how Linux starts loader processes, `spawn` how macOS and Windows do.

Seconds are those on the clock and, in brackets, those of processors, of which other programs take no share. Memory of
its own is what only that process has, without the prepared images themselves: the system keeps these once for all
processes, and drops them when memory runs short. Needs Linux.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)  # in place of this folder, whose statistics.py would hide Python's own

from statistics import median  # noqa: E402

import numpy as np  # noqa: E402
import psutil  # noqa: E402

Took = tuple[float, float]
"""Seconds on the clock and of processors."""

# Ten thousand runs -----------------------------------------------------------------------------------------------

BACKBONES, SEEDS, EPOCHS = 20, 5, 30
PAGES = ("overview", "training", "charts")
COMMANDS = (("runs",), ("runs", "--json"), ("runs", "--study", "study-01"), ("study", "list"))


def store(runs: int, home: Path, rounds: int) -> None:
    from benchmarks.pages import in_a_fresh_process

    if not home.exists():
        began = time.perf_counter()
        _fill(home, runs)
        print(f"{runs:,} runs written in {time.perf_counter() - began:.0f} s")
    print(f"{'':<40}{'cold':>16}{'warm':>16}{'memory':>12}", flush=True)
    for part in REPEATED:
        row = _inside(part, home, "--rounds", rounds)
        _print_row(part.replace("-", " "), row["cold"], row["warm"], row["megabytes"])
    for page in PAGES:
        row = in_a_fresh_process(page, home, rounds, profile=False)
        cold, warm = ((row[when], row[f"{when}_processor"]) for when in ("cold", "warm"))
        _print_row(f"page {page}", cold, warm, row["megabytes"])
    for words in COMMANDS:
        took, megabytes = _command(words, home)
        _print_row(" ".join(["python -m segcore", *words]), took, None, megabytes)


def _fill(home: Path, runs: int) -> None:
    from benchmarks.workspace import fill
    from segcore.workspace import Workspace
    from tests import factories

    fill(home, studies=max(1, runs // (BACKBONES * SEEDS)), backbones=BACKBONES, seeds=SEEDS, epochs=EPOCHS)
    factories.add_dataset(Workspace(home), home / "source", scenes=8, frames=5)


def _print_row(what: str, cold: Took, warm: Took | None, megabytes: float) -> None:
    seconds = [f"{took[0]:.2f} ({took[1]:.2f}) s" if took else "" for took in (cold, warm)]
    print(f"{what:<40}{seconds[0]:>16}{seconds[1]:>16}{megabytes:>9.0f} MB", flush=True)


def _statuses() -> Callable[[], object]:
    from segcore.store import RunStore

    return lambda: RunStore().statuses()


def _look() -> Callable[[], object]:
    """Return a look of the scheduler; it starts nothing, as the only place is taken."""
    from segcore.launch.processes import scheduler_lock
    from segcore.launch.scheduler import Scheduler
    from segcore.status import RunState
    from segcore.store import RunStore
    from segcore.workspace import Workspace
    from tests import factories

    for run, status in RunStore().statuses():
        if status.state is RunState.INTERRUPTED:  # they trained as long as the process lived that wrote them
            factories.set_state(run, RunState.RUNNING, done=status.epoch)
    scheduler = Scheduler(Workspace())
    lock = scheduler_lock(scheduler.workspace)
    lock.acquire(timeout=0)
    return lambda: scheduler.look(lock)


REPEATED: dict[str, Callable[[], Callable[[], object]]] = {"all-statuses": _statuses, "look-of-the-scheduler": _look}


def repeat(part: str, rounds: int) -> dict[str, Any]:
    """Do one of `REPEATED` in this process again and again, and return what it took."""
    work = REPEATED[part]()
    took = [_time(work) for _ in range(1 + rounds)]
    warm = [median(column) for column in zip(*took[1:], strict=True)]
    return {"cold": took[0], "warm": warm, "megabytes": psutil.Process().memory_info().rss / 1e6}


def _time(work: Callable[[], object]) -> Took:
    began, worked = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - began, time.process_time() - worked


def _command(words: tuple[str, ...], home: Path) -> tuple[Took, float]:
    """Return what a command took, and the memory at its peak, in MB."""
    began = time.perf_counter()
    whole = [sys.executable, "-m", "segcore", *words]
    process = subprocess.Popen(whole, cwd=ROOT, env=_environment(home), stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, whole
    return (time.perf_counter() - began, usage.ru_utime + usage.ru_stime), usage.ru_maxrss * 1024 / 1e6


def _environment(home: Path) -> dict[str, str]:
    return {**os.environ, "SEGCORE_HOME": str(home)}


def _inside(part: str, home: Path, *options: object) -> dict[str, Any]:
    """Return what this script measures of a part in a process of its own."""
    words = [sys.executable, __file__, "inside", part, *map(str, options)]
    done = subprocess.run(words, env=_environment(home), stdout=subprocess.PIPE, text=True, check=True)
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return row


# A hundred thousand images ---------------------------------------------------------------------------------------

SIDE = 64
FRAMES = 5
"""Images of one scene."""
BATCH, BATCHES, WORKERS = 32, 200, 2


def prepared(counts: list[int], root: Path) -> None:
    print(f"{'images':>8}{'dataset':>15}{'prepared data':>16}{'of it index':>15}{'first batch':>15}", end="")
    print(f"{'this process':>14}{'fork':>8}{'spawn':>8}", flush=True)
    for count in counts:
        home = root / f"{count}"
        _make_up(home, count)
        fork, spawn = (_inside("opening", home, "--method", method) for method in ("fork", "spawn"))
        steps = "".join(f"{clock:>8.2f} ({worked:.2f})" for clock, worked in fork["steps"])
        memory = f"{fork['main']:>11.0f} MB{max(fork['workers']):>5.0f} MB{max(spawn['workers']):>5.0f} MB"
        print(f"{count:>8,}{steps}{memory}", flush=True)


def _make_up(home: Path, count: int) -> None:
    """Write a dataset of so many images, none of which is in its file, and prepare it."""
    from segcore.data import prepared as module
    from segcore.data.state import list_sources, write_state
    from segcore.data.store import Dataset
    from segcore.workspace import Workspace
    from tests import factories

    workspace = Workspace(home)
    workspace.ensure_writable()
    dataset = factories.add_dataset(workspace, home / "source", name="many")
    state, config = dataset._state, dataset.config
    for file in (*config.images.iterdir(), *config.masks.iterdir()):
        file.unlink()
    facts = []
    for number in range(count):
        name = f"scene{number // FRAMES:06d}_frame{number % FRAMES}"
        for folder in (config.images, config.masks):
            (folder / f"{name}.png").touch()
        new = {"name": name, "image": f"{name}.png", "mask": f"{name}.png", "group": name.split("_")[0]}
        facts.append(replace(state.facts[0], **new, digest=f"{number:064x}"))
    report = replace(state.report, images=count, usable=count, groups=len({fact.group for fact in facts}))
    write_state(dataset.path, replace(state, facts=tuple(facts), report=report, sources=list_sources(config)))

    def made_up(_dataset: Dataset, _size: int | None, name: str) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(list(name.encode()))
        classes = len(config.trained_classes)
        return rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8), rng.integers(0, classes, (SIDE, SIDE), np.uint8)

    with mock.patch.object(module, "decode", made_up):
        module.prepare(dataset, SIDE)


def opening(method: str) -> dict[str, Any]:
    """Open the one dataset there is, as a run does that trains, and return what that took."""
    import torch.multiprocessing

    from segcore.config import Recipe
    from segcore.data.loaders import build_loaders
    from segcore.data.prepared import Prepared, prepare
    from segcore.data.splits import Split
    from segcore.data.store import DatasetStore

    torch.multiprocessing.set_start_method(method)
    dataset = DatasetStore().get("many")
    steps = [_time(lambda: dataset.facts), _time(lambda: prepare(dataset, SIDE))]
    found = prepare(dataset, SIDE)
    steps.append(_time(lambda: Prepared(found.path, dataset.groups)))
    val = len(found) // 5
    split = Split(tuple(found.names[val:]), tuple(found.names[:val]))
    recipe = Recipe(image_size=SIDE, batch_size=BATCH)
    steps.append(_time(lambda: next(iter(build_loaders(found, split, recipe, seed=0).train(1)))))
    main = _own_megabytes(psutil.Process())
    loaders = build_loaders(found, split, recipe, seed=0, workers=WORKERS)
    drawn, epoch = 0, 0
    while drawn < BATCHES:  # of 1,000 images as many as of 100,000: in several epochs
        epoch += 1
        for _ in loaders.train(epoch):
            drawn += 1
            if drawn == BATCHES:
                workers = [_own_megabytes(child) for child in psutil.Process().children()]
                break
    return {"steps": steps, "main": main, "workers": workers}


def _own_megabytes(process: psutil.Process) -> float:
    """Return the memory that only this process has, in MB, without the prepared images."""
    images = ("images.bin", "labels.bin")
    maps = [area for area in process.memory_maps() if not area.path.endswith(images)]
    return sum(area.private_clean + area.private_dirty for area in maps) / 1e6


# -----------------------------------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="part", required=True)
    stored = parts.add_parser("store")
    stored.add_argument("--runs", type=int, default=10_000)
    stored.add_argument("--home", type=Path, help="a workspace to write and to keep, or one that is there already")
    stored.add_argument("--rounds", type=int, default=5)
    opened = parts.add_parser("prepared")
    opened.add_argument("--images", type=int, nargs="+", default=[1_000, 100_000])
    inside = parts.add_parser("inside", help="used by the others")
    inside.add_argument("what", choices=(*REPEATED, "opening"))
    inside.add_argument("--rounds", type=int, default=5)
    inside.add_argument("--method", default="fork")
    options = parser.parse_args()
    if options.part == "inside":
        found = opening(options.method) if options.what == "opening" else repeat(options.what, options.rounds)
        print(json.dumps(found))
        return
    print(f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory(prefix="scale-") as name:
        if options.part == "store":
            store(options.runs, options.home or Path(name) / "home", options.rounds)
        else:
            prepared(options.images, Path(name))


if __name__ == "__main__":
    main()
