"""What may happen to a run of a cluster between being asked for and its end: `runqueue` does the same for runs here.

A waiting run is given the id of its next job before that is submitted, so that whoever finds the id after a crash can
ask the cluster whether it knows it. The worker that the job starts takes the run up itself; until then the run waits.
Each of these steps is taken under the queue lock, and only while the run still has the job that the step is about.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import replace

from segcore.runqueue import RunQueue, queue_lock
from segcore.runs import Run, statuses
from segcore.status import RunState, Status, Where, process_identity

MAX_RESTARTS = 3
"""How often a run whose job was lost is submitted again by itself."""
JOB_VARIABLE = "SEGCORE_JOB"
"""Tells a worker the id of the job that it is."""


def out(queue: RunQueue) -> list[tuple[Run, Status]]:
    """Return the runs of the cluster that wait to be submitted or have a job, in the queue's order."""
    rows = [row for row in statuses(queue.every_run()) if row[1].where is Where.CLUSTER]
    rows = [row for row in rows if row[1].job is not None or (row[1].state is RunState.QUEUED and not row[1].standing)]
    return sorted(rows, key=lambda row: (row[1].queued, row[1].created, row[0].name))


def has_jobs(queue: RunQueue) -> bool:
    """Whether the cluster has jobs of this workspace, so that somebody must look after them."""
    return any(status.job is not None for _, status in out(queue))


def run_key(run: Run, status: Status, workspace_key: str) -> str:
    """Return what the ids of all jobs of a run begin with; a later run of the same name has others."""
    digest = hashlib.sha256(f"{run.study_name}/{run.name} {status.created!r}".encode()).hexdigest()[:12]
    return f"{workspace_key}-{digest}-"


def give_job(queue: RunQueue, run: Run, workspace_key: str) -> str | None:
    """Give a waiting run its next job; None where it does not wait (any more) or the queue is paused.

    Raises:
        WorkspaceError: that cannot be written; nothing may be submitted then.
    """
    with queue_lock(queue.workspace):
        status = run.status
        if queue.queue_settings().paused or status.state is not RunState.QUEUED or status.standing or status.job:
            return None
        number = status.jobs + 1
        job = f"{run_key(run, status, workspace_key)}{number}"
        run.write_status(replace(status, job=job, jobs=number))
        return job


def take_up(queue: RunQueue, run: Run, job: str) -> bool:
    """Mark a waiting run as running, by this process, if `job` is the one that it waits for: for its worker.

    Returns False where it is not: the run was stopped, removed or given another job meanwhile, or the queue is paused.
    """
    with queue_lock(queue.workspace):
        if not run.exists() or queue.queue_settings().paused:
            return False
        status = run.status
        if status.state is not RunState.QUEUED or status.job != job:
            return False
        started = replace(status, state=RunState.RUNNING, phase="starting", message="", hint="")
        run.write_status(replace(started, **process_identity()))
        return True


def say_what_it_waits_for(queue: RunQueue, run: Run, job: str, message: str) -> None:
    """Say why a submitted run does not train yet."""
    with queue_lock(queue.workspace):
        status = run.status
        if status.state is RunState.QUEUED and status.job == job and status.message != message:
            run.write_status(replace(status, message=message, hint=""))


def withdraw_job(queue: RunQueue, run: Run, job: str, message: str = "") -> None:
    """Let a run whose job never began wait for another one; that counts as no restart."""
    with queue_lock(queue.workspace):
        status = run.status
        if status.state is RunState.QUEUED and status.job == job:
            run.write_status(replace(status, job=None, message=message, hint=""))


def forget_job(queue: RunQueue, run: Run, job: str) -> None:
    """Note that the job of a run that said how it ended is over, too."""
    with queue_lock(queue.workspace):
        status = run.status
        if not status.state.active and status.job == job:
            run.write_status(replace(status, job=None))


def lose_job(queue: RunQueue, run: Run, job: str, why: str, *, again: bool = True) -> Status | None:
    """Note that a job is gone without its worker's last word. Its run waits for another one, to go on from what it
    saved last, unless that has happened `MAX_RESTARTS` times already, it was being stopped, or not `again`.

    Returns the status as it is then; None where the run has another job, or said how it ended.
    """
    with queue_lock(queue.workspace):
        status = run.status
        if status.job != job or status.state not in (RunState.QUEUED, RunState.RUNNING, RunState.INTERRUPTED):
            return None
        ended = replace(status, job=None, phase="", eta=None, message=why)
        if run.stop_requested():
            run.clear_request()
            hint = "Resume it to go on from what it saved last."
            now = replace(ended, state=RunState.STOPPED, ended=time.time(), hint=hint)
        elif not again or status.restarts >= MAX_RESTARTS:
            often = f"It was started again {MAX_RESTARTS} times. See its log; resume it once the cause is mended."
            hint = often if again else "Resume it to go on from what it saved last."
            now = replace(ended, state=RunState.INTERRUPTED, ended=time.time(), hint=hint)
        else:
            hint = "It goes on by itself, on another node if need be, from what it saved last."
            now = replace(ended, state=RunState.QUEUED, ended=None, restarts=status.restarts + 1, hint=hint)
        run.write_status(now)
        return now


def fail(queue: RunQueue, run: Run, job: str, message: str, hint: str) -> None:
    """Note that a job ended with an error before its worker could say so; leave alone a run that said how it ended."""
    with queue_lock(queue.workspace):
        status = run.status
        if status.job == job and status.state.active:
            ended = replace(status, state=RunState.FAILED, job=None, phase="", eta=None, ended=time.time())
            run.write_status(replace(ended, message=message, hint=hint))
