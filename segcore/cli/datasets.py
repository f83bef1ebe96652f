"""`dataset list|check|remove`; `dataset add` and `dataset split` have modules of their own."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from segcore.cli.decisions import read_mapping
from segcore.cli.output import Json, emit_json, listed, print_table, progress_bar, say
from segcore.decisions import Decision, Exclude, Read, Reading, Snap
from segcore.text import percent, plural, scaled

if TYPE_CHECKING:
    from segcore.data.report import Problem
    from segcore.data.store import Dataset

app = typer.Typer(help="Bring in, check and remove datasets: folders of images and masks with a class table.")

PARTS = ("train", "val", "test")
COMMAND_LENGTH = 200
"""A longer command is not proposed; the JSON holds all that it would name."""

DatasetName = Annotated[str, typer.Argument(metavar="NAME", help="The dataset.", show_default=False)]


@app.command("list")
def list_datasets(as_json: Json = False) -> None:
    """List all datasets."""
    from segcore.data.store import DatasetStore

    rows = [dataset.summary() for dataset in DatasetStore().list()]
    if as_json:
        emit_json(rows)
        return
    if not rows:
        say("No datasets yet. Bring one in with 'dataset add', or start with 'demo'.")
        return
    print_table(
        ("dataset", ">images", ">groups", ">classes", ">train", ">val", ">test", "images from"),
        [
            (
                row["dataset"],
                *(str(row[column]) for column in ("usable", "groups", "classes", *PARTS)),
                row["source"],
            )
            for row in rows
        ],
    )


@app.command("check")
def check_dataset(
    name: DatasetName,
    exclude: Annotated[str, typer.Option(help="Leave images out: a,b.", show_default="none")] = "",
    snap: Annotated[int | None, typer.Option(help=Snap.help("distance"), show_default="exact colours")] = None,
    mapping: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            help="Say what a colour or value beside the class table is: VALUE=CLASS, with nothing behind = to ignore "
            "it. A colour is #rrggbb. May be repeated.",
            show_default="none",
        ),
    ] = None,
    read: Annotated[
        Reading | None, typer.Option(help=Read.help("reading"), show_default="what fits most pixels")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what a dataset holds, what is wrong with it and what can be done; read it anew where its files changed.

    What is decided here is undone with 'dataset classes NAME --undo'.
    """
    from segcore.data.store import DatasetStore

    dataset = DatasetStore().get(name)
    decisions: list[Decision] = []
    if exclude:
        decisions.append(Exclude(images=listed(exclude, field="exclude")))
    decisions += [read_mapping(text) for text in mapping or ()]
    if snap is not None:
        decisions.append(Snap(distance=snap))
    if read is not None:
        decisions.append(Read(reading=read))
    if decisions or dataset.changed():
        with progress_bar("Checking images and masks") as progress:
            dataset = dataset.decide(*decisions, progress=progress) if decisions else dataset.refresh(progress)
    print_dataset(dataset, as_json=as_json)


@app.command("remove")
def remove_dataset(name: DatasetName, as_json: Json = False) -> None:
    """Forget a dataset: what was made from it moves to the workspace's trash, its source files stay."""
    from segcore.data.store import DatasetStore
    from segcore.store import RunStore

    unfinished = RunStore().unfinished_on(name)
    target = DatasetStore().remove(name)
    if unfinished:
        say(f"Note: unfinished runs of {', '.join(unfinished)} cannot be resumed without it.")
    if as_json:
        emit_json({"dataset": name, "moved_to": target})
    else:
        print(f"Moved dataset {name} to {target}; its source files are where they were.")


def print_dataset(dataset: Dataset, *, as_json: bool) -> None:
    """Print what a dataset holds and what is wrong with it."""
    report, summary = dataset.report, dataset.summary()
    problems = (*report.problems, *dataset.split_problems())
    if as_json:
        found = {**report.to_json(), "problems": [problem.to_json() for problem in problems]}
        emit_json({**summary, "decisions": [one.to_json() for one in dataset.config.decisions], "report": found})
        return
    for problem in problems:
        say(f"{'Left out' if problem.excluded else 'Note'}: {problem.message}{_proposal(problem, dataset.name)}")
    for unknown in report.unknown_colors:
        near = f"; {unknown.nearest} is only {unknown.distance:.0f} away" if unknown.action.to is not None else ""
        where = f" at {unknown.box[0]},{unknown.box[1]} to {unknown.box[2]},{unknown.box[3]}" if unknown.box else ""
        say(
            f"Ignored: {unknown.text} is not in the class table{near}; {scaled(unknown.pixels)} pixels in "
            f"{plural(unknown.images, 'mask')}, as in {unknown.example}{where}."
        )
    rows = zip(dataset.config.trained_classes, report.class_shares, report.class_images, strict=True)
    print_table(
        ("class", ">share of labelled pixels", ">images"),
        [(info.name, percent(share, 2), str(images)) for info, share, images in rows],
        title=f"{dataset.name}: {plural(report.usable, 'image')} in {plural(report.groups, 'group')}, "
        f"{percent(report.labelled_share)} of the pixels labelled",
    )
    parts = ", ".join(f"{summary[part]} {part}" for part in PARTS if summary[part])
    print(f"Split: {parts}." if parts else "It has no split; the next study divides it by group.")
    if warning := dataset.split_warning():
        say(f"Note: {warning}")


def _proposal(problem: Problem, name: str) -> str:
    """Return the command for what can be done about a problem, where it is short enough to be typed."""
    from segcore.data.commands import command_words

    if problem.action is None:
        return ""
    command = shlex.join(command_words(problem.action, name))
    return f" To do that: {command}" if len(command) <= COMMAND_LENGTH else ""
