"""Fixtures that several test files share; the builders behind them are in tests/factories.py."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# The networks of these tests are so small that threads would only wait for each other; set before torch
# is imported, here and in the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from segcore.config import DatasetConfig
from segcore.store import RunStore
from segcore.workspace import HOME_VARIABLE, Workspace
from tests import factories
from tests.ray_cluster import RayCluster, require_ray, wait_for

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.faults.lab import Lab

# To look for what is unreachable after every 700 objects, as Python does by itself, takes a seventh of the time of
# tests that take networks apart.
gc.set_threshold(50_000, 20, 20)

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Without a sandbox as containers have none to give; the rest keeps it from looking for the network.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """An empty workspace that `Workspace()` finds, with no weights but its own and no network."""
    root = tmp_path / "home"
    monkeypatch.setenv(HOME_VARIABLE, str(root))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("SEGCORE_WEIGHTS", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)  # no test sends to the server of whoever runs it
    made = Workspace()
    made.ensure_writable()
    return made


@pytest.fixture
def store(workspace: Workspace) -> RunStore:
    """The run store of the empty workspace."""
    return RunStore(workspace)


@pytest.fixture
def tiny_dataset(tmp_path: Path) -> Callable[..., DatasetConfig]:
    """Writes a folder of 64 px images and masks; arguments as `factories.write_dataset`."""

    def write(folder: str = "source", **options: object) -> DatasetConfig:
        return factories.write_dataset(tmp_path / folder, **options)  # type: ignore[arg-type]

    return write


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder named by SEGCORE_TEST_DATA: real images (data/) and pretrained weights (weights/)."""
    value = os.environ.get("SEGCORE_TEST_DATA")
    if not value:
        pytest.skip("SEGCORE_TEST_DATA names no folder of real images and weights")
    path = Path(value).resolve()
    if not path.is_dir():
        pytest.fail(f"SEGCORE_TEST_DATA={value} is no folder")
    return path


@pytest.fixture(scope="session")
def session_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Starts workers that need not import torch: one for all tests, as they are forked from one process."""
    from tests.faults.lab import ROOT, Lab

    with pytest.MonkeyPatch.context() as patch:
        # For the process that forks the workers: where the code is, and that there is no network.
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])))
        patch.setenv("HF_HUB_OFFLINE", "1")
        lab = Lab(tmp_path_factory.mktemp("lab"))
        yield lab
        lab.clear()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A headless Chromium: one for all tests, as two playwrights cannot live in one process."""
    from playwright.sync_api import sync_playwright

    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if executable is None:
        reason = f"none of the browsers {', '.join(BROWSERS)} is installed"
        if os.environ.get("SEGCORE_REQUIRE_BROWSER"):
            pytest.fail(f"SEGCORE_REQUIRE_BROWSER is set, but {reason}")
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[RayCluster]:
    """A Ray head with one CPU, for all tests."""
    require_ray()
    from segcore.launch.ray import RayJobs

    cluster = RayCluster()
    try:
        cluster.start(cpus=1)
        jobs = RayJobs(cluster.address)
        wait_for(lambda: jobs.capacity().nodes, "the head's own processors")
        yield cluster
    finally:
        cluster.stop()
