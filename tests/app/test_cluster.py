"""A cluster in the app: choosing it, what it says, how what trains and waits there is shown. None is asked."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from segcore.config import StudyConfig
from segcore.errors import ClusterError
from segcore.files import read_json, write_json
from segcore.launch import cluster, plan
from segcore.launch.jobs import Capacity, Node
from segcore.progress import Progress, silent
from segcore.runs import Run
from segcore.status import Demand, RunState, Status, Where
from segcore.store import RunStore
from segcore.ui import launch_where, more_seeds, queue_actions, queue_view, training_facts
from segcore.ui.state import Key
from tests import factories
from tests.app.conftest import OpenApp, texts

ADDRESS = "http://head:8265"
NODES = tuple(
    Node(letter * 8, f"node-{letter}", 64, gpus, 256e9, free_cpus=32, free_gpus=gpus and 1, free_memory=1e11)
    for letter, gpus in (("a", 4), ("b", 4), ("c", 0))
)
CLUSTER = launch_where.NAMES[Where.CLUSTER]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Ray is installed, as far as anybody sees; every workspace whose cluster was to be asked."""
    found: list[Path] = []
    monkeypatch.setattr(cluster, "missing", lambda: None)
    monkeypatch.setattr(cluster, "ask", lambda workspace: found.append(workspace.root))
    launch_where._ask.clear()
    return found


@pytest.fixture
def known(store: RunStore, tmp_path: Path, asked: list[Path]) -> RunStore:
    """A workspace with a dataset, whose last run was launched onto a cluster."""
    factories.add_dataset(store.workspace, tmp_path / "source")
    store.set_queue(cluster=ADDRESS)
    return store


def answer(store: RunStore, nodes: tuple[Node, ...] = NODES, *, problem: str = "", since: float = 0.0) -> None:
    """Write down what the cluster says, or that it has not answered for `since` seconds."""
    cluster.write_news(store.workspace, ADDRESS, Capacity("session", nodes))
    if problem:
        cluster.write_news(store.workspace, ADDRESS, None, problem)
        news = read_json(store.workspace.cluster_news)
        write_json(store.workspace.cluster_news, {**news, "since": news["since"] - since})


def choose_cluster(app: AppTest) -> AppTest:
    app.segmented_control(key=Key.LAUNCH_WHERE).set_value(CLUSTER).run()
    assert not app.exception
    return app


def said(app: AppTest) -> str:
    """All that the sidebar says, as it reads on screen."""
    kinds = (app.sidebar.markdown, app.sidebar.caption, app.sidebar.warning, app.sidebar.error)
    return "\n".join(str(element.value) for kind in kinds for element in kind).replace("\\", "")


def on_cluster(run: Run, **changes: object) -> Run:
    run.write_status(replace(run.status, where=Where.CLUSTER, demand=Demand(8, 2, 3e9), **changes))  # type: ignore[arg-type]
    return run


# The choice --------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("asked")
def test_without_a_cluster_there_is_a_hint_among_more_options(open_app: OpenApp) -> None:
    app = open_app()
    assert Key.LAUNCH_WHERE not in {widget.key for widget in app.sidebar.button_group}
    assert Key.LAUNCH_GPUS not in {widget.key for widget in app.sidebar.number_input}
    (options,) = [block for block in app.sidebar.expander if block.label == "More options"]
    assert "RAY_ADDRESS" in options.caption[-1].value.replace("\\", "")


