"""One run on several GPUs of a node: what is asked of a cluster, what its job carries out, and a real one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from segcore.__main__ import main
from segcore.config import Recipe, StudyConfig
from segcore.errors import ConfigError
from segcore.launch import plan
from segcore.launch.demand import demands, shape
from segcore.launch.jobs import Capacity, Node
from segcore.launch.local import scheduler_alive
from segcore.launch.places import THREADS
from segcore.launch.ray import RayJobs
from segcore.launch.worker_jobs import worker_job
from segcore.runs import Study
from segcore.status import Demand, RunState
from segcore.store import RunStore
from segcore.workspace import Workspace
from tests.factories import add_dataset, make_run
from tests.ray_cluster import RayCluster, wait_for

SMALL = Node("a" * 8, "small", cpus=4, gpus=2, memory=64e9)
LARGE = Node("b" * 8, "large", cpus=64, gpus=8, memory=512e9)
PROCESSORS = Node("c" * 8, "processors", cpus=32, memory=128e9)


@pytest.mark.parametrize(
    ("nodes", "gpus", "expected"),
    [
        ((SMALL, LARGE), 1, (2, 1)),
        ((SMALL, LARGE), 2, (4, 2)),
        ((SMALL, LARGE), 4, (32, 4)),  # only the large one can take it
        ((SMALL, LARGE), 16, (32, 16)),  # nobody can, which is said by whoever looks for a node
        ((PROCESSORS,), 1, (16, 0)),
        ((PROCESSORS,), 2, (2, 2)),
    ],
)
def test_a_run_asks_for_its_gpus_and_their_share_of_processors(
    nodes: tuple[Node, ...], gpus: int, expected: tuple[int, int]
) -> None:
    assert shape(nodes, gpus) == expected


def test_each_gpu_has_a_process_with_memory_of_its_own(store: RunStore) -> None:
    def asked(gpus: int) -> Demand:
        config = StudyConfig(name="s", dataset="d", encoders=("resnet18",), recipe=Recipe(gpus_per_run=gpus))
        return demands(config, 3, store, Capacity("session", (LARGE,)))["resnet18"]

    assert asked(4) == Demand(cpus=32, gpus=4, memory=4 * asked(1).memory)


def test_its_job_starts_as_many_processes_which_share_the_processors(store: RunStore) -> None:
    run = make_run(store, state=RunState.QUEUED)
    one, two = (worker_job(run, "job", Demand(cpus=6, gpus=gpus)) for gpus in (1, 2))
    assert "-m segcore.training.worker" in one.command and one.environment[THREADS] == "6"
    assert f"-m segcore.training.several 2 {run.path}" in two.command and two.environment[THREADS] == "3"


def test_a_batch_must_give_two_images_to_each(capsys: pytest.CaptureFixture[str]) -> None:
    Recipe(batch_size=8, gpus_per_run=4)
    with pytest.raises(ConfigError, match="batch size to 10 or more") as caught:
        Recipe(batch_size=8, gpus_per_run=5)
    assert caught.value.field == "gpus_per_run"
    words = ["study", "run", "s", "--dataset", "d", "--backbones", "resnet18", "--gpus-per-run", "5"]
    assert main(words) != 0
    assert "--gpus-per-run" in capsys.readouterr().err


def test_a_study_of_an_earlier_version_has_one(store: RunStore) -> None:
    run = make_run(store)
    for value in (run.config.to_json(), Study(run.path.parent).shared):
        del value["recipe"]["gpus_per_run"]
        assert Recipe.from_json(value["recipe"]).gpus_per_run == 1


def test_on_this_machine_a_run_has_one(workspace: Workspace, tmp_path: Path) -> None:
    add_dataset(workspace, tmp_path / "source")
    recipe = Recipe(gpus_per_run=2)
    config = StudyConfig(name="s", dataset="tiny", encoders=("resnet18",), weights="none", recipe=recipe)
    with pytest.raises(ConfigError, match="Only a cluster trains a run on 2 GPUs") as caught:
        plan.launch_study(config, workspace)
    assert caught.value.field == "gpus_per_run"
    assert not RunStore(workspace).runs()


@pytest.mark.slow  # starts a node of Ray, and processes that each import torch
def test_a_run_trains_on_two_gpus_of_a_node(
    ray_cluster: RayCluster,
    workspace: Workspace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", ray_cluster.address)
    add_dataset(workspace, tmp_path / "source")
    jobs, store = RayJobs(ray_cluster.address), RunStore(workspace)
    words = ["study", "run", "s", "--dataset", "tiny", "--backbones", "test_efficientnet", "--weights", "none"]
    words += ["--epochs", "1", "--image-size", "32", "--precision", "fp32", "--memory-format", "contiguous"]
    words += ["--on", "ray", "--detach", "--gpus-per-run"]
    node = ray_cluster.add(cpus=2, gpus=2)
    try:
        wait_for(lambda: any(found.gpus for found in jobs.capacity().nodes), "the second node")
        assert main([*words, "3"]) != 0
        assert "No node of the cluster has 3 GPUs (2 at most)" in capsys.readouterr().err
        assert main([*words, "2"]) == 0
        (run,) = store.runs("s")
        assert run.status.demand == replace(run.status.demand or Demand(), cpus=2, gpus=2)
        wait_for(lambda: not run.state.active, f"its end: {run.status}")
        assert run.state is RunState.FINISHED, run.log()
        assert (run.provenance()["processes"], run.status.threads) == (2, 1)
        wait_for(lambda: not scheduler_alive(workspace), "the scheduler's end")
    finally:
        node.stop()
        ray_cluster.nodes.remove(node)
    wait_for(lambda: len(jobs.capacity().nodes) == 1, "the node to be gone")
