"""The seal on a study's test images: everything is chosen on val, and test is looked at when the choice is made.

A score that was chosen for being the highest is too high: the more there was to choose from, the more so. The images
of the split's test part take no part in any choice, so their scores say what the chosen backbone is worth; once they
are known, choosing by them would spoil that. So no test score is computed before the user opens the study. An
opening covers the runs that are finished then, each with its weights of then; it writes down what was known, and is
never taken back. Runs that finish later, or train longer, need an opening of their own.

Nothing here imports torch; `inference.scoring` computes the scores.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from segcore.errors import SealError, WorkspaceError
from segcore.evaluation import acquainted
from segcore.evaluation.standings import Standing
from segcore.evaluation.studies import compare_study
from segcore.evaluation.verdicts import MARGIN, Comparison, sentence
from segcore.runs import Run, Study, statuses
from segcore.status import RunState

if TYPE_CHECKING:
    from segcore.store import RunStore


class Seal(StrEnum):
    """Where a study's test part stands."""

    NONE = "none"
    """The split has no test images."""
    SEALED = "sealed"
    OPENED = "opened"


@dataclass(frozen=True)
class Opening:
    """One opening: when it was, what it covers and what was known before. Shares are 0-1, times seconds since 1970."""

    time: float
    version: str
    """Of this package."""
    margin: float
    recipe: dict[str, Any]
    images: int
    """Test images."""
    states: dict[str, int]
    """How many runs the study had in each state."""
    covers: list[dict[str, Any]]
    """The finished runs: {run, created, epoch}; `epoch` is the one of the weights that are judged."""
    contenders: list[dict[str, Any]]
    """On val, the best first: {label, title, mean, low, high, n}; None where nothing tells."""
    leader: str | None
    """Title of the contender that was ahead on val."""
    verdicts: list[dict[str, Any]]
    """On val: {first, second, answer, difference, low, high, sentence}."""
    scored: int
    """Runs of this study whose test scores were known already."""
    elsewhere: list[dict[str, Any]]
    """Other studies that have met these images: {study, images, how}; see `acquainted`."""

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Opening:
        """Rebuild what was written; what a later version adds is passed over.

        Raises:
            WorkspaceError: something is missing.
        """
        try:
            return cls(**{name: value[name] for name in cls.__dataclass_fields__})
        except KeyError as error:
            raise WorkspaceError(f"The record of an opened test lacks {error}. Restore it from a copy.") from error


def openings(study: Study) -> list[Opening]:
    """Return all openings of a study, the first first.

    Raises:
        WorkspaceError: the record is damaged.
    """
    return [Opening.from_json(value) for value in study.test_openings()]


def opened(study: Study) -> bool:
    """Whether the test scores of a study have ever been opened."""
    return bool(study.test_openings())


def state(study: Study) -> Seal:
    """Return where the study's test part stands."""
    if opened(study):
        return Seal.OPENED
    return Seal.SEALED if study.split.test else Seal.NONE


# What an opening covers --------------------------------------------------------------------------------


def scorable(study: Study) -> list[Run]:
    """Return the finished runs, each of which has weights to be judged; a damaged one is left out."""
    rows = statuses(study.runs())
    return [run for run, status in rows if status.state is RunState.FINISHED and _has_weights(run)]


def _has_weights(run: Run) -> bool:
    try:
        return run.evaluation_epoch() is not None
    except WorkspaceError:  # of which epoch its weights are, nobody can say
        return False


def uncovered(study: Study) -> list[Run]:
    """Return the finished runs whose weights of now no opening covers."""
    known = _covered(study)
    return [run for run in scorable(study) if _key(run) not in known]


def to_score(study: Study) -> list[Run]:
    """Return the runs that an opening covers and that have no test scores of their weights of now."""
    known = _covered(study)
    return [run for run in scorable(study) if _key(run) in known and not is_scored(run)]


def is_scored(run: Run) -> bool:
    """Whether the run has test scores, and they are of its best weights; a run that trained longer may have others."""
    try:
        epoch = run.evaluation_epoch("test")
    except WorkspaceError:  # damaged: it is done again
        return False
    return epoch is not None and epoch == run.evaluation_epoch()


