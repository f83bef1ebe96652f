"""`suspects`: places where networks of a study agree against the masks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from segcore.cli.output import Json, emit_json, listed, print_table, progress_bar, say
from segcore.errors import ConfigError, nearest
from segcore.text import percent, plural

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from segcore.evaluation.comparison import Contender
    from segcore.inference.suspects import Search

MOST_ROWS = 30
"""So many places are printed; JSON has all."""
MOST_NETWORKS = 4
"""So many networks have to agree where nobody says which."""


def suspects(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="Name of the study.", show_default=False)],
    backbones: Annotated[
        str | None,
        typer.Option(
            help="Those that must agree, two at least, with commas between; a finished run of each is asked.",
            show_default=f"the first {MOST_NETWORKS}",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """List places where networks say the same class and the mask another one: the mask may be wrong there.

    Only validation images are looked at. A suspicion is no verdict: a hard scene misleads all networks alike. What is
    found is kept, so that a search that was cut off goes on where it ended, and the Predictions page shows it, too.
    """
    from segcore.data.store import DatasetStore
    from segcore.evaluation.comparison import contenders
    from segcore.evaluation.ranking_suspects import table
    from segcore.evaluation.studies import sound
    from segcore.inference.suspects import Search, one_of_each
    from segcore.store import RunStore

    found = RunStore().study(study)
    runs, damaged = sound(found.runs())
    for error in damaged:
        say(f"Left out, as it cannot be read: {error}")
    able = contenders(run for run in runs if run.best_weights.is_file())
    wanted = able if backbones is None else _wanted(able, listed(backbones, field="encoders"))
    chosen = one_of_each(run for backbone in wanted for run in backbone.runs)
    search = Search(tuple(chosen if backbones else chosen[:MOST_NETWORKS]), DatasetStore().get(found.dataset.name))
    if not search.images:
        raise ConfigError("These networks have no validation image in common. Choose others.", field="encoders")
    with progress_bar("Looking at the validation images") as progress:
        unread = search.go_on(progress)
    places = sorted((place for row in search.found().values() for place in row), key=lambda place: -place.weight)
    rows = table(places, search.runs[0].config.dataset.trained_classes)
    if as_json:
        networks = [run.path for run in search.runs]
        unreadable = [str(error) for error in unread]
        emit_json({"study": found.name, "networks": networks, "images": search.images, "unreadable": unreadable,
                   "places": rows})  # fmt: skip
    else:
        _print(search, rows)
        for reason in unread:
            say(f"Not looked at: {reason}")
    if unread:
        raise typer.Exit(1)


def _wanted(able: Sequence[Contender], names: Sequence[str]) -> list[Contender]:
    """Return the backbones of these names, with or without the tag of their weights."""
    known = [one.encoder for one in able]
    for name in names:
        if not any(name in (encoder, encoder.partition(".")[0]) for encoder in known):
            raise ConfigError(
                f"The study has no trained network of backbone {name!r}; it has {', '.join(known) or 'none'}."
                f"{nearest(name, known)}",
                field="encoders",
            )
    return [one for one in able if one.encoder in names or one.encoder.partition(".")[0] in names]


def _print(search: Search, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print the weightiest places, and say whose agreement they are."""
    print_table(
        ("image", "mask says", "networks say", ">share", ">confidence", "left to right", "top to bottom"),
        [
            (
                row["image"],
                row["mask_says"],
                row["networks_say"],
                percent(row["share_of_labelled_pixels"], 2),
                percent(row["confidence"], 0),
                f"{100 * row['left']:.0f} – {percent(row['right'], 0)}",
                f"{100 * row['top']:.0f} – {percent(row['bottom'], 0)}",
            )
            for row in rows[:MOST_ROWS]
        ],
        title=f"{plural(len(rows), 'suspect place')} in {plural(len(search.found()), 'validation image')}",
    )
    if len(rows) > MOST_ROWS:
        say(f"The {MOST_ROWS} weightiest are shown; --json has all.")
    reached = ", ".join(f"{run.name} (val mIoU {percent(run.summary()['val_miou'])})" for run in search.runs)
    say(f"All of these say so: {reached}. The weaker they are, the more of it is their own mistake.")
