"""What a tracking server is told of a run and of a study, as plain values. Nothing here imports mlflow.

    parameters   what was asked for: recipe.*, encoder, weights, decoder, seed, fold, dataset; never changed there
    tags         segcore.*: names, state, message, cost, provenance; replaced as they change
    metrics      every number of each epoch's record, its number as the step
    artifacts    of a run that ended: evaluation.json (scores by class), config.json, the best weights

A run is found again by the tag `segcore.id`, a fingerprint of study, run and the time it was created.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from segcore.config import RunConfig
from segcore.evaluation.metrics import scores
from segcore.records import EpochRecord
from segcore.runs import Run, Study
from segcore.status import RunState, Status
from segcore.text import printable
from segcore.tracking.record import digest

ID, EPOCHS, RECORDS, REPORT = "segcore.id", "segcore.epochs", "segcore.records", "segcore.report"
"""Tags by which the server tells what it has: whose it is, how many epochs, their fingerprint, the report's."""
PARAM_LENGTH, TAG_LENGTH, KEY_LENGTH = 500, 5000, 250
"""Characters that every MLflow server takes, however old; what is longer is cut."""
NOT_METRICS = ("epoch", "best", "top_class")
"""Fields of an epoch's record that are no measurement."""
OF_THE_MACHINE = ("seconds", "images_per_second")
"""Fields that differ when the same epoch is trained again."""


@dataclass(frozen=True)
class Contents:
    """All that is to be on the server of one run, or of a study itself."""

    id: str
    name: str
    started: float
    """Seconds since 1970."""
    state: RunState
    ended: float | None
    params: dict[str, str]
    tags: dict[str, str]
    records: list[EpochRecord] = field(default_factory=list)
    artifacts: dict[str, str | Path] = field(default_factory=dict)
    """Name there -> text, or the file here."""


def of_run(run: Run, status: Status) -> Contents:
    """Return what is to be told of a run in a state.

    Raises:
        WorkspaceError: one of its files is gone or damaged.
    """
    config = run.config
    tags = {
        ID: digest([run.study_name, run.name, status.created]),
        "segcore.kind": "run",
        "segcore.study": run.study_name,
        "segcore.run": run.name,
        "segcore.state": status.state.value,
        "segcore.message": status.message,
        "segcore.hint": status.hint,
        "segcore.epochs_asked": str(config.recipe.epochs),  # a parameter could not follow when the run is made longer
        "segcore.host": status.host or "",
        "segcore.device": status.device or "",
        "segcore.seconds": f"{status.seconds:.1f}" if not status.state.active else "",
        **dict(_flat("segcore.provenance", run.provenance())),
        **dict(_flat("segcore.cost", run.cost())),
    }
    return Contents(
        id=tags[ID],
        name=run.name,
        started=status.started or status.created,
        state=status.state,
        ended=status.ended if status.ended is not None else status.heartbeat,
        params=_params(config),
        tags=_fit({key: value for key, value in tags.items() if value}, TAG_LENGTH),
        records=run.epochs(),
        artifacts={} if status.state.active else _artifacts(run),
    )


def of_study(study: Study, rows: list[tuple[Run, Status]]) -> Contents:
    """Return what is to be told of a study itself, whose runs that began are `rows`.

    Raises:
        WorkspaceError: one of its files is gone or damaged.
    """
    shared = study.shared
    wanted = {"dataset": study.dataset.name, "decoder": study.decoder, "folds": study.folds, "racing": study.racing}
    tags = {
        ID: digest([study.name, study.created]),
        "segcore.kind": "study",
        "segcore.study": study.name,
        "segcore.dataset_fingerprint": str(shared["dataset_fingerprint"]),
        "segcore.split_fingerprint": str(shared.get("split_fingerprint", "")),
        "segcore.classes": ", ".join(info.name for info in study.dataset.trained_classes),
    }
    ends = [status.ended for _, status in rows if status.ended is not None]
    return Contents(
        id=tags[ID],
        name=study.name,
        started=study.created,
        state=state_of([status.state for _, status in rows]),
        ended=max(ends, default=None),
        params=_fit({**_plain(wanted), **dict(_flat("recipe", study.recipe.to_json()))}, PARAM_LENGTH),
        tags=_fit({key: value for key, value in tags.items() if value}, TAG_LENGTH),
    )


