"""A real server and a real Chromium. Skipped, saying why, where no browser is installed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from segcore.runs import Run
from segcore.store import RunStore
from segcore.workspace import HOME_VARIABLE, Workspace

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def server(workspace: Workspace, tmp_path: Path) -> Iterator[str]:
    """The address of the app on the empty workspace, started as the README says."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = open(tmp_path / "server.log", "wb")  # noqa: SIM115 (the server writes to it as long as it lives)
    process = subprocess.Popen(
        f"{sys.executable} -m streamlit run streamlit_app.py --server.headless true --server.port {port}".split(),
        cwd=ROOT,
        env={**os.environ, HOME_VARIABLE: str(workspace.root)},
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_until_up(address, process, tmp_path / "server.log")
        yield address
    finally:
        process.terminate()
        process.wait(timeout=20)
        log.close()
        _end_training(RunStore(workspace))
    output = (tmp_path / "server.log").read_text()
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
