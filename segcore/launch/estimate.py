"""How long a study will take on this machine, without importing torch.

The time of a training step is close to proportional to the network's multiply-adds, at a rate that depends on the
machine, the precision and the kind of backbone. So the rate comes from what runs here have measured, of the same
kind where there are any; before the first run, from a short test of the processor. What was expected is kept with
each run, so that the estimates are held against what it took.
"""

from __future__ import annotations

import heapq
import os
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import psutil

from segcore.config import Recipe, StudyConfig, run_name
from segcore.data.splits import Split
from segcore.errors import NotFoundError
from segcore.launch.past import (
    RECENT,
    Accuracy,
    Measured,
    Sizes,
    fold_passes,
    history,
    image_sizes,
    measure_runs,
    passes,
)
from segcore.launch.places import THREADS
from segcore.models.catalog import find
from segcore.models.footprint import COUNTED_CLASSES
from segcore.runqueue import cores
from segcore.store import RunStore
from segcore.text import percent, plural

STARTUP_SECONDS = 12.0
"""Of each run, before any was measured: importing torch, building the network, measuring its latency at the end."""
CHOOSING_SECONDS = 15.0
"""Of a study's first run: measuring which precision is fastest."""
EFFICIENCY = 0.40
"""Share of a plain matrix product's rate that training reaches, before anything was measured here: 0.38-0.56 for the
demo's three backbones on two cores of an AMD EPYC."""
HEAD_MACS = 144 * 256**2
"""Multiply-adds of a U-Net's head over one image of 256 px, for each class: 3 × 3 over 16 channels."""


@dataclass(frozen=True)
class Estimate:
    """The expected time of a study, and what it rests on."""

    runs: dict[str, float]
    """Name of a run -> its seconds, in the order of the queue."""
    at_once: int
    """Runs that train at the same time."""
    measured: bool
    """From runs on this machine; otherwise a rough guess."""
    accuracy: Accuracy | None = None
    """Of earlier estimates."""
    before: int = 0
    """Runs that train or wait already."""

    @property
    def seconds(self) -> float:
        """Until the last run is done, where nothing else trains."""
        return wall_time(self.runs.values(), self.at_once)

    @property
    def basis(self) -> str:
        """What it rests on and how good such estimates were, in plain words."""
        how = "one run after another" if self.at_once == 1 else f"{self.at_once} runs at once"
        why = "from the speed of earlier runs here" if self.measured else "a rough guess until a first run is done here"
        when = f", {self.once_started}" if self.before else ""
        return f"On this machine, {how}{when}; {why}. {_told(self.accuracy)}".strip()

    @property
    def once_started(self) -> str:
        """From when on the time counts, in words; empty where the runs start at once."""
        if not self.before:
            return ""
        return f"once they start: {plural(self.before, 'run')} {'is' if self.before == 1 else 'are'} before them"


def _told(accuracy: Accuracy | None) -> str:
    if accuracy is None:
        return ""
    parts = [
        f"{percent(value, 0)} {when}"
        for value, when in ((accuracy.at_launch, "at the launch"), (accuracy.after_epoch, "after the first epoch"))
        if value is not None
    ]
    return f"Earlier estimates were off by {' and '.join(parts)} (median of {plural(accuracy.runs, 'run')})."