def state_of(states: list[RunState]) -> RunState:
    """Return the state of a study from those of its runs: the worst, but none before all have ended."""
    for state in (RunState.RUNNING, RunState.QUEUED, RunState.FAILED, RunState.INTERRUPTED, RunState.STOPPED):
        if state in states:
            return state
    return RunState.FINISHED if states else RunState.QUEUED


def measurements(record: EpochRecord) -> dict[str, float]:
    """Return the numbers of an epoch by name, without those that are none (NaN where nothing was labelled)."""
    values = {key: float(value) for key, value in asdict(record).items() if key not in NOT_METRICS}
    return {key: value for key, value in values.items() if math.isfinite(value)}


def records_fingerprint(records: list[EpochRecord]) -> str:
    """Return what tells the epochs of a run from those of one that began anew."""
    rows = [{key: value for key, value in asdict(record).items() if key not in OF_THE_MACHINE} for record in records]
    return digest(rows)


def moments(contents: Contents) -> list[int]:
    """Return when each epoch ended, in ms since 1970: the same at every sending, by which repetitions are known."""
    total, found = contents.started, []
    for record in contents.records:
        total += record.seconds
        found.append(int(1000 * total))
    return found


def content_digest(content: str | Path) -> str:
    """Return the SHA-256 of an artifact.

    Raises:
        OSError: the file cannot be read.
    """
    if isinstance(content, str):
        return hashlib.sha256(content.encode()).hexdigest()
    with open(content, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _params(config: RunConfig) -> dict[str, str]:
    wanted = {
        "encoder": config.encoder,
        "weights": config.weights,
        "decoder": config.decoder,
        "seed": config.seed,
        "fold": config.fold,
        "dataset": config.dataset.name,
        "classes": len(config.dataset.trained_classes),
    }
    return _fit({**_plain(wanted), **dict(_flat("recipe", config.recipe.to_json()))}, PARAM_LENGTH)


def _artifacts(run: Run) -> dict[str, str | Path]:
    found: dict[str, str | Path] = {"config.json": json.dumps(run.config.to_json(), indent=2)}
    evaluation = run.evaluation()
    if evaluation is not None:
        scored = scores(evaluation.counts)
        names = [info.name for info in run.config.dataset.trained_classes]
        table = {
            "part": "val",
            "epoch": evaluation.epoch,
            "images": len(evaluation.names),
            "miou": _number(scored.miou),
            "pixel_accuracy": _number(scored.pixel_accuracy),
            "mean_dice": _number(scored.mean_dice),
            "iou_by_class": {name: _number(value) for name, value in zip(names, scored.iou.tolist(), strict=True)},
        }
        found["evaluation.json"] = json.dumps(table, indent=2)
    if run.best_weights.is_file():
        found[run.best_weights.name] = run.best_weights
    return found


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _plain(values: Mapping[str, Any]) -> dict[str, str]:
    return {key: str(value) for key, value in values.items() if value is not None}


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yield the leaves of JSON values, each with the way to it: ("segcore.provenance.packages.torch", "2.6")."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flat(f"{prefix}.{key}", item)
    elif value is not None:
        yield prefix, value if isinstance(value, str) else json.dumps(value)


def _fit(values: Mapping[str, str], length: int) -> dict[str, str]:
    """Return keys and values that every server takes, whatever a file held."""
    return {
        re.sub(r"[^A-Za-z0-9_.\- /]", "_", key)[:KEY_LENGTH]: _cut(printable(value), length)
        for key, value in values.items()
    }


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
