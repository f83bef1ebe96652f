"""What a run was made of and what it cost, for those who read its numbers later."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from importlib import metadata
from typing import Any

import torch

from segcore.checkout import git_commit
from segcore.config import Recipe, RunConfig
from segcore.models.build import Segmenter
from segcore.models.profile import Cost, measure
from segcore.models.quiet import IDLE, quietly
from segcore.models.summary import describe
from segcore.models.weights import sha256
from segcore.training.device import describe_device, out_of_memory
from segcore.training.precision import Mode

PACKAGES = ("torch", "timm", "segmentation-models-pytorch", "albumentations", "numpy", "opencv-python-headless")


def collect(config: RunConfig, model: Segmenter, device: torch.device) -> dict[str, Any]:
    """Return versions, hardware, fingerprints and the source of the weights, JSON-ready."""
    source = model.weights_source
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "segcore": _version("segcore"),
        "git_commit": git_commit(),
        "python": sys.version.split()[0],
        "packages": {name: _version(name) for name in PACKAGES},
        "hardware": describe_device(device),
        "dataset_fingerprint": config.dataset_fingerprint,
        "split_fingerprint": config.split_fingerprint,
        "weights": None
        if source is None
        else {
            "encoder": source.encoder,
            "kind": source.kind,
            "path": str(source.path) if source.path else None,
            "sha256": sha256(source.path) if source.path else None,
        },
    }


def network_cost(config: RunConfig) -> dict[str, Any]:
    """Return parameters and multiply-adds of encoder, decoder and head."""
    described = describe(
        config.encoder,
        decoder=config.decoder,
        image_size=config.recipe.image_size,
        classes=len(config.dataset.trained_classes),
    )
    parts = {"encoder": described.encoder, "decoder": described.decoder, "head": described.head}
    cost: dict[str, Any] = {
        "parameters": sum(part.parameters for part in parts.values()),
        "macs": sum(part.macs for part in parts.values()),
        "image_size": config.recipe.image_size,
    }
    for name, part in parts.items():
        cost[f"parameters_{name}"] = part.parameters
        cost[f"macs_{name}"] = part.macs
    return cost


def timing(
    model: Segmenter,
    recipe: Recipe,
    device: torch.device,
    mode: Mode,
    *,
    patience: float,
    wait: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """Return the measured latency and throughput, in the mode that the run trained in, JSON-ready.

    Args:
        model: on `device`, in the mode's memory format.
        recipe: size of the images, and how many go into a batch.
        device: where it predicts.
        mode: how it computes.
        patience: seconds to wait at most for the machine to be otherwise idle. Where it is not by then, it is measured
            all the same, and "idle" is False; None where the system does not tell. Only processors are watched, not
            what others do on a GPU.
        wait: called with the seconds to let pass; it may raise.
    """

    def once() -> Cost:
        return measure(
            model,
            recipe.image_size,
            device=device,
            batch_size=recipe.batch_size,
            forward=mode.forward(model, device),
            out_of_memory=out_of_memory,
        )

    # Compiling once more for a single image would take longer than all it measures.
    with torch.compiler.set_stance("force_eager") if mode.compile else nullcontext():
        cost, share = quietly(once, patience=patience, wait=wait)
    return {
        "latency_p50_ms": cost.latency_p50_ms,
        "latency_p95_ms": cost.latency_p95_ms,
        "throughput": cost.throughput,
        "throughput_batch": cost.throughput_batch,
        "device": cost.device,
        "threads": cost.threads,
        "precision": mode.precision,
        "memory_format": mode.memory_format,
        "busy": None if share is None else round(share, 3),
        "idle": None if share is None else share <= IDLE,
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
