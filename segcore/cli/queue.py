"""`queue show|pause|resume|slots|move`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segcore.cli.output import Json, emit_json, print_table, say
from segcore.cli.runs import RunName, own_run
from segcore.runqueue import QueueSettings
from segcore.text import duration, plural

if TYPE_CHECKING:
    from segcore.runs import Run
    from segcore.status import Status
    from segcore.store import RunStore

app = typer.Typer(help="See and steer what trains and what waits.")


@app.command("show")
def show(as_json: Json = False) -> None:
    """Show what trains, what waits in which order, and how the queue is set."""
    from segcore.clustered import has_jobs
    from segcore.launch import cluster
    from segcore.launch.gpus import gpus
    from segcore.launch.local import scheduler_alive
    from segcore.store import RunStore

    store = RunStore()
    settings, waiting, said = store.queue_settings(), store.statuses(store.waiting()), cluster.news(store.workspace)
    training = sorted(store.training(), key=lambda row: row[1].started or row[1].queued)
    found = gpus()
    if as_json:
        emit_json(
            {
                **_described(settings),
                "gpus": [vars(gpu) for gpu in found],
                "works": scheduler_alive(store.workspace, patience=0.3),
                "training": [run.summary() for run, _ in training],
                "waiting": [run.summary() for run, _ in waiting],
                "on_cluster": None if said is None else asdict(said),
            }
        )
        return
    if training or waiting:
        rows = [_row("", run, status) for run, status in training]
        rows += [_row(str(place), run, status) for place, (run, status) in enumerate(waiting, 1)]
        print_table((">place", "study", "run", "state", ">epoch", ">expected", ">left"), rows)
    else:
        say("Nothing trains and nothing waits.")
    say(_slots_text(settings, len(found)))
    if said is not None:
        say(f"Cluster: {said.text}")
    if settings.paused:
        say("The queue is paused; 'python -m segcore queue resume' lets it go on.")
    elif (waiting or has_jobs(store)) and not scheduler_alive(store.workspace, patience=0.3):
        say("Nothing works on the queue: its process has ended. 'python -m segcore queue resume' starts it.")
    _say_interrupted(store)


def _say_interrupted(store: RunStore) -> None:
    """Name what was killed and does not go on by itself: nobody else would miss it in the queue."""
    from segcore.status import RunState

    runs = [run for run, status in store.statuses() if status.state is RunState.INTERRUPTED]
    for study in dict.fromkeys(run.study_name for run in runs):
        count = sum(run.study_name == study for run in runs)
        say(
            f"{plural(count, 'run')} of study {study} interrupted; 'python -m segcore study retry {study}' puts "
            "what failed or was interrupted back into the queue."
        )


def _row(place: str, run: Run, status: Status) -> tuple[str, ...]:
    from segcore.cli.follow import state_text

    epochs = f"{status.epoch}/{run.config.recipe.epochs}"
    expected, left = duration(status.predicted_after_epoch or status.predicted), duration(status.eta)
    return place, run.study_name, run.name, state_text(run, status), epochs, expected, left


@app.command("pause")
def pause(as_json: Json = False) -> None:
    """Start no waiting run any more; those that train go on to their end."""
    from segcore.store import RunStore

    _set(RunStore(), as_json, paused=True)


@app.command("resume")
def resume(as_json: Json = False) -> None:
    """Let the queue go on: after a pause, or where the process that starts runs has ended."""
    from segcore.store import RunStore

    _set(RunStore(), as_json, paused=False)


@app.command("slots")
def slots(
    count: Annotated[int, typer.Argument(metavar="N", help=QueueSettings.help("slots"), show_default=False)],
    as_json: Json = False,
) -> None:
    """Say how many runs train at once on the processor; it holds for runs that start from now on."""
    from segcore.store import RunStore

    _set(RunStore(), as_json, slots=count)


@app.command("move")
def move(
    name: RunName,
    position: Annotated[
        int,
        typer.Argument(metavar="POSITION", min=1, help="Its new place among those that wait; 1 is next."),
    ],
    as_json: Json = False,
) -> None:
    """Give a waiting run another place in the queue."""
    from segcore.store import RunStore

    store = RunStore()
    store.move(own_run(store, name), position - 1)
    waiting = store.waiting()
    if as_json:
        emit_json({"waiting": [run.summary() for run in waiting]})
        return
    for place, run in enumerate(waiting, 1):
        print(f"{place}. {run.study_name}/{run.name}")


def _set(store: RunStore, as_json: bool, *, paused: bool | None = None, slots: int | None = None) -> None:
    """Change a setting, see that somebody works on what waits, and say how the queue is set now."""
    from segcore.clustered import has_jobs
    from segcore.launch.gpus import gpus
    from segcore.launch.local import ensure_scheduler

    store.workspace.ensure_writable()
    settings = store.set_queue(paused=paused, slots=slots)
    waiting = store.waiting()
    if waiting or has_jobs(store):
        ensure_scheduler(store.workspace)
    if as_json:
        emit_json(_described(settings))
        return
    if paused is not None:
        print(
            "The queue is paused." if settings.paused else f"The queue goes on; {plural(len(waiting), 'run')} waiting."
        )
    print(_slots_text(settings, len(gpus())))
    if paused is False:
        _say_interrupted(store)


def _slots_text(settings: QueueSettings, gpus: int) -> str:
    from segcore.runqueue import cores

    if gpus:
        return f"One run trains on each of {plural(gpus, 'GPU')}."
    if settings.slots == 1:
        return "One run trains at a time, with the whole processor."
    share = plural(max(1, cores() // settings.slots), "processor core")
    return f"Up to {settings.slots} runs train at once, each with {share}."


def _described(settings: QueueSettings) -> dict[str, Any]:
    from segcore.runqueue import cores

    return {**settings.to_json(), "cores": cores()}
