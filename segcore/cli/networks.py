"""`summary` and `predict`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segcore.cli.output import Json, emit_json, print_table, progress_bar, say
from segcore.config import Recipe, StudyConfig
from segcore.errors import ConfigError, SegcoreError
from segcore.files import user_path
from segcore.text import percent, scaled

if TYPE_CHECKING:
    from segcore.inference.predictor import Predictor


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


def predict(
    run: Annotated[str, typer.Argument(metavar="RUN_DIR", help="The run's directory, or STUDY/RUN.")],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE…", help="Images of any size.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder for the masks; made if need be.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Predict the masks of images with the best weights of a run.

    Each mask is a palette PNG named like its image; its values are the rows of the classes.csv beside it. An image
    that cannot be read is said, and the others are predicted all the same; the exit code is then 1.
    """
    from segcore.cli.runs import find_run
    from segcore.data.readers import image_size
    from segcore.store import RunStore

    found = find_run(RunStore(), run)
    images, out = [user_path(image) for image in images], user_path(out, "out")
    targets = _targets(images, out)
    for image in images:
        image_size(image)  # an image that is missing ends the command before anything is written
    from segcore.inference.predictor import Predictor

    predictor = Predictor.from_run(found.path)
    rows = []
    with progress_bar("Predicting") as progress:
        _write_classes(predictor, out)
        for done, (image, target) in enumerate(zip(images, targets, strict=True)):
            progress(done, len(images))
            try:
                rows.append(_predict_one(predictor, image, target))
            except SegcoreError as error:  # the masks of the others are wanted all the same
                rows.append({"image": str(image), "mask": None, "error": str(error)})
    if as_json:
        emit_json({"run": found.path, "classes": out / "classes.csv", "predictions": rows})
    else:
        _print_predictions(rows)
    if any("error" in row for row in rows):
        raise typer.Exit(1)


def _print_predictions(rows: Sequence[dict[str, Any]]) -> None:
    """Print what was written as a table, and say of which images there is no mask."""
    for row in rows:
        if "error" in row:
            say(f"No mask of {row['image']}: {row['error']}")
    print_table(
        ("mask", ">size", ">mean confidence", "largest classes"),
        [
            (
                row["mask"],
                f"{row['width']} × {row['height']}",
                percent(row["confidence"]),
                ", ".join(f"{name} {percent(share)}" for name, share in list(row["shares"].items())[:3]),
            )
            for row in rows
            if "error" not in row
        ],
    )


def _targets(images: Sequence[Path], out: Path) -> list[Path]:
    """Return where each mask goes.

    Raises:
        ConfigError: two masks would have the same name, or one would replace an image.
    """
    targets = [out / f"{image.stem}.png" for image in images]
    sources = {image.resolve() for image in images}
    for target, image in zip(targets, images, strict=True):
        if targets.count(target) > 1:
            raise ConfigError(f"Two of the images are called {image.stem}; predict them into different folders.")
        if target.resolve() in sources:
            raise ConfigError(f"The mask {target} would replace an image. Choose another folder.", field="out")
    return targets


def _predict_one(predictor: Predictor, image: Path, target: Path) -> dict[str, Any]:
    """Write the mask of one image and return what there is to say about it."""
    import numpy as np

    from segcore.data.readers import read_image

    prediction = predictor.predict(read_image(image))
    labels = prediction.labels
    _write_palette_png(labels, predictor.palette, target)
    counts = np.bincount(labels.ravel(), minlength=len(predictor.classes)) / labels.size
    shares = {info.name: float(share) for info, share in zip(predictor.classes, counts, strict=True) if share > 0}
    return {
        "image": str(image),
        "mask": str(target),
        "width": labels.shape[1],
        "height": labels.shape[0],
        "confidence": float(prediction.confidence.mean()),
        "shares": dict(sorted(shares.items(), key=lambda item: -item[1])),
    }


def _write_palette_png(labels: Any, palette: Any, path: Path) -> None:
    """Write (H, W) uint8 labels as a PNG whose values are the labels and whose palette their colours."""
    from PIL import Image

    from segcore.files import atomic_path

    picture = Image.fromarray(labels)
    picture.putpalette(palette.tobytes())
    with atomic_path(path) as temporary:
        picture.save(temporary, format="PNG")


def _write_classes(predictor: Predictor, out: Path) -> None:
    """Write the classes by label as a class table, so that the masks can be read without the run."""
    import csv

    from segcore.files import atomic_path, describe_os_error

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise describe_os_error(error, out) from error
    with atomic_path(out / "classes.csv") as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("name", "r", "g", "b"))
        rows.writerows((info.name, *info.color) for info in predictor.classes)
