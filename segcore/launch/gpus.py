"""The NVIDIA GPUs of this machine and their free memory, asked of the driver's own `nvidia-smi`; no torch needed."""

from __future__ import annotations

import csv
import os
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import metadata

VISIBLE = "CUDA_VISIBLE_DEVICES"
"""Which GPUs a process may use; a person may set it for the app, the scheduler sets it for each worker."""
COMMAND = ("nvidia-smi", "--query-gpu=index,uuid,name,memory.total,memory.free", "--format=csv,noheader,nounits")
TIMEOUT_SECONDS = 15.0
"""A driver that is just waking up takes seconds; one that hangs must not hold the queue for ever."""


@dataclass(frozen=True)
class Gpu:
    """One GPU, as it is now. Memory is in MiB."""

    index: int
    """Its number in the order of the PCI bus, as `nvidia-smi` counts."""
    name: str
    total_mb: int
    free_mb: int

    @property
    def device(self) -> str:
        """What a run's status calls it: "cuda:1"."""
        return f"cuda:{self.index}"

    def environment(self) -> dict[str, str]:
        """Variables that give a process this GPU and no other."""
        return {
            VISIBLE: str(self.index),
            "CUDA_DEVICE_ORDER": "PCI_BUS_ID",  # else CUDA counts the fastest first, unlike nvidia-smi
            "SEGCORE_DEVICE_LABEL": self.device,  # inside, every process calls its only GPU cuda:0
        }


def gpus() -> list[Gpu]:
    """Return the GPUs that runs may use, the one with most free memory first.

    Those that CUDA_VISIBLE_DEVICES leaves out are left out. None where there is no driver, where it does not
    answer, or where the installed torch was built without CUDA.
    """
    if _torch_without_cuda():
        return []
    try:
        done = subprocess.run(
            COMMAND, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return []
    return parse(done.stdout.splitlines(), os.environ.get(VISIBLE))


def parse(lines: Iterable[str], visible: str | None) -> list[Gpu]:
    """Read what `COMMAND` prints: lines "0, GPU-5a…, NVIDIA A100, 40960, 39000", most free memory first.

    A line without numbers (a GPU that shares the processor's memory reports none) is passed over.

    Args:
        lines: of its output.
        visible: CUDA_VISIBLE_DEVICES: indices or beginnings of UUIDs; None for all.
    """
    found = []
    for row in csv.reader(lines, skipinitialspace=True):
        try:
            index, uuid, name, total, free = row
            gpu = Gpu(int(index), name.strip(), int(float(total)), int(float(free)))
        except ValueError:
            continue
        if visible is None or _is_visible(gpu.index, uuid.strip(), visible.split(",")):
            found.append(gpu)
    return sorted(found, key=lambda gpu: (-gpu.free_mb, gpu.index))


def _is_visible(index: int, uuid: str, names: Sequence[str]) -> bool:
    """Whether CUDA would show this GPU; like CUDA, names after one that is none ("-1") count nothing."""
    for name in map(str.strip, names):
        if name.isdecimal():
            if int(name) == index:
                return True
        elif not name.startswith("GPU-"):
            return False
        elif uuid.startswith(name):
            return True
    return False


def _torch_without_cuda() -> bool:
    """Whether the installed torch says in its version that it knows no CUDA: "2.15.0+cpu"."""
    try:
        return metadata.version("torch").endswith("+cpu")
    except metadata.PackageNotFoundError:
        return True
