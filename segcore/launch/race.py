"""Where the runs of a race stand at a rung: who goes on, and who stops because it is clearly behind.

A rung is judged once all runs of the study that still race stand there; one that failed, was stopped or lost its
process does not hold up the others. What is decided is written down first, then carried out run by run: whoever finds
it half done, as after a kill, does the rest.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from segcore.errors import WorkspaceError
from segcore.evaluation import behind, racing
from segcore.runqueue import RunQueue, queue_lock
from segcore.runs import Run, Study, statuses
from segcore.status import RunState, Status

Row = tuple[Run, Status]

HINT = "Resume it to let it train to its end all the same."


def settle_races(queue: RunQueue, say: Callable[[str], None]) -> None:
    """Decide every race all of whose runs stand at a rung, and carry out what was decided.

    Args:
        queue: of the workspace; its lock is taken.
        say: told in a line what happened.

    Raises:
        WorkspaceError: the decision or a run's status cannot be written; it is to be tried again.
        LaunchError: another process holds the queue lock.
    """
    for path in dict.fromkeys(run.path.parent for run in queue.standing()):
        with queue_lock(queue.workspace):
            _settle(Study(path), say)


def _settle(study: Study, say: Callable[[str], None]) -> None:
    try:
        decided = study.race()
        outs = {entry["epoch"]: racing.raced_out(entry) for entry in decided}
    except WorkspaceError as error:
        say(f"{error} The runs of study {study.name} train on without racing.")
        _let_go(_racers(study))
        return
    _let_go(row for row in _racers(study) if not _readable(row[0]))  # their workers say what is wrong
    _carry_out(study, outs, say)
    racers = _racers(study)
    if not racers or not all(status.standing for _, status in racers):
        return  # some have not come so far
    epoch = min(status.rung or 0 for _, status in racers)
    standing = [run for run, status in racers if status.rung == epoch]
    entry = _decide(epoch, standing, first=not decided)
    study.write_race([*decided, {**entry, "time": time.time()}])
    _carry_out(study, {**outs, epoch: racing.raced_out(entry)}, say)


def _racers(study: Study) -> list[Row]:
    """The runs that race and have not ended."""
    return [row for row in statuses(study.runs()) if row[1].state.active and row[1].rung is not None]


def _decide(epoch: int, runs: Sequence[Run], *, first: bool) -> dict[str, Any]:
    """Return what is to be written of a rung at which `runs` stand."""
    epochs = runs[0].config.recipe.epochs
    slack = behind.slack(epoch, epochs)
    keep = behind.KEPT_AT_FIRST if first else 1
    leader, judged = behind.judge(behind.gather(runs), slack=slack, keep=keep)
    return racing.entry(epoch, epochs, leader, judged, runs)


def _let_go(racers: Iterable[Row]) -> None:
    """Take those that stand at a rung out of the race: they train to their end."""
    for run, status in racers:
        if status.standing:
            run.write_status(replace(status, rung=None, message=""))


def _readable(run: Run) -> bool:
    with suppress(WorkspaceError):
        return bool(run.config)
    return False


def _carry_out(study: Study, outs: Mapping[int, Sequence[racing.RacedOut]], say: Callable[[str], None]) -> None:
    """Stop the runs that stand at a rung that is decided and are out; let the others go on to the next rung."""
    now = time.time()
    for run, status in _racers(study):
        rung = status.rung
        if rung is None or rung not in outs or not status.standing:
            continue
        config = run.config
        out = next((out for out in outs[rung] if out.contender == config.contender), None)
        if out is None:
            further = racing.next_rung(config.recipe.epochs, after=rung)
            run.write_status(replace(status, rung=further, message=""))
            continue
        # Whoever resumes it wants it to go on: it does not race any more.
        ended = replace(status, state=RunState.STOPPED, ended=now, rung=None, message=out.sentence, hint=HINT)
        run.write_status(ended)
        say(f"{study.name}/{run.name}: {out.sentence}")
