"""`runs`, and `run resume|stop|remove`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from segcore.cli.output import Json, emit_json, print_table, say
from segcore.files import user_path
from segcore.text import duration, percent

if TYPE_CHECKING:
    from segcore.runs import Run
    from segcore.store import RunStore

app = typer.Typer(help="Manage single runs.")

RunName = Annotated[str, typer.Argument(metavar="RUN", help="Its directory, or STUDY/RUN.", show_default=False)]


def list_runs(
    study: Annotated[str | None, typer.Option(help="Only the runs of this study.", show_default="all")] = None,
    as_json: Json = False,
) -> None:
    """List runs in the order they were created, with the scores of their best epoch."""
    from segcore.store import RunStore

    store = RunStore()
    rows = [run.summary() for run, _ in store.statuses(store.runs(study))]
    if as_json:
        emit_json(rows)
        return
    if not rows:
        say("No runs yet. Launch some with 'study run', or start with 'demo'.")
        return
    print_table(
        ("study", "run", "state", ">epoch", ">val mIoU", ">val pixel accuracy", ">training"),
        [
            (
                row["study"],
                row["run"],
                row["state"],
                f"{row['epoch']}/{row['epochs']}",
                percent(row["val_miou"]),
                percent(row["val_pixel_accuracy"]),
                duration(row["seconds"] or None),
            )
            for row in rows
        ],
    )


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


@app.command("stop")
def stop(name: RunName, as_json: Json = False) -> None:
    """Stop a run that waits or trains; it can be resumed."""
    from segcore.store import RunStore

    store = RunStore()
    run = own_run(store, name)
    active = run.state.active
    store.stop(run)
    said = "is being stopped; if it trains, it saves its state first." if active else f"is {run.state} already."
    _done(run, said, as_json=as_json)


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


def _done(run: Run, said: str, *, as_json: bool) -> None:
    if as_json:
        emit_json(run.summary())
    else:
        print(f"Run {run.study_name}/{run.name} {said}")
