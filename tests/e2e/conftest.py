"""A real server and a real Chromium. Skipped, saying why, where no browser is installed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from segcore.runs import Run
from segcore.store import RunStore
from segcore.workspace import HOME_VARIABLE, Workspace

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def server(workspace: Workspace, tmp_path: Path) -> Iterator[str]:
    """The address of the app on the empty workspace, started as the README says.

    A module whose tests only look may have a `server` fixture of its own that returns `shared_server`.
    """
    with serving(workspace, tmp_path / "server.log") as address:
        yield address


@pytest.fixture(scope="module")
def shared_workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace for all tests of a module, which may fill it before and only look at it afterwards."""
    made = Workspace(tmp_path_factory.mktemp("shared") / "home")
    made.ensure_writable()
    return made


@pytest.fixture(scope="module")
def shared_server(shared_workspace: Workspace) -> Iterator[str]:
    """The address of one app on `shared_workspace`: it starts, and imports torch, once."""
    with serving(shared_workspace, shared_workspace.root.parent / "server.log") as address:
        yield address


@contextmanager
def serving(workspace: Workspace, log_path: Path) -> Iterator[str]:
    """Serve the app on a workspace with no weights but its own and no network; nothing may go wrong in it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = open(log_path, "wb")  # noqa: SIM115 (the server writes to it as long as it lives)
    environment = {name: value for name, value in os.environ.items() if name != "SEGCORE_WEIGHTS"}
    process = subprocess.Popen(
        f"{sys.executable} -m streamlit run streamlit_app.py --server.headless true --server.port {port}".split(),
        cwd=ROOT,
        env={**environment, HOME_VARIABLE: str(workspace.root), "HF_HUB_OFFLINE": "1"},
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_until_up(address, process, log_path)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=20)
        log.close()
        _end_training(RunStore(workspace))
    output = log_path.read_text()
    assert "Traceback" not in output, output


def _wait_until_up(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(300):
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"{address}/_stcore/health", timeout=1):
                return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"the app did not come up:\n{log.read_text()}")


def _end_training(store: RunStore) -> None:
    """Stop what a failed test left training, as it outlives the server."""
    active: list[Run] = store.active()
    for run in active:
        store.stop(run)
    for _ in range(600):
        if not store.active():
            return
        time.sleep(0.1)


@pytest.fixture
def page(browser: Browser, server: str) -> Iterator[Page]:
    """The app's first page, drawn."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto(server)
    page.get_by_test_id("stSidebar").get_by_text("Launch a study").wait_for()
    yield page
    context.close()
