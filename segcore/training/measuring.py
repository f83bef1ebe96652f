"""Measuring once more what a trained network costs: where the machine was busy at the end of its training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from filelock import Timeout

from segcore.errors import ExistsError, NotFoundError
from segcore.models.build import skeleton
from segcore.runs import Run, Study
from segcore.training.checkpoint import load_weights
from segcore.training.device import best_device
from segcore.training.precision import Execution, Mode
from segcore.training.provenance import timing

PATIENCE = 20.0
"""Seconds to wait at most for the machine to be otherwise idle."""


def measure_again(run: Run, *, patience: float = PATIENCE) -> dict[str, Any]:
    """Measure latency and throughput of a run's best weights on this machine, now, and put them into its cost.

    It computes as the run did: in the study's mode and, on a processor, with as many threads.

    Args:
        run: trained far enough to have weights.
        patience: seconds to wait at most for the machine to be otherwise idle; it is measured all the same then.

    Returns:
        What is new in `Run.cost`.

    Raises:
        NotFoundError: it has no weights yet, or is gone.
        ExistsError: it is training.
        WeightsError: its weights are damaged.
    """
    if not run.best_weights.exists():
        raise NotFoundError(f"Run {run.study_name}/{run.name} has no weights yet; it can be measured after an epoch.")
    try:
        with run.worker_lock().acquire(timeout=0):
            config, device = run.config, best_device()
            classes = len(config.dataset.trained_classes)
            model = skeleton(config.encoder, config.decoder, classes, config.recipe.image_size)
            load_weights(model, run.best_weights)
            mode = _mode(run, device)
            with _threads(run.cost().get("threads")):
                measured = timing(mode.apply(model.to(device)), config.recipe, device, mode, patience=patience)
            run.write_cost({**run.cost(), **measured})
    except Timeout as error:
        raise ExistsError(f"Run {run.name} is training; it measures its speed itself at the end.") from error
    return measured


def _mode(run: Run, device: torch.device) -> Mode:
    execution = Study(run.path.parent).execution()
    # A compiled network is measured as it is without compiling: see `timing`.
    return replace(Execution.from_json(execution).on(device)[0], compile=False) if execution else Mode()


@contextmanager
def _threads(count: object) -> Iterator[None]:
    """Compute with that many threads for a while, where it is a number of threads."""
    before = torch.get_num_threads()
    try:
        if isinstance(count, int) and count > 0:
            torch.set_num_threads(count)
        yield
    finally:
        torch.set_num_threads(before)
