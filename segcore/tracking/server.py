"""MLflow's client as the mirror uses it: few calls, quiet, and with errors that a person can act on."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segcore.errors import TrackingError
from segcore.status import RunState
from segcore.tracking.contents import ID, Contents, measurements, moments
from segcore.tracking.destination import Destination, missing

STATES = {
    RunState.QUEUED: "SCHEDULED",
    RunState.RUNNING: "RUNNING",
    RunState.FINISHED: "FINISHED",
    RunState.STOPPED: "KILLED",
    RunState.FAILED: "FAILED",
    RunState.INTERRUPTED: "FAILED",
}
"""Our states in MLflow's words; the tag segcore.state has ours."""
ENTITIES = 90
"""Parameters, tags or epochs in one request; MLflow takes 100 of the first two and 1000 metrics."""
REFUSED = ("UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED", "PERMISSION_DENIED")
GONE = ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND")
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
"""Set whatever the environment says: no telemetry, and nothing printed among our results."""
PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}
"""Unless the environment says otherwise: what fails is sent again with the next pass anyway."""


@dataclass(frozen=True)
class Found:
    """A run as the server has it."""

    id: str
    status: str
    params: dict[str, str]
    tags: dict[str, str]


class Server:
    """A connection; every method raises `TrackingError` where the server cannot be reached or refuses."""

    def __init__(self, destination: Destination) -> None:
        os.environ.update(QUIET)
        for name, value in PATIENCE.items():
            os.environ.setdefault(name, value)
        self.destination = destination
        try:
            from mlflow import MlflowClient
        except ImportError as error:
            raise TrackingError(missing()) from error
        with self._told():
            self._client = MlflowClient(tracking_uri=destination.uri)
        self._experiment = ""

    def find(self, identity: str) -> Found | None:
        """Return the run that has an identity; of several, the oldest."""
        with self._told():
            runs = self._client.search_runs(
                [self._experiment_id()], f"tags.`{ID}` = '{identity}'", max_results=1, order_by=["start_time ASC"]
            )
        return _found(runs[0]) if runs else None

    def get(self, run_id: str) -> Found | None:
        """Return a run; None where the server has none of that number, or somebody deleted it there."""
        from mlflow.exceptions import MlflowException

        with self._told():
            try:
                run = self._client.get_run(run_id)
            except MlflowException as error:
                if error.error_code in GONE:
                    return None
                raise
        return _found(run) if run.info.lifecycle_stage == "active" else None

    def create(self, contents: Contents, parent: str = "") -> Found:
        """Make a run, below another where one is given."""
        tags = {ID: contents.id, "mlflow.source.name": "segcore", **({"mlflow.parentRunId": parent} if parent else {})}
        with self._told():
            run = self._client.create_run(
                self._experiment_id(), start_time=int(1000 * contents.started), tags=tags, run_name=contents.name
            )
        return _found(run)

    def delete(self, run_id: str) -> None:
        """Move a run to the server's trash, from which it can be restored there."""
        with self._told():
            self._client.delete_run(run_id)

    def log(
        self, run_id: str, *, params: Mapping[str, str] | None = None, tags: Mapping[str, str] | None = None
    ) -> None:
        """Set parameters, which must be new, and tags, which may replace others."""
        from mlflow.entities import Param, RunTag

        with self._told():
            for part in _parts((params or {}).items()):
                self._client.log_batch(run_id, params=[Param(key, value) for key, value in part])
            for part in _parts((tags or {}).items()):
                self._client.log_batch(run_id, tags=[RunTag(key, value) for key, value in part])

    def log_epochs(self, run_id: str, contents: Contents, start: int, stop: int, tags: Mapping[str, str]) -> None:
        """Send the epochs `records[start:stop]`, at most `ENTITIES`, and in the same request tags that tell so."""
        from mlflow.entities import Metric, RunTag

        rows = list(zip(contents.records, moments(contents), strict=True))[start:stop]
        metrics = [
            Metric(key, value, moment, record.epoch)
            for record, moment in rows
            for key, value in measurements(record).items()
        ]
        with self._told():
            self._client.log_batch(run_id, metrics=metrics, tags=[RunTag(key, value) for key, value in tags.items()])

    def set_state(self, run_id: str, contents: Contents) -> None:
        """Say how far a run is, and when it ended."""
        status = STATES[contents.state]
        with self._told():
            if contents.state.active:
                self._client.update_run(run_id, status=status)
            else:
                ended = None if contents.ended is None else int(1000 * contents.ended)
                self._client.set_terminated(run_id, status=status, end_time=ended)

    def put(self, run_id: str, name: str, content: str | Path) -> None:
        """Store an artifact, in place of an earlier one of that name."""
        with self._told():
            if isinstance(content, str):
                self._client.log_text(run_id, content, name)
            else:
                self._client.log_artifact(run_id, str(content))

    def _experiment_id(self) -> str:
        """Return the experiment's number; made where it is not there. Call within `_told`."""
        from mlflow.exceptions import MlflowException

        if not self._experiment:
            name = self.destination.experiment
            found = self._client.get_experiment_by_name(name)
            if found is None:
                try:
                    self._experiment = self._client.create_experiment(name)
                except MlflowException:
                    found = self._client.get_experiment_by_name(name)
                    if found is None:  # else somebody else has just made it
                        raise
            if found is not None:
                if found.lifecycle_stage != "active":
                    raise TrackingError(
                        f"The experiment {name!r} was deleted on {self.destination.shown}. Restore it there, or name "
                        "another one in MLFLOW_EXPERIMENT_NAME."
                    )
                self._experiment = found.experiment_id
        return self._experiment

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn what MLflow raises into one line, without credentials."""
        from mlflow.exceptions import MlflowException

        try:
            yield
        except ImportError as error:  # of a client for where the server keeps its artifacts
            raise TrackingError(f"MLflow lacks a package here: {self.destination.redacted(str(error))}.") from None
        except MlflowException as error:
            raise TrackingError(_reason(error, self.destination)) from None
        except OSError as error:  # requests' own, which are of this kind
            said = self.destination.redacted(str(error))
            raise TrackingError(
                f"Sending to {self.destination.shown} failed ({type(error).__name__}: {said})."
            ) from None


def _reason(error: Any, where: Destination) -> str:
    """Say what an exception of MLflow means. What it says itself may name an address with a password in it."""
    text = str(error)
    if error.error_code in REFUSED or "failed with error code 401" in text or "failed with error code 403" in text:
        return (
            f"{where.shown} refuses access. Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
            "MLFLOW_TRACKING_TOKEN, to an account that may write there."
        )
    if "failed with exception" in text or "failed with timeout exception" in text:
        return f"{where.shown} does not answer. Is the server running, and is the address right? Nothing is lost here."
    if "Invalid url" in text:
        return f"{where.shown} is no address of a server. Set MLFLOW_TRACKING_URI to something like http://host:5000."
    said = where.redacted(text)
    return f"{where.shown} did not take what was sent: {said if len(said) <= 300 else said[:299] + '…'}"


def _found(run: Any) -> Found:
    return Found(run.info.run_id, run.info.status, dict(run.data.params), dict(run.data.tags))


def _parts(items: Iterable[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    rows = list(items)
    return (rows[start : start + ENTITIES] for start in range(0, len(rows), ENTITIES))
