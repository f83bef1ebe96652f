"""`dataset add`: a folder or a zip whose layout is recognised, or images, masks and class table by name."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segcore.cli.decisions import read_names
from segcore.cli.output import Json, emit_json, print_table, progress_bar, say
from segcore.config import DatasetConfig
from segcore.errors import ConfigError
from segcore.files import user_path
from segcore.text import plural

if TYPE_CHECKING:
    from segcore.data.layouts import Guess


def add_dataset(
    name: Annotated[str, typer.Argument(metavar="NAME", help=DatasetConfig.help("name"), show_default=False)],
    path: Annotated[
        Path | None,
        typer.Argument(
            metavar="[PATH]",
            help="The dataset's folder, or a zip of it, whose layout is recognised. What follows corrects it.",
            show_default=False,
        ),
    ] = None,
    layout: Annotated[
        str | None, typer.Option(help="Take PATH for this layout.", show_default="the one that fits best")
    ] = None,
    show: Annotated[
        bool, typer.Option("--show", help="Say what PATH is taken for, with examples, and add nothing.")
    ] = False,
    images: Annotated[Path | None, typer.Option(help=DatasetConfig.help("images"), show_default=False)] = None,
    masks: Annotated[Path | None, typer.Option(help=DatasetConfig.help("masks"), show_default=False)] = None,
    classes: Annotated[
        Path | None, typer.Option(help="Class table: a CSV file name,r,g,b.", show_default=False)
    ] = None,
    ignore: Annotated[
        str,
        typer.Option(help="Classes to leave out of loss and scores: a,b.", show_default="none, or as recognised"),
    ] = "",
    image_regex: Annotated[str | None, typer.Option(help=DatasetConfig.help("image_regex"), show_default=False)] = None,
    mask_regex: Annotated[str | None, typer.Option(help=DatasetConfig.help("mask_regex"), show_default=False)] = None,
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
            show_default="as published, else divided by group",
        ),
    ] = None,
    val_share: Annotated[
        float | None, typer.Option(help="Divide anew, with this share to validate on.", show_default="0.2")
    ] = None,
    test_share: Annotated[
        float | None, typer.Option(help="Divide anew, with this share sealed for a final test.", show_default="0")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check every image and mask, divide them by group, and remember them. The files stay as they are.

    Either give PATH, and its layout is recognised; or give --images, --masks and --classes.
    """
    from segcore.cli.datasets import print_dataset
    from segcore.data.store import DatasetStore

    given = {
        "images": user_path(images, "images") if images is not None else None,
        "masks": user_path(masks, "masks") if masks is not None else None,
        "image_regex": image_regex,
        "mask_regex": mask_regex,
        "group_regex": group_regex,
        "group_by_folder": group_by_folder or None,
    }
    store, how = DatasetStore(), _division(split_file, val_share, test_share)
    if path is None:
        if layout is not None or show:
            raise ConfigError("--layout and --show need the PATH of a folder or a zip.", field="path")
        config = _explicit(name, given, classes, ignore)
        with progress_bar("Checking images and masks") as progress:
            dataset = store.add(config, **how, progress=progress)
        print_dataset(dataset, as_json=as_json)
        return
    with _unpacked(user_path(path, "path"), store) as (folder, own):
        guess = _corrected(folder, layout, name, given, classes, ignore)
        if show:
            _show(guess, as_json=as_json)
            return
        say(f"Taken for: {guess.title}. {guess.why} {plural(guess.pairs, 'pair')}.")
        for warning in guess.warnings:
            say(f"Note: {warning}")
        if not how:
            how = {"split": guess.split}
        with progress_bar("Checking images and masks") as progress:
            dataset = store.add_guess(guess, own=own, **how, progress=progress)
    print_dataset(dataset, as_json=as_json)


def _division(split_file: Path | None, val: float | None, test: float | None) -> dict[str, Any]:
    """Return what was said of the split, as the store takes it; nothing where nothing was."""
    shares = {part: share for part, share in (("val", val), ("test", test)) if share is not None}
    if split_file is None:
        return shares
    if shares:
        raise ConfigError("--split-file says who is in which part: leave out --val-share and --test-share.")
    return {"split": user_path(split_file, "split")}


def _explicit(name: str, given: dict[str, Any], classes: Path | None, ignore: str) -> DatasetConfig:
    from segcore.data.classes import ClassTable

    for field, value in (("images", given["images"]), ("masks", given["masks"]), ("classes", classes)):
        if value is None:
            raise ConfigError(
                "give the PATH of the dataset's folder, or all of --images, --masks and --classes.", field=field
            )
    assert classes is not None
    table = ClassTable.read_csv(user_path(classes, "classes"), ignore=_listed(ignore))
    return DatasetConfig(name=name, classes=table.classes, **_without_none(given))


def _corrected(
    folder: Path, layout: str | None, name: str, given: dict[str, Any], classes: Path | None, ignore: str
) -> Guess:
    """Recognise a folder, and put in what was given instead of what was recognised."""
    from segcore.data.classes import ClassTable
    from segcore.data.layouts import ignoring, recognised, revised

    guess = recognised(folder, layout=layout, name=name)
    changes = _without_none(given)
    if "group_regex" in changes or "group_by_folder" in changes:
        changes = {"group_regex": None, "group_by_folder": False} | changes
    if classes is not None:
        changes["classes"] = ClassTable.read_csv(user_path(classes, "classes")).classes
    if ignore:
        changes["classes"] = ignoring(changes.get("classes", guess.config.classes), _listed(ignore))
    return revised(guess, **changes)


def _without_none(given: dict[str, Any]) -> dict[str, Any]:
    return {field: value for field, value in given.items() if value is not None}


def _listed(ignore: str) -> tuple[str, ...]:
    return read_names(ignore, field="ignore") if ignore else ()


@contextmanager
def _unpacked(path: Path, store: Any) -> Iterator[tuple[Path, Path | None]]:
    """Yield the folder to look at, and for a zip the folder that the dataset is to keep, which goes if it does not."""
    if not path.is_file():
        yield path, None
        return
    from segcore.data.archive import unpack

    own = store.new_staging()
    try:
        with progress_bar("Unpacking") as progress:
            unpack(path, own / "source", progress)
        yield own / "source", own
    finally:
        shutil.rmtree(own, ignore_errors=True)


def _show(guess: Guess, *, as_json: bool) -> None:
    """Print what a folder is taken for."""
    config, split = guess.config, guess.split
    if as_json:
        emit_json(
            {
                "layout": guess.layout,
                "title": guess.title,
                "why": guess.why,
                "pairs": guess.pairs,
                "groups": guess.groups,
                "config": config.to_json(),
                "split": split.to_json() if split else None,
                "examples": [{"image": pair.image, "mask": pair.mask, "group": pair.group} for pair in guess.examples],
                "annotations": guess.annotations,
                "warnings": guess.warnings,
            }
        )
        return
    print(f"{guess.title} ({guess.layout}). {guess.why}")
    print(f"{plural(guess.pairs, 'pair')} in {plural(guess.groups, 'group')}.")
    if split is not None:
        print(f"Published as {len(split.train)} train, {len(split.val)} val, {len(split.test)} test.")
    for pair in guess.examples:
        print(f"  {pair.image}  –  {pair.mask if not guess.annotations else 'outlines'}  (group {pair.group})")
    rows = [
        (str(row), info.name, " ".join(map(str, info.color)), "ignored" if info.ignore else "")
        for row, info in enumerate(config.classes)
    ]
    print_table((">row", "class", "colour", ""), rows)
    for warning in guess.warnings:
        say(f"Note: {warning}")
