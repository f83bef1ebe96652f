"""`runs`, and `run resume|stop|extend|remove`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from segcore.cli.output import Json, emit_json, print_table, say
from segcore.files import user_path
from segcore.status import RunState
from segcore.text import duration, percent

if TYPE_CHECKING:
    from segcore.runs import Run
    from segcore.store import RunStore

app = typer.Typer(help="Manage single runs.")

Epochs = Annotated[
    int, typer.Option(help="How many epochs in all, those trained already included.", show_default=False)
]
"""What `run extend` and `study extend` ask for."""

RunName = Annotated[str, typer.Argument(metavar="RUN", help="Its directory, or STUDY/RUN.", show_default=False)]


def list_runs(
    study: Annotated[str | None, typer.Option(help="Only the runs of this study.", show_default="all")] = None,
    as_json: Json = False,
) -> None:
    """List runs in the order they were created, with the scores of their best epoch."""
    from segcore.cli.follow import state_text
    from segcore.status import RunState
    from segcore.store import RunStore

    store = RunStore()
    found = [(run, run.summary(), status) for run, status in store.statuses(store.runs(study))]
    if as_json:
        emit_json([row for _, row, _ in found])
        return
    if not found:
        say("No runs yet. Launch some with 'study run', or start with 'demo'.")
        return
    print_table(
        ("study", "run", "state", ">epoch", ">val mIoU", ">val pixel accuracy", ">training", ">expected"),
        [
            (
                row["study"],
                row["run"],
                state_text(run, status),
                f"{row['epoch']}/{row['epochs']}",
                percent(row["val_miou"]),
                percent(row["val_pixel_accuracy"]),
                duration(row["seconds"] or None),
                duration(status.predicted_after_epoch or status.predicted),
            )
            for run, row, status in found
        ],
    )
    for run, _, status in found:
        if status.message and status.state in (RunState.FAILED, RunState.INTERRUPTED, RunState.QUEUED):
            say(f"{run.study_name}/{run.name}: {status.message} {status.hint}".rstrip())


def find_run(store: RunStore, name: str) -> Run:
    """Return the run that is called `name`: its directory, or STUDY/RUN.

    Raises:
        NotFoundError: there is none.
    """
    from segcore.errors import NotFoundError
    from segcore.runs import Run

    path = user_path(name, "run")
    run = Run(path.resolve())
    if run.exists():
        return run
    study, _, rest = name.partition("/")
    if study and rest and "/" not in rest and not path.is_absolute():
        return store.run(study, rest)
    raise NotFoundError(
        f"{name} is no run directory and not of the form STUDY/RUN; 'python -m segcore runs' lists what there is.",
        field="run",
    )


def own_run(store: RunStore, name: str) -> Run:
    """Return the run that is called `name` and lies in the store's workspace, so that its queue rules it.

    Raises:
        NotFoundError: there is none.
    """
    from segcore.errors import NotFoundError

    run = find_run(store, name)
    if run.path.parent.parent != store.workspace.studies:
        raise NotFoundError(
            f"{run.path} is not in the workspace {store.workspace.root}; choose its workspace with SEGCORE_HOME.",
            field="run",
        )
    return run


@app.command("resume")
def resume(name: RunName, as_json: Json = False) -> None:
    """Put a run that ended early back into the queue; it goes on where it ended."""
    from segcore.launch.local import ensure_scheduler
    from segcore.store import RunStore

    store = RunStore()
    run = own_run(store, name)
    store.requeue(run)
    ensure_scheduler(store.workspace)
    _done(run, "is waiting for its turn.", as_json=as_json)
    say_if_paused(store)


@app.command("stop")
def stop(name: RunName, as_json: Json = False) -> None:
    """Stop a run that waits or trains; it can be resumed.

    A run that trains saves its state first. If it gives no sign of life, asking again after a minute ends it.
    """
    from segcore.runqueue import HUNG_MESSAGE
    from segcore.store import RunStore

    store = RunStore()
    run = own_run(store, name)
    before = run.state
    store.stop(run)
    if before is RunState.QUEUED:
        said = f"does not wait any more; it is {run.state}."
    elif before is RunState.RUNNING and run.status.message == HUNG_MESSAGE:
        said = "gave no sign of life and was ended; what it saved last is kept."
    elif before is RunState.RUNNING:
        said = "is being stopped; it saves its state first."
    else:
        said = f"is {run.state} already."
    _done(run, said, as_json=as_json)


@app.command("extend")
def extend(name: RunName, epochs: Epochs, as_json: Json = False) -> None:
    """Train a finished run for more epochs; what it is then stands in its provenance.

    The learning rate rises again to where a schedule of that many epochs has it, so the run is not the same as one
    that trained so long at a stretch. Cancelled while it waits, the run is the finished one that it was.
    """
    from segcore.launch.local import ensure_scheduler
    from segcore.store import RunStore

    store = RunStore()
    run = own_run(store, name)
    store.extend([run], epochs)
    ensure_scheduler(store.workspace)
    _done(run, f"is waiting to train on to {epochs} epochs.", as_json=as_json)
    say_if_paused(store)


@app.command("remove")
def remove(name: RunName, as_json: Json = False) -> None:
    """Move a run to the workspace's trash."""
    from segcore.store import RunStore

    store = RunStore()
    run = own_run(store, name)
    target = store.remove_run(run)
    if as_json:
        emit_json({"study": run.study_name, "run": run.name, "moved_to": target})
    else:
        print(f"Moved run {run.study_name}/{run.name} to {target}.")


def say_if_paused(store: RunStore) -> None:
    """Say why what was just queued does not start."""
    if store.queue_settings().paused:
        say("The queue is paused; nothing starts before 'python -m segcore queue resume'.")


def _done(run: Run, said: str, *, as_json: bool) -> None:
    if as_json:
        emit_json(run.summary())
    else:
        print(f"Run {run.study_name}/{run.name} {said}")
