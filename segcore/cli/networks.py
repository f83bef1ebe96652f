"""`summary`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segcore.cli.output import Json, emit_json, print_table, say
from segcore.config import Recipe, StudyConfig
from segcore.errors import ConfigError
from segcore.files import atomic_path, user_path
from segcore.text import percent, scaled

if TYPE_CHECKING:
    from segcore.models.description import NetworkDescription


def summary(
    backbone: Annotated[str, typer.Argument(metavar="BACKBONE", help="Any timm name.", show_default=False)],
    decoder: Annotated[str, typer.Option(help=StudyConfig.help("decoder"))] = "unet",
    image_size: Annotated[int, typer.Option(help=Recipe.help("image_size"))] = 256,
    classes: Annotated[int, typer.Option(help="Classes it tells apart.", min=2, max=255)] = 12,
    svg: Annotated[Path | None, typer.Option(help="Draw it into this SVG file, too.", show_default=False)] = None,
    as_json: Json = False,
) -> None:
    """Show the stages of a network: what they are built of, how far they see, what they cost for one image.

    MACs are multiply-adds; memory is what training keeps of each image. With --json also all blocks, operations,
    layers, and which stage reads which.
    """
    from segcore.models.catalog import resolve
    from segcore.models.summary import describe

    svg = user_path(svg, "svg") if svg is not None else None
    if svg is not None and svg.suffix.lower() != ".svg":
        raise ConfigError(f"Got {svg.name}; expected a file name that ends in .svg.", field="svg")
    size = Recipe(image_size=image_size).image_size
    described = describe(resolve(backbone, "none"), decoder=decoder, image_size=size, classes=classes)
    if svg is not None:
        _draw(described, svg)
    if as_json:
        emit_json(described.to_json())
        return
    _print(described)


def _draw(described: NetworkDescription, path: Path) -> None:
    from segcore.figures.drawing import draw_networks

    with atomic_path(path) as temporary:
        temporary.write_text(draw_networks([described]).whole, encoding="utf-8")
    say(f"Drawn: {path}")


def _print(described: NetworkDescription) -> None:
    """Print stages and parts as tables."""
    size = described.image_size
    print_table(
        ("stage", ">stride", ">channels", ">height × width", ">sees", ">parameters", ">MACs", ">memory MB", "built of"),
        [
            (
                described.stage_title(index),
                str(stage.reduction),
                str(stage.channels),
                f"{stage.height} × {stage.width}",
                "everything" if stage.receptive_field is None else f"{stage.receptive_field} px",
                scaled(stage.parameters),
                scaled(stage.macs),
                f"{stage.activations / 1e6:.1f}",
                stage.built_of,
            )
            for index, stage in enumerate(described.stages)
        ],
        title=f"{described.title}, {size} × {size} pixels, {described.classes} classes",
    )
    parts = {"encoder": described.encoder, "decoder": described.decoder, "head": described.head}
    rows = [
        (name, scaled(part.parameters), scaled(part.macs), percent(part.macs / described.macs, 0))
        for name, part in parts.items()
    ]
    print()
    whole = ("together", scaled(described.parameters), scaled(described.macs), percent(1.0, 0))
    print_table(("part", ">parameters", ">MACs", ">share of MACs"), [*rows, whole])
