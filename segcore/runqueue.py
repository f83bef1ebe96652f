"""The queue in which runs wait, and what may happen to a run between being asked for and its end.

Which runs wait stands in their own status files, in the order of `Status.queued`; queue.json holds only whether the
queue is paused and how many runs may train at once. Whoever changes a run that no worker owns holds the queue lock.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pydantic import Field

from segcore.config import Config
from segcore.errors import ConfigError, LaunchError, WorkspaceError
from segcore.extension import withdraw
from segcore.files import describe_os_error, read_json, write_json
from segcore.runs import Run, Study, statuses, subdirectories
from segcore.status import CLAIMED, RunState, Status, Where, end_process, process_identity
from segcore.workspace import Workspace

RESTARTS = 2
"""How often a run whose process was killed goes on by itself."""
HUNG_SECONDS = 60.0
"""A run that was asked to stop this long ago, and gave no sign of life since, is ended when it is asked again."""

HUNG_MESSAGE = "It gave no sign of life, so its process was ended."


class QueueSettings(Config):
    """How the queue works; kept for all apps and command lines of a workspace."""

    paused: bool = Field(False, description="Start no waiting run; those that train go on.")
    slots: int = Field(
        1, ge=1, description="Runs that train at once on the processor, each with its share of the cores; on GPUs "
        "one run trains on each, whatever this says.",
    )  # fmt: skip
    cluster: str = Field("", description="Address of the Ray cluster that the last run was launched onto; empty: none.")


class RunQueue:
    """The waiting and training runs of a workspace."""

    def __init__(self, workspace: Workspace | None = None) -> None:
        self.workspace = workspace or Workspace()

    # Settings --------------------------------------------------------------------------------------

    def queue_settings(self) -> QueueSettings:
        """How the queue works now; the defaults where nothing was chosen, or the file is damaged."""
        try:
            settings = QueueSettings.from_json(read_json(self._settings_path) or {})
        except (WorkspaceError, ConfigError):
            return QueueSettings()  # it holds nothing that cannot be chosen again, and every screen reads it
        # The workspace may have moved to a smaller machine.
        return settings if settings.slots <= cores() else settings.model_copy(update={"slots": cores()})

    def set_queue(
        self, *, paused: bool | None = None, slots: int | None = None, cluster: str | None = None
    ) -> QueueSettings:
        """Change what is given and return the settings as they are then. A scheduler that lives follows at once;
        going on after a pause also needs `launch.local.ensure_scheduler`.

        Raises:
            ConfigError: fewer slots than 1 or more than this machine has cores; field "slots".
            WorkspaceError: they cannot be written.
        """
        if slots is not None and not 1 <= slots <= cores():
            raise ConfigError(
                f"{slots} slots asked for; 1 to {cores()} are possible here, as each run needs a core.", field="slots"
            )
        given = {"paused": paused, "slots": slots, "cluster": cluster}
        changes = {key: value for key, value in given.items() if value is not None}
        with queue_lock(self.workspace):
            settings = self.queue_settings().model_copy(update=changes)
            write_json(self._settings_path, settings.to_json())
        return settings

    @property
    def _settings_path(self) -> Path:
        return self.workspace.root / "queue.json"

    # What waits ------------------------------------------------------------------------------------

    def waiting(self) -> list[Run]:
        """The runs that wait, the next one first."""
        return [run for run, _ in self._waiting()]

    def standing(self) -> list[Run]:
        """The runs that wait at a rung of their race for the others, in the queue's order."""
        return [run for run, status in self._waiting() if status.standing]

    def ready(self) -> bool:
        """Whether a run waits that could start here now."""
        return any(not status.standing and status.where is Where.HERE for _, status in self._waiting())

    def training(self) -> list[tuple[Run, Status]]:
        """The runs whose processes live, with their status, in no order."""
        return [row for row in statuses(self.every_run()) if row[1].state is RunState.RUNNING]

    def move(self, run: Run, position: int) -> None:
        """Give a waiting run another place among those that wait: 0 is next; beyond the end means last.

        Raises:
            ConfigError: the run does not wait (any more).
        """
        with queue_lock(self.workspace):
            rows = self._waiting()
            status = next((status for other, status in rows if other == run), None)
            if status is None:
                raise ConfigError(f"Run {run.name} is {run.state}; only a run that waits has a place in the queue.")
            others = [row for row in rows if row[0] != run]
            position = max(0, min(position, len(others)))
            before, after = others[:position], others[position:]
            if not after:
                queued = _behind(others)
            elif not before:
                queued = after[0][1].queued - 1.0
            else:
                queued = (before[-1][1].queued + after[0][1].queued) / 2
                if not before[-1][1].queued < queued < after[0][1].queued:
                    queued = before[-1][1].queued + 0.5
                    for other, later in reversed(after):  # from the end, so that a kill midway keeps their order
                        other.write_status(replace(later, queued=later.queued + 1.0))
            run.write_status(replace(status, queued=queued))

    def next_place(self) -> float:
        """A value of `Status.queued` behind all that wait, also where the clock was set back; under the queue lock."""
        return _behind(self._waiting())

    def every_run(self) -> Iterator[Run]:
        """All runs of readable studies, in no order: what the scheduler looks through twice a second."""
        for study in map(Study, subdirectories(self.workspace.studies)):
            try:
                _ = study.created
            except WorkspaceError:
                continue  # damaged, or gone
            yield from study.every_run()

    def _waiting(self) -> list[tuple[Run, Status]]:
        rows = [row for row in statuses(self.every_run()) if row[1].state is RunState.QUEUED]
        return sorted(rows, key=lambda row: (row[1].queued, row[1].created, row[0].name))

    # From the queue to a process -------------------------------------------------------------------

    def claim_next(self, device: str | None = None, *, passing: Collection[Run] = ()) -> Run | None:
        """Take the run that is to train here next out of the queue, marked as running by this process; None where
        none waits or the queue is paused.

        Args:
            device: the GPU that it will train on, "cuda:1"; None where its worker is to find out.
            passing: runs to pass over, as their last process has not quite ended.

        Raises:
            WorkspaceError: runs wait, and none can be written (a full disk); they wait on.
        """
        problem: WorkspaceError | None = None
        with queue_lock(self.workspace):
            if self.queue_settings().paused:
                return None
            for run, status in self._waiting():
                if run in passing or status.standing or status.where is not Where.HERE:
                    continue
                claimed = replace(status, state=RunState.RUNNING, phase=CLAIMED, device=device, message="", hint="")
                try:
                    run.write_status(replace(claimed, **process_identity()))
                except WorkspaceError as error:
                    problem = error if run.exists() else problem
                    continue
                return run
        if problem is not None:
            raise problem
        return None

    def hand_over(self, run: Run, pid: int) -> None:
        """Write the process that works on a claimed run into its status, unless it has done so itself."""
        with queue_lock(self.workspace):
            status = run.status
            if status.state is RunState.RUNNING and status.pid == os.getpid():
                run.write_status(replace(status, phase="starting", **process_identity(pid)))

    def put_back(self, run: Run, message: str) -> None:
        """Let a claimed run whose process could not be started wait on, in its old place; `message` says why."""
        with queue_lock(self.workspace):
            status = run.status
            if status.state is RunState.RUNNING and status.pid == os.getpid():
                run.write_status(replace(status, state=RunState.QUEUED, phase="", device=None, message=message))

    def hand_back(self, run: Run, status: Status) -> bool:
        """Let a run whose worker has taken it to its rung wait there; only for that worker, which then ends.

        Returns False, and changes nothing, where it was asked to stop meanwhile: afterwards nobody would heed that.
        """
        message = f"It waits at epoch {status.epoch} for the other runs of its race."
        with queue_lock(self.workspace):
            if run.stop_requested():
                return False
            # Where it computed stays: its speed is that device's.
            waiting = replace(status, state=RunState.QUEUED, job=None, phase="", eta=None, message=message, hint="")
            run.write_status(waiting)
            return True

    def recover(self) -> list[Run]:
        """Let runs wait on that a scheduler claimed and died before their process was started, or that died while it
        started; return them. Only for the scheduler.
        """
        found = []
        with queue_lock(self.workspace):
            for run, status in statuses(self.every_run()):
                if status.state is RunState.INTERRUPTED and status.phase == CLAIMED:
                    waiting = replace(status, state=RunState.QUEUED, phase="", device=None, message="", hint="")
                    with suppress(WorkspaceError):  # one that cannot be written stays interrupted
                        run.write_status(waiting)
                        found.append(run)
        return found

    def close(self, run: Run, state: RunState, message: str, hint: str) -> None:
        """Write the end of a run whose worker could not; leave alone one that said how it ended, or that lives."""
        with queue_lock(self.workspace):
            status = run.status
            # Where handing over failed, it still names this process.
            ours = status.state is RunState.RUNNING and status.pid == os.getpid()
            if ours or status.state is RunState.INTERRUPTED:
                run.write_status(
                    replace(status, state=state, phase="", eta=None, ended=time.time(), message=message, hint=hint)
                )

    def killed(self, run: Run, signal: int) -> None:
        """Write down that a run's process was killed. It waits to go on by itself, behind all others, unless that
        has happened `RESTARTS` times already or it was being stopped: the next kill may have the same cause."""
        with queue_lock(self.workspace):
            status = run.status
            ours = status.state is RunState.RUNNING and status.pid == os.getpid()
            if not ours and status.state is not RunState.INTERRUPTED:
                return  # it said how it ended, or lives
            ended = replace(status, phase="", eta=None, message=f"The training process was killed by signal {signal}.")
            memory = "Signal 9 often means that memory ran out: then use a smaller batch or image size."
            if status.restarts >= RESTARTS or run.stop_requested():
                hint = f"Resume it. {memory}"
                run.write_status(replace(ended, state=RunState.INTERRUPTED, ended=time.time(), hint=hint))
                return
            hint = f"It goes on by itself from what it saved last. {memory}"
            waiting = replace(ended, state=RunState.QUEUED, queued=self.next_place(), device=None, hint=hint)
            run.write_status(replace(waiting, restarts=status.restarts + 1))

    # What a person asks for ------------------------------------------------------------------------

    def stop(self, run: Run) -> None:
        """Stop a run: at once where it waits; where it trains, its worker saves its state first.

        A finished run that waits to train longer is finished again. A worker that was asked a minute ago and has
        given no sign of life since is killed; what it saved last is kept.
        """
        with queue_lock(self.workspace):
            status = run.status
            if status.state is RunState.QUEUED:
                status = replace(status, job=None)  # whoever looks after jobs ends one that no run has
            if status.state is RunState.QUEUED and not withdraw(run, status):
                message = "Taken out of the queue before it went on." if status.epoch else "Stopped before it started."
                run.write_status(replace(status, state=RunState.STOPPED, ended=time.time(), message=message, hint=""))
            elif status.state is RunState.RUNNING and not _end_hung(run, status):
                run.request_stop()

    def requeue(self, run: Run) -> None:
        """Put a stopped, failed or interrupted run back into the queue; it goes on where it ended.

        Raises:
            ConfigError: the run trains, waits or is finished.
        """
        with queue_lock(self.workspace):
            self._requeue(run, run.status, self.next_place())

    def _requeue(self, run: Run, status: Status, queued: float) -> None:
        if not status.state.resumable:
            raise ConfigError(f"Run {run.name} is {status.state}; only a run that ended early can resume.")
        run.clear_request()
        waiting = replace(status, state=RunState.QUEUED, queued=queued, ended=None)
        run.write_status(replace(waiting, phase="", eta=None, device=None, message="", hint="", restarts=0, job=None))


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def queue_lock(workspace: Workspace) -> FileLock:
    """The lock under which runs enter and leave the queue. Not to be taken twice by one process.

    Raises:
        LaunchError: on entering, when another process holds it for more than 20 s.
        WorkspaceError: on entering, when its file cannot be made.
    """
    return _QueueLock(workspace.queue_lock, timeout=20)