def check_opened(run: Run) -> None:
    """Refuse to judge a run on test images that were not opened for it.

    Raises:
        SealError: they are sealed, or the study was opened before the run had these weights.
    """
    study = Study(run.path.parent)
    if _key(run) in _covered(study):
        return
    command = f"'python -m segcore study open-test {study.name}' or the Charts page"
    if not opened(study):
        raise SealError(f"The test scores of study {study.name!r} are sealed. Open them first, by {command}.")
    raise SealError(
        f"The test scores of study {study.name!r} were opened before {run.name} had the weights it has now. Open them "
        f"again, by {command}; that is written down, too."
    )


def _key(run: Run) -> tuple[str, float, int | None]:
    # The time of creation tells a run from one of the same name that was removed.
    return run.name, run.status.created, run.evaluation_epoch()


def _covered(study: Study) -> set[tuple[str, float, int | None]]:
    return {(entry["run"], entry["created"], entry["epoch"]) for opening in openings(study) for entry in opening.covers}


# Opening -----------------------------------------------------------------------------------------------


def check_can_open(study: Study) -> None:
    """Refuse to open a study that has nothing to judge, or nothing to judge it on.

    Raises:
        SealError: the split has no test images, or no run is finished.
    """
    if not study.split.test:
        raise SealError(
            f"The split of study {study.name!r} has no test images. Divide the dataset anew with a test share (Dataset "
            "page, or 'dataset add --test-share'), and launch a new study on it."
        )
    if not scorable(study):
        raise SealError(f"No run of study {study.name!r} is finished: there is nothing to judge yet.")


def open_test(study: Study, *, store: RunStore | None = None, margin: float = MARGIN) -> Opening:
    """Open the test scores of all runs that are finished now, and write down what is known before.

    Where an opening covers them all already, none is added.

    Args:
        study: to be opened.
        others: all studies of the workspace: those that have met the same images are named.
        margin: of practical equivalence, as a share, for the verdicts that are written down.

    Returns:
        The opening that was written, or the last one.

    Raises:
        SealError: there is nothing to open.
        WorkspaceError: the study is damaged or cannot be written.
    """
    check_can_open(study)
    with study.test_lock():
        before = openings(study)
        if before and not uncovered(study):
            return before[-1]
        opening = _describe(study, store, margin)
        study.append_test_opening(asdict(opening))
        return opening


def _describe(study: Study, store: RunStore | None, margin: float) -> Opening:
    from segcore import __version__

    comparison = compare_study(study, margin=margin)
    runs = study.runs()
    keys = [_key(run) for run in scorable(study)]
    contenders = [_contender(standing) for standing in comparison.standings]
    return Opening(
        time=time.time(),
        version=__version__,
        margin=margin,
        recipe=study.recipe.to_json(),
        images=len(study.split.test),
        states=dict(Counter(status.state.value for _, status in statuses(runs))),
        covers=[{"run": name, "created": created, "epoch": epoch} for name, created, epoch in keys],
        contenders=contenders,
        leader=contenders[0]["title"] if contenders else None,
        verdicts=_verdicts(comparison),
        scored=sum(run.evaluation_path("test").exists() for run in runs),
        elsewhere=acquainted.elsewhere(study, store) if store else [],
    )


def _contender(standing: Standing) -> dict[str, Any]:
    estimate = standing.estimate
    low, high = estimate.interval() if estimate else (math.nan, math.nan)
    return {
        "label": standing.label,
        "title": standing.title,
        "mean": _known(estimate.mean if estimate else math.nan),
        "low": _known(low),
        "high": _known(high),
        "n": len(standing.by_seed),
    }


def _verdicts(comparison: Comparison) -> list[dict[str, Any]]:
    return [
        {
            "first": verdict.first,
            "second": verdict.second,
            "answer": str(verdict.answer),
            "difference": _known(verdict.difference),
            "low": _known(verdict.interval[0]),
            "high": _known(verdict.interval[1]),
            "sentence": sentence(verdict, comparison),
        }
        for verdict in comparison.verdicts
    ]


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


# Afterwards --------------------------------------------------------------------------------------------


def late(study: Study) -> dict[str, str]:
    """Return the runs that came about in the knowledge of test scores: name -> what to say of each."""
    times = [opening.time for opening in openings(study)]
    if not times:
        return {}
    found = {}
    for run, status in statuses(study.runs()):
        if status.created > times[0]:
            found[run.name] = "trained after the test scores were opened"
        elif _made_longer_since(run, times[0]):
            found[run.name] = "trained longer after the test scores were opened"
    return found


def _made_longer_since(run: Run, moment: float) -> bool:
    try:
        return any(float(entry.get("time", 0.0)) > moment for entry in run.extensions())
    except WorkspaceError:  # damaged: it is named where runs are compared
        return False
