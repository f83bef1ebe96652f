from __future__ import annotations

import stat
from pathlib import Path

import pytest

from segcore.launch import gpus as module
from segcore.launch.gpus import Gpu, gpus, parse
from segcore.launch.places import free_place

LINES = (
    "0, GPU-aaaa-1, NVIDIA A100-SXM4-40GB, 40960, 1200",
    "1, GPU-bbbb-2, NVIDIA A100-SXM4-40GB, 40960, 40500",
    "2, GPU-cccc-3, NVIDIA GB10, [N/A], [N/A]",
    "10, GPU-dddd-4, NVIDIA L4, 23034, 22000",
)


def test_the_freest_comes_first_and_one_without_numbers_is_passed_over() -> None:
    found = parse(LINES, None)
    assert [gpu.index for gpu in found] == [1, 10, 0]
    assert found[0] == Gpu(1, "NVIDIA A100-SXM4-40GB", 40960, 40500)


@pytest.mark.parametrize(
    ("visible", "indices"),
    [
        ("0", [0]),
        ("10, 0", [10, 0]),
        ("1,-1,0", [1]),
        ("-1", []),
        ("", []),
        ("GPU-bbbb", [1]),
        ("GPU-bbbb-2,GPU-dddd", [1, 10]),
        ("MIG-1234", []),
        ("7", []),
    ],
)
def test_what_a_person_hid_stays_hidden(visible: str, indices: list[int]) -> None:
    assert [gpu.index for gpu in parse(LINES, visible)] == indices


@pytest.mark.parametrize("text", ["", "No devices were found", "NVIDIA-SMI has failed because …, x", "a,b,c,d,e"])
def test_other_words_are_no_gpus(text: str) -> None:
    assert parse(text.splitlines(), None) == []


def fake_driver(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a program called nvidia-smi where it is found first."""
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setattr(module.metadata, "version", lambda _package: "2.15.0")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_the_driver_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_driver(tmp_path, "\n".join(f"echo '{line}'" for line in LINES), monkeypatch)
    assert [gpu.device for gpu in gpus()] == ["cuda:1", "cuda:10", "cuda:0"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert [gpu.device for gpu in gpus()] == ["cuda:0"]
    monkeypatch.setattr(module.metadata, "version", lambda _package: "2.15.0+cpu")
    assert gpus() == []


@pytest.mark.parametrize("script", ["echo broken; exit 9", "exec sleep 30"])
def test_a_driver_that_fails_or_hangs_means_no_gpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    fake_driver(tmp_path, script, monkeypatch)
    monkeypatch.setattr(module, "TIMEOUT_SECONDS", 0.3)
    assert gpus() == []


def test_no_driver_means_no_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpus() == []


def test_a_gpu_in_use_is_not_taken_twice() -> None:
    found = parse(LINES, None)
    place = free_place(["cuda:1"], found, slots=9, cores=6)
    assert place is not None
    assert place.device == "cuda:10"
    assert place.environment["CUDA_VISIBLE_DEVICES"] == "10"
    assert place.environment["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert free_place(["cuda:0", "cuda:1", "cuda:10"], found, slots=9, cores=6) is None


@pytest.mark.parametrize(
    ("given", "slots", "threads"),
    [("", 1, None), ("7", 1, None), ("", 3, "2"), ("1", 3, "1"), ("7", 3, "2"), ("", 6, "1"), ("many", 3, "2")],
)
def test_threads_of_a_run_on_the_processor(
    monkeypatch: pytest.MonkeyPatch, given: str, slots: int, threads: str | None
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", given)
    place = free_place([], [], slots=slots, cores=6)
    assert place is not None
    assert place.device is None
    assert place.environment.get("OMP_NUM_THREADS") == threads
    assert free_place([None] * slots, [], slots=slots, cores=6) is None
