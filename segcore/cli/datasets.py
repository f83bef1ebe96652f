"""`dataset add|list|check|remove`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segcore.cli.output import Json, emit_json, listed, print_table, progress_bar, say
from segcore.config import DatasetConfig
from segcore.files import user_path
from segcore.text import percent, plural, scaled

if TYPE_CHECKING:
    from segcore.data.store import Dataset

app = typer.Typer(help="Bring in, check and remove datasets: folders of images and masks with a class table.")

PARTS = ("train", "val", "test")

DatasetName = Annotated[str, typer.Argument(metavar="NAME", help="The dataset.", show_default=False)]


@app.command("add")
def add_dataset(
    name: Annotated[str, typer.Argument(metavar="NAME", help=DatasetConfig.help("name"), show_default=False)],
    images: Annotated[Path, typer.Option(help=DatasetConfig.help("images"), show_default=False)],
    masks: Annotated[Path, typer.Option(help=DatasetConfig.help("masks"), show_default=False)],
    classes: Annotated[Path, typer.Option(help="Class table: a CSV file name,r,g,b.", show_default=False)],
    ignore: Annotated[
        str,
        typer.Option(help="Classes to leave out of loss and scores: a,b.", show_default="none"),
    ] = "",
    group_regex: Annotated[
        str | None, typer.Option(help=DatasetConfig.help("group_regex"), show_default="none")
    ] = None,
    group_by_folder: Annotated[
        bool, typer.Option("--group-by-folder", help=DatasetConfig.help("group_by_folder"))
    ] = False,
    split_file: Annotated[
        Path | None,
        typer.Option(
            help="A split of your own: JSON {train, val, test} of names, CSV name,part, or a folder of train.txt, …",
            show_default="divided by group",
        ),
    ] = None,
    val_share: Annotated[float, typer.Option(help="Share of the images to validate on.")] = 0.2,
    test_share: Annotated[float, typer.Option(help="Share of the images to keep sealed for a final test.")] = 0.0,
    as_json: Json = False,
) -> None:
    """Check every image and mask, divide them by group, and remember them. The files stay as they are."""
    from segcore.data.classes import ClassTable
    from segcore.data.store import DatasetStore

    table = ClassTable.read_csv(user_path(classes, "classes"), ignore=listed(ignore, field="ignore") if ignore else ())
    config = DatasetConfig(
        name=name,
        images=user_path(images, "images"),
        masks=user_path(masks, "masks"),
        classes=table.classes,
        group_regex=group_regex,
        group_by_folder=group_by_folder,
    )
    own_split = user_path(split_file, "split") if split_file is not None else None
    with progress_bar("Checking images and masks") as progress:
        dataset = DatasetStore().add(config, split=own_split, val=val_share, test=test_share, progress=progress)
    _print_dataset(dataset, as_json=as_json)


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
    _print_dataset(dataset, as_json=as_json)


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


def _print_dataset(dataset: Dataset, *, as_json: bool) -> None:
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
