"""How far the process is that judges a run on other images. Nothing here imports torch."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from segcore.errors import WorkspaceError
from segcore.inherited import is_held
from segcore.runs import Run
from segcore.status import RunState, Status, is_alive

State = Literal["running", "finished", "cancelled", "failed", "interrupted"]


@dataclass(frozen=True)
class Reevaluating:
    """What the process says of itself; times are seconds since 1970."""

    state: State
    dataset: str
    part: str
    phase: str = ""
    """What it does before images are predicted, in a few words."""
    image: int = 0
    """Images that are done."""
    images: int = 0
    """All of them; 0 while that is not known."""
    key: str = ""
    """Name of the result, once it is there."""
    message: str = ""
    """Why it failed."""
    started: float = 0.0
    predicting: float = 0.0
    """When the first image came; 0 before."""
    heartbeat: float = 0.0
    host: str | None = None
    pid: int | None = None
    pid_started: float | None = None

    @property
    def share(self) -> float:
        """How much is done, 0-1."""
        return min(1.0, self.image / self.images) if self.images else 0.0

    @property
    def seconds_left(self) -> float | None:
        """About how long it will take, if what is left is as fast; None before the first image is done."""
        if not 0 < self.share < 1 or not self.predicting:
            return None
        return (self.heartbeat - self.predicting) * (1 - self.share) / self.share


def read(run: Run) -> Reevaluating | None:
    """Return how far it is; `interrupted` where its process is gone. None before the first.

    Raises:
        WorkspaceError: the file is damaged.
    """
    value = run.reevaluating()
    if value is None:
        return None
    try:
        said = Reevaluating(**{name: value[name] for name in Reevaluating.__dataclass_fields__ if name in value})
    except TypeError as error:
        raise WorkspaceError(f"How far the re-evaluation of run {run.name} is cannot be read: {error}.") from error
    if said.state == "running" and not _alive(run, said):
        again = run.reevaluating() or {}  # it may have written its last word between our reading and our looking
        return replace(said, state="interrupted") if again.get("state") == "running" else read(run)
    return said


def running(run: Run) -> bool:
    """Whether a process judges the run now."""
    said = read(run)
    return said is not None and said.state == "running"


def write(run: Run, said: Reevaluating) -> None:
    """Write how far it is; for the process that judges, and for who starts it."""
    run.write_reevaluating({**asdict(said), "heartbeat": time.time()})


def _alive(run: Run, said: Reevaluating) -> bool:
    if is_held(run.reevaluating_lock):
        return True
    process: dict[str, Any] = {"host": said.host, "pid": said.pid, "pid_started": said.pid_started}
    return is_alive(Status(RunState.RUNNING, 0.0, 0.0, heartbeat=said.heartbeat, **process))
