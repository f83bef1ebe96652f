"""Fixtures that several test files share; the builders behind them are in tests/factories.py."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

# The networks of these tests are so small that threads would only wait for each other; set before torch
# is imported, here and in the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from segcore.config import DatasetConfig
from segcore.store import RunStore
from segcore.workspace import HOME_VARIABLE, Workspace
from tests import factories


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """An empty workspace that `Workspace()` finds, with no weights but its own and no network."""
    root = tmp_path / "home"
    monkeypatch.setenv(HOME_VARIABLE, str(root))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("SEGCORE_WEIGHTS", raising=False)
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
