"""Processes that outlive whoever starts them, and the files by which the scheduler is known."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from filelock import FileLock

from segcore.background import HELD, Desk, Working
from segcore.errors import LaunchError
from segcore.files import tail
from segcore.inherited import inheritable
from segcore.workspace import Workspace


def scheduler_lock(workspace: Workspace) -> FileLock:
    """Held by the scheduler as long as it lives."""
    return FileLock(workspace.root / ".scheduler.lock")


def scheduler_log(workspace: Workspace) -> Path:
    """What the scheduler printed."""
    return workspace.root / ".scheduler.log"


def spawn(
    module: str,
    *arguments: str,
    log: Path,
    environment: Mapping[str, str] | None = None,
    descriptors: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start `python -m module arguments` detached from this process, its output appended to `log`.

    Args:
        module: to run.
        arguments: for it.
        log: in a folder that is there; it is not made, as a run may have been removed just now.
        environment: variables beside those of this process.
        descriptors: of open files that it shall have too.

    Raises:
        OSError: the process cannot be started, or the log not written.
    """
    with open(log, "ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**variables(), **(environment or {})},
            pass_fds=tuple(descriptors),
            start_new_session=True,
        )


def start_alone(desk: Desk, said: Working, module: str, *arguments: str) -> bool:
    """Start `python -m module arguments` at a desk, detached from this process, and hand the lock to it.

    Args:
        desk: where it works.
        said: what is said of it until it speaks for itself.
        module: to run; it finds `HELD` after its arguments.
        arguments: for it.

    Returns:
        Whether one was started; none is where one is at work.

    Raises:
        LaunchError: it cannot be started.
        WorkspaceError: the desk cannot be written.
    """
    try:
        with inheritable(desk.lock) as descriptors:
            desk.forget_request()
            desk.write(replace(said, started=time.time()))
            spawn(module, *arguments, HELD, log=desk.log, descriptors=descriptors)
    except BlockingIOError:
        return False  # another was faster
    except OSError as error:
        raise LaunchError(f"The process for {desk.what} could not be started: {error}.") from error
    return True


def variables() -> dict[str, str]:
    """Return the environment in which another Python finds this package, and prints at once."""
    package_parent = str(Path(__file__).resolve().parents[2])
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [package_parent, os.environ.get("PYTHONPATH")])),
        "PYTHONUNBUFFERED": "1",
    }


def last_line(log: Path) -> str:
    """Return the last words in a log, "(none)" where there are none."""
    lines = [line.strip() for line in tail(log).splitlines() if line.strip()]
    return lines[-1] if lines else "(none)"
