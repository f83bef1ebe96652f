"""The short measurement by which a study gets its precision and memory format; see `precision`."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from filelock import Timeout

from segcore.config import Recipe, RunConfig
from segcore.errors import WorkspaceError
from segcore.models import catalog
from segcore.models.build import Segmenter, skeleton
from segcore.runs import Study
from segcore.training.device import device_name, out_of_memory
from segcore.training.losses import SegmentationLoss, pixel_sums
from segcore.training.optim import build_optimizer
from segcore.training.precision import Execution, Mode, Rate, candidates, choose, compiling_pays, explain
from segcore.training.state import new_scaler

SECONDS = 20.0
"""How long a measurement takes, about; longer only where two steps of each mode do."""
ROUNDS = 8
"""Timed steps of each mode, at most."""
HOPELESS = 2.0
"""A mode whose first step takes this many times the best one's is not tried again."""
WORTH_COMPILING = 600.0
"""Seconds of training below which no compilation, of half a minute and more, could pay."""

Tell = Callable[[str], None]
"""Called with a line on what is done; it may raise to end the measurement."""


def settle(
    study: Study,
    config: RunConfig,
    device: torch.device,
    *,
    batch_size: int,
    steps: int,
    tell: Tell,
    check: Callable[[], None],
) -> Execution:
    """Return how the study's runs compute; the first run to ask measures it, the others wait for its answer.

    Args:
        study: the run's study.
        config: the run's.
        device: where it will train.
        batch_size: images of a step on this device.
        steps: of the whole run, by which a compilation would have to pay.
        tell: called between steps.
        check: called before anything is written; it raises where that must not be.

    Raises:
        NotFoundError: the study was removed.
        WorkspaceError: the study's execution.json is damaged or cannot be written.
    """
    while True:
        if (known := study.execution()) is not None:
            return Execution.from_json(known)
        check()
        try:
            with study.execution_lock().acquire(timeout=0.5):
                if study.execution() is None:
                    decided = _decide(study, config, device, batch_size, steps, tell)
                    check()
                    study.write_execution(decided.to_json())
        except Timeout:
            tell("waiting for another run of the study to measure which precision is fastest")


def _decide(
    study: Study, config: RunConfig, device: torch.device, batch_size: int, steps: int, tell: Tell
) -> Execution:
    recipe, modes = config.recipe, candidates(config.recipe, device)
    shared: dict[str, Any] = {"batch_size": batch_size, "image_size": recipe.image_size, "device": device_name(device)}
    if len(modes) == 1 and device.type != "cuda":
        forced = "auto" not in (recipe.precision, recipe.memory_format)
        reason = "as the recipe says." if forced else "nothing else can be chosen here."
        return Execution(modes[0], f"{modes[0]}: {reason}", forced=forced, encoder=config.encoder, **shared)
    for encoder in costliest_first(study, config):
        try:
            rates, notes = _measure(encoder, config, device, modes, batch_size, steps, tell)
        except (RuntimeError, MemoryError) as error:
            # Too large for this machine: its own run will say so; the others go on.
            if not out_of_memory(error) or encoder == config.encoder:
                raise
            continue
        finally:
            gc.collect()
            if device.type == "cuda":
                torch.cuda.empty_cache()
        chosen = choose(rates)
        reason = explain(rates, chosen, recipe, device, notes)
        reason += f" Measured with {catalog.title(encoder)}, {batch_size} images of {recipe.image_size} px a step."
        forced = "auto" not in (recipe.precision, recipe.memory_format)
        return Execution(chosen.mode, reason, tuple(rates), forced=forced, encoder=encoder, **shared)
    raise AssertionError("the run's own backbone is always among those tried")


def costliest_first(study: Study, config: RunConfig) -> list[str]:
    """Return the study's backbones from the costliest down to the run's own; one that the catalog does not know
    can only be tried by its own run, and is then tried alone."""

    def macs(encoder: str) -> int:
        backbone = catalog.find(encoder)
        return backbone.unet_macs if backbone else 0

    own = macs(config.encoder)
    if not own:
        return [config.encoder]
    costlier = set()
    for run in study.runs():
        try:
            encoder = run.config.encoder
        except WorkspaceError:
            continue  # damaged or just removed
        if macs(encoder) > own:
            costlier.add(encoder)
    return [*sorted(costlier, key=macs, reverse=True), config.encoder]


