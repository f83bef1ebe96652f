"""What becomes of a run of a cluster, whatever becomes of its job, its node, the head, and whoever looks after them."""

from __future__ import annotations

import socket
import time
from dataclasses import replace
from typing import Any

import psutil
import pytest

from segcore import clustered
from segcore.clustered import MAX_RESTARTS, take_up
from segcore.errors import WorkspaceError
from segcore.launch import cluster
from segcore.launch import reconcile as module
from segcore.launch.jobs import JobState
from segcore.launch.reconcile import Reconciler
from segcore.launch.worker_jobs import workspace_key
from segcore.runqueue import HUNG_MESSAGE
from segcore.runs import Run
from segcore.status import OTHER_WORKER, Demand, RunState, Status, Where
from segcore.store import RunStore
from tests.factories import make_run
from tests.launch.pretended import PretendedJobs

ADDRESS = "http://head:8265"
DIED = "The actor died because its node has died."


class Bench:
    """A reconciler whose rounds are taken one by one, and a cluster that does as it is told."""

    def __init__(self, store: RunStore) -> None:
        self.store = store
        self.jobs = PretendedJobs()
        self.said: list[str] = []
        self.mirrored: list[Run] = []
        store.set_queue(cluster=ADDRESS)
        self.restart()

    def restart(self) -> None:
        """Be the next scheduler: nothing is remembered that does not stand in files."""
        self.reconciler = Reconciler(self.store.workspace, self._connect, self.said.append, self.mirrored.append)

    def _connect(self, address: str) -> PretendedJobs:
        assert address == ADDRESS
        self.jobs.capacity()  # raises where the head is gone
        return self.jobs

    def round(self) -> float:
        return self.reconciler.round()

    def queue(self, seed: int = 0, **options: Any) -> Run:
        run = make_run(self.store, seed=seed, state=RunState.QUEUED, **options)
        run.write_status(replace(run.status, where=Where.CLUSTER, demand=Demand(cpus=2, memory=1e9)))
        return run

    def start(self, run: Run) -> str:
        """Let a waiting run be submitted and its worker take it up; return the job."""
        self.round()
        job = run.status.job
        assert job is not None
        self.jobs.set(job, JobState.RUNNING)
        assert take_up(self.store, run, job)
        # As if on a node: this host has no such name.
        run.write_status(replace(run.status, host="node-a", heartbeat=time.time()))
        return job

    def lose(self, run: Run) -> None:
        self.jobs.set(run.status.job, JobState.FAILED, message=DIED)


