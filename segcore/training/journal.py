"""What a worker says of its run: the status, throttled, and where requests to stop and vanished directories show."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path

from segcore.errors import WorkspaceError
from segcore.runs import Run
from segcore.status import RunState, process_identity

STATUS_SECONDS = 0.5
"""How often the status is written, at most."""
LAST_WORD_TRIES = 5
"""How often the end of a run is written again where the disk refuses it, a second apart."""


class StopRequested(Exception):
    """A person, or the system by SIGTERM, asked the run to stop."""


class RunGone(Exception):
    """The run's directory was removed; nothing may be written there any more."""


class Journal:
    """Writes a run's status while its worker lives. Of several processes of a run only the leading one writes.

    Durations come from a clock that nobody can set; times of day are written for people alone.
    """

    def __init__(self, run: Run, *, leads: bool = True, may_stop: bool = True) -> None:
        self.run = run
        self.leads = leads
        self.may_stop = may_stop
        """Whether `tell` raises when asked to stop; several processes must agree on the place first."""
        self.status = replace(run.status, state=RunState.RUNNING, phase="starting", **process_identity())
        self.terminated = False
        """Set by SIGTERM."""
        self.stopping = False
        """Whether a request to stop has been seen."""
        self._identity = _identity(run.path)
        self._seconds_before = self.status.seconds
        self._began = time.monotonic()
        self._written = -STATUS_SECONDS

    @property
    def seconds(self) -> float:
        """Spent on the run over all its lives."""
        return self._seconds_before + time.monotonic() - self._began

    def tell(self, **changes: object) -> None:
        """Change the status; write it if anything but the progress changed, or some time has passed.

        Raises:
            StopRequested: this is also where a request to stop is noticed.
            RunGone: the run was removed.
        """
        before = self.status
        self.status = replace(before, **{"heartbeat": time.time(), "seconds": self.seconds, **changes})  # type: ignore[arg-type]
        news = (self.status.state, self.status.epoch) != (before.state, before.epoch)
        if not news and time.monotonic() - self._written < STATUS_SECONDS:
            return
        self._write()
        if self.status.state is RunState.RUNNING:
            self.stopping = self.terminated or (self.leads and self.run.stop_requested())
            if self.stopping and self.may_stop:
                raise StopRequested

    def _write(self) -> None:
        self._written = time.monotonic()
        if self.leads:
            self.check()
            self.run.write_status(self.status)

    def check(self) -> None:
        """Raise `RunGone` unless the run's directory is the one that this worker began with."""
        if self.gone():
            raise RunGone

    def gone(self) -> bool:
        """Whether the run's directory was removed, or is another by the same name."""
        return not self.run.exists() or _identity(self.run.path) != self._identity

    def end(self, state: RunState, message: str, hint: str = "") -> None:
        """Write the last word of a run that did not finish; a full disk may have room again in a moment.

        Raises:
            RunGone: the run was removed.
            WorkspaceError: the disk refused it every time.
        """
        print(message, hint, flush=True)
        now, seconds = time.time(), self.seconds
        changes = {"heartbeat": now, "ended": now, "seconds": seconds, "phase": "", "eta": None}
        self.status = replace(self.status, state=state, message=message, hint=hint, **changes)  # type: ignore[arg-type]
        for left in reversed(range(LAST_WORD_TRIES)):
            try:
                self._write()
                break
            except WorkspaceError as error:
                print(f"The status could not be written: {error}", file=sys.stderr, flush=True)
                if left == 0:
                    raise
                time.sleep(1)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
