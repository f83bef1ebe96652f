"""`dataset classes`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from segcore.cli.decisions import read_classes
from segcore.cli.output import Json, emit_json, print_table, progress_bar
from segcore.errors import ConfigError
from segcore.text import UNKNOWN, percent, printable, scaled

if TYPE_CHECKING:
    from segcore.data.dataset import Dataset

DatasetName = Annotated[str, typer.Argument(metavar="NAME", help="The dataset.", show_default=False)]


def _many(help_text: str) -> Any:
    return typer.Option(help=f"{help_text} May be repeated.", show_default="none")


def classes_of_dataset(
    name: DatasetName,
    merge: Annotated[list[str] | None, _many("Make one class of several: a,b=c.")] = None,
    rename: Annotated[list[str] | None, _many("Call a class otherwise: a=b.")] = None,
    recolor: Annotated[list[str] | None, _many("Show a class in another colour: a=#rrggbb.")] = None,
    ignore: Annotated[list[str] | None, _many("Leave classes out of loss and scores: a,b.")] = None,
    use: Annotated[list[str] | None, _many("Learn and score ignored classes: a,b.")] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Take back the last decision, of 'dataset check', too.")] = False,
    number: Annotated[
        int | None, typer.Option(help="With --undo: which decision, as they are numbered.", show_default="the last")
    ] = None,
    sizes: Annotated[bool, typer.Option("--sizes", help="Look at masks for how large things are, too.")] = False,
    as_json: Json = False,
) -> None:
    """Show a dataset's classes and what is in them, or change what they are; its files stay as they are.

    Several changes are made in the order merge, rename (all at once), recolor, ignore, use.
    """
    from segcore.data.store import DatasetStore

    dataset = DatasetStore().get(name)
    decisions = read_classes(merge or (), rename or (), recolor or (), ignore or (), use or ())
    if undo and decisions:
        raise ConfigError("Either undo a decision or take others, not both at once.", field="undo")
    if number is not None and not undo:
        raise ConfigError("A number says which decision to undo; give --undo, too.", field="number")
    if undo or decisions:
        with progress_bar("Checking what that concerns") as progress:
            dataset.undo(number, progress=progress) if undo else dataset.decide(*decisions, progress=progress)
    rows = _rows(dataset, sizes=sizes)
    if as_json:
        emit_json({"dataset": name, "fingerprint": dataset.fingerprint, **rows})
    else:
        _print(dataset, rows, sizes=sizes)


def _rows(dataset: Dataset, *, sizes: bool) -> dict[str, Any]:
    """Return all that is known of the classes, JSON-ready."""
    from segcore.data import content

    pixels = content.pixel_table(dataset.facts)
    weights = {name: content.class_weights(pixels, name) for name in content.WEIGHTINGS}
    report = dataset.report
    rows: list[dict[str, Any]] = [
        {
            "class": info.name,
            "color": info.color,
            "pixels": report.class_pixels[label],
            "share": report.class_shares[label],
            "images": report.class_images[label],
            "weights": {name: of_class[label] for name, of_class in weights.items()},
        }
        for label, info in enumerate(dataset.table.trained)
    ]
    if sizes:
        with progress_bar("Looking at the sizes of things") as progress:
            found = content.object_sizes(dataset, progress)
        for row, count, quartiles in zip(rows, found.counts, found.quartiles, strict=True):
            row |= {"things": count, "area_quartiles": quartiles}
    return {
        "classes": rows,
        "ignored": [info.name for info in dataset.table.classes if info.ignore],
        "imbalance": content.imbalance(pixels),
        "together": content.co_occurrence(pixels),
        "weightings": content.WEIGHTINGS,
        "decisions": [decision.to_json() for decision in dataset.config.decisions],
    }


def _print(dataset: Dataset, found: dict[str, Any], *, sizes: bool) -> None:
    columns = ["class", "colour", ">share of labelled pixels", ">images", ">weight"]
    if sizes:
        columns += [">things", ">half have at most"]
    rows = []
    for row in found["classes"]:
        weight = row["weights"]["median frequency"]
        cells = [row["class"], f"#{bytes(row['color']).hex()}", percent(row["share"], 2), str(row["images"])]
        cells.append(f"{weight:.2f}" if weight == weight else UNKNOWN)
        if sizes:
            middle = row["area_quartiles"][1]
            cells += [str(row["things"]), f"{scaled(middle)} px" if middle == middle else UNKNOWN]
        rows.append(cells)
    ignored = ", ".join(found["ignored"])
    print_table(columns, rows, title=f"{dataset.name}: ignored are {ignored}" if ignored else dataset.name)
    if found["imbalance"] == found["imbalance"]:
        print(f"The most frequent class has {found['imbalance']:,.0f} times as many pixels as the rarest.")
    for number, decision in enumerate(dataset.config.decisions, start=1):
        print(f"{number}. {printable(decision.text, lines=False)}")
