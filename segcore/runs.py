"""The store of studies and runs: the only module that knows file names under `studies/`.

    studies/<study>/study.json      what all its runs share
    studies/<study>/split.json      the split, as it was at the launch; in a study of folds the images of each, too
    studies/<study>/execution.json  precision and memory format of its runs, measured once by the first
    studies/<study>/race.json       who was clearly behind at which epoch, where its runs race
    studies/<study>/test_opened.json    each time its test scores were opened, and what was known then
    studies/<study>/test_scoring.json   how far the process is that predicts its test images
    studies/<study>/mirror.json     what of it a tracking server has; also in each run's directory
    studies/<study>/<run>/          one directory a run; each file has one writer
    studies/<study>/<run>/reevaluations/    what it scored on other images, a file each; how far a process is with one

Files are the only channel between the app, the command line, the scheduler and the workers, so reading
must bear a file that is being written, a process that died and a directory that vanishes. Nothing here
imports torch.
"""

from __future__ import annotations

import json
import os
import time
import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import MISSING, asdict, dataclass, fields, replace
from functools import cached_property, lru_cache
from pathlib import Path
from tokenize import TokenError
from typing import Any, Literal, TypeVar
from zipfile import BadZipFile

import numpy as np
from filelock import FileLock

from segcore.background import Desk
from segcore.config import DatasetConfig, Recipe, RunConfig
from segcore.data.splits import Split, fold_splits
from segcore.errors import ConfigError, NotFoundError, WorkspaceError
from segcore.files import (
    FileCache,
    append_json_line,
    atomic_path,
    describe_os_error,
    read_json,
    read_json_lines,
    tail,
    write_json,
)
from segcore.inherited import is_held
from segcore.records import EpochRecord, StepRecord
from segcore.status import CLAIMED, RunState, Status, Where, is_alive

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


