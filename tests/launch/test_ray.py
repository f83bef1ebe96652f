"""Runs on a real Ray cluster of this machine: a head, and nodes that are lost while they train."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from segcore.__main__ import main
from segcore.errors import ClusterError
from segcore.launch import cluster, proving
from segcore.launch.jobs import Demand, Job, JobState
from segcore.launch.local import ensure_scheduler, scheduler_alive
from segcore.launch.processes import scheduler_log
from segcore.launch.ray import RayJobs
from segcore.launch.worker_jobs import workspace_key
from segcore.runs import Run
from segcore.status import RunState, Where
from segcore.store import RunStore
from segcore.workspace import HOME_VARIABLE, Workspace
from tests.factories import add_dataset
from tests.ray_cluster import RayCluster, free_port, wait_for

TINY = "test_efficientnet"
EPOCHS = 20
TIMES = {"seconds", "images_per_second"}

pytestmark = pytest.mark.slow


@pytest.fixture
def jobs(ray_cluster: RayCluster) -> RayJobs:
    return RayJobs(ray_cluster.address)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ray_cluster: RayCluster) -> Iterator[Workspace]:
    """A workspace whose path a shell would take apart, with a dataset; and the cluster's address in the environment."""
    root = tmp_path / "ho me's"
    monkeypatch.setenv(HOME_VARIABLE, str(root))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("RAY_ADDRESS", ray_cluster.address)
    workspace = Workspace()
    workspace.ensure_writable()
    add_dataset(workspace, tmp_path / "source")
    yield workspace
    store = RunStore(workspace)
    for run in store.active():
        store.stop(run)
    wait_for(lambda: not scheduler_alive(workspace), "the scheduler's end")


def study(name: str, *more: str) -> list[str]:
    words = ["study", "run", name, "--dataset", "tiny", "--backbones", TINY, "--weights", "none", "--detach"]
    words += ["--epochs", str(EPOCHS), "--image-size", "32", "--batch-size", "2"]
    return [*words, "--precision", "fp32", "--memory-format", "contiguous", *more]


def records(run: Run) -> list[dict[str, object]]:
    rows = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    latest = {row["epoch"]: {key: value for key, value in row.items() if key not in TIMES} for row in rows}
    return [latest[epoch] for epoch in sorted(latest)]


def undisturbed(folder: Path, run: Run) -> Run:
    """Train the same run in a workspace of its own, here and at a stretch."""
    workspace = Workspace(folder / "undisturbed")
    workspace.ensure_writable()
    store = RunStore(workspace)
    dataset = add_dataset(workspace, folder / "source")
    assert dataset.split is not None
    study = store.workspace.studies / run.study_name
    study.mkdir()
    for name in ("study.json", "split.json"):
        (study / name).write_bytes((run.path.parent / name).read_bytes())
    same = Run(study / run.name)
    same.create(run.config, run.status.__class__(RunState.QUEUED, 0.0, 0.0))
    subprocess.run([sys.executable, "-m", "segcore.training.worker", str(same.path)], check=True, capture_output=True)
    return same


def scheduler_pid(workspace: Workspace) -> int:
    words = ["segcore.launch.local", str(workspace.root)]
    found = [p.pid for p in psutil.process_iter(["cmdline"]) if (p.info["cmdline"] or [])[-2:] == words]
    assert len(found) == 1
    return int(found[0])


