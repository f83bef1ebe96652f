"""The store of studies and runs: the only module that knows file names under `studies/`.

    studies/<study>/study.json      what all its runs share
    studies/<study>/split.json      the split, as it was at the launch
    studies/<study>/execution.json  precision and memory format of its runs, measured once by the first
    studies/<study>/<run>/          one directory a run; each file has one writer

Files are the only channel between the app, the command line, the scheduler and the workers, so reading
must bear a file that is being written, a process that died and a directory that vanishes. Nothing here
imports torch.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import MISSING, asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, TypeVar
from zipfile import BadZipFile

import numpy as np
from filelock import FileLock

from segcore.config import DatasetConfig, Recipe, RunConfig
from segcore.data.splits import Split
from segcore.errors import ConfigError, NotFoundError, WorkspaceError
from segcore.files import FileCache, append_json_line, atomic_path, read_json, read_json_lines, tail, write_json
from segcore.inherited import is_held
from segcore.records import EpochRecord, StepRecord
from segcore.status import CLAIMED, RunState, Status, is_alive

Part = Literal["val", "test"]
"""Parts of a split that a network can be judged on."""

SHARED_FILES = ("status.json", "request.json")
"""Files of a run that others than its worker write, too, holding the queue's lock."""


@dataclass(frozen=True)
class Evaluation:
    """Per-image confusion counts of one split under the run's best weights."""

    names: list[str]
    groups: list[str]
    counts: np.ndarray
    """int64 of shape (images, classes, classes): [n, t, p] pixels of true class t predicted as p."""
    epoch: int
    """The epoch after which the weights were taken."""
    sizes: np.ndarray | None = None
    """int64 (images, classes, bins, 2): by class and size of the object (connected region of the mask) that a labelled
    pixel belongs to, how many there are and how many were found. None in runs of an earlier version."""