@pytest.fixture
def bench(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(module, "SETTLE_SECONDS", 0.0)
    return Bench(store)


def names(bench: Bench) -> list[str]:
    return [job.id for job in bench.jobs.submitted]


# Submitting ------------------------------------------------------------------------------------------


def test_a_waiting_run_becomes_one_job_that_asks_for_what_it_needs(bench: Bench) -> None:
    run = bench.queue()
    for _ in range(3):
        bench.round()
    (job,) = bench.jobs.submitted
    assert job.id == run.status.job
    assert job.demand == Demand(cpus=2, memory=1e9)
    assert job.environment["OMP_NUM_THREADS"] == "2"
    assert job.environment["SEGCORE_JOB"] == job.id
    assert str(run.path) in job.command
    assert run.state is RunState.QUEUED


def test_what_trains_on_the_cluster_is_mirrored_until_its_job_is_forgotten(bench: Bench) -> None:
    run = bench.queue()
    bench.round()
    assert not bench.mirrored, "nothing has begun"
    job = bench.start(run)
    bench.round()
    assert set(bench.mirrored) == {run}
    bench.mirrored.clear()
    run.write_status(replace(run.status, state=RunState.FINISHED))
    bench.jobs.set(job, JobState.SUCCEEDED, exit_code=0)
    for _ in range(3):
        bench.round()
    assert bench.mirrored == [run], "how it ended, once"


def test_runs_are_submitted_in_the_queues_order_and_runs_of_this_machine_are_not(bench: Bench) -> None:
    first, second = bench.queue(0), bench.queue(1)
    here = make_run(bench.store, seed=2, state=RunState.QUEUED)
    bench.store.move(second, 0)
    bench.round()
    assert names(bench) == [second.status.job, first.status.job]
    assert here.status.job is None
    assert bench.store.claim_next() == here
    assert bench.store.claim_next() is None, "what waits for the cluster never starts here"


@pytest.mark.parametrize("submitted", [False, True])
def test_nothing_is_submitted_twice_after_a_crash_at_the_worst_moment(bench: Bench, submitted: bool) -> None:
    run = bench.queue()
    job = clustered.give_job(bench.store, run, workspace_key(bench.store.workspace))
    assert job is not None
    if submitted:  # the scheduler died just after, else just before
        bench.round()
    for _ in range(2):
        bench.restart()
        bench.round()
    assert names(bench) == [job] == [run.status.job]


def test_a_disk_that_takes_no_id_keeps_a_run_from_being_submitted(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = bench.queue()

    def full(self: Run, status: Status) -> None:
        raise WorkspaceError("The disk is full.")

    with monkeypatch.context() as patch:
        patch.setattr(Run, "write_status", full)
        bench.round()
    assert not bench.jobs.submitted
    bench.round()
    assert names(bench) == [run.status.job]


def test_a_run_of_the_same_name_has_other_jobs(bench: Bench) -> None:
    bench.round()
    run = bench.queue()
    bench.round()
    bench.store.remove_run(run)
    bench.round()
    again = bench.queue()
    assert again.path == run.path
    bench.round()
    first, second = names(bench)
    assert first != second
    assert bench.jobs.stopped == [first]


def test_two_workspaces_never_take_each_others_jobs_for_strays(store: RunStore, tmp_path: Any) -> None:
    from segcore.workspace import Workspace

    other = Workspace(tmp_path / "other")
    other.ensure_writable()
    one, two = workspace_key(store.workspace), workspace_key(other)
    assert one == workspace_key(store.workspace)
    assert one != two
    other.cluster_key.write_bytes(store.workspace.cluster_key.read_bytes())
    assert workspace_key(other) != one, "a copy of a workspace is another one"


# Waiting ---------------------------------------------------------------------------------------------


def test_a_pending_job_says_what_it_waits_for(bench: Bench) -> None:
    run = bench.queue()
    bench.round()
    bench.round()
    assert run.status.message == "It waits for a node of the cluster with 2 CPUs and 1.0 GB of memory free."
    bench.jobs.set(run.status.job, JobState.RUNNING)
    bench.round()
    assert "starting" in run.status.message


def test_a_pending_job_says_what_no_node_has(bench: Bench) -> None:
    run = bench.queue()
    run.write_status(replace(run.status, demand=Demand(cpus=1, gpus=2)))
    bench.round()
    bench.round()
    assert run.status.message == "No node of the cluster has 2 GPUs (0 at most). It waits for one to join."


def test_a_job_that_waited_too_long_for_ray_is_submitted_anew_and_that_is_no_restart(bench: Bench) -> None:
    run = bench.queue()
    bench.round()
    for _ in range(MAX_RESTARTS + 2):
        bench.jobs.set(run.status.job, JobState.FAILED, never_started=True)
        bench.round()
    assert run.state is RunState.QUEUED
    assert run.status.restarts == 0
    assert len(set(names(bench))) == MAX_RESTARTS + 3


def test_no_more_wait_in_the_clusters_own_queue_than_keep_it_busy(bench: Bench) -> None:
    runs = [bench.queue(seed) for seed in range(module.PENDING + 2)]
    bench.round()
    bench.round()
    assert names(bench) == [run.status.job for run in runs[: module.PENDING]]
    bench.store.move(runs[-1], 0)  # what has not been submitted can still change its place
    bench.jobs.set(runs[0].status.job, JobState.RUNNING)
    bench.round()
    assert names(bench)[module.PENDING :] == [runs[-1].status.job]


def test_a_paused_queue_submits_nothing_and_what_trains_goes_on(bench: Bench) -> None:
    training, waiting = bench.queue(0), bench.queue(1)
    job = bench.start(training)
    pending = waiting.status.job
    third = bench.queue(2)
    bench.store.set_queue(paused=True)
    bench.round()
    assert third.status.job is None
    assert (training.status.job, waiting.status.job) == (job, pending)
    assert not bench.jobs.stopped
    bench.store.set_queue(paused=False)
    bench.round()
    assert names(bench) == [job, pending, third.status.job]


def test_a_worker_that_comes_while_the_queue_is_paused_leaves_its_run(bench: Bench) -> None:
    run = bench.queue()
    bench.round()
    job = run.status.job
    bench.store.set_queue(paused=True)
    assert job is not None
    assert not take_up(bench.store, run, job)
    bench.jobs.set(job, JobState.SUCCEEDED, exit_code=0)
    bench.round()
    bench.store.set_queue(paused=False)
    bench.round()
    assert (run.state, run.status.restarts) == (RunState.QUEUED, 0)
    assert run.status.job not in (None, job)


# Stopping --------------------------------------------------------------------------------------------


def test_a_stopped_study_has_no_jobs_left(bench: Bench) -> None:
    training, pending = bench.queue(0), bench.queue(1)
    job = bench.start(training)
    waiting_job = pending.status.job
    for run in (training, pending):
        bench.store.stop(run)
    assert pending.state is RunState.STOPPED
    assert training.stop_requested(), "its worker saves its state first"
    assert waiting_job is not None
    assert not take_up(bench.store, pending, waiting_job), "a worker that just came lets it be"
    bench.round()
    assert bench.jobs.stopped == [waiting_job]
    training.write_status(replace(training.status, state=RunState.STOPPED))
    bench.jobs.set(job, JobState.SUCCEEDED, exit_code=0)
    for _ in range(3):
        bench.round()
    assert bench.reconciler.idle
    assert not clustered.has_jobs(bench.store)
    assert all(report.state.over for report in bench.jobs.reports.values())


def test_a_run_that_heeds_no_request_is_ended_with_its_job(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segcore.runqueue.HUNG_SECONDS", 0.0)
    run = bench.queue()
    job = bench.start(run)
    bench.store.stop(run)
    bench.store.stop(run)
    assert (run.state, run.status.message) == (RunState.STOPPED, HUNG_MESSAGE)
    bench.round()
    bench.queue(1)  # something to look after
    bench.round()
    assert bench.jobs.stopped == [job]


def test_a_resumed_run_waits_for_its_last_job_to_end(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    run = bench.queue()
    job = bench.start(run)
    run.write_status(replace(run.status, state=RunState.STOPPED))
    bench.store.requeue(run)
    monkeypatch.setattr(bench.jobs, "stop", lambda job: bench.jobs.stopped.append(job))  # it takes its time
    bench.round()
    assert names(bench) == [job]
    assert bench.jobs.stopped == [job]
    bench.jobs.set(job, JobState.STOPPED)
    bench.round()
    assert names(bench) == [job, run.status.job]


# Losing ----------------------------------------------------------------------------------------------


def test_a_run_of_a_lost_node_is_submitted_again_and_not_for_ever(bench: Bench) -> None:
    run = bench.queue()
    for life in range(1, MAX_RESTARTS + 1):
        bench.start(run)
        bench.lose(run)
        bench.round()
        bench.round()
        assert (run.state, run.status.restarts, run.status.jobs) == (RunState.QUEUED, life, life + 1)
    bench.start(run)
    bench.lose(run)
    bench.round()
    bench.round()
    assert run.state is RunState.INTERRUPTED
    assert "node of the cluster that trained it was lost" in run.status.message
    assert f"{MAX_RESTARTS} times" in run.status.hint
    assert len(set(names(bench))) == MAX_RESTARTS + 1
    bench.store.requeue(run)  # a person asks for more
    bench.round()
    assert run.status.restarts == 0
    assert len(set(names(bench))) == MAX_RESTARTS + 2


def test_a_run_whose_heart_beats_is_not_lost_whatever_the_cluster_says(bench: Bench) -> None:
    run = bench.queue()
    job = bench.start(run)
    bench.lose(run)
    for beat in range(4):
        run.write_status(replace(run.status, heartbeat=1000.0 + beat))  # of a clock that is far behind
        bench.round()
        assert (run.state, run.status.job) == (RunState.RUNNING, job)
    bench.round()
    assert run.status.restarts == 1


def test_a_process_of_this_machine_that_is_gone_needs_no_waiting(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SETTLE_SECONDS", 1000.0)
    run = bench.queue()
    bench.start(run)
    bench.lose(run)
    bench.round()
    assert run.state is RunState.RUNNING
    gone = {"host": socket.gethostname(), "pid": psutil.Process().pid, "pid_started": 1.0}
    run.write_status(replace(run.status, **gone))
    bench.round()
    assert (run.status.restarts, len(bench.jobs.submitted)) == (1, 2)


@pytest.mark.parametrize(("code", "signal"), [(-9, 9), (137, 9)])
def test_a_killed_process_goes_on_and_the_signal_is_named(bench: Bench, code: int, signal: int) -> None:
    run = bench.queue()
    bench.start(run)
    bench.jobs.set(run.status.job, JobState.FAILED, exit_code=code)
    bench.round()
    assert run.state is RunState.QUEUED
    assert f"signal {signal}" in bench.said[-2] + run.status.message


def test_a_process_that_broke_down_fails_with_its_last_words(bench: Bench) -> None:
    run = bench.queue()
    bench.start(run)
    run.log_path.write_text("Traceback …\nValueError: out of cheese\n")
    bench.jobs.set(run.status.job, JobState.FAILED, exit_code=1)
    bench.round()
    assert run.state is RunState.FAILED
    assert "out of cheese" in run.status.message
    assert run.status.job is None


def test_a_node_that_does_not_see_the_workspace_says_what_to_mount(bench: Bench) -> None:
    run = bench.queue()
    bench.round()
    words = f"Job entrypoint command failed …\n/bin/sh: 1: cannot create {run.log_path}: Directory nonexistent"
    bench.jobs.set(run.status.job, JobState.FAILED, exit_code=2, message=words)
    bench.round()
    assert run.state is RunState.FAILED
    assert "does not see the workspace" in run.status.message
    assert str(bench.store.workspace.root) in run.status.hint


def test_the_last_word_of_a_worker_stands(bench: Bench) -> None:
    for seed, state in enumerate((RunState.FINISHED, RunState.FAILED, RunState.STOPPED)):
        run = bench.queue(seed)
        job = bench.start(run)
        run.write_status(replace(run.status, state=state, message="its own"))
        bench.round()
        assert run.status.job == job, "the job is not over yet"
        bench.jobs.set(job, JobState.SUCCEEDED, exit_code=0)
        bench.round()
        assert (run.state, run.status.message, run.status.job) == (state, "its own", None)
    for _ in range(2):
        bench.round()
    assert bench.reconciler.idle
    assert not bench.jobs.stopped


def test_a_run_that_another_worker_has_is_not_started_for_ever(bench: Bench) -> None:
    run = bench.queue()
    bench.round()
    for _ in range(4 * MAX_RESTARTS + 4):
        if run.status.job:
            bench.jobs.set(run.status.job, JobState.FAILED, exit_code=OTHER_WORKER)
        bench.round()
    assert run.state is RunState.INTERRUPTED
    assert "earlier process" in run.status.message


@pytest.mark.parametrize(
    ("state", "then"), [(JobState.STOPPED, RunState.INTERRUPTED), (JobState.FAILED, RunState.QUEUED)]
)
def test_a_shutdown_goes_on_elsewhere_unless_a_person_ended_the_job(
    bench: Bench, state: JobState, then: RunState
) -> None:
    run = bench.queue()
    job = bench.start(run)
    words = "The system told it to end (a shutdown, or a kill); it saved where it was."
    run.write_status(replace(run.status, state=RunState.INTERRUPTED, message=words))
    bench.jobs.set(job, state)
    bench.round()
    assert run.state is then


@pytest.mark.parametrize("training", [True, False])
def test_a_job_that_a_person_ended_is_not_started_again(bench: Bench, training: bool) -> None:
    run = bench.queue()
    if training:
        bench.start(run)
    bench.round()
    bench.jobs.set(run.status.job, JobState.STOPPED)
    for _ in range(3):
        bench.round()
    assert (run.state, run.status.message) == (RunState.INTERRUPTED, "Its job was ended by hand.")
    assert len(bench.jobs.submitted) == 1


def test_a_fault_of_ours_does_not_end_the_looking_after(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    run = bench.queue()
    monkeypatch.setattr(module, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(module, "IDLE_SECONDS", 0.01)
    with monkeypatch.context() as patch:
        patch.setattr("threading.excepthook", lambda _: None)
        patch.setattr(bench.jobs, "states", lambda _: 1 / 0)
        bench.reconciler.start()
        first = bench.reconciler._thread
        assert first is not None
        first.join(30)
    assert run.status.job is None
    bench.reconciler.start()
    deadline = time.monotonic() + 30
    while run.status.job is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    bench.reconciler.start()
    second = bench.reconciler._thread
    assert second is not None
    assert second is not first
    bench.reconciler.leave()
    second.join(30)
    assert not second.is_alive()


def test_a_run_that_was_being_stopped_is_stopped_when_its_node_is_lost(bench: Bench) -> None:
    run = bench.queue()
    bench.start(run)
    bench.store.stop(run)
    bench.lose(run)
    bench.round()
    bench.round()
    assert run.state is RunState.STOPPED
    assert not run.stop_requested()


def test_a_run_that_waits_at_its_rung_has_no_job_and_gets_another_to_go_on(bench: Bench) -> None:
    run = bench.queue()
    job = bench.start(run)
    assert bench.store.hand_back(run, replace(run.status, epoch=2, rung=2))
    assert run.status.standing
    bench.jobs.set(job, JobState.SUCCEEDED, exit_code=0)
    bench.round()
    assert names(bench) == [job]
    run.write_status(replace(run.status, rung=None))
    bench.round()
    assert names(bench) == [job, run.status.job]
    assert run.status.restarts == 0


def test_a_removed_run_leaves_no_job_and_holds_up_nobody(bench: Bench) -> None:
    run, other = bench.queue(0), bench.queue(1)
    bench.round()
    job = run.status.job
    bench.store.remove_run(run)
    bench.round()
    assert bench.jobs.stopped == [job]
    assert other.status.job


# The head --------------------------------------------------------------------------------------------


def test_a_head_that_is_gone_is_told_and_its_runs_stay_as_they_are(bench: Bench) -> None:
    run, waiting = bench.queue(0), bench.queue(1)
    bench.start(run)
    bench.jobs.gone = True
    before = run.status
    for _ in range(3):
        assert bench.round() == module.RETRY_SECONDS
    news = cluster.news(bench.store.workspace)
    assert news is not None
    assert not news.answers
    assert "has not answered for" in news.text
    assert len([said for said in bench.said if "connect" in said]) == 1, "it is said once"
    assert run.status == before
    assert waiting.state is RunState.QUEUED
    assert not bench.reconciler.idle
    bench.jobs.gone = False
    bench.round()
    back = cluster.news(bench.store.workspace)
    assert back is not None
    assert back.answers
    assert back.since > news.since
    assert len(names(bench)) == 2


def test_a_head_that_was_started_anew_gets_every_job_once_more(bench: Bench) -> None:
    run, waiting = bench.queue(0), bench.queue(1)
    first = bench.start(run)
    bench.jobs.forget()
    bench.round()
    bench.round()
    bench.round()
    assert run.status.restarts == 1
    assert "forgotten" in bench.said[-2] + bench.said[-1] + run.status.message
    assert run.status.job != first
    assert waiting.status.restarts == 0
    assert {run.status.job, waiting.status.job} == set(bench.jobs.reports)


def test_runs_of_this_machine_need_no_cluster(bench: Bench) -> None:
    make_run(bench.store, state=RunState.QUEUED)
    bench.jobs.gone = True
    bench.round()
    assert bench.reconciler.idle
    assert cluster.news(bench.store.workspace) is None
