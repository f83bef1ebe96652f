"""The app's server is killed: what it launched trains on, and whoever opens the app again sees it."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from segcore.launch.local import scheduler_alive
from segcore.runs import Study
from segcore.status import RunState
from segcore.store import RunStore
from tests.e2e.test_app import fill, settled
from tests.faults.conftest import Reference
from tests.faults.lab import ROOT, check_files, check_tidy, environment, wait_for, wait_for_epoch
from tests.faults.queueing import wait_for_all
from tests.faults.screen import training_page

pytestmark = [pytest.mark.slow, pytest.mark.browser]


@pytest.fixture
def server(store: RunStore, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The app on the test's workspace: its process and its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with open(tmp_path / "server.log", "ab") as log:
        options = f"--server.headless true --server.port {port}"
        process = subprocess.Popen(
            f"{sys.executable} -m streamlit run streamlit_app.py {options}".split(),
            cwd=ROOT,
            env=environment(),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    address = f"http://127.0.0.1:{port}"
    wait_for(lambda: process.poll() is not None or answers(address), "the app")
    assert process.poll() is None, (tmp_path / "server.log").read_text()
    yield process, address
    process.kill()
    process.wait()


def answers(address: str) -> bool:
    """Whether the app is up."""
    try:
        with urllib.request.urlopen(f"{address}/_stcore/health", timeout=1):
            return True
    except OSError:
        return False


def test_the_server_is_killed(
    store: RunStore,
    reference: Reference,
    browser: Browser,
    server: tuple[subprocess.Popen[bytes], str],
) -> None:
    # How the study computes is settled beforehand, so that nothing needs to be measured.
    settled_study = Study(store.workspace.studies / "outlives")
    settled_study.path.mkdir()
    settled_study.write_execution(Study(reference.run.path.parent).execution() or {})
    process, address = server
    page = browser.new_page()
    page.set_default_timeout(60_000)
    page.goto(address)
    sidebar = page.get_by_test_id("stSidebar")
    sidebar.get_by_text("Launch a study").wait_for()
    settled(page)
    sidebar.get_by_role("button", name="Clear").click()
    settled(page)
    fill(page, "Other backbones", "resnet18")
    sidebar.get_by_text("From scratch", exact=True).click()
    settled(page)
    fill(page, "Epochs", "8")
    fill(page, "Image size (px)", "32")
    fill(page, "Study name", "outlives")
    sidebar.get_by_role("button", name="Launch").click()
    expect(page).to_have_url(re.compile(r"/training\?.*study=outlives"), timeout=60_000)
    (run,) = store.study("outlives").runs()
    wait_for_epoch(run, 1)
    pid = run.status.pid
    assert pid is not None

    process.kill()  # as whoever is short of memory would
    process.wait()
    page.close()
    assert run.state is RunState.RUNNING
    assert run.status.pid == pid
    assert scheduler_alive(store.workspace)
    epochs = run.status.epoch
    wait_for_epoch(run, epochs + 1)

    wait_for_all(store)
    assert "1 run: 1 finished" in training_page(run), "whoever opens the app again does not see how it ended"
    assert run.state is RunState.FINISHED
    assert len(run.epochs()) == 8
    check_files(run)
    check_tidy(store)
