"""What a run trains on: its dataset, prepared and divided, and what that means for the time it takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from segcore.config import IGNORE_INDEX, Recipe, RunConfig
from segcore.data.launched import as_launched
from segcore.data.loaders import Loaders, ValLoaders, build_loaders, build_val_loaders
from segcore.data.prepared import Prepared, prepare, prepared_size
from segcore.data.splits import Split
from segcore.data.store import DatasetStore
from segcore.evaluation.metrics import majority_baseline
from segcore.training.group import Group
from segcore.training.pace import Pace
from segcore.training.validation import count_windows
from segcore.workspace import Workspace

LOADER_PROCESSES = 8
"""At most, beside a GPU. On a CPU that trains itself, more processes would only take its time."""


def prepare_data(config: RunConfig, workspace: Workspace, tell: Callable[[str], None]) -> Prepared:
    """Return the run's dataset, prepared now where that is not done yet, or is damaged.

    What was decided about the dataset since the launch does not touch the run.

    Raises:
        DatasetError: its files are not those that the study was launched on, or cannot be used any more.
    """
    dataset = as_launched(
        DatasetStore(workspace).get(config.dataset.name),
        config.dataset,
        config.dataset_fingerprint,
        lambda done, total: tell(f"checking image {done} of {total}"),
    )
    size = prepared_size(config.recipe)
    return prepare(
        dataset,
        size,
        lambda done, total: tell(f"preparing image {done} of {total}"),
        checking=lambda done, total: tell(f"checking the prepared images, {done} of {total}"),
    )


def divide(prepared: Prepared, split: Split, config: RunConfig, group: Group) -> Loaders:
    """Return this process's batches of the run."""
    return build_loaders(prepared, split, config.recipe, **_shared(config, group))


def judged_on(prepared: Prepared, names: Sequence[str], config: RunConfig, group: Group) -> ValLoaders:
    """Return images that the run's network is judged on, as its validation images come in training."""
    return build_val_loaders(prepared, names, config.recipe, **_shared(config, group))


def _shared(config: RunConfig, group: Group) -> dict[str, Any]:
    on_gpu = group.device.type == "cuda"
    return {
        "seed": config.seed,
        "workers": min(LOADER_PROCESSES, max(1, torch.get_num_threads() - 1)) if on_gpu else 0,
        "rank": group.rank,
        "world": group.world,
        "pin": on_gpu,
    }


def baseline(prepared: Prepared, names: Sequence[str]) -> float:
    """Return the majority-class line of the images `names`."""
    counts = np.zeros(IGNORE_INDEX + 1, dtype=np.int64)
    for name in names:
        labels = prepared.label_map(prepared.index_of(name))
        counts += np.bincount(labels.ravel(), minlength=len(counts))
    return majority_baseline(np.diag(counts[:IGNORE_INDEX]))


def make_pace(prepared: Prepared, loaders: Loaders, split: Split, recipe: Recipe, measured: list[float]) -> Pace:
    """Return what reckons the time to go; `measured` are the seconds of the epochs done so far."""
    if loaders.window is None:
        validation = len(split.val) / len(split.train)
    else:
        shapes = prepared.shapes[[prepared.index_of(name) for name in split.val]]
        windows = sum(count_windows(height, width, loaders.window) for height, width in shapes.tolist())
        validation = windows / (len(split.train) * recipe.crops_per_image)
    return Pace(recipe.epochs, loaders.steps_per_epoch, validation, measured)