@dataclass(frozen=True)
class Recounted:
    """Per-image confusion counts of a run's best weights on any images; see `evaluation.reevaluation`."""

    names: list[str]
    groups: list[str]
    counts: np.ndarray
    """int64 (images, D, N): [n, t, p] pixels of the dataset's class t predicted as the network's class p."""
    about: dict[str, Any]
    """What was judged on what, when and by which version, in plain JSON values."""


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

    @cached_property
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
        """The split the run trains and is judged on; in a study of folds that of its fold.

        Raises:
            NotFoundError: the study has lost its split, or never had that fold.
        """
        study, fold = Study(self.path.parent), self.config.fold
        return study.split if fold is None else study.fold_split(fold)

    # State -----------------------------------------------------------------------------------------

    @property
    def status(self) -> Status:
        """What the run says of itself, corrected where its process is gone: then `interrupted`.

        Of a run on a cluster only whoever asks the cluster can tell, see `launch.reconcile`.
        """
        status = self._read_status()
        if status.where is Where.CLUSTER:
            return status
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
        return _statuses.get(self._status_path)

    @cached_property
    def _status_path(self) -> Path:
        return self.path / "status.json"

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

    def evaluation_epoch(self, part: Part = "val") -> int | None:
        """Return the epoch whose weights the counts on `part` are of, without reading the counts; None so far.

        Raises:
            WorkspaceError: the file is damaged.
        """
        path = self.evaluation_path(part)
        return _evaluation_epochs.get(path) if path.exists() else None

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

    # Judged again on other images, see `evaluation.reevaluation` ------------------------------------

    @property
    def _reevaluations(self) -> Path:
        return self.path / "reevaluations"

    def reevaluation_path(self, name: str) -> Path:
        """Where the counts of a re-evaluation of that name are kept."""
        return self._reevaluations / f"{name}.npz"

    def reevaluation_names(self) -> list[str]:
        """Names of all re-evaluations, sorted."""
        return sorted(file.stem for file in self._reevaluations.glob("[!.]*.npz"))

    def reevaluation(self, name: str) -> Recounted:
        """Return what a re-evaluation counted; shared, not to be changed.

        Raises:
            NotFoundError: there is none of that name.
            WorkspaceError: it is damaged.
        """
        return _reevaluations.get(self.reevaluation_path(name))

    def write_reevaluation(self, name: str, found: Recounted) -> None:
        """Keep a re-evaluation under a name, in place of an earlier one.

        Raises:
            NotFoundError: the run is gone; writing would make its directory anew.
        """
        self.make_reevaluations()
        arrays = {
            "names": np.array(found.names, dtype=np.str_),
            "groups": np.array(found.groups, dtype=np.str_),
            "counts": found.counts.astype(np.int64),
            "about": np.array(json.dumps(found.about), dtype=np.str_),
        }
        with atomic_path(self.reevaluation_path(name)) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]

    @property
    def reevaluating(self) -> Desk:
        """Of the process that judges the run again; asked to end, it leaves no result. `make_reevaluations` first."""
        folder = self._reevaluations
        return Desk(
            f"the re-evaluation of run {self.name}",
            said=folder / "progress.json",
            request=folder / "stop.json",
            lock=folder / ".lock",
            log=folder / "log.txt",
        )

    def make_reevaluations(self) -> None:
        """Make the folder of the re-evaluations, unless it is there.

        Raises:
            NotFoundError: the run is gone.
        """
        if not self.exists():
            raise NotFoundError(f"{self.path} is no run (any more).")
        try:
            self._reevaluations.mkdir(exist_ok=True)
        except OSError as error:
            raise describe_os_error(error, self._reevaluations) from error

    # Its mirror on a tracking server, see `tracking` --------------------------------------------------

    def mirror_record(self) -> dict[str, Any] | None:
        """What the server has of the run; None before the first sending."""
        return read_json(self.path / "mirror.json")

    def write_mirror_record(self, value: dict[str, Any]) -> None:
        write_json(self.path / "mirror.json", value)

    def stamps(self) -> list[tuple[int, int] | None]:
        """Time and size of each file that a mirror reads, the status left out: others where one of them changed."""
        names = ("config.json", "provenance.json", "cost.json", "metrics.jsonl")
        files = (*(self.path / name for name in names), self.evaluation_path(), self.best_weights)
        return [_stamp(file) for file in files]

    # ------------------------------------------------------------------------------------------------

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
            "fold": config.fold,
            "folds": config.folds,
            "state": status.state.value,
            "epoch": status.epoch,
            "epochs": config.recipe.epochs,
            "best_epoch": best.epoch if best else None,
            "val_pixel_accuracy": best.val_pixel_accuracy if best else None,
            "val_miou": best.val_miou if best else None,
            "majority_baseline": status.majority_baseline,
            "phase": status.phase,
            "where": status.where.value,
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

    def create(self, shared: dict[str, Any], split: Split, folds: Sequence[Split] = ()) -> None:
        """Write the directory of a new study; study.json last, as it makes the study visible."""
        self.path.mkdir(parents=True, exist_ok=True)
        for leftover in self.path.glob(".*.tmp"):  # of a launch that was killed
            leftover.unlink(missing_ok=True)
        judged = {"folds": [list(fold.val) for fold in folds]} if folds else {}
        write_json(self.path / "split.json", {**split.to_json(), **judged})
        write_json(self.path / "study.json", shared)

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def shared(self) -> dict[str, Any]:
        """What all its runs share: dataset, fingerprints, recipe, decoder, time of creation. Not to be changed.

        Raises:
            NotFoundError: there is no such study.
        """
        return _shared.get(self.path / "study.json")

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
        """The dataset's split at the launch: what runs without folds train and are judged on.

        In a study of folds its train and val images together are what the folds divide; test is the same in all.
        """
        return self._splits()[0]

    @property
    def folds(self) -> int:
        """Into how many folds its images are divided; 0 where its runs share one split."""
        return int(self.shared.get("folds", 0))

    @property
    def racing(self) -> bool:
        """Whether backbones that are clearly behind stop early."""
        return bool(self.shared.get("racing", False))

    def fold_split(self, fold: int) -> Split:
        """Return the split of one fold, counted from 0: judged on its images, trained on those of all others.

        Raises:
            NotFoundError: the study has no such fold.
        """
        found = self.fold_splits()
        if not 0 <= fold < len(found):
            raise NotFoundError(f"Study {self.name!r} has no fold {fold + 1}: there are {len(found) or 'none'}.")
        return found[fold]

    def fold_splits(self) -> list[Split]:
        """Return the splits of all folds in their order; none without folds."""
        return list(self._splits()[1])

    def _splits(self) -> tuple[Split, tuple[Split, ...]]:
        return _splits.get(self.path / "split.json")

    def execution(self) -> dict[str, Any] | None:
        """How its runs compute (precision, memory format), why, and the rates measured; None before the first run.

        See `training.precision.Execution`, whose JSON it is.
        """
        return read_json(self.path / "execution.json")

    def write_execution(self, value: dict[str, Any]) -> None:
        write_json(self.path / "execution.json", value)

    def race(self) -> list[dict[str, Any]]:
        """What was decided at each rung so far, the first rung first; see `evaluation.racing.entry`.

        Raises:
            WorkspaceError: it cannot be read.
        """
        path = self.path / "race.json"
        rungs = (read_json(path) or {"rungs": []}).get("rungs")
        if not isinstance(rungs, list) or not all(isinstance(rung, dict) and "epoch" in rung for rung in rungs):
            raise WorkspaceError(f"{path} is damaged. Restore it from a copy, or remove it.")
        return rungs

    def write_race(self, rungs: list[dict[str, Any]]) -> None:
        """Replace what was decided; under the queue lock."""
        for leftover in self.path.glob(".race.json.*.tmp"):  # of one that was killed
            leftover.unlink(missing_ok=True)
        write_json(self.path / "race.json", {"rungs": rungs})

    def suspects_path(self, key: str) -> Path:
        """Where a search for label suspects keeps what it found, image by image; `key` names networks and dataset.

        See `inference.suspects`. It can be made again.
        """
        return self.path / f"suspects-{key}.jsonl"

    def forget_suspects(self, keep: int) -> None:
        """Remove what such searches kept, but for the `keep` that were written to last."""
        with suppress(OSError):  # another process does the same; what stays is small
            found = sorted(self.path.glob("suspects-*.jsonl"), key=lambda path: path.stat().st_mtime_ns)
            for path in found[:-keep]:
                path.unlink()

    # The test part: sealed until it is opened, see `evaluation.seal` ----------------------------------

    def test_openings(self) -> list[dict[str, Any]]:
        """Return each time its test scores were opened, the first first; see `evaluation.seal.Opening`.

        Raises:
            WorkspaceError: it cannot be read; nobody then can say whether they are sealed.
        """
        path = self.path / "test_opened.json"
        value = read_json(path)
        openings = [] if value is None else value.get("openings")
        if not isinstance(openings, list) or not all(isinstance(entry, dict) for entry in openings):
            raise WorkspaceError(f"{path} is damaged. Restore it from a copy: it tells what was known of the test.")
        return openings

    def append_test_opening(self, opening: dict[str, Any]) -> None:
        """Add an opening to those there are; holding `test_lock`. None is ever changed or taken away."""
        write_json(self.path / "test_opened.json", {"openings": [*self.test_openings(), opening]})

    def test_lock(self) -> FileLock:
        """Held by whoever opens the test scores.

        Raises:
            NotFoundError: the study is gone; taking the lock would make its directory anew.
        """
        return self._lock("test")

    @property
    def scoring(self) -> Desk:
        """Of the process that predicts its test images; asked to end, it keeps what it has done."""
        return Desk(
            f"the scoring of study {self.name!r}",
            said=self.path / "test_scoring.json",
            request=self.path / "test_scoring_request.json",
            lock=self.path / ".scoring.lock",
            log=self.path / "test_scoring.log",
        )

    # Its mirror on a tracking server, see `tracking` --------------------------------------------------

    def mirror_record(self) -> dict[str, Any] | None:
        """What the server has of the study itself; None where nobody wanted it mirrored yet."""
        return read_json(self.path / "mirror.json")

    def write_mirror_record(self, value: dict[str, Any]) -> None:
        write_json(self.path / "mirror.json", value)

    def mirror_lock(self) -> FileLock:
        """Held by whoever sends it, so that nothing is created twice.

        Raises:
            NotFoundError: the study is gone; taking the lock would make its directory anew.
        """
        return self._lock("mirror")

    # ------------------------------------------------------------------------------------------------

    def execution_lock(self) -> FileLock:
        """Held by the worker that measures, so that the study's runs get one answer.

        Raises:
            NotFoundError: the study is gone; taking the lock would make its directory anew.
        """
        return self._lock("execution")

    def _lock(self, name: str) -> FileLock:
        if not self.exists():
            raise NotFoundError(f"There is no study {self.name!r} (any more).")
        return FileLock(self.path / f".{name}.lock")

    def runs(self) -> list[Run]:
        """Its runs, in the order they were created."""
        found = [(created, run) for run in self.every_run() if (created := _creation(run))]
        return [run for _, run in sorted(found, key=lambda row: row[0])]

    def every_run(self) -> list[Run]:
        """Each directory in it as a run, whatever it holds, in no order."""
        return [_run(path) for path in _directories(self.path)]

    def statuses(self) -> list[tuple[Run, Status]]:
        """Its runs with their status, in the order they were created; one that cannot be read is left out."""
        return sorted(statuses(self.every_run()), key=lambda row: (row[1].created, row[0].name))


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
    return [Path(directory) for directory in _directories(path)]


