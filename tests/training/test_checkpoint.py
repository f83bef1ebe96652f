from __future__ import annotations

import errno
import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from segcore.errors import WeightsError, WorkspaceError
from segcore.models.build import skeleton
from segcore.runs import Run
from segcore.training import checkpoint
from segcore.training.checkpoint import load_state, load_weights, save_state, save_weights
from tests.training.conftest import ENCODER


@pytest.fixture
def run(queue: Callable[..., Run]) -> Run:
    return queue()


def state(value: float, size: int = 1000) -> dict[str, object]:
    return {"weights": torch.full((size,), value), "epoch": int(value), "best": [value, None]}


def flip(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 0x10
    path.write_bytes(data)


def last(run: Run) -> Path:
    return run.last_directory / checkpoint.CHECKPOINT


def test_what_is_saved_comes_back(run: Run) -> None:
    assert load_state(run) == (None, "")
    save_state(run, state(1.0))
    save_state(run, state(2.0))
    found, complaint = load_state(run)
    assert found is not None
    assert (found["epoch"], found["best"], complaint) == (2, [2.0, None], "")
    assert torch.equal(found["weights"], torch.full((1000,), 2.0))
    assert sorted(path.name for path in run.last_directory.iterdir()) == ["checkpoint.pt", "previous.pt"]


@pytest.mark.parametrize("place", [0.0, 0.1, 0.3, 0.5, 0.8, 0.97])
def test_flipped_bits_are_noticed_and_the_state_before_is_taken(run: Run, place: float) -> None:
    """Torch itself would load them as they are."""
    save_state(run, state(1.0))
    save_state(run, state(2.0))
    flip(last(run), int(place * last(run).stat().st_size))
    found, complaint = load_state(run)
    assert found is not None
    if complaint:
        assert "is damaged" in complaint and "state kept before it" in complaint
        assert torch.equal(found["weights"], torch.full((1000,), 1.0))
    else:
        assert torch.equal(found["weights"], torch.full((1000,), 2.0)), "harmless: between the entries"
    if place == 0.5:
        assert complaint, "the weights themselves lie here"


@pytest.mark.parametrize("length", [0, 1, 700, 3000])
def test_a_truncated_state_is_noticed(run: Run, length: int) -> None:
    save_state(run, state(1.0))
    save_state(run, state(2.0))
    last(run).write_bytes(last(run).read_bytes()[:length])
    found, complaint = load_state(run)
    assert found is not None and found["epoch"] == 1
    assert "is damaged" in complaint


def test_a_kill_between_the_two_renames_leaves_nothing_behind(run: Run) -> None:
    save_state(run, state(1.0))
    folder = run.last_directory
    (folder / "previous.pt").hardlink_to(folder / "checkpoint.pt")  # as far as it came
    save_state(run, state(2.0))
    assert sorted(file.name for file in folder.iterdir()) == ["checkpoint.pt", "previous.pt"]


def test_nothing_whole_left_is_an_error(run: Run) -> None:
    save_state(run, state(1.0))
    last(run).write_bytes(b"PK nonsense")
    with pytest.raises(WeightsError, match=r"is damaged.*launch it again"):
        load_state(run)


def test_a_damaged_state_never_takes_the_place_of_the_whole_one(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    save_state(run, state(1.0))
    save_state(run, state(2.0))
    last(run).write_bytes(b"PK nonsense")
    found, _ = load_state(run, mend=True)
    assert found is not None and found["epoch"] == 1

    def refuse(_file: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(WorkspaceError, match="disk is full"):
            save_state(run, state(3.0))
    found, _ = load_state(run)
    assert found is not None and found["epoch"] == 1


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.EIO, "Input/output error"), WorkspaceError),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 99 bytes."), RuntimeError),
        (MemoryError(), MemoryError),
    ],
)
def test_what_passes_is_no_damage(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: Exception, told: type[Exception]
) -> None:
    save_state(run, state(1.0))
    save_state(run, state(2.0))

    def fail(*_: object, **__: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint.torch, "load", fail)
        with pytest.raises(told) as raised:
            load_state(run, mend=True)
    assert "damaged" not in str(raised.value)
    found, complaint = load_state(run)
    assert found is not None and (found["epoch"], complaint) == (2, "")


def test_without_hard_links_the_state_before_is_kept_too(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    save_state(run, state(1.0))
    save_state(run, state(2.0))
    last(run).unlink()  # as a kill between the two renames leaves it
    found, _ = load_state(run)
    assert found is not None and found["epoch"] == 1


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file may grow beyond 64 KiB, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_no_room_for_a_state_leaves_the_old_one(run: Run, small_files: None) -> None:
    save_state(run, state(1.0))
    with pytest.raises(WorkspaceError, match=r"checkpoint\.pt: File too large"):
        save_state(run, state(2.0, size=100_000))
    found, complaint = load_state(run)
    assert found is not None and found["epoch"] == 1 and complaint == ""
    assert [path.name for path in run.last_directory.iterdir()] == ["checkpoint.pt"], "nothing half-written stays"


def test_no_room_for_weights_is_told_likewise(run: Run, small_files: None) -> None:
    with pytest.raises(WorkspaceError, match=r"best\.safetensors: File too large"):
        save_weights(skeleton(ENCODER, "unet", 3, 32), run.best_weights)
    assert not run.best_weights.exists()


def test_weights_come_back_and_damage_is_named(run: Run) -> None:
    model, other = skeleton(ENCODER, "unet", 3, 32), skeleton(ENCODER, "unet", 3, 32)
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    save_weights(model, run.best_weights)
    load_weights(other, run.best_weights)
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), other.state_dict().values(), strict=True))
    with pytest.raises(WeightsError, match="another network"):
        load_weights(skeleton(ENCODER, "unet", 4, 32), run.best_weights)
    run.best_weights.write_bytes(run.best_weights.read_bytes()[:500])
    with pytest.raises(WeightsError, match=r"is damaged.*backup.*launch it again"):
        load_weights(other, run.best_weights)
    run.best_weights.unlink()
    with pytest.raises(WeightsError, match="is missing"):
        load_weights(other, run.best_weights)
