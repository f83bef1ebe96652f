"""What a run says of itself, and whether the process that said so still lives."""

from __future__ import annotations

import os
import socket
import sys
import time
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

import psutil

from segcore.errors import WorkspaceError
from segcore.text import plural

HEARTBEAT_LIMIT = 180.0
"""Seconds without a sign of life after which a run on another host counts as interrupted."""
WORRYING_SECONDS = 300.0
"""Seconds without a sign of life after which a screen says so; a step of a large network may take a minute."""

OTHER_WORKER = 3
"""Exit code of a worker that found another one at its run."""

CLAIMED = "starting its process"
"""Phase of a run that left the queue and whose process is not written down yet."""


class RunState(StrEnum):
    """Where a run is in its life."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    STOPPED = "stopped"
    """A person stopped it."""
    FAILED = "failed"
    """It met an error."""
    INTERRUPTED = "interrupted"
    """Its process died, or the system ended it."""

    @property
    def active(self) -> bool:
        """Waiting or training."""
        return self in (RunState.QUEUED, RunState.RUNNING)

    @property
    def resumable(self) -> bool:
        """Ended before its last epoch, so that it can go on."""
        return self in (RunState.STOPPED, RunState.FAILED, RunState.INTERRUPTED)


class Where(StrEnum):
    """Whose processors train a run."""

    HERE = "here"
    """This machine's: the scheduler starts its process."""
    CLUSTER = "cluster"
    """A Ray cluster's: a job there starts its process on one of the nodes."""


@dataclass(frozen=True)
class Demand:
    """What a job of a cluster takes of a node for itself."""

    cpus: int = 1
    gpus: int = 0
    memory: float = 0.0
    """Bytes; 0 where nobody knows."""

    @property
    def text(self) -> str:
        """What it is, in words: "1 GPU, 4 CPUs and 3.4 GB of memory"."""
        parts = [plural(self.gpus, "GPU")] if self.gpus else []
        parts += [plural(self.cpus, "CPU")] if self.cpus else []
        parts += [f"{self.memory / 1e9:.1f} GB of memory"] if self.memory else []
        return f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else "".join(parts)


@dataclass(frozen=True)
class Status:
    """What a run says of itself in status.json. Times are seconds since 1970."""

    state: RunState
    created: float
    queued: float
    """When it was last put into the queue: the queue's order."""
    started: float | None = None
    """When it first began to train."""
    ended: float | None = None
    seconds: float = 0.0
    """Spent on it over all its lives, preparing and measuring included."""
    host: str | None = None
    pid: int | None = None
    pid_started: float | None = None
    """When that process started, see `started_at`: with its pid, what tells it from a later one."""
    heartbeat: float | None = None
    phase: str = ""
    """What it is doing now, in a word or two: "preparing data", "training", "validating"."""
    epoch: int = 0
    """Epochs done."""
    step: int = 0
    steps: int = 0
    """All steps from first epoch to last."""
    eta: float | None = None
    """Seconds to go."""
    predicted: float | None = None
    """Seconds that the whole run was expected to take when it was launched."""
    predicted_after_epoch: float | None = None
    """Seconds that the whole run was expected to take once its first epoch was done."""
    device: str | None = None
    """Where it trains: "cpu", or a GPU by its index: "cuda:1"."""
    threads: int | None = None
    """Processor threads it uses."""
    restarts: int = 0
    """How often it was put back into the queue by itself since a person last queued it: its process was killed."""
    where: Where = Where.HERE
    """Where it trains, or will."""
    job: str | None = None
    """The Ray job that is to train it, or does; None where none is out."""
    jobs: int = 0
    """How many jobs it has had: each has an id of its own, so that none is submitted twice."""
    demand: Demand | None = None
    """What each of its jobs asks for; the same in all its lives, as sums of floats depend on the threads."""
    rung: int | None = None
    """Epochs after which it waits for the other runs of its race; None where it trains to its end."""
    majority_baseline: float | None = None
    """Pixel accuracy on the validation images of always answering their most frequent class."""
    message: str = ""
    """Why it failed or was stopped."""
    hint: str = ""
    """What to do about it."""

    @property
    def silence(self) -> float | None:
        """Seconds since the last sign of life of a run that trains, where that is long enough to worry; else None."""
        if self.state is not RunState.RUNNING or self.heartbeat is None:
            return None
        seconds = time.time() - self.heartbeat
        return seconds if seconds > WORRYING_SECONDS else None

    @property
    def standing(self) -> bool:
        """Whether it waits at its rung for the other runs of its race."""
        return self.state is RunState.QUEUED and self.rung is not None and self.epoch >= self.rung

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Status:
        known = {field.name for field in fields(cls)}
        values = {key: item for key, item in value.items() if key in known}
        try:
            values |= {"state": RunState(values["state"]), "where": Where(values.get("where", Where.HERE))}
            if values.get("demand") is not None:
                values["demand"] = Demand(**values["demand"])
            return cls(**values)
        except (KeyError, TypeError, ValueError) as error:
            raise WorkspaceError(f"This is no status of a run ({type(error).__name__}: {error}).") from error


def process_identity(pid: int | None = None) -> dict[str, Any]:
    """The fields of a status that name a process of this host, by default this one."""
    process = psutil.Process(pid)
    return {
        "host": socket.gethostname(),
        "pid": process.pid,
        "pid_started": started_at(process),
        "heartbeat": time.time(),
    }


def is_alive(status: Status) -> bool:
    """Whether the process named in a status still lives: same pid and same start, as pids are used again."""
    if status.pid is None:
        return False
    if status.host != socket.gethostname():
        return status.heartbeat is not None and time.time() - status.heartbeat < HEARTBEAT_LIMIT
    try:
        process = psutil.Process(status.pid)
        return (
            abs(started_at(process) - (status.pid_started or 0.0)) < 0.02 and process.status() != psutil.STATUS_ZOMBIE
        )
    except psutil.Error:
        return False


def end_process(status: Status) -> bool:
    """Kill the process named in a status; return whether it is gone. Another host's cannot be reached."""
    if status.host != socket.gethostname() or not is_alive(status):
        return False
    try:
        process = psutil.Process(status.pid)
        process.kill()
        process.wait(5)
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:
        return False
    return True


def started_at(process: psutil.Process) -> float:
    """When a process started: on Linux in seconds since the machine did, elsewhere since 1970.

    psutil adds the time of the machine's start, which moves when somebody sets the clock; runs would then look dead.

    Raises:
        psutil.Error: there is no such process.
    """
    if sys.platform != "linux":
        return float(process.create_time())
    try:
        # Field 22; the second is the program's name in brackets, which may hold blanks and brackets (man 5 proc).
        fields_from_third = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    except OSError as error:
        raise psutil.NoSuchProcess(process.pid) from error
    return int(fields_from_third[19]) / os.sysconf("SC_CLK_TCK")