def _directories(path: Path) -> list[str]:
    try:
        with os.scandir(path) as entries:  # it knows what is a directory without asking for each
            return [entry.path for entry in entries if not entry.name.startswith(".") and entry.is_dir()]
    except OSError:
        return []


def _stamp(path: Path) -> tuple[int, int] | None:
    """Return a file's time in nanoseconds and size in bytes; None where it is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


@lru_cache(maxsize=2**16)
def _run(path: str) -> Run:
    """Return the run in a directory, the same one each time: to make a path takes longer than to look at its file."""
    return Run(path)


def _creation(run: Run) -> tuple[float, str] | None:
    """Return what runs are sorted by; None for what is no run's directory."""
    try:
        return _statuses.get(run._status_path).created, run.name
    except NotFoundError:
        return None
    except WorkspaceError:
        return 0.0, run.name  # it is listed, and whoever reads it says what is wrong


_Record = TypeVar("_Record", StepRecord, EpochRecord)


def _records(kind: type[_Record], rows: list[dict[str, Any]]) -> list[_Record]:
    names = {field.name for field in fields(kind)}
    needed = {field.name for field in fields(kind) if field.default is MISSING}
    # Fields that a later version adds are passed over; a line that lacks a needed one is of no use.
    return [
        kind(**row) if row.keys() == names else kind(**{name: row[name] for name in names & row.keys()})
        for row in rows
        if needed <= row.keys()
    ]