class Run:
    """One run directory. Cheap to make; every property reads the files as they are now."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Run) and self.path == other.path

    def __hash__(self) -> int:
        return hash(self.path)

    def exists(self) -> bool:
        """Whether this is (still) a run's directory, written to the end."""
        return (self.path / "status.json").is_file()

    def create(self, config: RunConfig, status: Status) -> None:
        """Write the directory of a new run; status.json last, as it makes the run visible."""
        self.path.mkdir(parents=True, exist_ok=True)
        self.write_config(config)
        self.write_status(status)

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def study_name(self) -> str:
        return self.path.parent.name

    @property
    def config(self) -> RunConfig:
        """What was asked for.

        Raises:
            NotFoundError: this is no run directory (any more).
        """
        return _configs.get(self.path / "config.json")

    def write_config(self, config: RunConfig) -> None:
        """Replace config.json; while no worker has the run."""
        write_json(self.path / "config.json", config.to_json())

    @property
    def split(self) -> Split:
        """The split the run trains and is judged on."""
        return Study(self.path.parent).split

    # State -----------------------------------------------------------------------------------------

    @property
    def status(self) -> Status:
        """What the run says of itself, corrected where its process is gone: then `interrupted`."""
        status = self._read_status()
        if status.state is RunState.RUNNING and not is_alive(status):
            # The worker may have written its last word between our reading and our looking.
            status = self._read_status()
        if status.state is RunState.RUNNING and not is_alive(status):
            if status.phase == CLAIMED and is_held(self.start_lock):
                return status  # the scheduler died just after starting the worker, which soon speaks for itself
            return replace(
                status,
                state=RunState.INTERRUPTED,
                message=status.message or "The training process is gone without a word.",
                hint=status.hint
                or "Resume it. If it happens again, see its log; too little memory is the usual cause.",
                eta=None,
            )
        return status

    def _read_status(self) -> Status:
        path = self.path / "status.json"
        value = read_json(path)
        if value is None:
            raise NotFoundError(f"{self.path} is no run: it has no status.json.")
        try:
            return Status.from_json(value)
        except WorkspaceError as error:
            raise WorkspaceError(f"{path} cannot be read: {error} Remove the run.") from error

    @property
    def state(self) -> RunState:
        return self.status.state

    def write_status(self, status: Status) -> None:
        """Replace status.json; for the worker, and for whoever holds the queue lock while no worker runs."""
        write_json(self.path / "status.json", status.to_json())

    def request_stop(self) -> None:
        """Ask the worker to save its state and stop; asking again changes nothing."""
        if not self.stop_requested():
            write_json(self.path / "request.json", {"stop": True, "time": time.time()})

    def stop_requested(self) -> bool:
        return self.stop_requested_at() is not None

    def stop_requested_at(self) -> float | None:
        """When it was first asked to stop, in seconds since 1970; None where it was not."""
        request = read_json(self.path / "request.json")
        return float(request.get("time", 0.0)) if request and request.get("stop") else None

    def clear_request(self) -> None:
        (self.path / "request.json").unlink(missing_ok=True)

    def worker_lock(self) -> FileLock:
        """Held by the worker as long as it lives, so that no run is trained twice at once.

        Raises:
            NotFoundError: the run is gone; taking the lock would make its directory anew.
        """
        if not self.exists():
            raise NotFoundError(f"{self.path} is no run (any more).")
        return FileLock(self.path / ".worker.lock")

    @property
    def start_lock(self) -> Path:
        """Handed to the worker at its start (see `inherited`): tells that there is one before it can."""
        return self.path / ".start.lock"

    # Records ---------------------------------------------------------------------------------------

    def epochs(self) -> list[EpochRecord]:
        """One record an epoch, in order; of an epoch recorded twice (a resumed run), the later."""
        path = self.path / "metrics.jsonl"
        return list(_epochs.get(path)) if path.exists() else []

    def append_epoch(self, record: EpochRecord) -> None:
        append_json_line(self.path / "metrics.jsonl", asdict(record))

    def steps(self) -> list[StepRecord]:
        """The throttled records of training steps, in order; of steps done again, the later."""
        latest = {record.step: record for record in _records(StepRecord, read_json_lines(self.path / "steps.jsonl"))}
        return [latest[step] for step in sorted(latest)]

    def append_step(self, record: StepRecord) -> None:
        append_json_line(self.path / "steps.jsonl", asdict(record))

    @property
    def log_path(self) -> Path:
        """What the worker printed."""
        return self.path / "log.txt"

    def log(self) -> str:
        """The end of the log."""
        return tail(self.log_path)

    # Results ---------------------------------------------------------------------------------------

    @property
    def best_weights(self) -> Path:
        """Weights of the epoch with the best validation mIoU (safetensors)."""
        return self.path / "best.safetensors"

    @property
    def last_directory(self) -> Path:
        """Everything needed to go on exactly where the run ended."""
        return self.path / "last"

    def provenance(self) -> dict[str, Any]:
        """Versions, hardware, fingerprints and where the weights came from; empty before the start."""
        return read_json(self.path / "provenance.json") or {}

    def write_provenance(self, value: dict[str, Any]) -> None:
        write_json(self.path / "provenance.json", value)

    def extensions(self) -> list[dict[str, Any]]:
        """What provenance says of each time the run was made longer, without one that a kill kept from taking place.

        Raises:
            WorkspaceError: provenance or config cannot be read.
        """
        found, epochs = self.provenance().get("extended"), self.config.recipe.epochs
        entries = [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []
        return [entry for entry in entries if isinstance(entry.get("to"), int) and entry["to"] <= epochs]

    def cost(self) -> dict[str, Any]:
        """Parameters, MACs and measured latency of the network; empty until measured."""
        return read_json(self.path / "cost.json") or {}

    def write_cost(self, value: dict[str, Any]) -> None:
        write_json(self.path / "cost.json", value)

    def evaluation_path(self, part: Part = "val") -> Path:
        """Where the counts on one part of the split are kept."""
        return self.path / ("evaluation.npz" if part == "val" else f"evaluation-{part}.npz")

    def evaluation(self, part: Part = "val") -> Evaluation | None:
        """Per-image confusion counts at the best epoch, or None so far; on test only once the user opened it."""
        path = self.evaluation_path(part)
        return _evaluations.get(path) if path.exists() else None

    def write_evaluation(self, evaluation: Evaluation, part: Part = "val") -> None:
        arrays: dict[str, np.ndarray] = {
            "val_names": np.array(evaluation.names, dtype=np.str_),
            "val_groups": np.array(evaluation.groups, dtype=np.str_),
            "val_counts": evaluation.counts.astype(np.int64),
            "epoch": np.array(evaluation.epoch, dtype=np.int64),
        }
        if evaluation.sizes is not None:
            arrays["val_sizes"] = evaluation.sizes.astype(np.int64)
        with atomic_path(self.evaluation_path(part)) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]

    @property
    def previews_directory(self) -> Path:
        return self.path / "previews"

    def previews(self) -> dict[int, list[Path]]:
        """Epoch -> predicted label maps (PNG, one class index a pixel) of the same few validation images."""
        found: dict[int, list[Path]] = {}
        for file in sorted(self.previews_directory.glob("epoch*-*.png")):
            epoch = file.name.removeprefix("epoch").split("-", 1)[0]
            if epoch.isdecimal():
                found.setdefault(int(epoch), []).append(file)
        return found

    def preview_path(self, epoch: int, name: str) -> Path:
        """Where the preview of image `name` after `epoch` is kept."""
        return self.previews_directory / f"epoch{epoch:05d}-{name}.png"

    def summary(self) -> dict[str, Any]:
        """The run as one flat, JSON-ready row: what listings print."""
        config, status, epochs = self.config, self.status, self.epochs()
        best = max((e for e in epochs if e.val_miou == e.val_miou), key=lambda e: e.val_miou, default=None)
        return {
            "study": self.study_name,
            "run": self.name,
            "dataset": config.dataset.name,
            "encoder": config.encoder,
            "decoder": config.decoder,
            "weights": config.weights,
            "seed": config.seed,
            "state": status.state.value,
            "epoch": status.epoch,
            "epochs": config.recipe.epochs,
            "best_epoch": best.epoch if best else None,
            "val_pixel_accuracy": best.val_pixel_accuracy if best else None,
            "val_miou": best.val_miou if best else None,
            "majority_baseline": status.majority_baseline,
            "phase": status.phase,
            "device": status.device,
            "threads": status.threads,
            "seconds": round(status.seconds, 2),
            "seconds_left": status.eta,
            "predicted_seconds": status.predicted,
            "predicted_seconds_after_epoch": status.predicted_after_epoch,
            "message": status.message,
            "path": str(self.path),
        }


