"""What is known here of what a server has: a small file beside each run and study, and the last word of the sending.

The runs' own files are the spool. A record only saves asking; where it is lost, the tags on the server tell the same.
"""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from segcore.errors import NotFoundError, WorkspaceError
from segcore.files import read_json, write_json
from segcore.runs import Run, Study, statuses
from segcore.status import RunState, Status
from segcore.tracking.destination import Destination
from segcore.workspace import Workspace


@dataclass(frozen=True)
class Record:
    """What was sent of a run, or of a study itself."""

    destination: str = ""
    """Fingerprint of the server and experiment; another one has nothing of it."""
    id: str = ""
    """The run's on the server."""
    signature: str = ""
    """Of the files as they were when all of them had been sent, see `run_signature`."""

    def holds(self, where: Destination, signature: str) -> bool:
        """Whether the server has all of it."""
        return self.destination == where.fingerprint and self.signature == signature


@dataclass(frozen=True)
class Standing:
    """How far the mirror of a study is."""

    wanted: bool
    """Whether it was ever to be mirrored: launched with a server named, or sent by hand."""
    sent: int
    pending: int
    """Runs of which the server lacks something; those that never started do not count."""


@dataclass(frozen=True)
class Last:
    """What became of the last attempt to send anything from a workspace."""

    time: float
    error: str


def read(owner: Run | Study) -> Record:
    """Return what is known to be sent; an empty record where it is lost or damaged."""
    try:
        value = owner.mirror_record() or {}
    except WorkspaceError:
        return Record()
    known = {key: value[key] for key in Record.__dataclass_fields__ if isinstance(value.get(key), str)}
    return Record(**known)


def write(owner: Run | Study, record: Record) -> None:
    """Keep what was sent.

    Raises:
        WorkspaceError: it cannot be written, or the run or study is gone.
    """
    owner.write_mirror_record(asdict(record))


def want(study: Study) -> None:
    """Have a study mirrored from now on.

    Raises:
        WorkspaceError: it is gone, or cannot be written.
    """
    if not wanted(study):
        write(study, Record())


def wanted(study: Study) -> bool:
    """Whether a study is to be mirrored; a damaged record was somebody's wish, too."""
    try:
        return study.mirror_record() is not None
    except WorkspaceError:
        return True


def standing(study: Study, where: Destination) -> Standing:
    """Return how far the mirror of a study is, from files here alone."""
    rows = [(run, status) for run, status in statuses(study.runs()) if begun(status)]
    sent = sum(read(run).holds(where, run_signature(run, status)) for run, status in rows)
    return Standing(wanted(study), sent, len(rows) - sent)


def behind(study: Study, where: Destination) -> bool:
    """Whether the server lacks something of a study."""
    if standing(study, where).pending:
        return True
    with suppress(NotFoundError):
        return not read(study).holds(where, study_signature(study))
    return False


def begun(status: Status) -> bool:
    """Whether there is anything to tell of a run yet."""
    return status.state is not RunState.QUEUED or status.started is not None


def run_signature(run: Run, status: Status) -> str:
    """Return what changes whenever there is more to send of a run."""
    said = (status.state, status.created, status.started, status.ended, status.epoch, status.message)
    return digest([*said, *run.stamps()])


def study_signature(study: Study) -> str:
    """Return what changes whenever there is more to send of a study itself.

    Raises:
        WorkspaceError: it is gone or damaged.
    """
    runs = [(run.name, run_signature(run, status)) for run, status in statuses(study.runs()) if begun(status)]
    return digest([study.created, study.shared["recipe"], study.race(), study.test_openings(), *runs])


def digest(value: Any) -> str:
    """Return a fingerprint of JSON values, 32 hexadecimal digits."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]


def last(workspace: Workspace) -> Last | None:
    """Return what became of the last attempt; None before the first."""
    try:
        value = read_json(workspace.mirror_last) or {}
        return Last(float(value["time"]), str(value["error"]))
    except (WorkspaceError, KeyError, TypeError, ValueError):
        return None  # it is only of the moment, and written again with the next attempt


def tell(workspace: Workspace, error: str = "") -> None:
    """Write what became of an attempt; where that is not possible, the sending itself matters more."""
    with suppress(WorkspaceError):
        write_json(workspace.mirror_last, asdict(Last(time.time(), error)))
