"""The process that trains one run: `python -m segcore.training.worker RUN_DIR`.

It is the only writer of the run's status, records and weights while it lives. Exit codes: 0 when the run
finished or was stopped as asked, 1 when it failed (status.json says why), 3 when another worker has it.
"""

from __future__ import annotations

import signal
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType

import cv2
import numpy as np
import torch
from filelock import Timeout

from segcore.config import IGNORE_INDEX, RunConfig
from segcore.data.loaders import Loaders, build_loaders
from segcore.data.prepared import Prepared, prepare
from segcore.data.store import DatasetStore
from segcore.errors import DatasetError, SegcoreError, TrainingError
from segcore.evaluation.metrics import majority_baseline
from segcore.files import atomic_path
from segcore.models.build import Segmenter, build
from segcore.models.weights import default_directories
from segcore.records import StepRecord
from segcore.runs import Evaluation, Run
from segcore.status import OTHER_WORKER, RunState, process_identity
from segcore.training.checkpoint import load_state, save_state, save_weights
from segcore.training.device import best_device
from segcore.training.loop import EpochResult, TrainingState, fit
from segcore.training.provenance import collect, network_cost, timing
from segcore.workspace import Workspace

PREVIEWS = 4
"""Validation images whose predictions are kept after each epoch."""
STATUS_SECONDS = 0.5
"""How often the status is written, at most."""


class StopRequested(Exception):
    """A person, or the system by SIGTERM, asked the run to stop."""