def _parse_epochs(path: Path) -> list[EpochRecord]:
    latest = {record.epoch: record for record in _records(EpochRecord, read_json_lines(path))}
    return [latest[epoch] for epoch in sorted(latest)]


def load_evaluation(path: Path) -> Evaluation:
    """Read counts from a run's file.

    Raises:
        WorkspaceError: it is damaged.
    """
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            return Evaluation(
                names=arrays["val_names"].tolist(),
                groups=arrays["val_groups"].tolist(),
                counts=arrays["val_counts"],
                epoch=int(arrays["epoch"]),
                sizes=arrays.get("val_sizes"),
            )
    except _UNREADABLE as error:
        raise _damaged(path, error) from error


def _load_reevaluation(path: Path) -> Recounted:
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            about = json.loads(str(arrays["about"]))
            found = Recounted(arrays["names"].tolist(), arrays["groups"].tolist(), arrays["counts"], about)
        if found.counts.ndim != 3 or len(found.counts) != len(found.names) or not isinstance(about, dict):
            raise ValueError("its parts do not fit")
    except FileNotFoundError as error:
        raise NotFoundError(f"There is no re-evaluation {path.stem!r} of run {path.parents[1].name}.") from error
    except _UNREADABLE as error:
        raise WorkspaceError(f"{path} is damaged. Remove this re-evaluation and do it again.") from error
    return found


