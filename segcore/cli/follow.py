"""Watching runs from a terminal. The runs train in processes of their own: ending the watching ends none of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from segcore.cli.output import say
from segcore.launch.local import ensure_scheduler
from segcore.runs import Run
from segcore.status import RunState, Status, Where
from segcore.store import RunStore
from segcore.text import duration, percent

if TYPE_CHECKING:
    from rich.progress import TaskID

POLL_SECONDS = 0.5

Row = tuple[Run, Status]


def follow(store: RunStore, runs: Sequence[Run]) -> None:
    """Show on standard error how `runs` get on, until none of them waits or trains.

    Raises:
        LaunchError: the scheduler died and cannot be started again.
    """
    paused = False
    with _Bars() if Console(stderr=True).is_terminal else _Lines() as view:
        while True:
            rows = store.statuses(runs)
            view.show(rows)
            states = {status.state for _, status in rows}
            if not any(state.active for state in states):
                return
            if RunState.QUEUED in states and paused != (paused := store.queue_settings().paused):
                say("The queue is paused; 'python -m segcore queue resume' lets it go on." if paused else "It goes on.")
            if RunState.RUNNING not in states or any(status.where is Where.CLUSTER for _, status in rows):
                ensure_scheduler(store.workspace)  # whoever watches also sees to it that something happens
            time.sleep(POLL_SECONDS)


class _Bars:
    """One bar a run, for a terminal."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=12),
            TextColumn("{task.fields[said]}"),
            console=Console(stderr=True),
        )
        self._tasks: dict[Run, TaskID] = {}

    def __enter__(self) -> _Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, rows: Sequence[Row]) -> None:
        for run, status in rows:
            if run not in self._tasks:
                self._tasks[run] = self._progress.add_task(label(run), total=1.0, said="")
            share = status.step / status.steps if status.steps else 0.0
            self._progress.update(self._tasks[run], completed=share, said=progress_text(run, status))


class _Lines:
    """One line a change, for a file or a pipe."""

    def __init__(self) -> None:
        self._said: dict[Run, tuple[Any, ...]] = {}

    def __enter__(self) -> _Lines:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, rows: Sequence[Row]) -> None:
        for run, status in rows:
            news = (status.state, status.epoch)
            if self._said.get(run) != news:
                self._said[run] = news
                say(f"{label(run)}: {progress_text(run, status)}")


def label(run: Run) -> str:
    """Return what tells a run from the others of its study; the weights tag tells pretrained ones."""
    config = run.config
    return f"{config.encoder} {config.repetition}"


def progress_text(run: Run, status: Status) -> str:
    """Return where a run stands, in a line: "epoch 3/8 · val mIoU 31.0 % · training · 40 s left"."""
    parts = []
    records = run.epochs()
    if records:
        parts += [f"epoch {status.epoch}/{run.config.recipe.epochs}", f"val mIoU {percent(records[-1].val_miou)}"]
    if status.state is RunState.RUNNING:
        parts += [status.phase or "starting"]
        parts += [place] if (place := place_text(status)) else []
        parts += [f"{duration(status.eta)} left"] if status.eta is not None else []
        parts += [f"no sign of life for {duration(status.silence)}"] if status.silence is not None else []
    else:
        parts.append(str(status.state))
        parts += [f"{status.message}"] if status.state is RunState.QUEUED and status.message else []
    if status.state is RunState.FINISHED and status.seconds:
        expected = f" (expected {duration(status.predicted)})" if status.predicted is not None else ""
        parts.append(f"took {duration(status.seconds)}{expected}")
    return " · ".join(parts)


def place_text(status: Status) -> str:
    """Return where a run trains, if there is anything to say: "cuda:1", "node-3"."""
    if status.where is Where.CLUSTER:
        return status.host or "the cluster"
    return status.device if status.device not in (None, "cpu") else ""


def state_text(run: Run, status: Status) -> str:
    """Return a run's state as listings show it: "finished", "running on cuda:1: validating"."""
    if status.state is not RunState.RUNNING:
        waits = status.state is RunState.QUEUED and status.where is Where.CLUSTER
        return f"{status.state} for the cluster" if waits else str(status.state)
    place = f" on {found}" if (found := place_text(status)) else ""
    if run.stop_requested():
        return f"stopping{place}"
    doing = f"no sign of life for {duration(status.silence)}" if status.silence is not None else status.phase
    return f"running{place}: {doing}" if doing else f"running{place}"
