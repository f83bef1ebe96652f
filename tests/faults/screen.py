"""What the Training page and the command line say of a run."""

from __future__ import annotations

import subprocess
import sys

from streamlit.testing.v1 import AppTest

from segcore.runs import Run
from segcore.workspace import HOME_VARIABLE
from tests.app.conftest import texts
from tests.faults.lab import ROOT, environment


def training_page(run: Run) -> str:
    """Open the Training page on a run of the workspace in SEGCORE_HOME, and return all its texts."""
    app = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=60)
    app.run()
    app.switch_page("pages/training.py")
    app.query_params["study"], app.query_params["run"] = run.study_name, run.name
    app.run()
    assert not app.exception, app.exception
    return plain(texts(app))


def command(run: Run, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m segcore ARGUMENTS` in a run's workspace."""
    return subprocess.run(
        [sys.executable, "-m", "segcore", *arguments],
        cwd=ROOT,
        env=environment({HOME_VARIABLE: str(run.path.parents[2])}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def plain(text: str) -> str:
    """Return a text without the marks of Markdown, so that it can be compared."""
    return " ".join(text.replace("\\", "").split())


def check_said(run: Run) -> None:
    """The Training page says what happened to a run that ended early, and what to do."""
    status = run.status
    assert status.message, "the status must say what happened"
    assert status.hint, "the status must say what to do"
    shown = training_page(run)
    for text in (status.message, status.hint):
        assert plain(text) in shown, f"{text!r} is not on the screen"
