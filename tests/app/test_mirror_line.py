"""The line on the Training page that tells of the mirror."""

from __future__ import annotations

from pathlib import Path

import pytest

from segcore.runs import Study
from segcore.status import RunState
from segcore.store import RunStore
from segcore.tracking import record
from segcore.tracking.destination import INSTALL, Destination
from segcore.tracking.record import Last, Record, Standing
from segcore.ui import mirror_line
from segcore.ui.state import Key
from tests import factories
from tests.app.conftest import OpenApp, texts

PAGE = "pages/training.py"
WHERE = Destination("http://me:secret@host:5000")


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", WHERE.uri)
    monkeypatch.setattr(mirror_line, "installed", lambda: True)


def test_nothing_where_no_server_is_named(open_app: OpenApp, store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    factories.make_run(store)
    assert "MLflow" not in texts(open_app(PAGE))


def test_missing_package_is_named(
    open_app: OpenApp, store: RunStore, named: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror_line, "installed", lambda: False)
    factories.make_run(store)
    assert INSTALL.split()[-1].strip('".[]') in texts(open_app(PAGE))


def test_button_sends_what_is_pending(
    open_app: OpenApp, store: RunStore, named: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []
    monkeypatch.setattr(mirror_line.mirror, "start", lambda _workspace, study: asked.append(study.path))
    run = factories.make_run(store)
    factories.make_run(store, seed=1, state=RunState.QUEUED)
    app = open_app(PAGE)
    assert "0 of 1 run sent" in texts(app) and "secret" not in texts(app)
    app.button(key=Key.MIRROR_SEND).click().run()
    assert asked == [run.path.parent]
    record.want(Study(run.path.parent))
    record.write(run, Record(WHERE.fingerprint, "1", record.run_signature(run, run.status)))
    app.run()
    assert "1 of 1 run sent" in texts(app)
    assert Key.MIRROR_SEND not in [button.key for button in app.button]


@pytest.mark.parametrize(
    ("standing", "last", "sending", "words"),
    [
        (Standing(True, 2, 0), Last(0.0, "old"), False, "2 of 2 runs sent."),
        (Standing(True, 1, 1), None, True, "1 of 2 runs sent, 1 pending, sending now."),
        (Standing(True, 1, 1), Last(0.0, "no answer"), True, "tried again by itself within 2 min"),
        (Standing(True, 1, 1), Last(0.0, "no *answer*"), False, "no \\*answer\\*"),
        (Standing(False, 0, 1), Last(0.0, "of another study"), False, "not mirrored by itself"),
    ],
)
def test_line(standing: Standing, last: Last | None, sending: bool, words: str) -> None:
    said = mirror_line.text(standing, WHERE, last, sending=sending)
    assert words in said
    assert ("Last attempt" in said) is (last is not None and "answer" in last.error)