class Worker:
    """Trains one run and writes its directory."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.config: RunConfig = run.config
        self.workspace = Workspace(run.path.parents[2])
        self.device = best_device()
        self.status = replace(run.status, state=RunState.RUNNING, phase="starting", **process_identity())
        self.began = time.time()
        self.seconds_before = self.status.seconds
        self.terminated = False
        self._written = 0.0

    def work(self) -> None:
        """Train from where the run stands to its end.

        Raises:
            StopRequested: asked to stop; what was learnt up to the last whole epoch is kept.
            SegcoreError: it cannot go on.
        """
        self.tell(started=self.status.started or self.began, ended=None, message="", hint="")
        remove_leftovers(self.run)
        loaders = self.load_data()
        saved = load_state(self.run, self.device)
        model = self.build_model(resumed=saved is not None)
        state = TrainingState.start(
            model,
            self.config.recipe,
            pretrained=self.config.weights == "pretrained",
            steps_per_epoch=loaders.steps_per_epoch,
        )
        if saved is not None:
            state.load_state_dict(saved)
            print(f"Going on after epoch {state.epoch}.", flush=True)
        self.train(state, loaders)
        self.tell(phase="measuring its speed", eta=None)
        self.run.write_cost({**self.run.cost(), **timing(model, self.config.recipe.image_size, self.device)})
        self.tell(state=RunState.FINISHED, phase="", ended=time.time(), eta=None)
        print(f"Finished; best validation mIoU {state.best_miou:.4f} after epoch {state.best_epoch}.", flush=True)

    def load_data(self) -> Loaders:
        """Prepare the dataset where that is not done yet, and divide it as the study says."""
        config = self.config
        dataset = DatasetStore(self.workspace).get(config.dataset.name)

        def checking(done: int, total: int) -> None:
            self.tell(phase=f"checking image {done} of {total}")

        def preparing(done: int, total: int) -> None:
            self.tell(phase=f"preparing image {done} of {total}")

        if dataset.changed():
            dataset.refresh(checking)  # other times do not mean other files
        if dataset.fingerprint != config.dataset_fingerprint:
            raise DatasetError(
                f"Dataset {dataset.name!r} has changed since study {config.study!r} was launched; its runs would no "
                "longer compare. Launch a new study on the dataset as it is now."
            )
        prepared = prepare(dataset, config.recipe.image_size, preparing)
        split = self.run.split
        loaders = build_loaders(prepared, split, config.recipe, seed=config.seed)
        self.tell(
            phase="building the network",
            majority_baseline=_baseline(prepared, split.val),
            steps=loaders.steps_per_epoch * config.recipe.epochs,
        )
        print(f"{len(split.train)} images to train on, {len(split.val)} to validate.", flush=True)
        return loaders

    def build_model(self, *, resumed: bool) -> Segmenter:
        """Build the network, from the seed where it starts from scratch, and write down what it is.

        A resumed run has all its weights in its checkpoint: the pretrained file may be gone by then.
        """
        config = self.config
        torch.manual_seed(config.seed)
        folders = [config.weights_file.parent] if config.weights_file else []
        model = build(
            config.encoder,
            decoder=config.decoder,
            weights="none" if resumed else config.weights,
            classes=len(config.dataset.trained_classes),
            image_size=config.recipe.image_size,
            weights_dirs=[*folders, *default_directories(self.workspace)],
        ).to(self.device)
        made_of = collect(config, model, self.device)
        first = self.run.provenance()
        if resumed and first:
            # The start stays as it was; each further life is added.
            made_of = {**first, "resumed": [*first.get("resumed", []), {**made_of, "weights": "checkpoint"}]}
        self.run.write_provenance(made_of)
        self.run.write_cost({**self.run.cost(), **network_cost(config)})
        return model

    def train(self, state: TrainingState, loaders: Loaders) -> None:
        """Write down what the loop tells, and save the state after each epoch."""
        recipe = self.config.recipe
        total = loaders.steps_per_epoch * recipe.epochs
        preview = _spread(len(loaders.val_names), PREVIEWS)
        began, first_step, last_line = time.perf_counter(), state.step, 0.0
        self.tell(phase="training", epoch=state.epoch, step=state.step)
        for event in fit(state, loaders, recipe, seed=self.config.seed, device=self.device, preview=preview):
            if isinstance(event, StepRecord):
                if time.perf_counter() - last_line > STATUS_SECONDS:
                    last_line = time.perf_counter()
                    self.run.append_step(event)
                left = (time.perf_counter() - began) / (event.step - first_step) * (total - event.step)
                self.tell(phase="training", step=event.step, eta=left)
            elif isinstance(event, EpochResult):
                self.keep(event, state, loaders)
                self.tell(phase="training", epoch=state.epoch)
            else:
                self.tell(phase="validating")

    def keep(self, result: EpochResult, state: TrainingState, loaders: Loaders) -> None:
        """Write an epoch's results. The state comes last: a kill in between makes the epoch be done again,
        with the same results."""
        record = result.record
        self.run.previews_directory.mkdir(exist_ok=True)
        for position, labels in result.previews.items():
            _write_labels(self.run.preview_path(record.epoch, loaders.val_names[position]), labels)
        if record.best:
            save_weights(state.model, self.run.best_weights)
            self.run.write_evaluation(
                Evaluation(loaders.val_names, loaders.val_groups, result.counts, epoch=record.epoch)
            )
        self.run.append_epoch(record)
        save_state(self.run, state.state_dict())
        print(
            f"epoch {record.epoch}/{self.config.recipe.epochs}  "
            f"loss {record.train_loss:.4f} / {record.val_loss:.4f}  "
            f"accuracy {record.train_pixel_accuracy:.4f} / {record.val_pixel_accuracy:.4f}  "
            f"mIoU {record.train_miou:.4f} / {record.val_miou:.4f}  (training / validation)  "
            f"{record.images_per_second:.1f} images/s",
            flush=True,
        )

    def tell(self, **changes: object) -> None:
        """Change the status; write it if anything but the progress changed, or some time has passed.

        Raises:
            StopRequested: this is also where a request to stop is noticed.
        """
        before = self.status
        now = time.time()
        self.status = replace(
            before,
            **{"heartbeat": now, "seconds": self.seconds_before + now - self.began, **changes},  # type: ignore[arg-type]
        )
        news = (self.status.state, self.status.epoch) != (before.state, before.epoch)
        if not news and now - self._written < STATUS_SECONDS:
            return
        self._written = now
        self.run.write_status(self.status)
        if self.status.state is RunState.RUNNING and (self.terminated or self.run.stop_requested()):
            raise StopRequested

    def end(self, state: RunState, message: str, hint: str = "") -> None:
        """Write the last word of a run that did not finish."""
        print(message, hint, flush=True)
        self.tell(state=state, phase="", ended=time.time(), eta=None, message=message, hint=hint)


def remove_leftovers(run: Run) -> None:
    """Delete half-written files of a life that was killed; no other process writes here now."""
    for directory in (run.path, run.last_directory, run.previews_directory):
        for file in directory.glob(".*.tmp"):
            file.unlink(missing_ok=True)


def _baseline(prepared: Prepared, names: Sequence[str]) -> float:
    """Return the majority-class line of the images `names`."""
    counts = np.zeros(IGNORE_INDEX + 1, dtype=np.int64)
    for name in names:
        labels = np.asarray(prepared.labels[prepared.index_of(name)])
        counts += np.bincount(labels.ravel(), minlength=len(counts))
    return majority_baseline(np.diag(counts[:IGNORE_INDEX]))


def _spread(length: int, count: int) -> tuple[int, ...]:
    """Return up to `count` positions spread evenly over `length`, so that they show several scenes."""
    return tuple(sorted({int(position) for position in np.linspace(0, length - 1, min(count, length))}))


def _write_labels(path: Path, labels: np.ndarray) -> None:
    done, data = cv2.imencode(".png", labels)
    assert done
    with atomic_path(path) as temporary:
        temporary.write_bytes(data.tobytes())


def main(arguments: Sequence[str] | None = None) -> int:
    """Train the run whose directory is the only argument; return the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if len(arguments) != 1:
        print("usage: python -m segcore.training.worker RUN_DIR", file=sys.stderr)
        return 2
    run = Run(Path(arguments[0]).resolve())
    try:
        with run.worker_lock().acquire(timeout=0):
            return _train(run)
    except Timeout:
        print(f"Another worker trains {run.name} already.", file=sys.stderr)
        return OTHER_WORKER


def _train(run: Run) -> int:
    worker = Worker(run)

    def on_terminate(_signal: int, _frame: FrameType | None) -> None:
        worker.terminated = True

    signal.signal(signal.SIGTERM, on_terminate)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is meant for whoever follows the run
    try:
        worker.work()
        return 0
    except StopRequested:
        run.clear_request()
        done = worker.status.epoch
        after = f"after epoch {done}" if done else "before its first epoch was done"
        worker.end(RunState.STOPPED, f"Stopped {after}.", "Resume it to go on from there.")
        return 0
    except SegcoreError as error:
        worker.end(RunState.FAILED, str(error), _hint(error))
    except (MemoryError, torch.OutOfMemoryError):
        traceback.print_exc()
        worker.end(
            RunState.FAILED,
            "There was not enough memory.",
            f"Launch with a batch size below {worker.config.recipe.batch_size}, a smaller image size or backbone.",
        )
    except BaseException as error:
        # The last word must be written whatever happens; the traceback goes to the log.
        traceback.print_exc()
        worker.end(RunState.FAILED, f"{type(error).__name__}: {error}", "The log has the details.")
        if not isinstance(error, Exception):
            raise
    return 1


def _hint(error: SegcoreError) -> str:
    return "Delete the run once it is understood." if isinstance(error, TrainingError) else "Mend that, then resume."


if __name__ == "__main__":
    sys.exit(main())
