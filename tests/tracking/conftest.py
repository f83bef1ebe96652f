"""A real MLflow server on SQLite, and what asks it what it has."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from segcore.tracking.destination import EXPERIMENT, Destination, destination
from segcore.workspace import Workspace

START_SECONDS = 90.0


class Tracker:
    """A server that can be stopped and started again on the same database and port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--backend-store-uri", f"sqlite:///{self.folder}/mlflow.db", "--workers", "1"]
        command += ["--artifacts-destination", str(self.folder / "artifacts")]
        environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
        environment.pop("MLFLOW_TRACKING_URI", None)
        with open(self.folder / "server.log", "ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, env=environment, cwd=self.folder, start_new_session=True
            )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.uri}/health", timeout=2):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
        pytest.fail(f"The MLflow server did not come up: {(self.folder / 'server.log').read_text()[-2000:]}")

    def stop(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, 15)
            self._process.wait(30)
            self._process = None

    def client(self) -> Any:
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self.uri)

    def runs(self, kind: str, experiment: str = EXPERIMENT) -> list[Any]:
        """All runs of an experiment that are studies ("study") or runs ("run"), the oldest first."""
        client = self.client()
        found = client.get_experiment_by_name(experiment)
        if found is None:
            return []
        return list(
            client.search_runs([found.experiment_id], f"tags.segcore.kind = '{kind}'", order_by=["start_time ASC"])
        )

    def history(self, run_id: str, key: str = "val_miou") -> list[tuple[int, float]]:
        return [(metric.step, metric.value) for metric in self.client().get_metric_history(run_id, key)]

    def artifacts(self, run_id: str) -> dict[str, int]:
        return {file.path: file.file_size for file in self.client().list_artifacts(run_id)}


@pytest.fixture(scope="session")
def _tracker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracker]:
    for module, reason in (
        ("mlflow", 'MLflow is not installed: pip install -e ".[tracking]" and mlflow, for its server'),
        ("flask", "of MLflow only the client is installed: pip install mlflow, for its server"),
    ):
        if find_spec(module) is None:
            if os.environ.get("SEGCORE_REQUIRE_EXTRAS"):
                pytest.fail(f"SEGCORE_REQUIRE_EXTRAS is set, but {reason}")
            pytest.skip(reason)
    tracker = Tracker(tmp_path_factory.mktemp("mlflow"))
    tracker.start()
    yield tracker
    tracker.stop()


@pytest.fixture
def tracker(
    _tracker: Tracker, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Tracker]:
    """The server, up, and named by the environment; each test has an experiment of its own."""
    if _tracker._process is None:
        _tracker.start()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", _tracker.uri)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", request.node.name)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    yield _tracker


@pytest.fixture
def where(tracker: Tracker) -> Destination:
    found = destination()
    assert found is not None
    return found