def test_the_environment_names_a_cluster_too(
    open_app: OpenApp, asked: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", ADDRESS)
    app = open_app()
    assert app.segmented_control(key=Key.LAUNCH_WHERE).value == launch_where.NAMES[Where.HERE]
    assert "RAY_ADDRESS" not in said(app)
    assert not asked, "nobody wants to know yet"


def test_what_to_install_is_said_in_a_line(open_app: OpenApp, known: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    app = choose_cluster(open_app())
    monkeypatch.setattr(cluster, "missing", lambda: cluster.INSTALL)
    app.run()
    choice = app.segmented_control(key=Key.LAUNCH_WHERE)
    assert (choice.disabled, choice.value) == (True, launch_where.NAMES[Where.HERE])
    assert cluster.INSTALL in said(app)
    assert "2 runs, about" in said(app)


def test_the_cluster_is_asked_once_and_speaks_for_the_runs(
    open_app: OpenApp, known: RunStore, asked: list[Path]
) -> None:
    app = choose_cluster(open_app()).run()
    assert asked == [known.workspace.root]
    assert f"Asking {ADDRESS} what is free" in said(app)
    assert "2 runs; what each takes is said once the cluster has answered" in said(app)
    answer(known)
    app.run()
    assert "2 of 8 GPUs free, 96 of 192 CPUs free on 3 nodes" in said(app)
    assert "2 runs, each with **1 GPU and 8 CPUs** of a node" in said(app)
    for here in ("about **", "Memory:", "this machine"):
        assert here not in said(app)
    app.number_input(key=Key.LAUNCH_GPUS).set_value(4).run()
    assert "each with **4 GPUs and 32 CPUs** of a node" in said(app)
    app.number_input(key=Key.LAUNCH_BATCH_SIZE).set_value(16).run()
    app.number_input(key=Key.LAUNCH_GPUS).set_value(8).run()
    assert "No node of the cluster has 8 GPUs (4 at most)" in said(app)


def test_without_gpus_the_memory_of_the_nodes_counts(open_app: OpenApp, known: RunStore) -> None:
    answer(known, (Node("a" * 8, "node-a", 4, 0, 3e9),))
    app = choose_cluster(open_app())
    assert "2 runs, each with **4 CPUs** of a node" in said(app)
    assert "of 3.0 GB (EfficientNet-B0)" in said(app)
    app.number_input(key=Key.LAUNCH_BATCH_SIZE).set_value(1000).run()
    assert "does not fit into the largest node of the cluster (node-a)" in said(app)
    answer(known, ())
    assert "what each takes is said once the cluster has answered" in said(app.run())
    answer(known, (Node("a" * 8, "head"),))
    assert "No node of the cluster offers a CPU or a GPU" in said(app.run())


def test_a_cluster_that_does_not_answer_is_said_with_since_when(open_app: OpenApp, known: RunStore) -> None:
    answer(known, problem="Failed to connect *now*.", since=180)
    app = choose_cluster(open_app())
    expected = f"The cluster at {ADDRESS} has not answered for 3 min. Runs on this machine go on."
    assert f"{expected}  \n:small[Failed to connect *now*.]" in said(app)
    assert "each with **1 GPU and 8 CPUs**" in said(app), "as it was when it last answered"
    assert "What is told of its runs is from before." not in said(app), "it has none"
    on_cluster(factories.make_run(known, state=RunState.QUEUED))
    assert "What is told of its runs is from before." in said(app.run())


def test_old_news_say_how_old_they_are(open_app: OpenApp, known: RunStore, asked: list[Path]) -> None:
    answer(known)
    news = read_json(known.workspace.cluster_news)
    write_json(known.workspace.cluster_news, {**news, "asked": time.time() - 300})
    app = choose_cluster(open_app())
    assert "on 3 nodes, 5 min ago" in said(app)
    assert asked == [known.workspace.root]
    cluster.write_news(known.workspace, "http://other:8265", Capacity("session", NODES))
    assert f"Asking {ADDRESS}" in said(app.run()), "another cluster's news are none"


def test_what_is_launched_goes_where_it_was_asked_to(
    open_app: OpenApp, known: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted: list[tuple[int, Where]] = []

    def launch_study(
        config: StudyConfig, _workspace: object = None, progress: Progress = silent, *, where: Where
    ) -> list[Run]:
        wanted.append((config.recipe.gpus_per_run, where))
        raise ClusterError("Node node-b does not see the workspace.", field="where")

    monkeypatch.setattr(plan, "launch_study", launch_study)
    answer(known)
    app = open_app()
    app.button(key=Key.LAUNCH).click().run()
    choose_cluster(app).number_input(key=Key.LAUNCH_GPUS).set_value(2).run()
    app.button(key=Key.LAUNCH).click().run()
    assert wanted == [(1, Where.HERE), (2, Where.CLUSTER)]
    (error,) = app.sidebar.error
    assert "does not see the workspace" in error.value


def test_several_gpus_on_this_machine_are_refused_beside_their_field(open_app: OpenApp, known: RunStore) -> None:
    app = open_app()
    app.number_input(key=Key.LAUNCH_GPUS).set_value(2).run()
    app.segmented_control(key=Key.LAUNCH_WEIGHTS).set_value("From scratch").run()
    app.button(key=Key.LAUNCH).click().run()
    (options,) = [block for block in app.sidebar.expander if block.label == "More options"]
    assert "on this machine each run has one" in options.error[0].value
    assert not known.runs()


# What trains and waits there ---------------------------------------------------------------------------


def test_queue_tells_here_from_there(open_app: OpenApp, known: RunStore) -> None:
    training = factories.make_run(known, state=RunState.RUNNING)
    on_cluster(training, job="a", host="node-a", heartbeat=time.time())
    runs = [factories.make_run(known, seed=seed, state=RunState.QUEUED) for seed in range(1, 6)]
    lacking = "No node of the cluster has 2 GPUs (1 at most). It waits for one to join."
    on_cluster(runs[1], job="b", message=lacking)
    on_cluster(runs[2])
    on_cluster(runs[4])
    app = open_app()
    assert "cluster, node-a" in said(app)
    assert lacking in said(app)
    keys = {run: Key.QUEUE_UP.of(f"{run.study_name}/{run.name}") for run in runs}
    movable = {button.key for button in app.sidebar.button if str(button.key).startswith(Key.QUEUE_UP)}
    assert movable == set(keys.values()) - {keys[runs[1]]}, "the cluster has it already"
    assert app.button(key=keys[runs[0]]).disabled and app.button(key=keys[runs[2]]).disabled
    for run in (runs[3], runs[4]):
        app.button(key=keys[run]).click().run()
    here, there = ([r for r in known.waiting() if r.status.where is where] for where in (Where.HERE, Where.CLUSTER))
    assert (here, there) == ([runs[3], runs[0]], [runs[1], runs[4], runs[2]])
    app.button(key=queue_actions.stop_key(runs[1])).click().run()
    assert (runs[1].state, runs[1].status.job) == (RunState.STOPPED, None)
    app.button(key=queue_actions.stop_key(training)).click().run()
    assert training.stop_requested()


def test_headline_counts_here_and_there_apart() -> None:
    here = [Status(RunState.RUNNING, 0.0, 0.0, eta=100.0), Status(RunState.QUEUED, 0.0, 0.0, predicted=140.0)]
    there = [Status(state, 0.0, 0.0, where=Where.CLUSTER) for state in (RunState.RUNNING, RunState.QUEUED)]
    assert queue_view.headline(here, 1) == "1 training, 1 waiting · all done in about 4 min"
    assert queue_view.headline(there, 1) == "1 training, 1 waiting on the cluster"
    both = queue_view.headline([*here, *there], 1)
    assert both == "1 training, 1 waiting on this machine · done in about 4 min · 1 training, 1 waiting on the cluster"


def test_jobs_that_nobody_looks_after_are_said(
    open_app: OpenApp, known: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_cluster(factories.make_run(known, state=RunState.RUNNING), job="a", host="node-a", heartbeat=time.time())
    started: list[Path] = []
    monkeypatch.setattr(queue_actions, "ensure_scheduler", lambda workspace: started.append(workspace.root))
    app = open_app()
    assert "A run whose node is lost will not go on." in said(app)
    app.button(key=Key.QUEUE_START).click().run()
    assert started == [known.workspace.root]


def test_training_page_says_where_a_run_is(open_app: OpenApp, known: RunStore) -> None:
    run = factories.make_run(known, study="s", state=RunState.RUNNING)
    waiting = factories.make_run(known, study="s", seed=1, state=RunState.QUEUED)
    assert "where" not in open_app("pages/training.py", study="s").dataframe[0].value.columns
    on_cluster(run, job="a", host="node-a", device="cuda:0", heartbeat=time.time())
    lacking = "It waits for a node of the cluster with 2 GPUs free."
    on_cluster(waiting, job="b", message=lacking)
    app = open_app("pages/training.py", study="s", run=run.name)
    assert list(app.dataframe[0].value["where"]) == ["cluster, node-a", "cluster"]
    assert "On node node-a of the cluster, 2 GPUs." in texts(app).replace("\\", "")
    app = open_app("pages/training.py", study="s", run=waiting.name)
    said_there = "\n".join(str(element.value) for element in app.main.markdown).replace("\\", "")
    assert lacking in said_there and "next one to start" not in said_there
    app.button(key=Key.STOP).click().run()
    assert waiting.state is RunState.STOPPED
    app.button(key=Key.RESUME).click().run()
    assert (waiting.state, waiting.status.where) == (RunState.QUEUED, Where.CLUSTER)


def test_a_run_on_a_nodes_processor_names_its_threads() -> None:
    status = Status(RunState.RUNNING, 0.0, 0.0, where=Where.CLUSTER, host="n7", device="cpu", threads=16)
    assert training_facts.place_text(status) == "On node n7 of the cluster, its processor, 16 threads."


def test_more_seeds_go_where_the_last_ones_did(
    open_app: OpenApp, known: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted: list[Where] = []

    def launch_study(_config: StudyConfig, progress: Progress = silent, *, where: Where) -> list[Run]:
        wanted.append(where)
        return []

    monkeypatch.setattr(plan, "launch_study", launch_study)
    run = factories.make_run(known, study="s")
    assert more_seeds.where(known.study("s")) is Where.HERE
    on_cluster(run)
    app = open_app("pages/training.py", study="s")
    assert "They train on the cluster, as the last ones did." in texts(app)
    app.button(key=Key.MORE_SEEDS_LAUNCH).click().run()
    assert wanted == [Where.CLUSTER]
