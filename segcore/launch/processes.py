"""Processes that outlive whoever starts them, and the files by which the scheduler is known."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from filelock import FileLock

from segcore.files import tail
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
