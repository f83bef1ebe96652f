"""What is asked of a cluster, what its nodes must show first, and what screens say of it; all without Ray."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from segcore.__main__ import main
from segcore.checkout import COMMIT_VARIABLE, git_commit
from segcore.clustered import JOB_VARIABLE, give_job
from segcore.config import Recipe, StudyConfig
from segcore.errors import ClusterError, ConfigError
from segcore.launch import cluster, node_check, plan, proving
from segcore.launch.demand import CPUS_ALONE, CPUS_FOR_A_GPU, demands, shape
from segcore.launch.jobs import Capacity, Demand, Job, JobState, Node
from segcore.launch.worker_jobs import worker_environment, worker_job, workspace_key
from segcore.runqueue import RunQueue
from segcore.runs import Run
from segcore.status import RunState, Status, Where
from segcore.store import RunStore
from segcore.workspace import Workspace
from tests.factories import LITE0, RESNET18, add_dataset, make_run
from tests.launch.pretended import NODES, PretendedJobs

STUDY = ["study", "run", "s", "--dataset", "tiny", "--backbones", "resnet18", "--weights", "none", "--on", "ray"]


# Words -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("demand", "text"),
    [
        (Demand(), "1 CPU"),
        (Demand(cpus=4, gpus=1), "1 GPU and 4 CPUs"),
        (Demand(cpus=4, gpus=2, memory=3.44e9), "2 GPUs, 4 CPUs and 3.4 GB of memory"),
    ],
)
def test_a_demand_reads_as_a_person_says_it(demand: Demand, text: str) -> None:
    assert demand.text == text


@pytest.mark.parametrize(
    ("demand", "words"),
    [
        (Demand(cpus=4), "waits for a node of the cluster with 4 CPUs free"),
        (Demand(cpus=5), "No node of the cluster has 5 CPUs (4 at most)"),
        (Demand(gpus=2), "has 2 GPUs (0 at most)"),
        (Demand(memory=17e9), "has 17.0 GB of memory (16.0 GB at most)"),
    ],
)
def test_what_a_job_waits_for(demand: Demand, words: str) -> None:
    assert words.replace("16.0 GB", "16.0") in cluster.waits_for(demand, NODES)


def test_what_only_two_nodes_together_have() -> None:
    nodes = [Node("a", "a", cpus=8, memory=1e9), Node("b", "b", cpus=1, memory=9e9)]
    assert "8 CPUs and 9.0 GB of memory together" in cluster.waits_for(Demand(cpus=8, memory=9e9), nodes)


def test_news_outlast_a_head_that_is_gone(workspace: Workspace) -> None:
    assert cluster.news(workspace) is None
    cluster.write_news(workspace, "http://head", Capacity("s", NODES))
    news = cluster.news(workspace)
    assert news is not None
    assert (news.answers, news.nodes) == (True, NODES)
    assert news.text == "5 of 8 CPUs free on 2 nodes"
    assert replace(news, asked=time.time() - 600).text.endswith(", 10 min ago")
    cluster.write_news(workspace, "http://head", None, "no route")
    gone = cluster.news(workspace)
    assert gone is not None
    assert (gone.answers, gone.problem, gone.nodes) == (False, "no route", NODES)
    assert "http://head has not answered" in gone.text
    time.sleep(0.01)
    cluster.write_news(workspace, "http://head", None, "no route")
    later = cluster.news(workspace)
    assert later is not None
    assert (later.since, later.asked > gone.asked) == (gone.since, True)


@pytest.mark.parametrize("text", ["[]", "{", '{"nodes": [{"colour": 1}]}', '{"address": "a"}'])
def test_damaged_news_are_no_news(workspace: Workspace, text: str) -> None:
    workspace.cluster_news.write_text(text)
    assert cluster.news(workspace) is None


# Without Ray or an address -----------------------------------------------------------------------------


def test_without_ray_one_line_says_what_to_install(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    add_dataset(workspace, tmp_path / "source")
    monkeypatch.setattr(cluster, "find_spec", lambda _: None)
    monkeypatch.setenv("RAY_ADDRESS", "http://head:8265")
    assert main(STUDY) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error == f"Error: --on: {cluster.INSTALL}"
    assert 'pip install -e ".[cluster]"' in error
    assert not RunStore(workspace).studies()


def test_without_an_address_it_is_asked_for(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "find_spec", lambda _: object())
    for name in cluster.ADDRESS_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ClusterError, match="set RAY_ADDRESS"):
        cluster.chosen(store)
    store.set_queue(cluster="http://last")
    assert cluster.chosen(store) == "http://last"
    monkeypatch.setenv("RAY_ADDRESS", "http://now")
    assert cluster.chosen(store) == "http://now"


# What a run asks for -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ([(1, 0)], (1, 0)),
        ([(2, 0), (16, 0), (12, 0)], (12, 0)),
        ([(64, 0)], (CPUS_ALONE, 0)),
        ([(64, 0), (16, 4), (32, 4)], (4, 1)),
        ([(64, 1)], (CPUS_FOR_A_GPU, 1)),
        ([(1, 8)], (1, 1)),
    ],
)
def test_the_share_of_a_run(nodes: list[tuple[int, int]], expected: tuple[int, int]) -> None:
    assert shape([Node(str(n), str(n), cpus=c, gpus=g) for n, (c, g) in enumerate(nodes)]) == expected


def test_a_cluster_without_processors_is_told() -> None:
    with pytest.raises(ClusterError, match="offers a CPU or a GPU"):
        shape([Node("head", "head", memory=1e9)])


def test_memory_comes_from_the_fit_and_what_no_node_holds_is_refused(store: RunStore) -> None:
    recipe = Recipe(image_size=256, batch_size=8)
    config = StudyConfig(name="s", dataset="tiny", encoders=(RESNET18, LITE0), recipe=recipe)
    found = demands(config, 3, store, Capacity("s", NODES))
    assert found[RESNET18].memory != found[LITE0].memory
    assert min(demand.memory for demand in found.values()) > 1e9
    with_gpu = Capacity("s", (replace(NODES[0], gpus=1),))
    assert demands(config, 3, store, with_gpu)[RESNET18].memory < found[RESNET18].memory
    small = Capacity("s", (replace(NODES[0], memory=1.5e9),))
    with pytest.raises(ConfigError, match="largest node of the cluster"):
        demands(config, 3, store, small)


def test_a_launch_onto_a_cluster_queues_what_its_nodes_can_do(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_dataset(workspace, tmp_path / "source")
    asked: list[Any] = []
    monkeypatch.setenv("RAY_ADDRESS", "http://head:8265")
    monkeypatch.setattr(cluster, "find_spec", lambda _: object())
    monkeypatch.setattr(proving, "capacity", lambda *_: Capacity("s", NODES))
    monkeypatch.setattr(plan, "ensure_scheduler", lambda _: None)

    def prove(_: Workspace, address: str, demands: Any, **what: Any) -> None:
        asked.append((address, list(demands), what["dataset"]))
        if len(asked) == 1:
            raise ClusterError("Node node-a does not see the workspace.")

    monkeypatch.setattr(proving, "prove", prove)
    recipe = Recipe(epochs=1, image_size=64, batch_size=4)
    config = StudyConfig(name="s", dataset="tiny", encoders=(RESNET18,), weights="none", recipe=recipe)
    store = RunStore(workspace)
    with pytest.raises(ClusterError) as refused:
        plan.launch_study(config, workspace, where=Where.CLUSTER)
    assert refused.value.field == "where"
    assert not store.studies()
    (run,) = plan.launch_study(config, workspace, where=Where.CLUSTER)
    assert run.status.where is Where.CLUSTER
    assert run.status.demand == asked[-1][1][0]
    assert run.status.demand.cpus == 4
    assert asked[-1][0] == store.queue_settings().cluster == "http://head:8265"
    assert Status.from_json(json.loads(json.dumps(run.status.to_json()))) == run.status


def test_a_status_of_an_earlier_version_trains_here(store: RunStore) -> None:
    value = make_run(store, state=RunState.QUEUED).status.to_json()
    for name in ("where", "job", "jobs", "demand"):
        del value[name]
    status = Status.from_json(value)
    assert (status.where, status.job, status.jobs, status.demand) == (Where.HERE, None, 0, None)


# What the nodes must show ------------------------------------------------------------------------------


class Nodes(PretendedJobs):
    """Nodes on which commands are really carried out, at once and here."""

    def __init__(self, change: Callable[[Job], str] = lambda job: job.command) -> None:
        super().__init__()
        self.change = change

    def submit(self, job: Job) -> None:
        super().submit(job)
        command = self.change(job).replace("exec python", f"exec {sys.executable}")
        done = subprocess.run(command, shell=True, capture_output=True, text=True)  # noqa: S602
        state = JobState.FAILED if done.returncode else JobState.SUCCEEDED
        self.set(job.id, state, exit_code=done.returncode, message=done.stdout + done.stderr)


@pytest.fixture
def ask(workspace: Workspace, tmp_path: Path) -> dict[str, Any]:
    add_dataset(workspace, tmp_path / "source")
    return {"dataset": "tiny", "images": str(tmp_path / "source" / "images"), "files": []}


def test_nodes_that_can_train_are_asked_once(workspace: Workspace, ask: dict[str, Any]) -> None:
    jobs = Nodes()
    proving.prove_nodes(jobs, workspace, NODES[:1], ask)
    proving.prove_nodes(jobs, workspace, NODES, ask)
    proving.prove_nodes(jobs, workspace, NODES, ask)
    assert [job.node for job in jobs.submitted] == [node.id for node in NODES]
    assert {job.demand for job in jobs.submitted} == {Demand(cpus=0)}, "busy nodes can answer, too"
    assert not list(workspace.root.glob(".cluster-check*"))
    proving.prove_nodes(jobs, workspace, NODES, {**ask, "files": [ask["images"] + "/scene00_frame0.png"]})
    assert len(jobs.submitted) == 4, "other weights are another question"


def test_a_node_that_does_not_see_the_workspace_is_named(workspace: Workspace, ask: dict[str, Any]) -> None:
    def elsewhere(job: Job) -> str:
        return job.command.replace(str(workspace.root), "/nowhere") if job.node == NODES[1].id else job.command

    with pytest.raises(ClusterError) as refused:
        proving.prove_nodes(Nodes(elsewhere), workspace, NODES, ask)
    message = str(refused.value)
    assert message.startswith(f"Node node-b does not see the workspace: mount {workspace.root}")
    assert "node-a" not in message
    assert "NFS" in message


def test_a_node_that_has_no_python_says_so(workspace: Workspace, ask: dict[str, Any]) -> None:
    with pytest.raises(ClusterError, match=r"could not be asked .*nopython.*not found"):
        proving.prove_nodes(Nodes(lambda _: "exec nopython"), workspace, NODES[:1], ask)


def test_what_is_missing_on_a_node_is_said(
    workspace: Workspace, ask: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = f"{ask['images']}/none.bin"
    assert list(node_check.problems(workspace, ask)) == []
    (problem,) = node_check.problems(workspace, {**ask, "files": [missing]})
    assert f"cannot read the weights {missing}" in problem
    (problem,) = node_check.problems(workspace, {**ask, "dataset": "gone"})
    assert "cannot read the dataset" in problem
    assert f"mount {ask['images']}" in problem

    def lacking(name: str) -> None:
        raise ModuleNotFoundError("No module named 'timm'")

    monkeypatch.setattr(node_check, "import_module", lacking)
    (problem,) = node_check.problems(workspace, ask)
    assert "lacks a package (No module named 'timm')" in problem


# The worker that a job starts --------------------------------------------------------------------------


def test_a_worker_whose_job_nobody_waits_for_leaves_the_run_alone(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from segcore.training import worker

    run = make_run(store, state=RunState.QUEUED)
    run.write_status(replace(run.status, where=Where.CLUSTER, demand=Demand()))
    job = give_job(store, run, workspace_key(store.workspace))
    assert job is not None
    before = asdict(run.status)
    monkeypatch.setenv(JOB_VARIABLE, f"{job}0")
    assert worker.main([str(run.path)]) == 0
    assert asdict(run.status) == before


def test_a_job_carries_what_the_node_cannot_know(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGCORE_WEIGHTS", "/shared/weights")
    run = make_run(RunStore(workspace), study="it-is", state=RunState.QUEUED)
    job = worker_job(run, "job-1", Demand(cpus=3))
    assert job.environment["SEGCORE_WEIGHTS"] == "/shared/weights"
    assert job.environment["SEGCORE_HOME"] == str(workspace.root)
    assert job.environment["OMP_NUM_THREADS"] == "3"
    commit = git_commit()
    assert worker_environment(workspace).get(COMMIT_VARIABLE) == commit
    nasty = Run(Path("/tmp/it's a $HOME") / "studies" / "s" / "r")
    words = subprocess.run(
        ["sh", "-c", worker_job(nasty, "j", Demand()).command.replace("exec python", "echo").split(" >> ")[0]],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split(maxsplit=2)
    assert words[2].rstrip("\n") == str(nasty.path)


def test_one_machine_and_the_cluster_do_not_take_each_others_runs(store: RunStore) -> None:
    queue = RunQueue(store.workspace)
    away = make_run(store, state=RunState.QUEUED)
    away.write_status(replace(away.status, where=Where.CLUSTER, demand=Demand()))
    assert not queue.ready()
    here = make_run(store, seed=1, state=RunState.QUEUED)
    assert queue.ready()
    assert queue.waiting() == [away, here], "they stand in one queue all the same"
    assert queue.claim_next() == here
