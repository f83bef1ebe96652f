"""What racing saves, and whether it finds the same winner: a full grid and a race of the same runs, really trained.

    python benchmarks/racing.py [--backbones a,b,...] [--seeds 3] [--epochs 30] [--image-size 32] [--scenes 40]
                                [--weights none] [--dataset NAME --workspace FOLDER] [--forked]

Both studies go the product's own way: queue, scheduler, one worker process a run. By default on images of the demo
generator and from scratch, in a workspace of its own; `--dataset` takes one of another workspace, which gets both
studies. `--forked` starts the workers from a process that has imported torch already, one after another, which on a
slow machine takes a fraction of the time; all else is the same. Three costs of the race are set against the grid's:

epochs    trained in all
training  seconds of these epochs, each counted as that run's median epoch in the grid, so that what else the machine
          did at the time does not matter
wall      from launch to end, processes and waiting at the rungs included

The exit code is 1 where the winner changed, a verdict on it was overturned, or a run that went on to its end is not,
bit for bit, the grid's; otherwise 0.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)  # in place of this folder, whose statistics.py would hide Python's own

from statistics import fmean, median  # noqa: E402 (the path comes first)

from segcore.config import DatasetConfig, Recipe, StudyConfig  # noqa: E402
from segcore.data import synthetic  # noqa: E402
from segcore.data.store import DatasetStore  # noqa: E402
from segcore.evaluation import racing  # noqa: E402
from segcore.evaluation.comparison import contenders  # noqa: E402
from segcore.evaluation.verdicts import Comparison, compare, points_text  # noqa: E402
from segcore.launch.local import ensure_scheduler  # noqa: E402
from segcore.launch.plan import check_encoders  # noqa: E402
from segcore.launch.race import settle_races  # noqa: E402
from segcore.runs import Run, Study  # noqa: E402
from segcore.status import RunState  # noqa: E402
from segcore.store import RunStore  # noqa: E402
from segcore.workspace import HOME_VARIABLE, Workspace  # noqa: E402

BACKBONES = "vgg11_bn,resnet10t,tf_efficientnet_lite0,efficientnet_b0,lcnet_050"
RARE = {"rocks", "person", "bicycle", "fence"}
"""Classes of less than half a percent of the pixels: nobody learns them in so little time."""
TIMES = ("seconds", "images_per_second")


@dataclass(frozen=True)
class Cost:
    """What a study took."""

    epochs: int
    training: float
    """Seconds."""
    wall: float
    """Seconds."""


def add_dataset(workspace: Workspace, options: argparse.Namespace) -> str:
    """Draw the images, two frames of each scene, and add them with two fifths of the scenes to validate on."""
    source = workspace.root / "source"
    synthetic.generate(source, scenes=options.scenes, frames=2, size=options.image_size)
    config = DatasetConfig(
        name="benchmark",
        images=source / "images",
        masks=source / "masks",
        classes=tuple(info.model_copy(update={"ignore": info.name in RARE}) for info in synthetic.CLASSES),
        group_regex=synthetic.GROUP_REGEX,
        synthetic=True,
    )
    return DatasetStore(workspace).add(config, val=0.4).name


def carry_out(store: RunStore, config: StudyConfig, *, forked: bool) -> tuple[Study, float]:
    """Queue a study and wait for its end; return it and the seconds that took."""
    dataset = DatasetStore(store.workspace).get(config.dataset)
    split = dataset.split or dataset.make_split()
    config = config.model_copy(update={"encoders": check_encoders(config)})
    began = time.monotonic()
    runs = store.create_study(config, dataset.config, dataset.fingerprint, split)
    if forked:
        work_off(store)
    while any(run.state.active for run in runs):
        if not any(run.state is RunState.RUNNING for run in runs):
            ensure_scheduler(store.workspace)
        time.sleep(0.5)
    seconds = time.monotonic() - began
    lost = [f"{run.name}: {run.status.message}" for run in runs if run.state in (RunState.FAILED, RunState.INTERRUPTED)]
    if lost:
        sys.exit("\n".join(["these runs failed:", *lost]))
    return store.study(config.name), seconds


def work_off(store: RunStore) -> None:
    """Do as the scheduler does, one run at a time, with workers that have torch from their birth."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["segcore.training.worker"])
    while True:
        settle_races(store, print)
        run = store.claim_next()
        if run is None:
            return
        process = context.Process(target=live, args=(run,))
        process.start()
        store.hand_over(run, process.pid or 0)
        process.join()