class Study:
    """One study directory."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def __repr__(self) -> str:
        return f"Study({str(self.path)!r})"

    def exists(self) -> bool:
        """Whether this is (still) a study's directory."""
        return (self.path / "study.json").is_file()

    def create(self, shared: dict[str, Any], split: Split) -> None:
        """Write the directory of a new study; study.json last, as it makes the study visible."""
        self.path.mkdir(parents=True, exist_ok=True)
        for leftover in self.path.glob(".*.tmp"):  # of a launch that was killed
            leftover.unlink(missing_ok=True)
        write_json(self.path / "split.json", split.to_json())
        write_json(self.path / "study.json", shared)

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def shared(self) -> dict[str, Any]:
        """What all its runs share: dataset, fingerprints, recipe, decoder, time of creation.

        Raises:
            NotFoundError: there is no such study.
        """
        path = self.path / "study.json"
        value = read_json(path)
        if value is None:
            raise NotFoundError(f"There is no study {self.name!r}.")
        missing = sorted({"created", "dataset", "dataset_fingerprint", "recipe", "decoder"} - value.keys())
        if missing:
            raise WorkspaceError(f"{path} lacks {', '.join(missing)}. Restore it from a copy or remove the study.")
        return value

    @property
    def created(self) -> float:
        return float(self.shared["created"])

    @property
    def recipe(self) -> Recipe:
        return Recipe.from_json(self.shared["recipe"])

    def write_recipe(self, recipe: Recipe) -> None:
        """Replace the recipe that new runs get; under the queue lock."""
        write_json(self.path / "study.json", {**self.shared, "recipe": recipe.to_json()})

    @property
    def decoder(self) -> str:
        return str(self.shared["decoder"])

    @property
    def dataset(self) -> DatasetConfig:
        return DatasetConfig.from_json(self.shared["dataset"])

    @property
    def split(self) -> Split:
        value = read_json(self.path / "split.json")
        if value is None:
            raise NotFoundError(f"Study {self.name!r} has lost its split.json.")
        return Split.from_json(value)

    def execution(self) -> dict[str, Any] | None:
        """How its runs compute (precision, memory format), why, and the rates measured; None before the first run.

        See `training.precision.Execution`, whose JSON it is.
        """
        return read_json(self.path / "execution.json")

    def write_execution(self, value: dict[str, Any]) -> None:
        write_json(self.path / "execution.json", value)

    def execution_lock(self) -> FileLock:
        """Held by the worker that measures, so that the study's runs get one answer.

        Raises:
            NotFoundError: the study is gone; taking the lock would make its directory anew.
        """
        if not self.exists():
            raise NotFoundError(f"There is no study {self.name!r} (any more).")
        return FileLock(self.path / ".execution.lock")

    def runs(self) -> list[Run]:
        """Its runs, in the order they were created."""
        runs = [Run(directory) for directory in subdirectories(self.path) if Run(directory).exists()]
        return sorted(runs, key=_creation)


