"""One of several who use a workspace at once: `python -m tests.faults.crowd KIND SEED REPORT`.

An "app" calls what the pages call, a "command line" starts `python -m segcore …`. Both launch, stop, resume and move
runs at random, as fast as they can. What REPORT gets is a JSON list of the runs that were new at each launch.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path

from segcore.config import StudyConfig
from segcore.errors import SegcoreError
from segcore.launch.local import ensure_scheduler
from segcore.launch.plan import launch_study
from segcore.runs import Run
from segcore.status import RunState
from segcore.store import RunStore
from tests.faults.lab import ROOT, recipe

STUDIES = ("meadow", "quarry", "orchard")
TURNS = {"app": 24, "command": 4}
LAUNCHES = 6
"""All apps begin with so many."""
TICK = 0.15
"""Seconds. Apps act together at each tick of a clock that all processes share, and on the same things."""


def next_tick() -> random.Random:
    """Wait for the next tick; return what is chance to it, and the same for all who act at it."""
    number = int(time.monotonic() / TICK) + 1
    time.sleep(max(0.0, number * TICK - time.monotonic()))
    return random.Random(number)


def config(chance: random.Random) -> StudyConfig:
    """A study of few names and seeds, so that all who launch get in each other's way."""
    seeds = tuple(chance.sample(range(3), 2))
    return StudyConfig(
        name=chance.choice(STUDIES),
        dataset="tiny",
        encoders=("resnet18",),
        weights="none",
        seeds=seeds,
        recipe=recipe(),
    )


def app_turn(store: RunStore, chance: random.Random, turn: int) -> list[Run]:
    """Do one thing as a page does it; return new runs."""
    runs = store.runs()
    what = chance.choice(("launch", "stop", "stop", "stop", "resume", "resume", "move", "settings"))
    common = next_tick()
    if turn < LAUNCHES or what == "launch" or not runs:
        return launch_study(config(common), store.workspace)
    run = common.choice(runs)
    if what == "stop":
        store.stop(common.choice(store.active() or [run]))
    elif what == "resume":
        store.requeue(common.choice([run for run in runs if run.state is RunState.STOPPED] or [run]))
        ensure_scheduler(store.workspace)
    elif what == "move":
        store.move(common.choice(store.waiting() or [run]), chance.randrange(3))
    else:
        store.set_queue(paused=chance.random() < 0.3, slots=chance.choice((1, 2)))
        ensure_scheduler(store.workspace)
    return []


def command_turn(store: RunStore, chance: random.Random) -> list[Run]:
    """Type one command; return new runs."""
    runs = store.runs()
    if not runs or chance.random() < 0.5:
        asked = config(chance)
        seeds = ",".join(map(str, asked.seeds))
        settings = asked.recipe
        typed = (
            f"study run {asked.name} --dataset tiny --backbones resnet18 --weights none --seeds {seeds} --detach --json"
            f" --epochs {settings.epochs} --image-size {settings.image_size} --batch-size {settings.batch_size}"
            f" --precision {settings.precision} --memory-format {settings.memory_format}"
        )
    else:
        run = chance.choice(runs)
        typed = f"run {chance.choice(('stop', 'resume'))} {run.study_name}/{run.name} --json"
    done = subprocess.run(
        [sys.executable, "-m", "segcore", *typed.split()], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        # Refused, as the run is in another state by now: said in a sentence, not in a traceback.
        assert "Traceback" not in done.stderr, done.stderr
        return []
    if not typed.startswith("study run"):
        return []
    return [Run(Path(row["path"])) for row in json.loads(done.stdout)["launched"]]


def main(kind: str, seed: int, report: Path) -> None:
    """Take all turns."""
    chance, store = random.Random(seed), RunStore()
    launched: list[str] = []
    for turn in range(TURNS[kind]):
        try:
            new = app_turn(store, chance, turn) if kind == "app" else command_turn(store, chance)
        except SegcoreError as error:
            print(f"refused: {error}", flush=True)
            continue
        launched += [f"{run.study_name}/{run.name}" for run in new]
    report.write_text(json.dumps(launched))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
