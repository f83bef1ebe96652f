"""Probing all architectures of timm in one decoder at one image size: `python -m segcore.launch.probing`.

One process at a time does it in a workspace, in the background or for the command line, and says how far it is in a
file. What it finds is kept at once (see `models/atlas.py`), so that whoever ends it loses nothing: the next one goes on
where it stopped. Nothing here imports torch.

Exit codes: 0 when all is done or it was told to end, 1 when it failed or another process is at it.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import psutil

from segcore.errors import LaunchError, SegcoreError, WorkspaceError
from segcore.files import describe_os_error, read_json, write_json
from segcore.inherited import inheritable, is_held
from segcore.launch.prober import Prober
from segcore.launch.processes import spawn
from segcore.models.atlas import Atlas
from segcore.progress import Progress, silent
from segcore.status import RunState, Status, is_alive, process_identity
from segcore.workspace import Workspace

TELL_SECONDS = 1.0
"""How often it says how far it is."""
NICENESS = 15
"""Of the process in the background: what trains goes first."""
HELD = "--held"
"""Tells the process that the lock was handed to it."""


class Cancelled(Exception):
    """The user asked it to end; what was found is kept."""


@dataclass(frozen=True)
class Probing:
    """What the process says of itself; times are seconds since 1970."""

    state: Literal["running", "finished", "cancelled", "failed", "interrupted"]
    decoder: str
    image_size: int
    total: int = 0
    """Architectures there are; 0 until they are listed."""
    done: int = 0
    """Of these, probed, now or earlier."""
    before: int = 0
    """Of these, probed when it began."""
    architecture: str = ""
    """The one it is at."""
    message: str = ""
    """Why it failed."""
    started: float = 0.0
    heartbeat: float = 0.0
    host: str | None = None
    pid: int | None = None
    pid_started: float | None = None

    @property
    def share(self) -> float:
        """How much is done, 0-1."""
        return min(1.0, self.done / self.total) if self.total else 0.0

    @property
    def seconds_left(self) -> float | None:
        """About how long it will take, if what is left is as fast; None at the start."""
        if self.done <= self.before or self.heartbeat <= self.started:
            return None
        return (self.heartbeat - self.started) * (self.total - self.done) / (self.done - self.before)


# Looking at it, starting it, ending it -----------------------------------------------------------------


def read(workspace: Workspace) -> Probing | None:
    """Return how far the probing in a workspace is; `interrupted` where its process is gone. None before the first.

    Raises:
        WorkspaceError: the file is damaged.
    """
    value = read_json(_state_path(workspace))
    if value is None:
        return None
    known = {name: value[name] for name in Probing.__dataclass_fields__ if name in value}
    try:
        found = Probing(**known)
    except TypeError as error:
        raise WorkspaceError(f"How far the probing is cannot be read: {_state_path(workspace)}: {error}.") from error
    if found.state == "running" and not _alive(workspace, found):
        again = read_json(_state_path(workspace)) or {}  # its last word may have come between reading and looking
        return replace(found, state="interrupted") if again.get("state") == "running" else read(workspace)
    return found


def running(workspace: Workspace) -> bool:
    """Whether a process probes in this workspace now."""
    found = read(workspace)
    return found is not None and found.state == "running"


def start(atlas: Atlas) -> bool:
    """Start the process in the background that probes what the atlas lacks; it outlives whoever starts it.

    Returns:
        Whether one was started; none is where one is at work, on this atlas or another.

    Raises:
        WorkspaceError: the workspace cannot be written.
        LaunchError: it cannot be started.
    """
    workspace = atlas.workspace
    _make_folder(workspace)
    try:
        with inheritable(_lock(workspace)) as descriptors:
            _request_path(workspace).unlink(missing_ok=True)
            now = time.time()
            known = len(atlas.read().entries)
            _write(workspace, _begun(atlas, total=atlas.read().total or 0, done=known, started=now, heartbeat=now))
            spawn(
                "segcore.launch.probing",
                str(workspace.root),
                atlas.decoder,
                str(atlas.image_size),
                HELD,
                log=_log(workspace),
                descriptors=descriptors,
            )
    except BlockingIOError:
        return False
    except OSError as error:
        raise LaunchError(f"The process that probes architectures could not be started: {error}.") from error
    return True


def stop(workspace: Workspace) -> None:
    """Ask the process to end; what it found stays, and it can go on later.

    Raises:
        WorkspaceError: the request cannot be written.
    """
    write_json(_request_path(workspace), {"stop": True, "time": time.time()})


def stop_requested(workspace: Workspace) -> bool:
    """Whether it was asked to end."""
    return _request_path(workspace).exists()


def fill(atlas: Atlas, progress: Progress = silent) -> None:
    """Probe what the atlas lacks, here and now; `progress` counts architectures.

    Raises:
        LaunchError: another process is at it, or the one that probes does not come up.
        WorkspaceError: the workspace cannot be written.
        Cancelled: somebody asked it to end.
    """
    _make_folder(atlas.workspace)
    with _alone(atlas.workspace):
        _request_path(atlas.workspace).unlink(missing_ok=True)
        _Filler(atlas, progress).work()


# The work ----------------------------------------------------------------------------------------------


class _Filler:
    """Probes what an atlas lacks, and writes down how far it is."""

    def __init__(self, atlas: Atlas, progress: Progress) -> None:
        self.atlas = atlas
        self.progress = progress
        self.said = _begun(atlas, started=time.time(), **process_identity())
        self._told = 0.0

    def work(self) -> None:
        try:
            self._probe_all()
        except Cancelled:
            _request_path(self.atlas.workspace).unlink(missing_ok=True)
            self._end(state="cancelled")
            raise
        except KeyboardInterrupt:
            self._end(state="cancelled")
            raise
        except SegcoreError as error:
            self._end(state="failed", message=str(error))
            raise

    def _probe_all(self) -> None:
        self._tell()
        with Prober(self.atlas.decoder, self.atlas.image_size, _log(self.atlas.workspace)) as prober:
            names = prober.architectures(self._look)
            self.atlas.begin(len(names))
            known = self.atlas.read().entries
            left = [name for name in names if name not in known]
            before = len(names) - len(left)
            self._tell(total=len(names), done=before, before=before, started=time.time())
            for done, name in enumerate(left, start=before):
                self.progress(done, len(names))
                self._look(done=done, architecture=name)
                self.atlas.append(prober.probe(name, self._look))
            self.progress(len(names), len(names))
            self._tell(state="finished", done=len(names), architecture="")

    def _look(self, **changes: Any) -> None:
        """Note what goes on, write it down now and then, and end if asked to.

        Raises:
            Cancelled: asked to end.
        """
        self.said = replace(self.said, **changes)
        if stop_requested(self.atlas.workspace):
            raise Cancelled
        if time.monotonic() - self._told >= TELL_SECONDS:
            self._tell()

    def _tell(self, **changes: Any) -> None:
        self.said = replace(self.said, **changes)
        self._told = time.monotonic()
        _write(self.atlas.workspace, self.said)

    def _end(self, **changes: Any) -> None:
        """Say the last word, as far as there is anywhere to say it."""
        with suppress(WorkspaceError):
            self._tell(**changes)


def main(arguments: Sequence[str] | None = None) -> int:
    """Probe in the workspace, decoder and image size that the arguments name; return the exit code."""
    root, decoder, image_size, *held = sys.argv[1:] if arguments is None else arguments
    atlas = Atlas(Workspace(root), decoder, int(image_size))
    _step_back()
    try:
        if held == [HELD]:  # whoever started it has handed the lock over
            _Filler(atlas, silent).work()
        else:
            fill(atlas)
    except Cancelled:
        print("Ended on request; what was found stays.", flush=True)
    except SegcoreError:
        traceback.print_exc()
        return 1
    return 0


def _step_back() -> None:
    """Let everybody else go first."""
    if sys.platform == "win32":
        psutil.Process().nice(psutil.IDLE_PRIORITY_CLASS)
    else:
        os.nice(NICENESS)


# Files -------------------------------------------------------------------------------------------------


def _begun(atlas: Atlas, **values: Any) -> Probing:
    return Probing("running", atlas.decoder, atlas.image_size, **values)


def _state_path(workspace: Workspace) -> Path:
    return workspace.catalog / "probing.json"


def _request_path(workspace: Workspace) -> Path:
    return workspace.catalog / "probing_request.json"


def _log(workspace: Workspace) -> Path:
    return workspace.catalog / "probing.log"


def _lock(workspace: Workspace) -> Path:
    return workspace.catalog / ".probing.lock"


def _make_folder(workspace: Workspace) -> None:
    try:
        workspace.catalog.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise describe_os_error(error, workspace.catalog) from error


def _write(workspace: Workspace, said: Probing) -> None:
    write_json(_state_path(workspace), {**asdict(said), "heartbeat": time.time()})


@contextmanager
def _alone(workspace: Workspace) -> Iterator[None]:
    """Hold the lock.

    Raises:
        LaunchError: another process has it.
    """
    try:
        with inheritable(_lock(workspace)):
            yield
    except BlockingIOError as error:
        found = read(workspace)
        at = f" ({found.done:,} of {found.total:,} done)" if found is not None and found.total else ""
        raise LaunchError(
            f"Another process probes architectures in this workspace just now{at}. Wait for it, or cancel it on the "
            "Architectures page."
        ) from error


def _alive(workspace: Workspace, found: Probing) -> bool:
    if is_held(_lock(workspace)):
        return True
    process: dict[str, Any] = {"host": found.host, "pid": found.pid, "pid_started": found.pid_started}
    return is_alive(Status(RunState.RUNNING, 0.0, 0.0, heartbeat=found.heartbeat, **process))


if __name__ == "__main__":
    sys.exit(main())
