"""`mirror`: bringing an MLflow server up to date with studies."""

from __future__ import annotations

from typing import Annotated

import typer

from segcore.cli.output import Json, emit_json, print_table, progress_bar, say
from segcore.errors import ConfigError, TrackingError, WorkspaceError


def mirror(
    name: Annotated[str | None, typer.Argument(metavar="STUDY", help="Name of the study.", show_default=False)] = None,
    everything: Annotated[bool, typer.Option("--all", help="All studies of the workspace.")] = False,
    as_json: Json = False,
) -> None:
    """Send to the MLflow server that MLFLOW_TRACKING_URI names what it lacks of a study, nothing twice.

    A study is a parent run and its runs are the children. The study goes on being mirrored while it trains.
    """
    from dataclasses import asdict

    from segcore.store import RunStore
    from segcore.tracking import record
    from segcore.tracking.destination import needed
    from segcore.tracking.sending import Sent, send
    from segcore.tracking.server import Server

    if (name is None) is not everything:
        raise ConfigError("Give either the name of a study or --all.")
    store, where = RunStore(), needed()
    studies = store.studies() if name is None else [store.study(name)]
    results: list[Sent] = []
    problems = [str(error) for error in store.unreadable_studies()] if everything else []
    try:
        server = Server(where)
        for study in studies:
            try:
                with progress_bar(f"Sending {study.name} to {where.shown}") as progress:
                    results.append(send(study, server, store=store, progress=progress))
            except WorkspaceError as error:
                if not everything:
                    raise
                problems.append(str(error))
    except TrackingError as error:
        record.tell(store.workspace, str(error))
        raise
    problems += [f"{sent.study}/{what}: {why}" for sent in results for what, why in sent.refused.items()]
    record.tell(store.workspace, problems[0] if problems else "")
    if as_json:
        sent_now = [asdict(row) for row in results]
        emit_json({"server": where.shown, "experiment": where.experiment, "studies": sent_now, "problems": problems})
    else:
        print_table(
            ("study", ">runs sent", ">epochs", ">artifacts", "run on the server"),
            [(row.study, str(row.runs), str(row.epochs), str(row.artifacts), row.id) for row in results],
            title=f"{where.shown}, experiment {where.experiment}: sent now, beside what was there",
        )
    for problem in problems:
        say(f"Not sent: {problem}")
    if problems:
        raise typer.Exit(1)