def live(run: Run) -> None:
    """Be the worker of a run."""
    from segcore.training import worker

    output = os.open(run.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.exit(worker.main([str(run.path)]))


def cost(study: Study, grid: Study, wall: float) -> Cost:
    """Return what a study took, its epochs priced as in the grid."""
    price = {run.name: median(record.seconds for record in run.epochs()) for run in grid.runs()}
    epochs = {run.name: len(run.epochs()) for run in study.runs()}
    return Cost(sum(epochs.values()), sum(price[name] * count for name, count in epochs.items()), wall)


def same(run: Run, other: Run) -> bool:
    """Whether two runs recorded the same, times aside, and kept the same counts and weights, bit for bit."""

    def left(one: Run) -> tuple[str, str, str]:
        evaluation = one.evaluation()
        records = [{k: v for k, v in asdict(record).items() if k not in TIMES} for record in one.epochs()]
        counts = b"" if evaluation is None else evaluation.counts.tobytes()
        weights = one.best_weights.read_bytes()
        return repr(records), hashlib.sha256(counts).hexdigest(), hashlib.sha256(weights).hexdigest()

    return left(run) == left(other)


def report_verdicts(full: Comparison, raced: Comparison, study: Study) -> bool:
    """Print how each contender stands against the winner in both studies; return whether that stayed."""
    winner = full.standings[0].label
    stayed = raced.standings[0].label == winner
    print(f"winner: {full.title(winner)} in the grid, {raced.title(raced.standings[0].label)} in the race")
    outs = {out.contender: out for out in racing.outcome(study)}
    for standing in full.standings[1:]:
        verdict = full.verdict(winner, standing.label)
        assert verdict is not None
        told = f"{verdict.answer}, {points_text(verdict.estimate)}"
        out, there = outs.get(standing.label), raced.verdict(winner, standing.label)
        if out is not None:
            agrees, answer = verdict.answer == "better" and verdict.first == winner, out.short
        elif there is not None:
            agrees, answer = (there.answer, there.first) == (verdict.answer, verdict.first), str(there.answer)
        else:
            agrees, answer = False, "nothing"
        stayed = stayed and agrees
        print(f"  {standing.title:32} grid: {told:36} race: {answer}{'' if agrees else '   CHANGED'}")
    return stayed


def report_curves(grid: Study) -> None:
    """Print the mean best score so far at the rungs and the end of the grid: whether curves cross."""
    epochs = grid.recipe.epochs
    places = (*racing.rungs(epochs), epochs)
    for contender in contenders(grid.runs()):
        best = [
            fmean(max(record.val_miou for record in run.epochs()[:place]) for run in contender.runs) for place in places
        ]
        text = ", ".join(f"{100 * value:.1f} % at {place}" for value, place in zip(best, places, strict=True))
        print(f"  {contender.title:32} {text}")


def main() -> int:
    """Train both studies and say what came out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbones", default=BACKBONES)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--scenes", type=int, default=40)
    parser.add_argument("--weights", default="none", choices=("none", "pretrained"))
    parser.add_argument("--dataset")
    parser.add_argument("--workspace", type=Path)
    parser.add_argument("--forked", action="store_true")
    options = parser.parse_args()
    folder = options.workspace or Path(tempfile.mkdtemp(prefix="racing-"))
    os.environ[HOME_VARIABLE] = str(folder)
    try:
        return compare_both(Workspace(folder), options)
    finally:
        if options.workspace is None:
            shutil.rmtree(folder, ignore_errors=True)


def compare_both(workspace: Workspace, options: argparse.Namespace) -> int:
    """Train the grid, then the race, and compare them."""
    workspace.ensure_writable()
    dataset = options.dataset or add_dataset(workspace, options)
    wanted = StudyConfig(
        name="grid",
        dataset=dataset,
        encoders=tuple(options.backbones.split(",")),
        weights=options.weights,
        seeds=tuple(range(options.seeds)),
        recipe=Recipe(
            epochs=options.epochs,
            image_size=options.image_size,
            batch_size=options.batch_size,
            precision="fp32",
            memory_format="contiguous",
        ),
    )
    store = RunStore(workspace)
    grid, grid_wall = carry_out(store, wanted, forked=options.forked)
    raced_config = wanted.model_copy(update={"name": "race", "racing": True})
    race, race_wall = carry_out(store, raced_config, forked=options.forked)
    whole, raced = cost(grid, grid, grid_wall), cost(race, grid, race_wall)
    split = grid.split
    print(
        f"{len(wanted.encoders)} backbones x {options.seeds} seeds x {options.epochs} epochs, {options.image_size} px, "
        f"{len(split.train)} images to train on, {len(split.val)} to validate; "
        f"rungs at {', '.join(map(str, racing.rungs(options.epochs)))}"
    )
    report_curves(grid)
    stayed = report_verdicts(compare(contenders(grid.runs())), compare(contenders(race.runs())), race)
    finished = [run for run in race.runs() if run.state is RunState.FINISHED]
    alike = [same(run, Run(grid.path / run.name)) for run in finished]
    print(f"runs that went on to their end: {len(finished)}, equal to the grid's bit for bit: {sum(alike)}")
    for name in ("epochs", "training", "wall"):
        before, after = getattr(whole, name), getattr(raced, name)
        unit = "" if name == "epochs" else " s"
        print(f"{name:10} {after:8.0f}{unit} of {before:.0f}{unit}: {after / before:.2f}")
    print(f"winner and verdicts on it {'stayed' if stayed else 'CHANGED'}")
    return 0 if stayed and all(alike) else 1


if __name__ == "__main__":
    sys.exit(main())