def _measure(
    encoder: str, config: RunConfig, device: torch.device, modes: list[Mode], batch_size: int, steps: int, tell: Tell
) -> tuple[list[Rate], list[str]]:
    """Return the rates of the modes, the simplest first, and what else is to be said."""
    trial = Trial(encoder, config, device, batch_size)
    names = ", ".join(dict.fromkeys(word for mode in modes for word in (mode.precision, mode.memory_format)))
    notes: list[str] = []
    seconds: dict[Mode, float] = {}
    began = time.perf_counter()
    # The first round warms up and is not counted, but shows what is hopeless or too large.
    trying = list(modes)
    for number in range(ROUNDS + 1):
        spent = time.perf_counter() - began
        if spent > (SECONDS if number > 2 else 3 * SECONDS) and number > 1:
            break
        for mode in list(trying):
            tell(f"measuring which precision is fastest ({names}), round {number + 1}")
            try:
                taken = trial.step(mode)
            except (RuntimeError, MemoryError) as error:
                trying.remove(mode)
                seconds.pop(mode, None)  # also where it ran out only now: it would do so again in the run
                if not out_of_memory(error) or not (trying or seconds):
                    raise
                notes.append(f"There was not enough memory for {mode}.")
                continue
            seconds[mode] = taken if number < 2 else min(seconds[mode], taken)
        best = min(seconds.values())
        trying = [mode for mode in trying if seconds[mode] <= HOPELESS * best]
    rates = [Rate.of(mode, batch_size / seconds[mode]) for mode in modes if mode in seconds]
    if device.type == "cuda":
        chosen = choose(rates)
        plain = batch_size / chosen.images_per_second
        if steps * plain > WORTH_COMPILING:
            tell("measuring whether compiling the network pays")
            compiled = _try_compiling(trial, chosen.mode, plain, steps)
            if compiled is None:
                notes.append("Compiling the network would take longer than it saves.")
            else:
                rates.append(Rate.of(replace(chosen.mode, compile=True), batch_size / compiled))
    return rates, notes


def _try_compiling(trial: Trial, mode: Mode, plain: float, steps: int) -> float | None:
    """Return the seconds of a compiled step, or None where compiling does not pay, or is not possible."""
    compiled = replace(mode, compile=True)
    try:
        began = time.perf_counter()
        trial.step(compiled)
        compilation = time.perf_counter() - began - plain
        trial.step(compiled)
        seconds = min(trial.step(compiled) for _ in range(4))
    except (RuntimeError, MemoryError, OSError):  # no compiler, or kernels that do not fit
        return None
    return seconds if compiling_pays(plain=plain, compiled=seconds, compilation=compilation, steps=steps) else None


class Trial:
    """A network that can do training steps in any mode, on images of noise."""

    def __init__(self, encoder: str, config: RunConfig, device: torch.device, batch_size: int) -> None:
        recipe, classes = config.recipe, len(config.dataset.trained_classes)
        generator = torch.Generator().manual_seed(0)
        shape = (batch_size, recipe.image_size, recipe.image_size)
        self.device = device
        self.model: Segmenter = skeleton(encoder, config.decoder, classes, recipe.image_size).to(device).train()
        self.images = torch.randint(0, 256, (batch_size, 3, *shape[1:]), dtype=torch.uint8, generator=generator)
        self.images = self.images.to(device)
        self.labels = torch.randint(0, classes, shape, generator=generator).to(device)
        self.recipe: Recipe = recipe
        self.loss_of = SegmentationLoss(recipe)
        self._last: Mode | None = None

    def step(self, mode: Mode) -> float:
        """Do one training step and return its seconds."""
        if mode != self._last:
            self.model = mode.apply(self.model)
            self._last = mode
        # New for every step, as its moments must lie in memory as the weights do.
        optimizer, scaler = build_optimizer(self.model, self.recipe, pretrained=False), new_scaler(mode, self.device)
        forward = mode.forward(self.model, self.device)
        self._wait()
        began = time.perf_counter()
        try:
            loss = self.loss_of.of_sums(pixel_sums(forward(self.images), self.labels).sum(0))
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            self._wait()
            return time.perf_counter() - began
        finally:
            self.model.zero_grad(set_to_none=True)  # also where memory ran out: the next mode needs it

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
