"""`dataset split|leakage`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import typer

from segcore.cli.output import Json, emit_json, print_table, progress_bar, say
from segcore.config import DatasetConfig
from segcore.errors import SplitError
from segcore.files import user_path
from segcore.text import percent, plural

if TYPE_CHECKING:
    from segcore.data.dataset import Dataset
    from segcore.data.leakage import Leakage

PARTS = ("train", "val", "test")
SHOWN = 20
"""So many pairs are printed; JSON holds all."""

Way = Literal["group", "name", "folder", "time", "gps", "random", "lists"]

SHARES = ("val", "test", "seed")
OF_WAYS: dict[str, tuple[str, ...]] = {"name": ("regex",), "time": ("gap",), "gps": ("distance",), "lists": ("file",)}
"""What only one way of dividing takes; all but lists take shares and seed, too."""

DatasetName = Annotated[str, typer.Argument(metavar="NAME", help="The dataset.", show_default=False)]


def split_dataset(
    name: DatasetName,
    by: Annotated[
        Way | None,
        typer.Option(
            help="Divide anew: by the scenes there are (group), by scenes named by file name, folder, time of exposure "
            "or GPS, image by image (random), or as lists say.",
            show_default="show the split",
        ),
    ] = None,
    val: Annotated[
        float | None, typer.Option(help="With --by: share of the images to validate on.", show_default="0.2")
    ] = None,
    test: Annotated[
        float | None,
        typer.Option(help="With --by: share of the images to keep sealed for a final test.", show_default="0"),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="With --by: decides between splits that are about equally balanced.", show_default="0"),
    ] = None,
    regex: Annotated[
        str | None, typer.Option(help=DatasetConfig.help("group_regex"), show_default="the dataset's own")
    ] = None,
    gap: Annotated[
        float | None,
        typer.Option(help="With --by time: seconds of pause that begin another scene.", show_default="60"),
    ] = None,
    distance: Annotated[
        float | None,
        typer.Option(help="With --by gps: images at most so many metres apart are one scene.", show_default="100"),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            help="With --by lists: JSON {train, val, test} of names, CSV name,part, or a folder of train.txt, …",
            show_default=False,
        ),
    ] = None,
    move: Annotated[
        list[str] | None,
        typer.Option(help="Put a scene or an image into a part: SCENE=PART. May be repeated.", show_default="none"),
    ] = None,
    version: Annotated[
        int | None, typer.Option(help="Take up an earlier version of the split again.", show_default="the present one")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show how a dataset is divided, or divide it anew. A split that a study used is kept as an earlier version."""
    from segcore.data import dividing
    from segcore.data.split_versions import split_version
    from segcore.data.store import DatasetStore

    dataset = DatasetStore().get(name)
    if sum((by is not None, bool(move), version is not None)) > 1:
        raise SplitError("Give one of --by, --move and --version at a time.", field="by")
    given = {"val": val, "test": test, "seed": seed, "regex": regex, "gap": gap, "distance": distance, "file": file}
    given = {option: value for option, value in given.items() if value is not None}
    _check(by, given)
    if by is not None:
        _divide(dataset, by, given)
    for words in move or ():
        what, equals, part = words.rpartition("=")
        if not equals:
            raise SplitError(f"{words!r} does not say where to; write SCENE=PART, as in scene07=val.", field="move")
        dividing.move(dataset, what, part)
    if version is not None:
        earlier = split_version(dataset.path, version)
        dataset.set_split(earlier.split, f"version {earlier.number} again")
    _print_split(dataset, as_json=as_json)


def _check(by: Way | None, given: Collection[str]) -> None:
    """Raise `SplitError` for an option that would change nothing: one would take the old split for what was asked."""
    for option in given:
        ways = [way for way in get_args(Way) if option in OF_WAYS.get(way, ()) or (option in SHARES and way != "lists")]
        if by not in ways:
            raise SplitError(f"--{option} is for dividing anew: give --by {' or '.join(ways)}, too.")


def _divide(dataset: Dataset, by: Way, given: Mapping[str, Any]) -> None:
    """Divide anew, by scenes that are named anew where asked for; what is not given is as in the library."""
    from segcore.data import dividing

    shares = {option: given[option] for option in SHARES if option in given}
    own = {option: given[option] for option in OF_WAYS.get(by, ()) if option in given}
    if by == "lists":
        if not own:
            raise SplitError("--by lists needs --file: the file or folder of the lists.", field="file")
        dividing.split_by_lists(dataset, user_path(own["file"], "file"))
        return
    if by == "random":
        dividing.split_at_random(dataset, **shares)
        return
    if by == "name":
        chosen = own.get("regex") or dataset.config.group_regex
        if chosen is None:
            raise SplitError("--by name needs --regex, as in '^(scene\\d+)'.", field="regex")
        grouping = dividing.group_by_name(dataset, chosen)
    elif by == "folder":
        grouping = dividing.group_by_folder(dataset)
    elif by in ("time", "gps"):
        with progress_bar("Reading when and where the images were taken") as progress:
            if by == "time":
                grouping = dividing.group_by_time(dataset, progress=progress, **own)
            else:
                grouping = dividing.group_by_place(dataset, progress=progress, **own)
    else:
        dataset.make_split(**shares)
        return
    dividing.divide_by(dataset, grouping, **shares)


