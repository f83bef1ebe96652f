"""Starts a worker for each waiting run as soon as there is a place for it, and writes how those ended that could not.

Nothing is kept in memory that the next scheduler could not find in the runs' own files: it may die at any moment.
Its workers are in sessions of their own and go on without it. What trains on a cluster is looked after by a thread of
its own (see `reconcile`).
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from segcore import clustered
from segcore.errors import LaunchError, TrackingError, WorkspaceError
from segcore.inherited import inheritable
from segcore.launch import mirror
from segcore.launch.gpus import Gpu, gpus
from segcore.launch.places import Place, free_place
from segcore.launch.processes import last_line, scheduler_lock, spawn
from segcore.launch.race import settle_races
from segcore.launch.ray import RayJobs
from segcore.launch.reconcile import Reconciler
from segcore.runqueue import cores, queue_lock
from segcore.runs import Run, Study
from segcore.status import OTHER_WORKER, RunState, Where
from segcore.store import RunStore
from segcore.workspace import HOME_VARIABLE, Workspace

POLL_SECONDS = 0.25
"""How often it looks whether a worker has ended."""
LOOK_SECONDS = 0.5
"""How often it looks at what waits and how the queue is set."""
LOOK_SHARE = 50
"""It rests this many times as long as looking took, at most `RETRY_SECONDS`, so that hundreds of runs cost little."""
RETRY_SECONDS = 5.0
"""How long it rests after something that could not be written or started: the disk may have room again then."""

LOCK_SECONDS = 2.0
"""How long it tries to become the scheduler; whoever only asks whether there is one is done sooner."""


@dataclass(frozen=True)
class Worker:
    """The process of a run, and the place it has."""

    process: subprocess.Popen[bytes]
    place: Place


class Scheduler:
    """Works on the queue of a workspace until nothing is left to do."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.store = RunStore(workspace)
        self.leaving = False
        """Set to make it end soon; its workers go on."""
        self.workers: dict[Run, Worker] = {}
        self._unwritten: dict[Run, Callable[[], None]] = {}
        self._gpus: list[Gpu] = []
        self._next_look = 0.0
        self._problem = ""
        self._unmirrored = ""
        self._recovered = False
        self._reconciler: Reconciler | None = None
        """Looks after the runs of the cluster meanwhile."""

    def run(self) -> None:
        """Start what waits as places become free; return when nothing waits or may start, and no worker is left.

        Returns at once where another scheduler works on this workspace.
        """
        lock = scheduler_lock(self.workspace)
        try:
            lock.acquire(timeout=LOCK_SECONDS)
        except Timeout:
            return
        os.environ[HOME_VARIABLE] = str(self.workspace.root)
        mine = _identity(lock)
        self._reconciler = Reconciler(self.workspace, RayJobs, say, self.mirror)
        try:
            # Where the workspace was removed, whatever is there now is another one's.
            while not self.leaving and _identity(lock) == mine:
                self.reap()
                if time.monotonic() >= self._next_look and self.look(lock):
                    return
                time.sleep(POLL_SECONDS)
            say(f"leaving; {len(self.workers)} runs train on")
            self.write_last_words()
        finally:
            self._reconciler.leave()
            lock.release()

    def look(self, lock: FileLock) -> bool:
        """Write what is still to be written, start what may start, and return whether all is done.

        All that goes wrong here may be right later: it is said and tried again.
        """
        began = time.monotonic()
        try:
            if not self._recovered:
                self.recover()
            if self._reconciler is not None:
                self._reconciler.start()  # anew, where a fault of ours ended it; the log has that
            problem = self.write_last_words()
            settle_races(self.store, say)
            self.fill()
            if problem is not None:
                raise problem
            if self._done(lock):
                return True
        except (WorkspaceError, LaunchError) as error:
            if str(error) != self._problem:  # a disk that stays full is no news
                self._problem = str(error)
                say(self._problem)
            self._next_look = time.monotonic() + RETRY_SECONDS
            return False
        now = time.monotonic()
        self._next_look = now + min(max(LOOK_SECONDS, LOOK_SHARE * (now - began)), RETRY_SECONDS)
        self._problem = ""
        return False

    def _done(self, lock: FileLock) -> bool:
        """Let go of the scheduler's lock if there is nothing to do, so that whoever queues a run sees it is gone.

        While the queue is paused nobody is needed: whoever lets it go on starts another scheduler.
        """
        if self.workers or self._unwritten or (self._reconciler is not None and not self._reconciler.idle):
            return False
        with queue_lock(self.workspace):
            if clustered.has_jobs(self.store):
                return False
            if not self.store.queue_settings().paused and self.store.waiting():
                return False
            lock.release()
            return True

    def recover(self) -> None:
        """Let runs wait on that the last scheduler took out of the queue just before it died."""
        for run in self.store.recover():
            say(f"{_name(run)} was about to start when the last scheduler died; it waits on")
        self._recovered = True

    # Starting --------------------------------------------------------------------------------------

    def fill(self) -> None:
        """Start waiting runs while there are places; one that cannot start does not hold up the others.

        Raises:
            WorkspaceError: a run cannot be taken out of the queue, as on a full disk.
            LaunchError: a process cannot be started; its run waits on.
        """
        refused: dict[Run, LaunchError] = {}
        while (place := self._free_place()) is not None:
            run = self.store.claim_next(place.device, passing={*self.workers, *refused})
            if run is None:
                break
            try:
                self.start(run, place)
            except LaunchError as error:
                refused[run] = error
        if refused:
            raise next(iter(refused.values()))

    def _free_place(self) -> Place | None:
        settings = self.store.queue_settings()
        if settings.paused or len(self.workers) >= (len(self._gpus) or settings.slots) or not self.store.ready():
            return None  # asked first, as asking for GPUs takes a process
        self._gpus = gpus() or self._gpus  # a driver that does not answer just now has not lost its GPUs
        taken = [worker.place.device for worker in self.workers.values()]
        # Runs of a scheduler that died train on; another machine's take no place here.
        here = socket.gethostname()
        training = [row for row in self.store.training() if row[1].where is Where.HERE]
        taken += [status.device for run, status in training if run not in self.workers and status.host == here]
        return free_place(taken, self._gpus, slots=settings.slots, cores=cores())

    def start(self, run: Run, place: Place) -> None:
        """Start the worker of a claimed run.

        Raises:
            LaunchError: that is not possible now; the run waits on, unless it is gone.
        """
        self._unwritten.pop(run, None)  # how its last life ended is of no interest any more
        say(f"starting {_name(run)}{f' on {place.device}' if place.device else ''}")
        try:
            with inheritable(run.start_lock) as descriptors:
                process = spawn(
                    "segcore.training.worker",
                    str(run.path),
                    log=run.log_path,
                    environment=place.environment,
                    descriptors=descriptors,
                )
        except OSError as error:
            if not run.exists():
                say(f"{_name(run)} was removed")
                return
            message = f"Its process could not be started ({error}); it is tried again."
            self._unwritten[run] = partial(self.store.put_back, run, message)
            self.write_last_words()
            raise LaunchError(f"{_name(run)}: {message}") from error
        self.workers[run] = Worker(process, place)
        # The worker, which first imports torch, writes its pid only in some seconds. If this process dies before the
        # next line, the lock that the worker has inherited tells that it lives.
        with suppress(WorkspaceError, LaunchError, psutil.Error):
            self.store.hand_over(run, process.pid)
        self.mirror(run)

    def mirror(self, run: Run) -> None:
        """See that another process sends the run's study to the tracking server, if there is one; never fail for it."""
        try:
            mirror.start(self.workspace, Study(run.path.parent))
        except (TrackingError, LaunchError, WorkspaceError) as error:
            if str(error) != self._unmirrored:
                self._unmirrored = str(error)
                say(self._unmirrored)

    # Ending ----------------------------------------------------------------------------------------

    def reap(self) -> None:
        """Take note of workers that ended, and of what is to be written of those that could not."""
        for run, worker in list(self.workers.items()):
            code = worker.process.poll()
            if code is None:
                continue
            del self.workers[run]
            self._next_look = 0.0  # its place is free
            say(f"{_name(run)} ended with exit code {code}")
            self.mirror(run)
            if code == OTHER_WORKER:  # where that one lives it says so, and this is not written
                message = "An earlier process of this run has not ended yet."
                hint = "Wait for it, or end it; then resume."
                self._unwritten[run] = partial(self.store.close, run, RunState.INTERRUPTED, message, hint)
            elif code < 0:
                self._unwritten[run] = partial(self.store.killed, run, -code)
            elif code != 0:
                message = f"The training process ended: {last_line(run.log_path)}"
                self._unwritten[run] = partial(self.store.close, run, RunState.FAILED, message, "The log has more.")

    def write_last_words(self) -> WorkspaceError | LaunchError | None:
        """Write what is still to be written; what cannot be written now stays to be written. Returns why, if so."""
        problem = None
        for run, word in list(self._unwritten.items()):
            try:
                word()
            except (WorkspaceError, LaunchError) as error:
                if run.exists():
                    problem = error
                    continue
                say(f"{_name(run)} was removed")
            del self._unwritten[run]
        return problem


def say(text: str) -> None:
    """Write a line to the log, if the disk has room for it."""
    with suppress(OSError):
        print(f"{time.strftime('%F %T')} {text}", flush=True)


def _name(run: Run) -> str:
    return f"{run.study_name}/{run.name}"


def _identity(lock: FileLock) -> tuple[int, int] | None:
    """Return what tells a lock file from another of the same name; None where there is none."""
    try:
        found = Path(lock.lock_file).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
