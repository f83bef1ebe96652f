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
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psutil

from segcore.background import HELD, Cancelled, Desk, Teller, Working
from segcore.errors import LaunchError, SegcoreError
from segcore.files import describe_os_error
from segcore.inherited import inheritable
from segcore.launch.prober import Prober
from segcore.launch.processes import start_alone
from segcore.models.atlas import Atlas
from segcore.progress import Progress, silent
from segcore.status import process_identity
from segcore.workspace import Workspace

NICENESS = 15
"""Of the process in the background: what trains goes first."""


@dataclass(frozen=True)
class Probing(Working):
    """What the process says of itself."""

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


def desk(workspace: Workspace) -> Desk:
    """Return the files of the probing in a workspace; asked to end, it keeps what it found."""
    folder = workspace.catalog
    return Desk(
        "the probing of architectures",
        said=folder / "probing.json",
        request=folder / "probing_request.json",
        lock=folder / ".probing.lock",
        log=folder / "probing.log",
    )


def start(atlas: Atlas) -> bool:
    """Start the process in the background that probes what the atlas lacks; it outlives whoever starts it.

    Returns:
        Whether one was started; none is where one is at work, on this atlas or another.

    Raises:
        WorkspaceError: the workspace cannot be written.
        LaunchError: it cannot be started.
    """
    _make_folder(atlas.workspace)
    contents = atlas.read()
    said = _begun(atlas, total=contents.total or 0, done=len(contents.entries))
    arguments = (str(atlas.workspace.root), atlas.decoder, str(atlas.image_size))
    return start_alone(desk(atlas.workspace), said, "segcore.launch.probing", *arguments)


def fill(atlas: Atlas, progress: Progress = silent) -> None:
    """Probe what the atlas lacks, here and now; `progress` counts architectures.

    Raises:
        LaunchError: another process is at it, or the one that probes does not come up.
        WorkspaceError: the workspace cannot be written.
        Cancelled: somebody asked it to end.
    """
    _make_folder(atlas.workspace)
    with _alone(atlas.workspace):
        desk(atlas.workspace).forget_request()
        _Filler(atlas, progress).work()


# The work ----------------------------------------------------------------------------------------------


class _Filler:
    """Probes what an atlas lacks, and writes down how far it is."""

    def __init__(self, atlas: Atlas, progress: Progress) -> None:
        self.atlas = atlas
        self.progress = progress
        self.desk = desk(atlas.workspace)
        said = _begun(atlas, started=time.time(), **process_identity())
        self.teller = Teller(self.desk, said, "total", "before")

    def work(self) -> None:
        try:
            self._probe_all()
        except Cancelled:
            self.desk.forget_request()
            self.teller.end(state="cancelled")
            raise
        except KeyboardInterrupt:
            self.teller.end(state="cancelled")
            raise
        except SegcoreError as error:
            self.teller.end(state="failed", message=str(error))
            raise

    def _probe_all(self) -> None:
        self.teller.tell(state="running")
        with Prober(self.atlas.decoder, self.atlas.image_size, self.desk.log) as prober:
            names = prober.architectures(self.teller.tell)
            self.atlas.begin(len(names))
            known = self.atlas.read().entries
            left = [name for name in names if name not in known]
            before = len(names) - len(left)
            self.teller.tell(total=len(names), done=before, before=before, started=time.time())
            for done, name in enumerate(left, start=before):
                self.progress(done, len(names))
                self.teller.tell(done=done, architecture=name)
                self.atlas.append(prober.probe(name, self.teller.tell))
            self.progress(len(names), len(names))
            self.teller.tell(state="finished", done=len(names), architecture="")


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


def _make_folder(workspace: Workspace) -> None:
    try:
        workspace.catalog.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise describe_os_error(error, workspace.catalog) from error


@contextmanager
def _alone(workspace: Workspace) -> Iterator[None]:
    """Hold the lock.

    Raises:
        LaunchError: another process has it.
    """
    try:
        with inheritable(desk(workspace).lock):
            yield
    except BlockingIOError as error:
        found = desk(workspace).read(Probing)
        at = f" ({found.done:,} of {found.total:,} done)" if found is not None and found.total else ""
        raise LaunchError(
            f"Another process probes architectures in this workspace just now{at}. Wait for it, or cancel it on the "
            "Architectures page."
        ) from error


if __name__ == "__main__":
    sys.exit(main())
