"""`dataset list|check|remove`; `dataset add` and `dataset split` have modules of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from segcore.cli.output import Json, emit_json, print_table, progress_bar, say
from segcore.text import percent, plural, scaled

if TYPE_CHECKING:
    from segcore.data.store import Dataset

app = typer.Typer(help="Bring in, check and remove datasets: folders of images and masks with a class table.")

PARTS = ("train", "val", "test")

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
def check_dataset(name: DatasetName, as_json: Json = False) -> None:
    """Show what a dataset holds and what is wrong with it; read it anew where its files changed."""
    from segcore.data.store import DatasetStore

    dataset = DatasetStore().get(name)
    if dataset.changed():
        with progress_bar("The files have changed; checking images and masks") as progress:
            dataset = dataset.refresh(progress)
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
    if as_json:
        emit_json({**summary, "report": report.to_json()})
        return
    for problem in report.problems:
        say(f"{'Left out' if problem.excluded else 'Note'}: {problem.message}")
    for unknown in report.unknown_colors:
        say(
            f"Ignored: {unknown.text} is not in the class table; {scaled(unknown.pixels)} pixels in "
            f"{plural(unknown.images, 'mask')}, as in {unknown.example}."
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