_UNREADABLE = (OSError, ValueError, KeyError, EOFError, BadZipFile, RuntimeError, TokenError, zlib.error)
"""What reading counts raises, depending on which of their bytes were lost or flipped."""


def _damaged(path: Path, error: Exception) -> WorkspaceError:
    # What numpy says is no help: that it is pickled, and how to load it unsafely.
    why = f" or cannot be read ({error.strerror})" if isinstance(error, OSError) and error.strerror else ""
    return WorkspaceError(f"{path} is damaged{why}. Remove the run and launch it again.")


def _load_shared(path: Path) -> dict[str, Any]:
    value = read_json(path)
    if value is None:
        raise NotFoundError(f"There is no study {path.parent.name!r}.")
    missing = sorted({"created", "dataset", "dataset_fingerprint", "recipe", "decoder"} - value.keys())
    if missing:
        raise WorkspaceError(f"{path} lacks {', '.join(missing)}. Restore it from a copy or remove the study.")
    return value


def _load_splits(path: Path) -> tuple[Split, tuple[Split, ...]]:
    """Read the split of a study and those of its folds."""
    value = read_json(path)
    if value is None:
        raise NotFoundError(f"Study {path.parent.name!r} has lost its split.json.")
    split = Split.from_json(value)
    return split, tuple(fold_splits(value.get("folds", []), split.test))


def _load_epoch(path: Path) -> int:
    try:
        with (
            open(path, "rb") as file,
            np.load(file, allow_pickle=False) as arrays,
        ):  # it reads of the file only what is asked for
            return int(arrays["epoch"])
    except _UNREADABLE as error:
        raise _damaged(path, error) from error


def _load_status(path: Path) -> Status:
    value = read_json(path)
    if value is None:
        raise NotFoundError(f"{path.parent} is no run: it has no status.json.")
    try:
        return Status.from_json(value)
    except WorkspaceError as error:
        raise WorkspaceError(f"{path} cannot be read: {error} Remove the run.") from error


def _load_config(path: Path) -> RunConfig:
    value = read_json(path)
    if value is None:
        raise NotFoundError(f"{path.parent} is no run: it has no config.json.")
    if isinstance(value.get("dataset"), dict):
        with suppress(ConfigError):  # which is told below, as one of the whole
            value["dataset"] = _dataset_config(json.dumps(value["dataset"]))
    try:
        return RunConfig.from_json(value)
    except ConfigError as error:
        raise WorkspaceError(f"{path} is damaged ({error}) Remove the run and launch it again.") from error


@lru_cache(maxsize=256)
def _dataset_config(text: str) -> DatasetConfig:
    """Return a dataset's configuration, one for all runs that were launched on it: most of what theirs hold."""
    return DatasetConfig.from_json(json.loads(text))


# Status files are replaced, never written into, so that each has another time or another number (inode).
_statuses = FileCache(_load_status, entries=2**16)
_configs = FileCache(_load_config, entries=4096)
_shared = FileCache(_load_shared, entries=2048)
_splits = FileCache(_load_splits, entries=256)
_epochs = FileCache(_parse_epochs, entries=4096)
_evaluations = FileCache(load_evaluation, entries=32)
_reevaluations = FileCache(_load_reevaluation, entries=256)
_evaluation_epochs = FileCache(_load_epoch, entries=4096)
