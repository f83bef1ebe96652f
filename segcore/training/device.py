"""Which processor trains and predicts."""

from __future__ import annotations

import os
import platform
import resource
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import torch

LABEL_VARIABLE = "SEGCORE_DEVICE_LABEL"


def best_device() -> torch.device:
    """Return the first CUDA GPU, else Apple's, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def device_name(device: torch.device) -> str:
    """Return what people call a device: "cpu", "mps", or the name of the GPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def device_label(device: torch.device) -> str:
    """Return which device of this machine it is: "cpu", or a GPU by its index, "cuda:1".

    A worker that a scheduler gave one GPU sees no other, so that its index is told in SEGCORE_DEVICE_LABEL.
    """
    if device.type != "cuda":
        return device.type
    return os.environ.get(LABEL_VARIABLE) or f"cuda:{device.index or 0}"


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out; on a CPU torch tells so in words alone."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    # "Could not create a primitive" is what oneDNN says when it cannot allocate its working memory.
    words = ("not enough memory", "can't allocate memory", "out of memory", "could not create a")
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in words)


class PeakMemory:
    """The most memory that was needed since this was made: the GPU's, or this process's.

    Of a process it is what stood in memory at its fullest moment (VmHWM), without the pages of files that were
    mapped since: the images of a dataset come in as they are read, and the system takes them back whenever it needs
    room. Only Linux tells these apart; elsewhere the pages count, and so does what came before.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._mib = 0.0
        self._files = _process_memory().get("RssFile", 0.0)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        _forget_fullest()

    def sample(self) -> float:
        """Return it in MiB; to be asked often, as only what is mapped at that moment can be left out."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / 2**20
        memory = _process_memory()
        if "VmHWM" in memory and "RssFile" in memory:
            fullest = memory["VmHWM"] - max(0.0, memory["RssFile"] - self._files)
            _forget_fullest()
        else:
            # ru_maxrss is in KiB on Linux and in bytes on macOS.
            fullest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
                2**20 if sys.platform == "darwin" else 2**10
            )
        self._mib = max(self._mib, fullest)
        return self._mib


def _process_memory() -> dict[str, float]:
    """Return what Linux says of this process's memory, in MiB by name; elsewhere nothing."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return {}
    return {
        name: int(value.split()[0]) / 2**10
        for name, _, value in (line.partition(":") for line in lines)
        if value.endswith(" kB")
    }


def _forget_fullest() -> None:
    with suppress(OSError):  # not every system has it
        Path("/proc/self/clear_refs").write_text("5")


def describe_device(device: torch.device) -> dict[str, object]:
    """Return what a reader of results must know of the hardware they were measured on."""
    described: dict[str, object] = {
        "device": str(device),
        "cpu": _cpu_name(),
        "cores": psutil.cpu_count(logical=False) or psutil.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "system": platform.platform(),
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        described["gpu"] = properties.name
        described["gpu_memory_gb"] = round(properties.total_memory / 2**30, 1)
    return described


def _cpu_name() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
