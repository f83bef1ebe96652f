"""How far the process is that predicts a study's test images. Nothing here imports torch."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from segcore.errors import WorkspaceError
from segcore.inherited import is_held
from segcore.runs import Study
from segcore.status import RunState, Status, is_alive

State = Literal["running", "finished", "cancelled", "failed", "interrupted"]


@dataclass(frozen=True)
class Scoring:
    """What the process says of itself; times are seconds since 1970."""

    state: State
    runs: int
    """To be scored."""
    done: int = 0
    """Of these, scored or refused."""
    run: str = ""
    """The one it is at."""
    phase: str = ""
    """What it does to it before images are predicted, in a few words."""
    image: int = 0
    """Test images of that run that are done."""
    images: int = 0
    """All of them."""
    refused: dict[str, str] = field(default_factory=dict)
    """Runs that cannot be scored -> why."""
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
        within = self.image / self.images if self.images else 0.0
        return min(1.0, (self.done + within) / self.runs) if self.runs else 1.0

    @property
    def seconds_left(self) -> float | None:
        """About how long it will take, if what is left is as fast; None at the start."""
        if not 0 < self.share < 1:
            return None
        return (self.heartbeat - self.started) * (1 - self.share) / self.share


def read(study: Study) -> Scoring | None:
    """Return how far the scoring of a study is; `interrupted` where its process is gone. None before the first.

    Raises:
        WorkspaceError: the file is damaged.
    """
    value = study.scoring()
    if value is None:
        return None
    known = {name: value[name] for name in Scoring.__dataclass_fields__ if name in value}
    try:
        scoring = Scoring(**known)
    except TypeError as error:
        raise WorkspaceError(f"How far the scoring of study {study.name!r} is cannot be read: {error}.") from error
    if scoring.state == "running" and not _alive(study, scoring):
        again = study.scoring() or {}  # it may have written its last word between our reading and our looking
        if again.get("state") == "running":
            return replace(scoring, state="interrupted")
        return read(study)
    return scoring


def running(study: Study) -> bool:
    """Whether a process scores the study now."""
    found = read(study)
    return found is not None and found.state == "running"


def write(study: Study, scoring: Scoring) -> None:
    """Write how far it is; for the process that scores, and for who starts it."""
    study.write_scoring({**asdict(scoring), "heartbeat": time.time()})


def _alive(study: Study, scoring: Scoring) -> bool:
    if is_held(study.scoring_lock):
        return True
    process: dict[str, Any] = {"host": scoring.host, "pid": scoring.pid, "pid_started": scoring.pid_started}
    return is_alive(Status(RunState.RUNNING, 0.0, 0.0, heartbeat=scoring.heartbeat, **process))
