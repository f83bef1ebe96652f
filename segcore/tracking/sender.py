"""The process that sends to a tracking server while runs train: `python -m segcore.tracking.sender WORKSPACE`.

It is none of the workers and not the scheduler, so that no server, however slow, can hold up or fail a run. It reads
what they write, and ends when nothing trains and all is sent, or when the server was away for too long: the next launch
or `python -m segcore mirror` then goes on.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import ExitStack, suppress
from types import FrameType

from segcore.background import HELD
from segcore.errors import SegcoreError, TrackingError
from segcore.inherited import inheritable
from segcore.status import OTHER_WORKER
from segcore.store import RunStore
from segcore.tracking import record
from segcore.tracking.destination import Destination, needed
from segcore.tracking.sending import send
from segcore.tracking.server import Server
from segcore.workspace import Workspace

PASS_SECONDS = 5.0
"""How long it rests after it has sent everything."""
LONGEST_REST = 120.0
"""How long it rests at most while the server is away; it doubles from `PASS_SECONDS`."""
LINGER_SECONDS = 20.0
"""How long it waits for another run to start before it ends."""
PATIENCE_SECONDS = 1800.0
"""How long it tries on when nothing trains any more."""
NICENESS = 10
"""The training next to it has the processor first."""


class Sender:
    """Keeps the studies of a workspace that are to be mirrored up to date."""

    def __init__(self, workspace: Workspace, where: Destination) -> None:
        self.store = RunStore(workspace)
        self.where = where
        self.leaving = False
        """Set to make it end after the request it is at."""
        self._server: Server | None = None

    def work(self) -> int:
        """Send until nothing is left to do; return the exit code, 1 where something could not be sent."""
        rest, idle_since = PASS_SECONDS, time.monotonic()
        while True:
            problem = self.send_all()
            record.tell(self.store.workspace, problem)
            if self.store.training():
                idle_since = time.monotonic()
            idle = time.monotonic() - idle_since
            if self.leaving or idle > (PATIENCE_SECONDS if problem else LINGER_SECONDS):
                return 1 if problem else 0
            rest = min(2 * rest, LONGEST_REST) if problem else PASS_SECONDS
            self.pause(rest)
            if self.leaving or not self.store.workspace.root.is_dir():
                return 0

    def pause(self, seconds: float) -> None:
        """Rest, but no longer than until it is told to leave."""
        deadline = time.monotonic() + seconds
        while not self.leaving and time.monotonic() < deadline:
            time.sleep(0.2)

    def send_all(self) -> str:
        """Send what the server lacks of every study to be mirrored; return what went wrong, "" if nothing did."""
        problems = []
        for study in self.store.studies():
            if self.leaving:
                break
            if not record.wanted(study):
                continue
            try:
                if not record.behind(study, self.where):
                    continue
                self._server = self._server or Server(self.where)
                sent = send(study, self._server, store=self.store)
            except TrackingError as error:
                say(str(error))
                return str(error)  # what one study met, the next would meet as well
            except SegcoreError as error:
                if study.exists():
                    say(str(error))
                    problems.append(str(error))
                continue
            say(f"{study.name}: {sent.runs} runs, {sent.epochs} epochs, {sent.artifacts} artifacts")
            problems += sent.refused.values()
        return problems[0] if problems else ""


def say(text: str) -> None:
    """Write a line to the log, if the disk has room for it."""
    with suppress(OSError):
        print(f"{time.strftime('%F %T')} {text}", flush=True)


def main(arguments: list[str]) -> int:
    """Send from the workspace whose directory is the first argument; return the exit code."""
    if not 1 <= len(arguments) <= 2 or arguments[1:] not in ([], [HELD]):
        print("usage: python -m segcore.tracking.sender WORKSPACE", file=sys.stderr)
        return 2
    workspace = Workspace(arguments[0])
    if sys.platform != "win32":
        os.nice(NICENESS)
    try:
        with ExitStack() as held:
            if len(arguments) == 1:  # else whoever started it has handed the lock over
                held.enter_context(inheritable(workspace.mirror_lock))
            sender = Sender(workspace, needed())

            def leave(_signal: int, _frame: FrameType | None) -> None:
                sender.leaving = True

            signal.signal(signal.SIGTERM, leave)
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is meant for whoever follows the runs
            return sender.work()
    except BlockingIOError:
        say("Another process sends from this workspace already.")
        return OTHER_WORKER
    except SegcoreError as error:
        say(str(error))
        record.tell(workspace, str(error))
        return 1
    except BaseException as error:
        # What nobody foresaw is in the log; the screen says that it ended, without words that may hold a password.
        record.tell(workspace, f"The process that sends ended unexpectedly ({type(error).__name__}).")
        raise


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