def leakage_of_dataset(
    name: DatasetName,
    mend: Annotated[
        bool, typer.Option("--mend", help="Put images that show the same ground into one scene, and divide anew.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Find images that are copies of each other or overlap, and tell how much of the split they spoil."""
    from segcore.data import mending
    from segcore.data.store import DatasetStore

    dataset = DatasetStore().get(name)
    with _bar_if_needed(mending.known_leakage(dataset) is None) as progress:
        found = mending.known_leakage(dataset) or mending.find_leakage(dataset, progress)
    done: dict[str, Any] = {}
    if mend:
        plan = mending.preview_mending(dataset, found)
        mending.mend(dataset, plan)
        done = {"scenes_before": plan.before, "scenes_after": plan.grouping.scenes, "moved": len(plan.moved)}
    if as_json:
        emit_json({**_leakage_json(dataset, found), **({"mended": done} if mend else {})})
        return
    _print_leakage(dataset, found)
    if mend:
        print(
            f"Put overlaps together: {plural(done['scenes_before'], 'scene')} became {done['scenes_after']}, "
            f"{plural(done['moved'], 'image')} changed their part."
        )


@contextmanager
def _bar_if_needed(needed: bool) -> Iterator[Any]:
    if not needed:
        yield None
        return
    with progress_bar("Comparing images") as progress:
        yield progress


# What is printed ----------------------------------------------------------------------------------------


def _print_split(dataset: Dataset, *, as_json: bool) -> None:
    from segcore.data.dividing import class_shares
    from segcore.data.split_versions import split_versions

    split, groups, versions = dataset.split, dataset.groups, split_versions(dataset.path)
    table = class_shares(dataset, split)
    if as_json:
        emit_json(
            {
                "dataset": dataset.name,
                "split": split.to_json() if split else None,
                "groups": groups,
                "groups_from": dataset.config.groups_from,
                "class_shares": table,
                "versions": [
                    {
                        "version": version.number,
                        "made": version.made,
                        "when": version.when,
                        "fingerprint": version.split.fingerprint,
                        "studies": version.studies,
                        **{part: len(getattr(version.split, part)) for part in PARTS},
                    }
                    for version in versions
                ],
                "warning": dataset.split_warning(),
            }
        )
        return
    if split is None:
        say("It has no split; the next study divides it by scene.")
        return
    parts = [part for part in PARTS if getattr(split, part)]
    names = {part: getattr(split, part) for part in parts}
    print_table(
        ("", *(f">{part}" for part in parts)),
        [
            ("images", *(str(len(names[part])) for part in parts)),
            ("scenes", *(str(len({groups[image] for image in names[part] if image in groups})) for part in parts)),
            *((row["class"], *(percent(row[part], 2) for part in parts)) for row in table),
        ],
        title=f"{dataset.name}, version {versions[0].number} of its split, {versions[0].made}",
    )
    unused = len(groups.keys() - split.part_of())
    if unused:
        say(f"{plural(unused, 'image is', 'images are')} in no part, and not used.")
    for version in versions:
        if version.locked:
            say(f"Version {version.number} is used by {', '.join(version.studies)}.")
    if warning := dataset.split_warning():
        say(f"Note: {warning}")


def _leakage_json(dataset: Dataset, found: Leakage) -> dict[str, Any]:
    split = dataset.split
    part = split.part_of() if split else {}
    return {
        "dataset": dataset.name,
        "images": found.images,
        "compared": found.compared,
        "counts": found.counts(),
        "score": found.score(split).to_json() if split else None,
        "pairs": [
            {
                "first": leak.first,
                "second": leak.second,
                **asdict(leak.match),
                "parts": [part.get(leak.first), part.get(leak.second)],
            }
            for leak in found.leaks
        ],
    }


def _print_leakage(dataset: Dataset, found: Leakage) -> None:
    split = dataset.split
    part = split.part_of() if split else {}
    across = found.across(split) if split else []
    counts = ", ".join(plural(count, kind) for kind, count in found.counts().items() if count) or "nothing"
    print(f"Among {plural(found.images, 'image')} of {dataset.name}: {counts} found.")
    if split is not None:
        score = found.score(split)
        print(
            f"Leak score: {percent(score.val)} of the validation images show ground of training images"
            + (f", {percent(score.test)} of the test images ground of the others" if split.test else "")
            + f" ({plural(score.pairs, 'pair')} in different parts)."
        )
    shown = across or list(found.leaks)
    if shown:
        print_table(
            ("first", "in", "second", "in", "kind", ">overlap", ">score"),
            [
                (
                    leak.first,
                    part.get(leak.first, "–"),
                    leak.second,
                    part.get(leak.second, "–"),
                    leak.match.kind + (", mirrored" if leak.match.mirrored else ""),
                    percent(leak.match.overlap, 0),
                    f"{leak.match.score:.2f}",
                )
                for leak in shown[:SHOWN]
            ],
            title="Pairs in different parts" if across else "Pairs, none of them in different parts",
        )
    if len(shown) > SHOWN:
        say(f"{len(shown) - SHOWN} more pairs: --json prints all.")
    if across:
        say("To put them into one scene each and divide anew: --mend.")
