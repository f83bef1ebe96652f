"""What a Ray cluster costs: how fast jobs are handed over to it, and what a run loses to it.

    python benchmarks/scale_cluster.py [--jobs 500] [--runs 10] [--cpus 2] [--home FOLDER]

Starts a Ray head with `--cpus` CPUs on this machine, so everything below shares its cores with what it measures.

jobs  Jobs of one CPU that do nothing (`true`), handed over through `RayJobs.submit` as the scheduler does it: no more
      than a handful wait in Ray's own queue at a time. 500 real runs would take an hour here, as each imports torch;
      these show Ray's share alone. Also how long asking for the states of all of them takes.
runs  Real runs, as small as they get (one epoch of 64 px images, from scratch), all seeds of one backbone: their
      workers started bare, one after another; through the queue of this machine; through the cluster with one CPU. All
      three train one run at a time with one thread. What a run loses is the difference to bare, by the clock, from the
      launch to the end of the last one. Nodes prove that they can train before the clock starts, and it is said how
      long that took; they do so once for a dataset.

Needs `pip install -e ".[cluster]"`. Let the machine be idle.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)  # in place of this folder, whose statistics.py would hide Python's own

import numpy as np  # noqa: E402

from segcore.config import Recipe, StudyConfig  # noqa: E402
from segcore.launch import plan  # noqa: E402
from segcore.launch.jobs import Demand, Job, JobState  # noqa: E402
from segcore.launch.places import THREADS  # noqa: E402
from segcore.launch.processes import variables  # noqa: E402
from segcore.launch.ray import RayJobs  # noqa: E402
from segcore.launch.reconcile import PENDING  # noqa: E402
from segcore.runs import Run  # noqa: E402
from segcore.status import RunState, Where  # noqa: E402
from segcore.store import RunStore  # noqa: E402
from segcore.workspace import HOME_VARIABLE, Workspace  # noqa: E402
from tests.factories import add_dataset  # noqa: E402
from tests.ray_cluster import RayCluster  # noqa: E402

ENCODER = "test_efficientnet"
RECIPE = Recipe(epochs=1, image_size=64, batch_size=4, precision="fp32", memory_format="contiguous")
REST = 0.5
"""Seconds between two looks."""


@contextmanager
def _head(cpus: int) -> Iterator[RayJobs]:
    """Start a cluster of one machine and wait until it offers its CPUs."""
    cluster = RayCluster()
    try:
        cluster.start(cpus=cpus)
        client = RayJobs(cluster.address)
        while client.capacity().cpus < cpus:
            time.sleep(REST)
        yield client
    finally:
        cluster.stop()


# Jobs ------------------------------------------------------------------------------------------------------------


def jobs(count: int, cpus: int) -> None:
    with _head(cpus) as client:
        began = time.perf_counter()
        submitting, asking = _hand_over(client, count)
        seconds = time.perf_counter() - began
        states = [report.state for report in client.states("true-").values()]
    done = states.count(JobState.SUCCEEDED)
    print(f"{count} jobs on {cpus} CPUs: {done} done in {seconds:.0f} s, {done / seconds:.2f} a second")
    print(f"  handing one over  {_spread(submitting)}: {count / sum(submitting):.1f} a second")
    print(f"  asking for states {_spread(asking)}", flush=True)


def _hand_over(client: RayJobs, count: int) -> tuple[list[float], list[float]]:
    """Submit so many jobs and wait until all are over; return the seconds of each submission and of each asking."""
    submitting: list[float] = []
    asking: list[float] = []
    while True:
        began = time.perf_counter()
        reports = client.states("true-").values()
        asking.append(time.perf_counter() - began)
        pending = sum(report.state is JobState.PENDING for report in reports)
        for _ in range(min(PENDING - pending, count - len(submitting))):
            began = time.perf_counter()
            client.submit(Job(f"true-{len(submitting):05d}", "true", Demand(cpus=1)))
            submitting.append(time.perf_counter() - began)
        if len(submitting) == count and all(report.state.over for report in reports) and len(reports) == count:
            return submitting, asking
        time.sleep(REST)


def _spread(seconds: list[float]) -> str:
    median, high = np.quantile(seconds, [0.5, 0.95])
    return f"{1000 * median:5.0f} ms (p95 {1000 * high:.0f} ms)"


# Runs ------------------------------------------------------------------------------------------------------------


def runs(count: int, home: Path) -> None:
    os.environ[THREADS] = "1"
    bare = _bare(home, count)
    print(f"{count} runs, one after another\n  workers alone      {bare / count:6.1f} s a run")
    here = _queued(home, count, Where.HERE)
    print(f"  this machine       {here / count:6.1f} s a run, {(here - bare) / count:+.1f} s", flush=True)
    with _head(1) as client:
        os.environ["RAY_ADDRESS"] = client.address
        there = _queued(home, count, Where.CLUSTER)
    print(f"  cluster with 1 CPU {there / count:6.1f} s a run, {(there - bare) / count:+.1f} s")


def _bare(home: Path, count: int) -> float:
    """Train the runs without any queue; return the seconds."""
    store = _workspace(home, "bare")
    store.set_queue(paused=True)
    queued = plan.launch_study(_study(count), store.workspace)
    began = time.perf_counter()
    for run in queued:
        words = [sys.executable, "-m", "segcore.training.worker", str(run.path)]
        subprocess.run(words, env=variables(), stdout=subprocess.DEVNULL, check=True)
    return _seconds(queued, began)


def _queued(home: Path, count: int, where: Where) -> float:
    """Launch the runs and wait for their end; return the seconds from when they were queued."""
    store = _workspace(home, where.value)
    asked = time.perf_counter()
    queued = plan.launch_study(_study(count), store.workspace, where=where)
    began = time.perf_counter()
    if where is Where.CLUSTER:
        print(f"  (its node was ready to train after {began - asked:.0f} s)", flush=True)
    while any(run.state.active for run in queued):
        time.sleep(REST)
    return _seconds(queued, began)


def _seconds(ended: list[Run], began: float) -> float:
    seconds = time.perf_counter() - began
    broken = [f"{run.name}: {run.status.message}" for run in ended if run.state is not RunState.FINISHED]
    assert not broken, broken
    return seconds


def _workspace(home: Path, name: str) -> RunStore:
    workspace = Workspace(home / name)
    workspace.ensure_writable()
    os.environ[HOME_VARIABLE] = str(workspace.root)
    add_dataset(workspace, home / f"{name}-source")
    return RunStore(workspace)


def _study(count: int) -> StudyConfig:
    seeds = tuple(range(count))
    return StudyConfig(name="s", dataset="tiny", encoders=(ENCODER,), weights="none", seeds=seeds, recipe=RECIPE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=500, metavar="N")
    parser.add_argument("--runs", type=int, default=10, metavar="N")
    parser.add_argument("--cpus", type=int, default=2, metavar="N", help="of the head that runs the jobs")
    parser.add_argument("--home", type=Path, help="an empty folder for the workspaces, by default a temporary one")
    given = parser.parse_args()
    if given.jobs:
        jobs(given.jobs, given.cpus)
    if given.runs:
        if given.home:
            runs(given.runs, given.home)
        else:
            with tempfile.TemporaryDirectory() as folder:
                runs(given.runs, Path(folder))


if __name__ == "__main__":
    main()
