"""Probing all architectures: what leads astray, going on, cancelling, and a process in the background that dies."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from segcore.background import Cancelled
from segcore.errors import LaunchError, WorkspaceError
from segcore.inherited import inheritable
from segcore.launch import probing
from segcore.launch.prober import Limits, Prober
from segcore.launch.probing import Probing
from segcore.models.atlas import Atlas, Entry
from segcore.workspace import Workspace
from tests.atlases import made_up, write_atlas
from tests.launch.astray import NAMES


def look() -> None:
    """Nothing to do meanwhile."""


@pytest.fixture
def prober(tmp_path: Path) -> Callable[..., Prober]:
    """Makes one whose process is `astray`."""

    def make(decoder: str = "unet", **limits: float) -> Prober:
        return Prober(decoder, 256, tmp_path / "log", limits=Limits(**limits), module="tests.launch.astray")  # type: ignore[arg-type]

    return make


@pytest.mark.parametrize(
    ("name", "limits", "reason", "told"),
    [
        ("slow", {"seconds": 0.3}, "its probe took too long", "more than 0.3 s"),
        ("idle", {"wall_seconds": 0.5}, "its probe took too long", "more than 0.5 s"),
        ("hungry", {"memory": 300 * 2**20}, "its probe took too much memory", "of memory"),
        ("crash", {}, "its probe crashed", "exit code 7"),
    ],
)
def test_what_leads_astray_is_told_and_the_others_go_on(
    prober: Callable[..., Prober], name: str, limits: dict[str, float], reason: str, told: str
) -> None:
    with prober(**limits) as probes:
        assert probes.architectures(look) == NAMES
        assert probes.probe("plain", look) == Entry("plain", "module", parameters=1)
        entry = probes.probe(name, look)
        assert not entry.works
        assert (entry.architecture, entry.module, entry.reason) == (name, "module", reason)
        assert told in entry.why_not
        assert probes.probe("last", look).works


def test_waiting_for_others_is_no_fault(prober: Callable[..., Prober]) -> None:
    """Of processor time little is used while others have the machine; then the limit is not reached."""
    with prober(seconds=0.2, wall_seconds=60.0) as probes:
        probes.architectures(look)
        began = time.monotonic()

        def until_enough() -> None:
            if time.monotonic() - began > 1.0:
                raise Cancelled

        with pytest.raises(Cancelled):
            probes.probe("idle", until_enough)


def test_a_process_that_does_not_come_up_is_said(prober: Callable[..., Prober]) -> None:
    with prober("none") as probes, pytest.raises(LaunchError, match=r"does not come up.*no torch here"):
        probes.architectures(look)


class FakeProber:
    """Finds the entries of a made-up catalog at once."""

    entries = made_up(30)

    def __init__(self, *_arguments: object) -> None:
        """Take what the real one takes."""

    def __enter__(self) -> FakeProber:
        return self

    def __exit__(self, *_error: object) -> None:
        return None

    def architectures(self, looked: Callable[[], None]) -> list[str]:
        looked()
        return [entry.architecture for entry in self.entries]

    def probe(self, architecture: str, looked: Callable[[], None]) -> Entry:
        looked()
        return next(entry for entry in self.entries if entry.architecture == architecture)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "Prober", FakeProber)


@pytest.mark.usefixtures("fake")
def test_filling_goes_on_where_it_was_cancelled(workspace: Workspace) -> None:
    atlas = Atlas(workspace, "unet", 256)
    steps: list[tuple[int, int]] = []

    def cancel_after_ten(done: int, total: int) -> None:
        steps.append((done, total))
        if done == 10:
            probing.desk(workspace).ask_to_stop()

    with pytest.raises(Cancelled):
        probing.fill(atlas, cancel_after_ten)
    assert steps == [(done, 30) for done in range(11)]
    assert len(atlas.read().entries) == 10
    assert atlas.read().total == 30
    assert not atlas.read().complete
    said = probing.desk(workspace).read(Probing)
    assert said is not None
    assert (said.state, said.done, said.total) == ("cancelled", 10, 30)
    assert not probing.desk(workspace).asked_to_stop()
    steps.clear()
    probing.fill(atlas, lambda done, total: steps.append((done, total)))
    assert steps[0] == (10, 30)
    assert steps[-1] == (30, 30)
    assert list(atlas.read().entries.values()) == FakeProber.entries
    said = probing.desk(workspace).read(Probing)
    assert said is not None
    assert (said.state, said.done, said.before) == ("finished", 30, 10)


@pytest.mark.usefixtures("fake")
def test_ctrl_c_keeps_what_was_found(workspace: Workspace) -> None:
    atlas = Atlas(workspace, "unet", 256)

    def interrupt(done: int, _total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        probing.fill(atlas, interrupt)
    assert len(atlas.read().entries) == 3
    assert not probing.desk(workspace).running()


@pytest.mark.usefixtures("fake")
def test_only_one_probes_in_a_workspace(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    atlas = write_atlas(workspace, made_up(3), total=30)
    monkeypatch.setattr("segcore.inherited.PATIENCE_SECONDS", 0.1)
    with inheritable(workspace.catalog / ".probing.lock"):
        assert not probing.start(atlas)
        with pytest.raises(LaunchError, match="Another process probes"):
            probing.fill(atlas)
    assert len(atlas.read().entries) == 3


def test_time_left_is_of_what_is_left() -> None:
    said = Probing("running", "unet", 256, total=100, done=60, before=50, started=1000.0, heartbeat=1020.0)
    assert said.seconds_left == pytest.approx(80.0)
    assert said.share == pytest.approx(0.6)
    assert Probing("running", "unet", 256, total=100, done=50, before=50).seconds_left is None


def test_a_damaged_state_is_said(workspace: Workspace) -> None:
    workspace.catalog.mkdir()
    (workspace.catalog / "probing.json").write_text('{"total": 3}')
    with pytest.raises(WorkspaceError, match=r"probing\.json"):
        probing.desk(workspace).read(Probing)


def _wait(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it takes too long"
        time.sleep(0.1)


@pytest.mark.slow  # starts processes that import torch and timm
def test_the_background_process_is_cancelled_resumed_and_seen_dying(workspace: Workspace) -> None:
    atlas = Atlas(workspace, "unet", 64)
    assert probing.desk(workspace).read(Probing) is None
    assert probing.start(atlas)
    assert probing.desk(workspace).running()  # from the first moment
    _wait(lambda: len(atlas.read().entries) >= 2)
    said = probing.desk(workspace).read(Probing)
    assert said is not None
    assert said.pid is not None
    assert psutil.Process(said.pid).nice() >= probing.NICENESS
    probing.desk(workspace).ask_to_stop()
    _wait(lambda: not probing.desk(workspace).running())
    said, kept = probing.desk(workspace).read(Probing), len(atlas.read().entries)
    assert said is not None
    assert said.state == "cancelled"
    assert said.total == atlas.read().total
    assert (said.total or 0) > 1000
    assert probing.start(atlas)
    _wait(lambda: len(atlas.read().entries) > kept)
    said = probing.desk(workspace).read(Probing)
    assert said is not None
    assert said.before == kept
    assert said.pid is not None
    process = psutil.Process(said.pid)
    children = process.children(recursive=True)
    process.kill()
    _wait(lambda: not probing.desk(workspace).running())
    said = probing.desk(workspace).read(Probing)
    assert said is not None
    assert said.state == "interrupted"
    psutil.wait_procs(children, timeout=30)
    assert not [child for child in children if child.is_running()]  # nobody probes on for nobody