class _QueueLock(FileLock):
    def acquire(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().acquire(*args, **kwargs)
        except Timeout as error:
            raise LaunchError(f"Another process holds {self.lock_file}. Try again in a moment.") from error
        except OSError as error:
            raise describe_os_error(error, Path(self.lock_file)) from error


def _behind(waiting: list[tuple[Run, Status]]) -> float:
    """Return a time in the queue behind all that wait, also where the clock was set back meanwhile."""
    now = time.time()
    return max(now, waiting[-1][1].queued + 1e-3) if waiting else now


def _end_hung(run: Run, status: Status) -> bool:
    """Kill the worker of a run that heeds no request to stop; return whether it was."""
    asked, now = run.stop_requested_at(), time.time()
    if status.phase == CLAIMED:
        return False  # it still names the scheduler
    if asked is None or now - max(asked, status.heartbeat or 0.0) < HUNG_SECONDS:
        return False
    if status.where is Where.CLUSTER:
        status = replace(status, job=None)  # its job is ended in its stead; should its process live, it is still asked
    elif end_process(status):
        run.clear_request()
    else:
        return False
    message, hint = HUNG_MESSAGE, "Resume it to go on from what it saved last."
    ended = replace(status, state=RunState.STOPPED, phase="", eta=None, ended=now)
    run.write_status(replace(ended, message=message, hint=hint))
    return True
