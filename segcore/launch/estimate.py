"""How long a study will take on this machine, without importing torch.

The time of a training step is close to proportional to the network's multiply-adds, at a rate that
depends on the machine and on the kind of backbone. So the rate comes from what runs here have measured,
of the same backbone where there are any; before the first run, from a short test of the machine.
"""

from __future__ import annotations

import socket
import statistics
import time
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from segcore.config import Recipe, StudyConfig
from segcore.data.splits import Split
from segcore.models.catalog import find
from segcore.runs import Run
from segcore.status import Status
from segcore.store import RunStore

BACKWARD = 2.0
"""Multiply-adds of a backward pass, in forward passes: one for the activations, one for the weights."""
STARTUP_SECONDS = 12.0
"""Of each run: importing torch, building the network, measuring its latency at the end."""
EFFICIENCY = 0.30
"""Share of a plain matrix product's rate that training reaches, before anything was measured here."""


@dataclass(frozen=True)
class Estimate:
    """The expected time of a study, and what it rests on."""

    seconds: float
    measured: bool
    """From runs on this machine; otherwise a rough guess."""

    @property
    def basis(self) -> str:
        if self.measured:
            return "from the speed of earlier runs on this machine"
        return "a rough guess until a first run has been measured here"


def estimate(config: StudyConfig, split: Split, store: RunStore) -> Estimate | None:
    """Return how long the study's runs will take one after another, or None where a backbone's cost is not
    known beforehand (one that is not in the catalog and has not been trained here)."""
    rates = measured_rates(store)
    known = [rate for values in rates.values() for rate in values]
    seconds = 0.0
    for encoder in config.encoders:
        name = encoder.split(".")[0]
        backbone = find(encoder)
        if backbone is None:
            return None
        if name in rates:
            rate = statistics.median(rates[name])
        else:
            rate = statistics.median(known) if known else EFFICIENCY * machine_rate()
        macs = backbone.unet_macs * (config.recipe.image_size / 256) ** 2
        seconds += run_work(macs, split, config.recipe) / rate + STARTUP_SECONDS
    return Estimate(seconds * len(config.seeds), measured=bool(known))


def run_work(macs: float, split: Split, recipe: Recipe) -> float:
    """Return the multiply-adds of a whole run whose forward pass over one image takes `macs`."""
    return macs * recipe.epochs * ((1 + BACKWARD) * len(split.train) + len(split.val))


def measured_rates(store: RunStore) -> dict[str, list[float]]:
    """Return multiply-adds a second that runs on this machine reached, by backbone without its tag."""
    rates: dict[str, list[float]] = {}
    for run, status in store.statuses():
        rate = _rate(run, status)
        if rate is not None:
            rates.setdefault(run.config.encoder.split(".")[0], []).append(rate)
    return rates


def _rate(run: Run, status: Status) -> float | None:
    if status.host != socket.gethostname() or status.epoch == 0:
        return None
    macs, epochs = run.cost().get("macs"), run.epochs()
    if not macs or not epochs:
        return None
    one_epoch = run.config.recipe.model_copy(update={"epochs": 1})
    return run_work(macs, run.split, one_epoch) / statistics.median(record.seconds for record in epochs)


@lru_cache(maxsize=1)
def machine_rate() -> float:
    """Return the multiply-adds a second of a matrix product on all cores, tried for about 0.1 s."""
    side = 512
    left, right = np.ones((side, side), np.float32), np.ones((side, side), np.float32)
    left @ right
    rounds, began = 0, time.perf_counter()
    while (spent := time.perf_counter() - began) < 0.1:
        left @ right
        rounds += 1
    return rounds * side**3 / spent