def estimate(
    config: StudyConfig,
    classes: int,
    split: Split,
    store: RunStore,
    *,
    gpus: int = 0,
    macs: Mapping[str, float] | None = None,
) -> Estimate | None:
    """Return how long the study's runs will take.

    None where the cost of a network is not known beforehand (a backbone outside the catalog or a decoder other than
    U-Net, until that combination has been trained here), or where nothing has been trained on the GPUs yet.

    Args:
        config: what is asked for.
        classes: that are learnt.
        split: of the dataset, or of the study that is to grow; folds are made of its train and val images.
        store: of the runs whose speed is known.
        gpus: how many train here; 0 for the processor.
        macs: backbone -> multiply-adds of a forward pass over one image of the recipe's size, where they were counted.
    """
    device = "cuda" if gpus else "cpu"
    rows = store.statuses()
    measured = [item for item in measure_runs(store, rows) if item.device == device]
    if gpus and not measured:
        return None
    recipe = config.recipe
    at_once = gpus or store.queue_settings().slots
    threads = worker_threads(store.queue_settings().slots)
    try:
        sizes: Sizes = image_sizes(store, config.dataset) if recipe.geometry == "crop" else {}
    except NotFoundError:
        return None
    folds = config.folds
    work = recipe.epochs * (fold_passes(recipe, split, folds, sizes) if folds else passes(recipe, split, sizes))
    seconds = {}
    for encoder in config.encoders:
        cost = (macs or {}).get(encoder) or network_macs(config, encoder, classes, measured)
        if cost is None:
            return None
        rate = _rate(measured, encoder.split(".")[0], config.decoder, recipe, None if gpus else threads)
        seconds[encoder] = cost * work / rate
    overheads = [item.overhead for item in measured if item.overhead is not None][:RECENT]
    startup = statistics.median(overheads) if overheads else STARTUP_SECONDS
    runs = {
        run_name(encoder, config.weights, seed, fold): seconds[encoder] + startup for seed, fold, encoder in config.grid
    }
    if "auto" in (recipe.precision, recipe.memory_format) and not _has_chosen(store, config.name):
        runs[next(iter(runs))] += CHOOSING_SECONDS
    before = sum(status.state.active for _, status in rows)
    return Estimate(runs, at_once, measured=bool(measured), accuracy=history(rows), before=before)


def network_macs(config: StudyConfig, encoder: str, classes: int, measured: Iterable[Measured]) -> float | None:
    """Return the multiply-adds of a forward pass over one image, as far as they are known without torch."""
    scale = (config.recipe.image_size / 256) ** 2
    for item in measured:
        if (item.encoder, item.decoder) == (encoder.split(".")[0], config.decoder):
            return (item.macs_256 + item.head_256 * classes) * scale
    backbone = find(encoder)
    if backbone is None or config.decoder != "unet":
        return None
    return (backbone.unet_macs + HEAD_MACS * (classes - COUNTED_CLASSES)) * scale


def _rate(measured: Sequence[Measured], encoder: str, decoder: str, recipe: Recipe, threads: int | None) -> float:
    """Return the multiply-adds a second to expect: the middle of the latest runs that are most like this one."""
    if not measured:
        # The test runs on all cores.
        return EFFICIENCY * machine_rate() * min(1.0, (threads or 1) / cores())
    chosen = next((item.precision for item in measured if item.precision_chosen), None)
    precision = chosen if recipe.precision == "auto" else recipe.precision
    likenesses: tuple[Callable[[Measured], bool], ...] = (
        lambda item: item.precision == precision,
        lambda item: (item.encoder, item.decoder) == (encoder, decoder),
        lambda item: item.threads == threads,
    )
    rows = list(measured)
    for like in likenesses:
        rows = [item for item in rows if like(item)] or rows
    # With other threads it is taken to go faster or slower in proportion, until it was measured.
    return statistics.median(
        item.rate * (threads / item.threads if threads and item.threads else 1.0) for item in rows[:RECENT]
    )


def worker_threads(slots: int) -> int:
    """Return how many threads a worker on the processor will have, of `slots` at once."""
    asked = os.environ.get(THREADS, "")
    given = int(asked) if asked.isdecimal() and int(asked) else None
    if slots > 1:
        share = max(1, cores() // slots)
        return min(share, given or share)
    # Without being told, torch takes the physical cores.
    return given or min(cores(), psutil.cpu_count(logical=False) or cores())


def wall_time(seconds: Iterable[float], at_once: int) -> float:
    """Return when the last of the runs ends, each taking the place that is free first."""
    ends = [0.0] * max(1, at_once)
    for length in seconds:
        heapq.heapreplace(ends, ends[0] + length)
    return max(ends)


def _has_chosen(store: RunStore, study: str) -> bool:
    """Whether the study knows its precision already."""
    try:
        return store.study(study).execution() is not None
    except NotFoundError:
        return False


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
