"""Keeps what runs say of themselves and what the cluster says of their jobs together, in a thread of the scheduler.

Three things are true in the end, whatever died on the way: a run has one job at most, a job that no run names is ended,
and a run whose job is gone waits for another or says why not. A job is gone once the cluster says so and the run's
heartbeat has stood still for `SETTLE_SECONDS`: a process that was only cut off from the head may train on. Time is
taken from this machine's clock alone, as those of the nodes may differ.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress

from segcore import clustered
from segcore.errors import ClusterError, LaunchError, NotFoundError, WorkspaceError
from segcore.launch import cluster
from segcore.launch.jobs import Capacity, JobReport, Jobs, JobState
from segcore.launch.worker_jobs import why_failed, why_lost, worker_job, workspace_key
from segcore.runqueue import RunQueue
from segcore.runs import Run
from segcore.status import OTHER_WORKER, Demand, RunState, Status, is_alive
from segcore.workspace import Workspace

POLL_SECONDS = 3.0
"""How often the cluster is asked while it has jobs of ours."""
RETRY_SECONDS = 15.0
"""How long it rests after a cluster that does not answer."""
PENDING = 8
"""Jobs that wait in the cluster's own queue at once: nothing there can be taken back or given another place, but a
cluster that grows on demand shall see some."""
IDLE_SECONDS, IDLE_SHARE = 1.0, 50
"""How often it looks whether there is anything for the cluster: it rests so long, or so many times as looking took."""
SETTLE_SECONDS = 20.0
"""How long the heartbeat of a run whose job is gone must have stood still; a step may take as long."""
NEWS_SECONDS = 10.0
"""How often what is free is asked for."""

Row = tuple[Run, Status]


class Reconciler:
    """Submits what waits for the cluster and follows its jobs; `cycle` is one round."""

    def __init__(
        self,
        workspace: Workspace,
        connect: Callable[[str], Jobs],
        say: Callable[[str], None],
        mirror: Callable[[Run], None],
    ) -> None:
        """Begin with nothing known; everything stands in files.

        Args:
            workspace: whose runs it looks after.
            connect: address -> the cluster there; raises ClusterError.
            say: writes a line to the log.
            mirror: sees that what a run has come to is sent to a tracking server, if there is one.
        """
        self.workspace = workspace
        self.queue = RunQueue(workspace)
        self.idle = False
        """Whether nothing is left to do, as far as was seen in the last round."""
        self._connect = connect
        self._say = say
        self._mirror = mirror
        self._jobs: Jobs | None = None
        self._address = ""
        self._capacity: Capacity | None = None
        self._asked = float("-inf")
        self._still: dict[str, tuple[float | None, float]] = {}
        """Job -> the last heartbeat of its run, and since when it stands still."""
        self._problem = ""
        self._strays: set[str] = set()
        """Jobs that were told to end."""
        self._owing = False
        """Whether the last round left something that only another one can tell to be done."""
        self._leave = threading.Event()
        self._thread: threading.Thread | None = None

    # The thread ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Go on round by round in a thread of its own, unless one does: a head that hangs must not hold up what trains
        here."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="cluster", daemon=True)
            self._thread.start()

    def leave(self) -> None:
        """End soon. The jobs go on."""
        self._leave.set()

    def _run(self) -> None:
        while not self._leave.is_set():
            self._leave.wait(self.round())

    def round(self) -> float:
        """Do one round and return how long to rest. All that goes wrong is said and tried again."""
        began = time.monotonic()
        try:
            rows = clustered.out(self.queue)
            if not rows and not self._owing:
                self.idle = True
                return min(max(IDLE_SECONDS, IDLE_SHARE * (time.monotonic() - began)), POLL_SECONDS)
            self.idle = False
            self.cycle(rows)
            self._owing = bool(rows)
        except (LaunchError, WorkspaceError) as error:
            self._trouble(error)
            self._owing = bool(clustered.out(self.queue))  # a job that nobody waits for ends by itself
            return RETRY_SECONDS
        self._problem = ""
        return POLL_SECONDS

    def _trouble(self, error: LaunchError | WorkspaceError) -> None:
        if str(error) != self._problem:
            self._problem = str(error)
            self._say(self._problem)
        if isinstance(error, ClusterError):
            self._jobs = None  # connected anew, as its address may lead elsewhere now
            with suppress(WorkspaceError):
                cluster.write_news(self.workspace, self._address, None, self._problem)

    # A round ---------------------------------------------------------------------------------------

    def cycle(self, rows: list[Row]) -> None:
        """Look at all jobs of this workspace and do what is to be done about each.

        Raises:
            ClusterError: the cluster does not answer.
            WorkspaceError: what was found cannot be written.
            LaunchError: the queue is held by another process for long.
        """
        jobs = self._connected()
        key = workspace_key(self.workspace)
        reports = jobs.states(f"{key}-")
        self._tell_news(jobs)
        problem = None
        for run, status in rows:
            if status.job is not None:
                try:
                    self._settle(jobs, run, status, status.job, reports.get(status.job))
                except NotFoundError:
                    continue  # it was removed; its job is a stray now
                except WorkspaceError as error:
                    problem = error
        rows = clustered.out(self.queue)
        self._end_strays(jobs, reports, {status.job for _, status in rows if status.job})
        if not self._paused():
            self._submit(jobs, rows, reports, key)
        if problem is not None:
            raise problem

    def _connected(self) -> Jobs:
        where = self.queue.queue_settings().cluster
        if self._jobs is None or where != self._address:
            self._address, self._jobs = where, None
            self._jobs = self._connect(where)
            self._asked = float("-inf")
        return self._jobs

    def _tell_news(self, jobs: Jobs) -> None:
        if self._capacity is None or time.monotonic() - self._asked > NEWS_SECONDS:
            self._capacity = jobs.capacity()
            self._asked = time.monotonic()
            cluster.write_news(self.workspace, self._address, self._capacity)

    def _settle(self, jobs: Jobs, run: Run, status: Status, job: str, report: JobReport | None) -> None:
        """Bring one run and its job together."""
        if status.state is not RunState.QUEUED:
            self._mirror(run)
            if report is not None and not report.state.over:
                return  # its worker speaks for itself
            if status.state in (RunState.RUNNING, RunState.INTERRUPTED):
                self._gone(run, job, report)
            else:
                clustered.forget_job(self.queue, run, job)
        elif report is None:
            # The last scheduler died just before submitting it, or the head was started anew.
            if not self._paused():
                jobs.submit(worker_job(run, job, status.demand or Demand()))
        elif report.state is JobState.PENDING:
            self._say_waiting(run, job, status.demand or Demand())
        elif report.state is JobState.RUNNING:
            clustered.say_what_it_waits_for(self.queue, run, job, "Its process is starting on the cluster.")
        elif report.never_started or report.state is JobState.SUCCEEDED:
            # It waited too long for the cluster, or the queue was paused when its worker came.
            clustered.withdraw_job(self.queue, run, job)
        else:
            self._gone(run, job, report)

    def _paused(self) -> bool:
        return self.queue.queue_settings().paused

    def _say_waiting(self, run: Run, job: str, demand: Demand) -> None:
        nodes = self._capacity.nodes if self._capacity else ()
        clustered.say_what_it_waits_for(self.queue, run, job, cluster.waits_for(demand, nodes))

    def _gone(self, run: Run, job: str, report: JobReport | None) -> None:
        """Take note of a job that is gone while its run has not said how it ended."""
        code = report.exit_code if report else None
        status = run.status
        # Where the process was seen to end there is nobody whose heart could beat.
        seen = code is not None or status.state is not RunState.RUNNING or _ended_here(status)
        if (not seen or code == OTHER_WORKER) and not self._stands_still(job, status.heartbeat):
            return
        name = f"{run.study_name}/{run.name}"
        if report is not None and code is not None and 0 < code < 128 and code != OTHER_WORKER:
            message, hint = why_failed(run, report)
            clustered.fail(self.queue, run, job, message, hint)
            self._say(f"{name}: {message}")
        elif report is not None and (status.state, report.state) == (RunState.INTERRUPTED, JobState.STOPPED):
            clustered.forget_job(self.queue, run, job)  # somebody ended it by hand, and it has said so
        else:
            by_hand = report is not None and report.state is JobState.STOPPED  # we stop none that a run names
            now = clustered.lose_job(self.queue, run, job, why_lost(report), again=not by_hand)
            if now is not None:
                self._say(f"{name} is {now.state} now: {now.message}")

    def _stands_still(self, job: str, heartbeat: float | None) -> bool:
        """Whether the run of a job has shown no life since its job was first seen to be gone."""
        now = time.monotonic()
        beat, since = self._still.get(job, (None, now))
        if job not in self._still or beat != heartbeat:
            self._still[job] = (heartbeat, now)
            return False
        if now - since < SETTLE_SECONDS:
            return False
        del self._still[job]
        return True

    def _end_strays(self, jobs: Jobs, reports: dict[str, JobReport], named: Collection[str]) -> None:
        """End the jobs that no run names: theirs was stopped, removed, or put into the queue anew.

        Ray cannot take back one that has not started. Where its worker comes after all, it finds nobody waiting for it.
        """
        alive = {job for job, report in reports.items() if not report.state.over}
        strays = alive - set(named)
        for job in sorted(strays - self._strays):
            self._say(f"ending job {job}, which no run waits for any more")
            jobs.stop(job)
        self._strays = strays

    def _submit(self, jobs: Jobs, rows: Iterable[Row], reports: dict[str, JobReport], key: str) -> None:
        """Submit what waits, in the queue's order, but no more than `PENDING` beyond what has room."""
        room = PENDING - sum(report.state is JobState.PENDING for report in reports.values())
        for run, status in rows:
            if room <= 0:
                return
            if status.state is not RunState.QUEUED or status.job is not None:
                continue
            before = clustered.run_key(run, status, key)
            if any(job.startswith(before) and not report.state.over for job, report in reports.items()):
                continue  # its last job is still ending
            job = clustered.give_job(self.queue, run, key)
            if job is not None:
                room -= 1
                self._say(f"submitting {run.study_name}/{run.name} as {job}")
                jobs.submit(worker_job(run, job, status.demand or Demand()))


def _ended_here(status: Status) -> bool:
    """Whether a run's process was one of this machine, which can tell that it is gone."""
    return status.host == socket.gethostname() and not is_alive(status)
