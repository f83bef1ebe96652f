"""What is said where nothing can be sent; none of it needs a server of MLflow's."""

from __future__ import annotations

import http.server
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from segcore.__main__ import main
from segcore.errors import TrackingError
from segcore.launch import mirror
from segcore.launch.scheduler import Scheduler
from segcore.runs import Study
from segcore.store import RunStore
from segcore.tracking import destination as places
from segcore.tracking import record
from segcore.tracking.destination import Destination, destination
from segcore.tracking.server import QUIET
from tests import factories

needs_client = pytest.mark.skipif(find_spec("mlflow") is None, reason='MLflow is not installed: ".[tracking]"')
SECRET = "s3cr3t%2Fword"


class Refusing(http.server.BaseHTTPRequestHandler):
    """Answers 401 to everything, in words that repeat what it was asked."""

    def do_GET(self) -> None:
        body = f"not you: {self.headers.get('Authorization')}".encode()
        self.send_response(401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *words: object) -> None:
        """Say nothing among the tests."""


@pytest.fixture
def refusing() -> Iterator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def everything_written(store: RunStore) -> str:
    files = [file for file in store.workspace.root.rglob("*") if file.is_file()]
    return "\n".join(file.read_bytes().decode(errors="replace") for file in files)


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("http://host:5000", "http://host:5000"),
        (f"https://me:{SECRET}@host/path?token=abc#x", "https://host/path"),
        ("https://token@host", "https://host"),
        ("https://me:a@b@host/p@q", "https://host/p@q"),
        (f"postgresql://me:{SECRET}@db/mlflow", "postgresql://db/mlflow"),
        ("sqlite:///runs.db", "sqlite:///runs.db"),
        ("databricks", "databricks"),
        ("http://host\x1b[31m", "http://host\\x1b[31m"),
    ],
)
def test_address_is_shown_without_credentials(uri: str, shown: str) -> None:
    assert Destination(uri).shown == shown
    assert SECRET not in repr(Destination(uri))


def test_credentials_are_taken_out_of_what_others_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t0ken")
    where = Destination(f"http://me:{SECRET}@host")
    assert where.redacted(f"no http://me:{SECRET}@host,\n s3cr3t/word t0ken") == "no http://***@host, *** ***"
    assert Destination("http://[broken:pw@x").redacted("at http://[broken:pw@x") == "at ***"


def test_other_credentials_are_the_same_place() -> None:
    assert Destination("http://a:b@host").fingerprint == Destination("http://host").fingerprint
    assert Destination("http://host").fingerprint != Destination("http://host", "other").fingerprint


def test_no_server_named(store: RunStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    run = factories.make_run(store)
    study = Study(run.path.parent)
    assert destination() is None
    assert mirror.start(store.workspace, study) is False
    assert not record.wanted(study)
    assert main(["mirror", "study"]) == 2
    assert "MLFLOW_TRACKING_URI is not set" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["mirror"], ["mirror", "study", "--all"]])
def test_a_study_or_all(words: list[str], store: RunStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert "the name of a study or --all" in capsys.readouterr().err


def test_not_installed(store: RunStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setattr(places, "find_spec", lambda _name: None)
    monkeypatch.setattr(mirror, "installed", lambda: False)
    run = factories.make_run(store)
    assert main(["mirror", "study"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(places.INSTALL)
    with pytest.raises(TrackingError, match="not installed"):
        mirror.start(store.workspace, Study(run.path.parent))


def test_scheduler_goes_on_without_a_mirror(
    store: RunStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setattr(mirror, "installed", lambda: False)
    scheduler, run = Scheduler(store.workspace), factories.make_run(store)
    scheduler.mirror(run)
    scheduler.mirror(run)
    assert capsys.readouterr().out.count(places.INSTALL) == 1  # said, and only once
    monkeypatch.setattr(mirror, "installed", lambda: True)
    store.remove_run(run)
    store.remove_study(Study(run.path.parent))
    scheduler.mirror(run)
    assert not run.path.parent.exists()


@needs_client
def test_server_away(store: RunStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:{SECRET}@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    factories.make_run(store)
    assert main(["mirror", "study", "--json"]) == 1
    out, err = capsys.readouterr()
    assert out == "" and "http://127.0.0.1:9 does not answer" in err.splitlines()[-1]
    assert "s3cr3t" not in err + everything_written(store)
    last = record.last(store.workspace)
    assert last is not None and "does not answer" in last.error


@needs_client
def test_access_refused(
    refusing: int, store: RunStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{refusing}")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t0ken")
    factories.make_run(store)
    assert main(["mirror", "study"]) == 1
    err = capsys.readouterr().err
    assert "refuses access" in err.splitlines()[-1] and "t0ken" not in err + everything_written(store)


@needs_client
def test_telemetry_is_off_once_connected() -> None:
    code = (
        "import sys; from segcore.tracking.server import Server; from segcore.tracking.destination import Destination\n"
        "assert 'mlflow' not in sys.modules; Server(Destination('http://127.0.0.1:9'))\n"
        "from mlflow.environment_variables import MLFLOW_DISABLE_TELEMETRY; assert MLFLOW_DISABLE_TELEMETRY.get()\n"
        "from mlflow.telemetry.client import get_telemetry_client; assert get_telemetry_client() is None"
    )
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True, timeout=120)
    assert {"MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK"} <= QUIET.keys()
