"""What the runs of this machine have measured: how fast it trains, and how good earlier estimates were."""

from __future__ import annotations

import math
import socket
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from segcore.config import Recipe
from segcore.data.splits import Split
from segcore.data.store import DatasetStore
from segcore.errors import SegcoreError
from segcore.runs import Run, Study
from segcore.status import RunState, Status
from segcore.store import RunStore

BACKWARD = 2.0
"""Multiply-adds of a backward pass, in forward passes: one for the activations, one for the weights."""
OVERLAP = 0.25
"""Share of a window that its neighbour covers too, where whole images are validated in windows."""
RECENT = 12
"""Runs that a rate is taken from, at most: the latest, as machine and program change."""

Sizes = Mapping[str, tuple[int, int]]
"""Name of an image -> its (width, height) in pixels."""


@dataclass(frozen=True)
class Measured:
    """What one run tells of its network on this machine."""

    encoder: str
    """Without its tag."""
    decoder: str
    macs_256: float
    """Multiply-adds of a forward pass over one image of 256 px, without the head."""
    head_256: float
    """Those of the head, for each class."""
    rate: float
    """Multiply-adds a second that its training reached, validation included."""
    overhead: float | None
    """Seconds of the run outside of its epochs; None where it is not finished."""
    device: str
    """`cpu` or `cuda`."""
    threads: int | None
    precision: str | None
    """In which it trained; None where that was not written down."""
    precision_chosen: bool
    """Chosen by measuring, not by a person."""
    when: float
    """When it last gave a sign of life."""


@dataclass(frozen=True)
class Accuracy:
    """How far off the estimates of finished runs were, in the middle case, as shares of what they took."""

    runs: int
    at_launch: float | None
    after_epoch: float | None
    """Of the estimates made once the first epoch was done."""


def measure_runs(store: RunStore, rows: Iterable[tuple[Run, Status]]) -> list[Measured]:
    """Return what the runs of this machine have measured, the latest first; unreadable runs tell nothing.

    Of runs that are alike in all that a rate is chosen by, only the latest `RECENT` are read: of thousands, reading all
    would take longer than a person waits, and no rate would be another.

    Args:
        store: of the runs.
        rows: all of them, with their status.
    """
    sizes_of, execution_of = cache(partial(image_sizes, store)), cache(_execution)
    alike: Counter[tuple[object, ...]] = Counter()
    found = []
    for run, status in sorted(_here(rows), key=lambda row: -_when(row[1])):
        with suppress(SegcoreError):
            study = Study(run.path.parent)
            execution = execution_of(study.path)
            # Its name tells the backbone without reading its files.
            backbone = run.name.rpartition("-seed")[0]
            kind = backbone, study.decoder, status.device, status.threads, *execution
            if alike[kind] < RECENT and (measured := _measured(run, status, execution, sizes_of)) is not None:
                alike[kind] += 1
                found.append(measured)
    return found


def history(rows: Iterable[tuple[Run, Status]]) -> Accuracy | None:
    """Return how far off earlier estimates were on this machine, of all runs with their status; None before one with
    an estimate has finished."""
    finished = [status for _, status in _here(rows) if status.state is RunState.FINISHED]
    at_launch = [_off(status.predicted, status.seconds) for status in finished if status.predicted]
    after_epoch = [
        _off(status.predicted_after_epoch, status.seconds) for status in finished if status.predicted_after_epoch
    ]
    if not at_launch and not after_epoch:
        return None
    return Accuracy(
        runs=max(len(at_launch), len(after_epoch)),
        at_launch=statistics.median(at_launch) if at_launch else None,
        after_epoch=statistics.median(after_epoch) if after_epoch else None,
    )


def _off(predicted: float | None, actual: float) -> float:
    return abs((predicted or 0.0) - actual) / max(actual, 1e-9)


def _here(rows: Iterable[tuple[Run, Status]]) -> list[tuple[Run, Status]]:
    host = socket.gethostname()
    return [(run, status) for run, status in rows if status.host == host and status.epoch > 0]


def _when(status: Status) -> float:
    return status.ended or status.heartbeat or status.queued


def _execution(study: Path) -> tuple[str | None, bool]:
    """Return in which precision the runs of a study train, and whether that was chosen by measuring."""
    execution = Study(study).execution() or {}
    return execution.get("precision"), bool(execution) and not execution.get("forced")


def _measured(
    run: Run, status: Status, execution: tuple[str | None, bool], sizes_of: Callable[[str], Sizes]
) -> Measured | None:
    cost, epochs = run.cost(), run.epochs()
    if not cost.get("macs") or not epochs:
        return None
    config = run.config
    recipe, classes = config.recipe, len(config.dataset.trained_classes)
    sizes: Sizes = sizes_of(config.dataset.name) if recipe.geometry == "crop" else {}
    seconds = [record.seconds for record in epochs]
    scale = (256 / recipe.image_size) ** 2
    head = cost.get("macs_head", 0.0)
    precision, chosen = execution
    return Measured(
        encoder=config.encoder.split(".")[0],
        decoder=config.decoder,
        macs_256=(cost["macs"] - head) * scale,
        head_256=head / classes * scale,
        rate=cost["macs"] * passes(recipe, run.split, sizes) / max(statistics.median(seconds), 1e-9),
        overhead=max(0.0, status.seconds - sum(seconds)) if status.state is RunState.FINISHED else None,
        device=str(status.device or cost.get("device") or "cpu").split(":")[0],
        threads=status.threads or cost.get("threads"),
        precision=precision,
        precision_chosen=chosen,
        when=_when(status),
    )


def image_sizes(store: RunStore, dataset: str) -> Sizes:
    """Return the size of every usable image of a dataset.

    Raises:
        NotFoundError: there is no such dataset (any more).
    """
    return {fact.name: fact.size for fact in DatasetStore(store.workspace).get(dataset).facts}


def passes(recipe: Recipe, split: Split, sizes: Sizes) -> float:
    """Return the forward passes over one image of the recipe's size that an epoch takes, a backward pass as two.

    Args:
        recipe: of the run.
        split: of its dataset.
        sizes: of the validation images; needed with crops only. One that is missing counts as one window.
    """
    return _trained(recipe, len(split.train)) + _validated(recipe, split.val, sizes)


def fold_passes(recipe: Recipe, split: Split, folds: int, sizes: Sizes) -> float:
    """Return the same for one of the folds into which the train and val images of `split` are divided, on average.

    Of k folds each image is judged on in one and trained on in k - 1.
    """
    names = (*split.train, *split.val)
    return ((folds - 1) * _trained(recipe, len(names)) + _validated(recipe, names, sizes)) / folds


def _trained(recipe: Recipe, images: int) -> float:
    return (1 + BACKWARD) * images * (recipe.crops_per_image if recipe.geometry == "crop" else 1)


def _validated(recipe: Recipe, names: Sequence[str], sizes: Sizes) -> float:
    if recipe.geometry == "resize":
        return float(len(names))
    side = recipe.image_size
    edges = (sizes.get(name, (side, side)) for name in names)
    return float(sum(_windows(width, side) * _windows(height, side) for width, height in edges))


def _windows(length: int, window: int) -> int:
    """Return how many overlapping windows cover an edge; as `inference.tiling` places them."""
    return 1 + math.ceil(max(0, length - window) / max(1, math.floor(window * (1 - OVERLAP))))
