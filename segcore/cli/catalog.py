"""`catalog`: every architecture of timm that works in a decoder at an image size, and what it costs."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segcore.cli.output import Json, emit_json, print_table, progress_bar, say
from segcore.config import Recipe, StudyConfig
from segcore.text import UNKNOWN, plural, scaled

if TYPE_CHECKING:
    from segcore.models.atlas import Atlas, Contents, Entry


def catalog(
    decoder: Annotated[str, typer.Option(help=StudyConfig.help("decoder"))] = "unet",
    image_size: Annotated[int, typer.Option(help=Recipe.help("image_size"))] = 256,
    stored: Annotated[bool, typer.Option("--stored", help="Show what was found already; probe nothing.")] = False,
    as_json: Json = False,
) -> None:
    """List all architectures of timm that work in a decoder at an image size, with what they cost.

    Each is built there once, as shapes without values, which takes some minutes for all and nothing the second time.
    Ctrl-C keeps what was found; the same command goes on.
    """
    from segcore.models.atlas import Atlas
    from segcore.models.catalog import DECODERS
    from segcore.workspace import Workspace

    atlas = Atlas(Workspace(), decoder, Recipe(image_size=image_size).image_size)
    if not stored and not atlas.read().complete:
        _fill(atlas)
    contents = atlas.read()
    if as_json:
        emit_json(_document(atlas, contents))
        return
    works = [entry for entry in contents.entries.values() if entry.works]
    title = f"{DECODERS[atlas.decoder].title} at {atlas.image_size} × {atlas.image_size} pixels"
    columns = ("backbone", "family", ">year", ">parameters", ">MACs", ">with decoder", "weights", "licence")
    print_table(columns, [_row(entry) for entry in works], title=f"Backbones in {title}")
    say(f"{len(works):,} of {plural(len(contents.entries), 'architecture')} work in {title}.")
    if not contents.complete:
        of = f" of {contents.total:,}" if contents.total else ""
        say(f"{len(contents.entries):,}{of} are probed so far; without --stored this command goes on.")
    for reason, count in _reasons(contents).items():
        say(f"{count:,}: {reason}")


def _fill(atlas: Atlas) -> None:
    """Probe what is missing; what is found until Ctrl-C, or until somebody cancels it on the page, is kept."""
    from segcore.background import Cancelled
    from segcore.launch import probing

    try:
        with progress_bar("Probing architectures") as progress:
            probing.fill(atlas, progress)
    except (KeyboardInterrupt, Cancelled):
        contents = atlas.read()
        of = f" of {contents.total:,}" if contents.total else ""
        say(f"Kept what was found: {len(contents.entries):,}{of} architectures. The same command goes on from there.")
        raise typer.Abort from None


def _row(entry: Entry) -> tuple[str, ...]:
    tags, licences = [found.tag for found in entry.weights], dict.fromkeys(w.license or "?" for w in entry.weights)
    return (
        entry.architecture,
        entry.family,
        str(entry.year or UNKNOWN),
        scaled(entry.encoder_parameters),
        scaled(entry.encoder_macs),
        scaled(entry.macs),
        f"{tags[0]}{f' + {len(tags) - 1}' if len(tags) > 1 else ''}" if tags else UNKNOWN,
        ", ".join(licences),
    )


def _reasons(contents: Contents) -> dict[str, int]:
    """Return why architectures do not work -> how many, the most frequent first."""
    return dict(Counter(entry.reason for entry in contents.entries.values() if not entry.works).most_common())


def _document(atlas: Atlas, contents: Contents) -> dict[str, Any]:
    from segcore.models.atlas import versions
    from segcore.models.weights import default_directories
    from segcore.models.weights_here import here

    repositories = {name: where for entry in contents.entries.values() for name, where in entry.encoders.items()}
    present = here(repositories, default_directories(atlas.workspace))
    return {
        "decoder": atlas.decoder,
        "image_size": atlas.image_size,
        "versions": versions(),
        "complete": contents.complete,
        "total": contents.total,
        "works": sum(entry.works for entry in contents.entries.values()),
        "reasons": _reasons(contents),
        "architectures": [
            {
                **entry.to_json(),
                "works": entry.works,
                "family": entry.family,
                "year": entry.year,
                "commercial": entry.commercial,
                "weights_here": [name for name in entry.encoders if name in present],
            }
            for entry in contents.entries.values()
        ],
    }