def test_a_run_whose_node_is_lost_ends_elsewhere_as_if_nothing_had_happened(
    ray_cluster: RayCluster, jobs: RayJobs, home: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (head,) = jobs.capacity().nodes
    lost = ray_cluster.add()
    wait_for(lambda: len(jobs.capacity().nodes) == 2, "the second node")
    jobs.submit(Job("takes-the-head", "exec sleep 1000", Demand(cpus=1), node=head.id))
    wait_for(lambda: jobs.states("takes-the-head")["takes-the-head"].state is JobState.RUNNING, "what takes the head")

    # Both nodes are asked whether they can train, the busy one too; then the run has but one place.
    assert main(study("s", "--seeds", "0,1", "--on", "ray")) == 0
    store, key = RunStore(home), workspace_key(home)
    run, other = store.runs("s")
    assert {run.status.where, other.status.where} == {Where.CLUSTER}
    wait_for(lambda: run.status.epoch >= 2, f"training: {run.status} {run.log()}")
    pid = run.status.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)  # it is fast, and has to be in the midst of it
    wait_for(lambda: "waits for a node of the cluster with 1 CPU" in other.status.message, "why the other waits")
    report = jobs.states(key)[str(run.status.job)]
    assert report.node not in (None, head.id)

    # Whoever looks after them dies, and the next one finds everything as it is.
    os.kill(scheduler_pid(home), signal.SIGKILL)
    wait_for(lambda: not scheduler_alive(home), "the scheduler's death")
    ensure_scheduler(home)
    store.stop(other)  # Ray cannot take back a job that has not started
    wait_for(lambda: "which no run waits for" in scheduler_log(home).read_text(), "the stopped run's job being told")
    assert len(jobs.states(key)) == 2, "something was submitted twice"

    lost.lose()
    wait_for(lambda: run.status.restarts == 1, "the loss being noticed")
    assert 2 <= run.status.epoch < EPOCHS, "it was too fast for this test"
    jobs.stop("takes-the-head")
    wait_for(lambda: run.state is RunState.FINISHED, f"its end: {run.status} {run.log()}")
    assert run.status.jobs == 2
    assert other.state is RunState.STOPPED
    assert not other.epochs()
    assert "Going on after" in run.log()
    wait_for(lambda: not scheduler_alive(home), "the scheduler's end")
    assert {report.state.over for report in jobs.states(key).values()} == {True}

    same = undisturbed(tmp_path, run)
    assert records(run) == records(same)
    assert run.best_weights.read_bytes() == same.best_weights.read_bytes()
    news = cluster.news(home)
    assert news is not None
    assert news.answers
    assert "CPU" in news.text


def test_a_job_is_known_by_its_id_for_ever(jobs: RayJobs) -> None:
    prefix = "known-"
    command = 'echo "$SEGCORE_X"; env | grep RAY_USAGE; python -c "import segcore; print(segcore.__file__)"; exit 7'
    for _ in range(2):
        jobs.submit(Job(f"{prefix}1", command, Demand(), {"SEGCORE_X": "it's $HOME"}))
    wait_for(lambda: jobs.states(prefix)[f"{prefix}1"].state.over, "the job")
    jobs.submit(Job(f"{prefix}1", "echo another", Demand()))
    (report,) = jobs.states(prefix).values()
    assert (report.state, report.exit_code, report.never_started) == (JobState.FAILED, 7, False)
    said = jobs.log(f"{prefix}1")
    assert "it's $HOME" in said
    assert "RAY_USAGE_STATS_ENABLED=0" in said
    assert "py_modules" in said, "the nodes need not have the package"
    assert "another" not in said
    jobs.stop(f"{prefix}1")
    jobs.stop("unknown")
    assert jobs.log("unknown") == ""
    assert jobs.states("nobody-has-such-") == {}


def test_what_a_node_lacks_is_said_before_anything_is_queued(
    home: Workspace, ray_cluster: RayCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    source = home.root.parent / "source"
    away = source.rename(source.with_name("unmounted"))
    with pytest.raises(ClusterError, match=r"cannot read the dataset.* mount .*images under this same path"):
        proving.prove(
            home, ray_cluster.address, [Demand()], dataset="tiny", images=source / "images", files=[source / "w.bin"]
        )
    away.rename(source)
    with pytest.raises(ClusterError, match="No node of the cluster has 3 GPUs"):
        proving.prove(home, ray_cluster.address, [Demand(gpus=3)], dataset="tiny", images=source / "images")
    assert not list(home.root.glob(".cluster-check*"))


def test_a_head_that_is_not_there_is_told_in_one_line(
    home: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", f"http://127.0.0.1:{free_port()}")
    assert main(study("s", "--on", "ray")) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("Error: --on: ")
    assert "Failed to connect to Ray" in error
    assert not RunStore(home).studies()


def test_nothing_is_told_to_rays_makers() -> None:
    code = (
        "import segcore.launch.ray as ours; ours._connect.__globals__['_new_client'] = lambda address: None; "
        "ours._connect(''); from ray._common.usage import usage_lib; print(usage_lib.usage_stats_enabled())"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == "False"
