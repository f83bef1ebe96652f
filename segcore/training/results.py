"""Writing down what an epoch came to."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from segcore.data.loaders import Loaders
from segcore.errors import LaunchError
from segcore.files import atomic_path
from segcore.models.build import Segmenter
from segcore.records import EpochRecord
from segcore.runqueue import queue_lock
from segcore.runs import SHARED_FILES, Evaluation, Run
from segcore.training.checkpoint import save_weights
from segcore.training.loop import EpochResult
from segcore.workspace import Workspace

PREVIEWS = 4
"""Validation images whose predictions are kept after each epoch."""


def preview_positions(images: int) -> tuple[int, ...]:
    """Return the positions of up to `PREVIEWS` of the validation images, evenly spread to show several scenes."""
    return tuple(sorted({int(position) for position in np.linspace(0, images - 1, min(PREVIEWS, images))}))


def write_epoch(run: Run, result: EpochResult, model: Segmenter, loaders: Loaders) -> None:
    """Write an epoch's previews, its weights and counts where it is the best so far, and its record.

    Writing it again, after a kill in between, leaves the same.
    """
    record = result.record
    run.previews_directory.mkdir(exist_ok=True)
    for position, labels in result.previews.items():
        _write_labels(run.preview_path(record.epoch, loaders.val_names[position]), labels)
    if record.best:
        save_weights(model, run.best_weights)
        run.write_evaluation(
            Evaluation(loaders.val_names, loaders.val_groups, result.counts, record.epoch, sizes=result.sizes)
        )
    run.append_epoch(record)


def restore_records(run: Run, saved: dict[str, Any]) -> str:
    """Write again the records of epochs that a state tells of but the run's file has lost; return what to say of it.

    The state is flushed to the disk and the records are not: where power fails, the last of them can be missing.
    """
    there = {record.epoch for record in run.epochs()}
    lost = [EpochRecord(**row) for row in saved.get("records", []) if row["epoch"] not in there]
    for record in lost:
        run.append_epoch(record)
    epochs = ", ".join(str(record.epoch) for record in lost)
    return f"The record of epoch {epochs} was damaged; it is restored from the state." if lost else ""


def describe(record: EpochRecord, epochs: int) -> str:
    """Return an epoch as a line of the log."""
    return (
        f"epoch {record.epoch}/{epochs}  "
        f"loss {record.train_loss:.4f} / {record.val_loss:.4f}  "
        f"accuracy {record.train_pixel_accuracy:.4f} / {record.val_pixel_accuracy:.4f}  "
        f"mIoU {record.train_miou:.4f} / {record.val_miou:.4f}  (training / validation)  "
        f"{record.images_per_second:.1f} images/s"
    )


def remove_leftovers(run: Run) -> None:
    """Delete half-written files of a life that was killed; only the run's worker may.

    Others may just be writing the files that they share with it, but only while they hold the queue's lock.
    """
    shared = tuple(f".{name}." for name in SHARED_FILES)
    late = []
    for directory in (run.path, run.last_directory, run.previews_directory):
        for file in directory.glob(".*.tmp"):
            if file.name.startswith(shared):
                late.append(file)
            else:
                file.unlink(missing_ok=True)
    if late:
        with suppress(LaunchError), queue_lock(Workspace(run.path.parents[2])):  # they do no harm: next time, then
            for file in late:
                file.unlink(missing_ok=True)


def _write_labels(path: Path, labels: np.ndarray) -> None:
    done, data = cv2.imencode(".png", labels)
    assert done
    with atomic_path(path) as temporary:
        temporary.write_bytes(data.tobytes())
