"""Measuring cost on this machine."""

from __future__ import annotations

import time

import pytest
import torch
from torch import Tensor, nn

from segcore.models.profile import measure


class Sleeper(nn.Module):
    """Takes `seconds` a pass and remembers how it was called."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds
        self.calls: list[tuple[bool, bool, tuple[int, ...], torch.dtype]] = []

    def forward(self, images: Tensor) -> Tensor:
        self.calls.append((self.training, torch.is_inference_mode_enabled(), tuple(images.shape), images.dtype))
        time.sleep(self.seconds)
        return images


def test_latency_after_warm_up() -> None:
    model = Sleeper(0.01).train()
    cost = measure(model, 32, rounds=8, warmup=2, batch_size=4)
    assert len(model.calls) == 20 and cost.rounds == 8
    assert model.calls[0] == (False, True, (1, 3, 32, 32), torch.uint8)
    assert model.calls[-1] == (False, True, (4, 3, 32, 32), torch.uint8)
    assert 10 <= cost.latency_p50_ms <= cost.latency_p95_ms < 1000
    assert 4 < cost.throughput <= 400, "four images at least every 10 ms"
    assert (cost.device, cost.throughput_batch, cost.image_size) == ("cpu", 4, 32)
    assert cost.threads == torch.get_num_threads() and cost.to_json()["rounds"] == 8
    assert model.training, "the mode is restored"
    assert not measure(model.eval(), 32, rounds=1, warmup=0).rounds > 1 and not model.training


def test_slow_networks_do_not_take_for_ever() -> None:
    start = time.perf_counter()
    cost = measure(Sleeper(0.1), 32, rounds=1000, warmup=1, max_seconds=0.5)
    assert 1 <= cost.rounds <= 5 and time.perf_counter() - start < 2
    only_warm = measure(Sleeper(0.1), 32, rounds=10, warmup=100, max_seconds=0.05)
    assert only_warm.rounds == 1


def test_a_batch_too_large_for_the_memory_is_halved() -> None:
    class Greedy(Sleeper):
        def forward(self, images: Tensor) -> Tensor:
            if len(images) > 2:
                raise MemoryError
            return super().forward(images)

    assert measure(Greedy(0), 32, rounds=2, batch_size=8).throughput_batch == 2

    class Full(Sleeper):
        def forward(self, images: Tensor) -> Tensor:
            raise MemoryError(f"no room for {images.shape}")

    with pytest.raises(MemoryError):
        measure(Full(0), 32)


def test_the_mode_is_restored_when_the_network_fails() -> None:
    class Failing(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            raise RuntimeError(f"no {images.shape}")

    model = Failing().train()
    try:
        measure(model, 32)
    except RuntimeError:
        pass
    else:
        raise AssertionError("the error was swallowed")
    assert model.training
