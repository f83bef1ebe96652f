"""How long a study will take on this machine, without importing torch.

The time of a training step is close to proportional to the network's multiply-adds, at a rate that
depends on the machine and on the kind of backbone. So the rate comes from what runs here have measured,
of the same backbone where there are any; before the first run, from a short test of the machine.
"""

from __future__ import annotations

import socket
import statistics
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from segcore.config import Recipe, StudyConfig
from segcore.data.splits import Split
from segcore.errors import WorkspaceError
from segcore.models.catalog import find
from segcore.runs import Run
from segcore.status import Status
from segcore.store import RunStore

BACKWARD = 2.0
"""Multiply-adds of a backward pass, in forward passes: one for the activations, one for the weights."""
STARTUP_SECONDS = 12.0
"""Of each run: importing torch, building the network, measuring its latency at the end."""
EFFICIENCY = 0.40
"""Share of a plain matrix product's rate that training reaches, before anything was measured here: 0.38-0.56 for the
demo's three backbones on two cores of an AMD EPYC."""


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
    """Return how long the study's runs will take one after another.

    None where the cost of a network is not known beforehand: with a backbone outside the catalog or a decoder
    other than U-Net, until that very combination has been trained here.
    """
    measured = measure_runs(store)
    costs = {(item.encoder, item.decoder): item.macs_256 for item in measured}
    seconds = 0.0
    for encoder in config.encoders:
        network = (encoder.split(".")[0], config.decoder)
        backbone = find(encoder)
        if network in costs:
            macs = costs[network]
        elif backbone is not None and config.decoder == "unet":
            macs = backbone.unet_macs
        else:
            return None
        macs *= (config.recipe.image_size / 256) ** 2
        same = [item.rate for item in measured if (item.encoder, item.decoder) == network]
        others = [item.rate for item in measured]
        rate = statistics.median(same or others) if measured else EFFICIENCY * machine_rate()
        seconds += run_work(macs, split, config.recipe) / rate + STARTUP_SECONDS
    return Estimate(seconds * len(config.seeds), measured=bool(measured))


def run_work(macs: float, split: Split, recipe: Recipe) -> float:
    """Return the multiply-adds of a whole run whose forward pass over one image takes `macs`."""
    return macs * recipe.epochs * ((1 + BACKWARD) * len(split.train) + len(split.val))


@dataclass(frozen=True)
class Measured:
    """What one run on this machine tells of its network."""

    encoder: str
    """Without its tag."""
    decoder: str
    macs_256: float
    """Multiply-adds of a forward pass over one image of 256 px."""
    rate: float
    """Multiply-adds a second that its training reached."""


def measure_runs(store: RunStore) -> list[Measured]:
    """Return what the runs of this machine have measured; runs that cannot be read tell nothing."""
    found = []
    for run, status in store.statuses():
        with suppress(WorkspaceError):
            measured = _measured(run, status)
            if measured is not None:
                found.append(measured)
    return found


def _measured(run: Run, status: Status) -> Measured | None:
    if status.host != socket.gethostname() or status.epoch == 0:
        return None
    macs, epochs = run.cost().get("macs"), run.epochs()
    if not macs or not epochs:
        return None
    recipe = run.config.recipe
    work = run_work(macs, run.split, recipe.model_copy(update={"epochs": 1}))
    return Measured(
        encoder=run.config.encoder.split(".")[0],
        decoder=run.config.decoder,
        macs_256=macs * (256 / recipe.image_size) ** 2,
        rate=work / statistics.median(record.seconds for record in epochs),
    )


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
