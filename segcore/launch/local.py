"""The queue on this machine: one detached scheduler that starts a worker for each run.

`python -m segcore.launch.local WORKSPACE` is the scheduler. It outlives the browser tab, the app and the terminal
that started it, and ends by itself when nothing waits. A lock file makes sure that a workspace has one at most; what
waits stands in the runs' own files, so nothing is lost when it dies.
"""

from __future__ import annotations

import signal
import sys
import time
from types import FrameType

from filelock import Timeout

from segcore.clustered import has_jobs
from segcore.errors import LaunchError
from segcore.launch.processes import last_line, scheduler_lock, scheduler_log, spawn
from segcore.launch.scheduler import Scheduler
from segcore.runqueue import queue_lock
from segcore.store import RunStore
from segcore.workspace import Workspace

START_SECONDS = 20.0


def scheduler_alive(workspace: Workspace, *, patience: float = 0.0) -> bool:
    """Whether a scheduler works on this workspace now.

    Asking holds the lock for an instant; with `patience` (seconds) others who ask are not taken for a scheduler.
    """
    if not workspace.root.is_dir():
        return False
    try:
        with scheduler_lock(workspace).acquire(timeout=patience):
            return False
    except Timeout:
        return True


def ensure_scheduler(workspace: Workspace) -> None:
    """Start the scheduler unless one is alive, or the queue is paused and has nothing on a cluster, so needs none.

    Raises:
        LaunchError: it does not start.
    """
    with queue_lock(workspace):
        # A scheduler gives up only while it holds the queue lock and sees nothing waiting; so one that is
        # alive now has seen, or will see, every run that was queued before this call.
        store = RunStore(workspace)
        if store.queue_settings().paused and not has_jobs(store):
            return
        if scheduler_alive(workspace, patience=0.3):
            return
    log = scheduler_log(workspace)
    try:
        process = spawn("segcore.launch.local", str(workspace.root), log=log)
    except OSError as error:
        raise LaunchError(f"The process that starts runs could not be started: {error}.") from error
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            if process.returncode == 0:
                return  # another was faster, or all was done already
            break
        if scheduler_alive(workspace):
            return
        time.sleep(0.05)
    raise LaunchError(f"The process that starts runs did not come up; its last words: {last_line(log)}")


def main(workspace: Workspace) -> None:
    """Be the scheduler. SIGTERM and Ctrl-C end it, not the runs."""
    scheduler = Scheduler(workspace)

    def leave(_signal: int, _frame: FrameType | None) -> None:
        scheduler.leaving = True

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)
    scheduler.run()


if __name__ == "__main__":
    main(Workspace(sys.argv[1]))
