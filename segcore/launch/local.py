"""The queue on this machine: one detached scheduler that starts a worker for each run in turn.

`python -m segcore.launch.local WORKSPACE` is the scheduler. It outlives the browser tab, the app and the
terminal that started it, and ends by itself when nothing waits. A lock file makes sure that a workspace
has one at most; what waits stands in the runs' own files, so nothing is lost when it dies.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from segcore.errors import LaunchError, WorkspaceError
from segcore.files import tail
from segcore.runs import Run
from segcore.status import OTHER_WORKER, RunState
from segcore.store import RunStore, queue_lock
from segcore.workspace import HOME_VARIABLE, Workspace

POLL_SECONDS = 0.25
START_SECONDS = 20.0


def scheduler_lock(workspace: Workspace) -> FileLock:
    """Held by the scheduler as long as it lives."""
    return FileLock(workspace.root / ".scheduler.lock")


def scheduler_log(workspace: Workspace) -> Path:
    """What the scheduler printed."""
    return workspace.root / ".scheduler.log"


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
    """Start the scheduler unless one is alive.

    Raises:
        LaunchError: it does not start.
    """
    with queue_lock(workspace):
        # A scheduler gives up only while it holds the queue lock and sees nothing waiting; so one that is
        # alive now has seen, or will see, every run that was queued before this call.
        if scheduler_alive(workspace, patience=0.3):
            return
    process = spawn("segcore.launch.local", str(workspace.root), log=scheduler_log(workspace))
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            if process.returncode == 0:
                return  # another was faster, or all was done already
            break
        if scheduler_alive(workspace):
            return
        time.sleep(0.05)
    raise LaunchError(
        f"The process that starts runs did not come up; its last words: {_last_line(scheduler_log(workspace))}"
    )


def spawn(module: str, *arguments: str, log: Path) -> subprocess.Popen[bytes]:
    """Start `python -m module arguments` detached from this process, its output appended to `log`."""
    package_parent = str(Path(__file__).resolve().parents[2])
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [package_parent, os.environ.get("PYTHONPATH")])),
        "PYTHONUNBUFFERED": "1",
    }
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )


def schedule(workspace: Workspace) -> None:
    """Train what waits, one run after another, until nothing does."""
    store = RunStore(workspace)
    lock = scheduler_lock(workspace)
    try:
        lock.acquire(timeout=2)  # whoever asks whether a scheduler is alive holds it for an instant
    except Timeout:
        return
    os.environ[HOME_VARIABLE] = str(workspace.root)
    while True:
        wait_for_others(store)
        run = store.claim_next()
        if run is not None:
            work_on(run, store)
            continue
        with queue_lock(workspace):
            if not any(status.state is RunState.QUEUED for _, status in store.statuses()):
                lock.release()
                return


def wait_for_others(store: RunStore) -> None:
    """Wait while a run is training under a scheduler that died: the machine is one slot."""
    while any(status.state is RunState.RUNNING for _, status in store.statuses()):
        time.sleep(POLL_SECONDS)


def work_on(run: Run, store: RunStore) -> None:
    """Start the worker of a claimed run, wait for its end, and write the last word if it could not."""
    print(f"{time.strftime('%F %T')} starting {run.study_name}/{run.name}", flush=True)
    try:
        worker = spawn("segcore.training.worker", str(run.path), log=run.log_path)
    except OSError as error:
        _close(store, run, RunState.FAILED, f"Its process could not be started: {error}.", "Free memory, then resume.")
        return
    # The run must not look dead if this process dies before the worker, which first imports torch, can write.
    with suppress(WorkspaceError, LaunchError, psutil.Error):
        store.hand_over(run, worker.pid)
    code = worker.wait()
    print(f"{time.strftime('%F %T')} {run.study_name}/{run.name} ended with exit code {code}", flush=True)
    if code < 0:
        _close(
            store,
            run,
            RunState.INTERRUPTED,
            f"The training process was killed by signal {-code}.",
            "Resume it. Signal 9 often means that memory ran out: then use a smaller batch or image size.",
        )
    elif code not in (0, OTHER_WORKER):
        _close(
            store, run, RunState.FAILED, f"The training process ended: {_last_line(run.log_path)}", "The log has more."
        )


def _close(store: RunStore, run: Run, state: RunState, message: str, hint: str) -> None:
    try:
        store.close(run, state, message, hint)
    except (WorkspaceError, LaunchError) as error:
        print(f"{run.path}: {error}", flush=True)  # its directory was removed meanwhile


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in tail(log).splitlines() if line.strip()]
    return lines[-1] if lines else "(none)"


if __name__ == "__main__":
    schedule(Workspace(sys.argv[1]))
