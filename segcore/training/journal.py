"""What a worker says of its run: the status, throttled, and where requests to stop and vanished directories show."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from dataclasses import replace

from segcore.errors import NotFoundError, WorkspaceError
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
        try:
            # Held open: the system could otherwise give the directory's number to another by the same name.
            self._directory = os.open(run.path, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise NotFoundError(f"{run.path} is no run (any more).") from error
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
        try:
            found = self.run.path.stat()
        except OSError:
            return True
        return not (os.path.samestat(found, os.fstat(self._directory)) and self.run.exists())

    def close(self) -> None:
        """Let go of the run's directory."""
        os.close(self._directory)

    def end(self, state: RunState, message: str, hint: str = "") -> None:
        """Write the last word of a run that did not finish; a full disk may have room again in a moment.

        Raises:
            RunGone: the run was removed.
            WorkspaceError: the disk refused it every time.
        """
        now, seconds = time.time(), self.seconds
        changes = {"heartbeat": now, "ended": now, "seconds": seconds, "phase": "", "eta": None}
        self.status = replace(self.status, state=state, message=message, hint=hint, **changes)  # type: ignore[arg-type]
        try:
            self._write_at_last()
        finally:
            say(message, hint)

    def _write_at_last(self) -> None:
        for left in reversed(range(LAST_WORD_TRIES)):
            try:
                self._write()
                break
            except WorkspaceError as error:
                say(f"The status could not be written: {error}", error=True)
                if left == 0:
                    raise
                time.sleep(1)


def say(*words: str, error: bool = False) -> None:
    """Print a line into the log, unless its disk is full: that must not keep a worker from its work."""
    with suppress(OSError):
        print(*words, file=sys.stderr if error else sys.stdout, flush=True)