def statuses(runs: Iterable[Run]) -> list[tuple[Run, Status]]:
    """Runs with their status; one that cannot be read, or vanished meanwhile, is left out."""
    rows = []
    for run in runs:
        try:
            rows.append((run, run.status))
        except WorkspaceError:
            continue
    return rows


def subdirectories(path: Path) -> list[Path]:
    """Return the directories in `path` that are not hidden; none where there is no `path` (any more)."""
    try:
        return [entry for entry in path.iterdir() if not entry.name.startswith(".") and entry.is_dir()]
    except OSError:
        return []


def _creation(run: Run) -> tuple[float, str]:
    try:
        return float((read_json(run.path / "status.json") or {}).get("created", 0.0)), run.name
    except (WorkspaceError, TypeError, ValueError):
        return 0.0, run.name  # it is listed, and whoever reads it says what is wrong


_Record = TypeVar("_Record", StepRecord, EpochRecord)


def _records(kind: type[_Record], rows: list[dict[str, Any]]) -> list[_Record]:
    names = {field.name for field in fields(kind)}
    needed = {field.name for field in fields(kind) if field.default is MISSING}
    # Fields that a later version adds are passed over; a line that lacks a needed one is of no use.
    return [kind(**{name: row[name] for name in names & row.keys()}) for row in rows if needed <= row.keys()]


def _parse_epochs(path: Path) -> list[EpochRecord]:
    latest = {record.epoch: record for record in _records(EpochRecord, read_json_lines(path))}
    return [latest[epoch] for epoch in sorted(latest)]


def load_evaluation(path: Path) -> Evaluation:
    """Read counts from a run's file.

    Raises:
        WorkspaceError: it is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return Evaluation(
                names=arrays["val_names"].tolist(),
                groups=arrays["val_groups"].tolist(),
                counts=arrays["val_counts"],
                epoch=int(arrays["epoch"]),
                sizes=arrays.get("val_sizes"),
            )
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise WorkspaceError(f"{path} is damaged ({error}). Remove the run and launch it again.") from error


def _load_config(path: Path) -> RunConfig:
    value = read_json(path)
    if value is None:
        raise NotFoundError(f"{path.parent} is no run: it has no config.json.")
    try:
        return RunConfig.from_json(value)
    except ConfigError as error:
        raise WorkspaceError(f"{path} is damaged ({error}) Remove the run and launch it again.") from error


_configs = FileCache(_load_config, entries=4096)
_epochs = FileCache(_parse_epochs, entries=4096)
_evaluations = FileCache(load_evaluation, entries=32)
