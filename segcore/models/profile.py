"""What a network costs on this machine, measured after warm-up: latency of one image, throughput in batches."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Cost:
    """Time to predict images (evaluation mode, input already on the device)."""

    latency_p50_ms: float
    """Of one image alone: half of the rounds were faster."""
    latency_p95_ms: float
    """95 % of the rounds were faster."""
    throughput: float
    """Images a second in batches, by the median of their rounds."""
    throughput_batch: int
    """Images of such a batch."""
    device: str
    threads: int
    image_size: int
    rounds: int
    """How many rounds of one image were measured."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


def measure(
    model: nn.Module,
    image_size: int,
    *,
    device: str | torch.device = "cpu",
    batch_size: int = 8,
    rounds: int = 20,
    warmup: int = 3,
    max_seconds: float = 5,
    forward: Callable[[Tensor], Tensor] | None = None,
    out_of_memory: Callable[[BaseException], bool] = lambda error: isinstance(error, MemoryError),
) -> Cost:
    """Measure `model` on square images of `image_size` pixels; its mode (train or eval) is as before afterwards.

    Args:
        model: Takes (B, 3, image_size, image_size) uint8; moved to `device`.
        image_size: Side of the image in pixels.
        device: Where to run it.
        batch_size: Images at once for the throughput; halved until there is memory for them.
        rounds: Passes to measure, of one image and of a batch each; fewer where they would take longer than
            `max_seconds`, but at least one.
        warmup: Passes before the clock counts.
        max_seconds: Bound on warm-up and measurement together, of one image and of batches each.
        forward: How to call `model`, where not by itself: in another precision, say.
        out_of_memory: Whether an error says that memory ran out.
    """
    device = torch.device(device)
    training = model.training
    model.to(device).eval()

    def timed(images: int) -> list[float]:
        generator = torch.Generator().manual_seed(0)
        shape = (images, 3, image_size, image_size)
        batch = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator).to(device)
        return _times(forward or model, batch, rounds, warmup, max_seconds)

    try:
        single = timed(1)
        batch_size, batches = _largest(timed, batch_size, out_of_memory)
    finally:
        model.train(training)
    median, high = _quantiles(single)
    return Cost(
        latency_p50_ms=median * 1e3,
        latency_p95_ms=high * 1e3,
        throughput=batch_size / _quantiles(batches)[0],
        throughput_batch=batch_size,
        device=str(device),
        threads=torch.get_num_threads(),
        image_size=image_size,
        rounds=len(single),
    )


def _largest(
    timed: Callable[[int], list[float]], batch_size: int, out_of_memory: Callable[[BaseException], bool]
) -> tuple[int, list[float]]:
    """Return the largest batch of `batch_size`, half of it and so on for which there is memory, and its times."""
    while True:
        try:
            return batch_size, timed(batch_size)
        except (RuntimeError, MemoryError) as error:
            if batch_size == 1 or not out_of_memory(error):
                raise
        batch_size //= 2  # outside of the handler: the error keeps what was allocated alive


def _times(
    forward: Callable[[Tensor], Tensor], batch: Tensor, rounds: int, warmup: int, max_seconds: float
) -> list[float]:
    """Return the seconds of each pass that counts, at least of one."""
    end = time.perf_counter() + max_seconds
    times: list[float] = []
    with torch.inference_mode():
        for index in range(warmup + rounds):
            if index >= warmup and times and time.perf_counter() >= end:
                break
            seconds = _one_pass(forward, batch)
            # On a machine so slow that warming up takes all the time, the last warm-up has to do.
            if index >= warmup or time.perf_counter() >= end:
                times.append(seconds)
            if times and time.perf_counter() >= end:
                break
    return times


def _quantiles(times: list[float]) -> tuple[float, float]:
    """Return the median and what 95 % stay below."""
    found = torch.quantile(torch.tensor(times, dtype=torch.float64), torch.tensor([0.5, 0.95], dtype=torch.float64))
    median, high = found.tolist()
    return median, high


def _one_pass(forward: Callable[[Tensor], Tensor], batch: Tensor) -> float:
    start = time.perf_counter()
    forward(batch)
    if batch.device.type == "cuda":
        torch.cuda.synchronize(batch.device)
    return time.perf_counter() - start
