"""What a network costs on this machine, measured: latency of one image, after warm-up, with its spread."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True)
class Cost:
    """Time to predict one image (batch 1, evaluation mode, input already on the device)."""

    latency_p50_ms: float
    """Half of the rounds were faster."""
    latency_p95_ms: float
    """95 % of the rounds were faster."""
    images_per_second: float
    device: str
    threads: int
    batch_size: int
    image_size: int
    rounds: int
    """How many rounds were measured."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


def measure(
    model: nn.Module,
    image_size: int,
    *,
    device: str | torch.device = "cpu",
    rounds: int = 20,
    warmup: int = 3,
    max_seconds: float = 5,
    forward: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> Cost:
    """Measure `model` on square images of `image_size` pixels; its mode (train or eval) is as before afterwards.

    Args:
        model: Takes (1, 3, image_size, image_size) uint8; moved to `device`.
        image_size: Side of the image in pixels.
        device: Where to run it.
        rounds: Passes to measure; fewer where they would take longer than `max_seconds`, but at least one.
        warmup: Passes before the clock counts.
        max_seconds: Bound on warm-up and measurement together.
        forward: How to call `model`, where not by itself: in another precision, say.
    """
    device = torch.device(device)
    training = model.training
    model.to(device).eval()
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (1, 3, image_size, image_size), dtype=torch.uint8, generator=generator).to(device)
    end = time.perf_counter() + max_seconds
    times: list[float] = []
    try:
        with torch.inference_mode():
            for index in range(warmup + rounds):
                if index >= warmup and times and time.perf_counter() >= end:
                    break
                seconds = _one_pass(forward or model, image, device)
                # On a machine so slow that warming up takes all the time, the last warm-up has to do.
                if index >= warmup or time.perf_counter() >= end:
                    times.append(seconds)
                if times and time.perf_counter() >= end:
                    break
    finally:
        model.train(training)
    quantiles = torch.quantile(torch.tensor(times, dtype=torch.float64), torch.tensor([0.5, 0.95], dtype=torch.float64))
    median, high = quantiles.tolist()
    return Cost(
        latency_p50_ms=median * 1e3,
        latency_p95_ms=high * 1e3,
        images_per_second=1 / median,
        device=str(device),
        threads=torch.get_num_threads(),
        batch_size=1,
        image_size=image_size,
        rounds=len(times),
    )


def _one_pass(forward: Callable[[torch.Tensor], torch.Tensor], image: torch.Tensor, device: torch.device) -> float:
    start = time.perf_counter()
    forward(image)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start
