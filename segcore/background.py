"""A process that works in the background, and those who start it, look at it and ask it to end.

They talk through the files of a `Desk`. One process at most works at a desk: it holds the lock, which whoever starts it
hands over (see `inherited`). Nothing here imports torch.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import KW_ONLY, asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from segcore.errors import WorkspaceError
from segcore.files import read_json, write_json
from segcore.inherited import is_held
from segcore.status import RunState, Status, is_alive

HELD = "--held"
"""Tells a process that the lock was handed to it."""
TELL_SECONDS = 0.5
"""How often a process says how far it is."""

State = Literal["running", "finished", "cancelled", "failed", "interrupted"]


class Cancelled(Exception):
    """The user asked the process to end."""


@dataclass(frozen=True)
class Working:
    """What a process says of itself; times are seconds since 1970. Kinds of work add how far they are."""

    state: State
    _: KW_ONLY
    message: str = ""
    """Why it failed."""
    started: float = 0.0
    heartbeat: float = 0.0
    host: str | None = None
    pid: int | None = None
    pid_started: float | None = None


Said = TypeVar("Said", bound=Working)


@dataclass(frozen=True)
class Desk:
    """The files of one kind of work in one place; their folder has to be there."""

    what: str
    """The work, in words for messages: "the scoring of study 'night'"."""
    said: Path
    """What the process says of itself."""
    request: Path
    """Is there as long as it is asked to end."""
    lock: Path
    """Held by the process."""
    log: Path
    """What it printed."""

    def read(self, kind: type[Said]) -> Said | None:
        """Return what the process last said; `interrupted` where it is gone. None before the first.

        Raises:
            WorkspaceError: the file is damaged.
        """
        value = read_json(self.said)
        if value is None:
            return None
        names = {field.name for field in fields(kind)}
        try:
            found = kind(**{name: value[name] for name in names & value.keys()})
        except TypeError as error:
            raise WorkspaceError(f"How far {self.what} is cannot be read: {self.said}: {error}.") from error
        if found.state == "running" and not self._alive(found):
            again = read_json(self.said) or {}  # its last word may have come between our reading and our looking
            return replace(found, state="interrupted") if again.get("state") == "running" else self.read(kind)
        return found

    def running(self) -> bool:
        """Whether a process is at work."""
        found = self.read(Working)
        return found is not None and found.state == "running"

    def write(self, said: Working) -> None:
        """Write what the process says; for it, and for who starts it."""
        write_json(self.said, {**asdict(said), "heartbeat": time.time()})

    def ask_to_stop(self) -> None:
        """Ask the process to end.

        Raises:
            WorkspaceError: the request cannot be written.
        """
        write_json(self.request, {"stop": True, "time": time.time()})

    def asked_to_stop(self) -> bool:
        return self.request.exists()

    def forget_request(self) -> None:
        self.request.unlink(missing_ok=True)

    def _alive(self, said: Working) -> bool:
        if is_held(self.lock):
            return True
        process: dict[str, Any] = {"host": said.host, "pid": said.pid, "pid_started": said.pid_started}
        return is_alive(Status(RunState.RUNNING, 0.0, 0.0, heartbeat=said.heartbeat, **process))


class Teller(Generic[Said]):
    """Says for a process how far it is, and hears whether it shall end."""

    def __init__(self, desk: Desk, said: Said, *at_once: str) -> None:
        """`at_once` are fields that are written as soon as they change, as the state always is."""
        self.desk = desk
        self.said = said
        self._at_once = {"state", *at_once}
        self._told = float("-inf")

    def tell(self, **changes: Any) -> None:
        """Note what goes on, and write it down now and then.

        Raises:
            Cancelled: asked to end.
            WorkspaceError: it cannot be written.
        """
        self.said = replace(self.said, **changes)
        if self.said.state == "running" and self.desk.asked_to_stop():
            raise Cancelled
        now = time.monotonic()
        if now - self._told >= TELL_SECONDS or changes.keys() & self._at_once:
            self._told = now
            self.desk.write(self.said)

    def end(self, **changes: Any) -> None:
        """Say the last word, as far as there is anywhere to say it."""
        self.said = replace(self.said, **changes)
        with suppress(WorkspaceError):
            self.desk.write(self.said)
