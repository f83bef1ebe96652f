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


def restart_peak() -> None:
    """Forget the highest memory use so far, so that `peak_memory` tells what came after."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    with suppress(OSError):  # Linux alone has it
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory(device: torch.device) -> float:
    """Return the highest memory use since the start or `restart_peak`, in MiB: the GPU's, or this process's."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    # ru_maxrss is in KiB on Linux and in bytes on macOS.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


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
