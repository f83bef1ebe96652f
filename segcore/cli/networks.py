"""`summary`."""

from __future__ import annotations

from typing import Annotated

import typer

from segcore.cli.output import Json, emit_json, print_table
from segcore.config import Recipe, StudyConfig
from segcore.text import scaled


def summary(
    backbone: Annotated[str, typer.Argument(metavar="BACKBONE", help="Any timm name.", show_default=False)],
    decoder: Annotated[str, typer.Option(help=StudyConfig.help("decoder"))] = "unet",
    image_size: Annotated[int, typer.Option(help=Recipe.help("image_size"))] = 256,
    classes: Annotated[int, typer.Option(help="Classes it tells apart.", min=2, max=255)] = 12,
    as_json: Json = False,
) -> None:
    """Show the stages of a network, and the parameters and multiply-adds (MACs) of its parts for one image."""
    from segcore.models.catalog import resolve
    from segcore.models.summary import describe

    size = Recipe(image_size=image_size).image_size
    described = describe(resolve(backbone, "none"), decoder=decoder, image_size=size, classes=classes)
    if as_json:
        emit_json(described.to_json())
        return
    print_table(
        ("stage", "part", ">reduction", ">channels", ">height × width", ">parameters", ">MACs"),
        [
            (
                stage.name,
                stage.kind,
                f"1/{stage.reduction}",
                str(stage.channels),
                f"{stage.height} × {stage.width}",
                scaled(stage.parameters),
                scaled(stage.macs),
            )
            for stage in described.stages
        ],
        title=f"{backbone} + {decoder}, {size} × {size} pixels, {classes} classes",
    )
    parts = {"encoder": described.encoder, "decoder": described.decoder, "head": described.head}
    rows = [(name, scaled(part.parameters), scaled(part.macs)) for name, part in parts.items()]
    total = tuple(scaled(sum(getattr(p, field) for p in parts.values())) for field in ("parameters", "macs"))
    print()
    print_table(("part", ">parameters", ">MACs"), [*rows, ("together", *total)])
