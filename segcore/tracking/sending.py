"""Bringing a tracking server up to date with a study: what is there already is found by its tags and left alone.

It may be cut off anywhere and called again: a run is created with its identity, epochs are sent with a tag that counts
them, artifacts are followed by a tag with their hash.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from filelock import Timeout

from segcore.errors import SegcoreError, TrackingError, WorkspaceError
from segcore.progress import Progress, silent
from segcore.runs import Run, Study
from segcore.status import RunState, Status
from segcore.store import RunStore
from segcore.tracking import contents as told
from segcore.tracking import record
from segcore.tracking.contents import EPOCHS, RECORDS, REPORT, Contents
from segcore.tracking.record import Record
from segcore.tracking.server import ENTITIES, STATES, Found, Server

LOCK_SECONDS = 60.0
"""How long to wait for another process that sends the same study."""


@dataclass
class Sent:
    """What one sending of a study came to."""

    study: str
    id: str = ""
    """Of the parent run on the server."""
    runs: int = 0
    """Of which there was something to send."""
    epochs: int = 0
    artifacts: int = 0
    refused: dict[str, str] = field(default_factory=dict)
    """Runs, or the report, that cannot be read here -> why."""


def send(study: Study, server: Server, *, store: RunStore, progress: Progress = silent) -> Sent:
    """Send all that the server lacks of a study.

    Args:
        study: what to send.
        server: where to.
        store: where the report looks for the dataset.
        progress: told how many runs are done.

    Raises:
        TrackingError: the server cannot be reached or refuses; what was sent stays, and the next call goes on. Or
            another process has been sending this study for long.
        WorkspaceError: the study is gone or damaged, or the records cannot be written.
    """
    try:
        with study.mirror_lock().acquire(timeout=LOCK_SECONDS):
            return _Sending(study, server, store).work(progress)
    except Timeout as error:
        raise TrackingError(f"Another process is sending study {study.name!r}. Try again when it is done.") from error


class _Sending:
    def __init__(self, study: Study, server: Server, store: RunStore) -> None:
        self.study, self.server, self.store = study, server, store
        self.where = server.destination
        self.sent = Sent(study.name)

    def work(self, progress: Progress) -> Sent:
        """Send the study itself, each run, and what can be said of the study once they have ended."""
        record.want(self.study)
        signature = record.study_signature(self.study)  # of before: what changes meanwhile is sent the next time
        rows = [row for row in self.store.statuses(self.study.runs()) if record.begun(row[1])]
        parent = told.of_study(self.study, rows)
        known = record.read(self.study)
        found = self._find(known, parent.id) or self.server.create(parent)
        self.sent.id = found.id
        self._remember(self.study, found, known.signature if known.id == found.id else "")
        for done, (run, status) in enumerate(rows):
            progress(done, len(rows))
            try:
                self._run(run, status, found.id)
            except WorkspaceError as error:
                if run.exists():
                    self.sent.refused[run.name] = str(error)
        progress(len(rows), len(rows))
        if not record.read(self.study).holds(self.where, signature):
            self._common(found, parent)
            self._report(found, signature, [status.state for _, status in rows])
            self._remember(self.study, found, signature)
        return self.sent

    def _run(self, run: Run, status: Status, parent: str) -> None:
        signature = record.run_signature(run, status)
        known = record.read(run)
        if known.holds(self.where, signature):
            return
        contents = told.of_run(run, status)
        found = self._find(known, contents.id)
        if found is not None and _began_anew(found, contents):
            self.server.delete(found.id)
            found = None
        if found is None:
            found = self.server.create(contents, parent)
            self._remember(run, found)
        self._common(found, contents)
        self._epochs(found, contents)
        self._artifacts(found, contents)
        self._remember(run, found, signature)
        self.sent.runs += 1

    def _find(self, known: Record, identity: str) -> Found | None:
        """Return the run of an identity as the server has it, by its number where that is known."""
        found = self.server.get(known.id) if known.id and known.destination == self.where.fingerprint else None
        return found or self.server.find(identity)

    def _common(self, found: Found, contents: Contents) -> None:
        """Send parameters that are not there, tags that differ, and the state."""
        params = {key: value for key, value in contents.params.items() if key not in found.params}
        tags = {key: value for key, value in contents.tags.items() if found.tags.get(key) != value}
        self.server.log(found.id, params=params, tags=tags)
        if found.status != STATES[contents.state]:
            self.server.set_state(found.id, contents)

    def _epochs(self, found: Found, contents: Contents) -> None:
        records = contents.records
        for start in range(_epochs_there(found), len(records), ENTITIES):
            stop = min(start + ENTITIES, len(records))
            tags = {EPOCHS: str(stop), RECORDS: told.records_fingerprint(records[:stop])}
            self.server.log_epochs(found.id, contents, start, stop, tags)
            self.sent.epochs += stop - start

    def _artifacts(self, found: Found, contents: Contents) -> None:
        for name, content in contents.artifacts.items():
            try:
                digest = told.content_digest(content)
            except OSError as error:
                raise WorkspaceError(f"{content} cannot be read: {error.strerror or error}.") from error
            self._put(found, f"segcore.sha256.{name}", digest, name, content)

    def _put(self, found: Found, tag: str, digest: str, name: str, content: str | Path) -> None:
        if found.tags.get(tag) != digest:
            self.server.put(found.id, name, content)
            self.server.log(found.id, tags={tag: digest})
            self.sent.artifacts += 1

    def _report(self, found: Found, signature: str, states: list[RunState]) -> None:
        """Send the evidence report, once no run is active any more and one has finished."""
        if RunState.FINISHED not in states or any(state.active for state in states):
            return
        if found.tags.get(REPORT) == signature:
            return
        from segcore.evaluation import report

        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "report.html"
            try:
                report.write(self.study, out, store=self.store)
            except SegcoreError as error:
                self.sent.refused[out.name] = str(error)
                return
            self._put(found, REPORT, signature, out.name, out)

    def _remember(self, owner: Run | Study, found: Found, signature: str = "") -> None:
        record.write(owner, Record(self.where.fingerprint, found.id, signature))


def _epochs_there(found: Found) -> int:
    count = found.tags.get(EPOCHS, "0")
    return int(count) if count.isdecimal() else 0


def _began_anew(found: Found, contents: Contents) -> bool:
    """Whether the epochs that the server has are of a life of the run that was given up."""
    there = _epochs_there(found)
    if there > len(contents.records):
        return not contents.state.active  # one that trains may only have gone back to its last checkpoint
    return there > 0 and found.tags.get(RECORDS) != told.records_fingerprint(contents.records[:there])
