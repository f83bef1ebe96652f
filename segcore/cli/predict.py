"""`predict`: masks of images of any kind and size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segcore.cli.output import Json, emit_json, print_table, say
from segcore.cli.predict_files import collect, make_folders, targets_of, write_classes
from segcore.errors import ConfigError, SegcoreError
from segcore.files import user_path
from segcore.progress import Progress, silent
from segcore.text import percent, plural

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

    from segcore.inference.files import Written

LOOKS = ("auto", "windows", "whole")


def predict(
    run: Annotated[str, typer.Argument(metavar="RUN_DIR", help="The run's directory, or STUDY/RUN.")],
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE|DIR|GLOB…",
            help="Images of any size, folders of them (with their sub-folders), patterns such as 'photos/**/*.jpg'.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the masks; made if need be.", show_default=False)],
    tta: Annotated[
        bool,
        typer.Option("--tta", help="Average over the image mirrored and turned: a little better, 8 times slower."),
    ] = False,
    overlay: Annotated[
        bool, typer.Option("--overlay", help="Also draw each mask over its image: NAME.overlay.jpg.")
    ] = False,
    geotiff: Annotated[
        bool, typer.Option("--geotiff", help="Masks as GeoTIFF, even of images that have no place on the earth.")
    ] = False,
    polygons: Annotated[
        bool, typer.Option("--polygons", help="Also write the outlines of the classes: NAME.geojson, in WGS 84.")
    ] = False,
    look: Annotated[
        str,
        typer.Option(
            help="How a network of resized images looks at one: whole, in windows as large as its training images, or "
            "auto: in windows where the image has more than twice their height or width."
        ),
    ] = "auto",
    as_json: Json = False,
) -> None:
    """Predict the masks of images with the best weights of a run.

    A mask is called like its image, and lies in a sub-folder of the same name where images are given as a folder or a
    pattern: a palette PNG, or a GeoTIFF on the same grid where the image is one. Its values are the rows of the
    classes.csv in the folder for the masks, and 255 where the image holds nothing. TIFFs may be of any size; other
    images have up to 178 million pixels. An image that cannot be read is said, and the others are predicted all the
    same; the exit code is then 1.
    """
    from segcore.cli.runs import find_run
    from segcore.store import RunStore

    if look not in LOOKS:
        raise ConfigError(f"{look!r} is no way to look at an image; there are {', '.join(LOOKS)}.", field="look")
    found = find_run(RunStore(), run)
    out = user_path(out, "out")
    files = collect(images, out)
    from segcore.inference.files import Wishes, mask_suffix, predict_file
    from segcore.inference.large import check_look, training_size
    from segcore.inference.predictor import Predictor

    targets = targets_of(files, [mask_suffix(file, geotiff) for file in files], out)
    predictor, size = Predictor.from_run(found.path), training_size(found)
    check_look(found.config, size, look)  # type: ignore[arg-type]
    wishes = Wishes(tta=tta, look=look, overlay=overlay, geotiff=geotiff, polygons=polygons)  # type: ignore[arg-type]
    rows: list[dict[str, Any]] = []
    write_classes(predictor.classes, out)
    make_folders(target.parent for target in targets)
    with _bars(len(files)) as bars:
        for file, target in zip(files, targets, strict=True):
            progress = bars.begin(file.name)
            try:
                rows.append(_row(predict_file(predictor, file, target, wishes, trained_on=size, progress=progress)))
            except SegcoreError as error:  # the masks of the others are wanted all the same
                rows.append({"image": str(file), "mask": None, "error": str(error)})
            bars.end()
    if as_json:
        emit_json({"run": found.path, "classes": out / "classes.csv", "predictions": rows})
    else:
        _print_predictions(rows)
    if any("error" in row for row in rows):
        raise typer.Exit(1)


def _row(written: Written) -> dict[str, Any]:
    """Return what there is to say of one image, for JSON and for the table."""
    return {
        "image": str(written.image),
        "mask": str(written.mask),
        "overlay": written.overlay,
        "polygons": written.polygons,
        "width": written.width,
        "height": written.height,
        "look": written.view.how,
        "looked": written.view.text,
        "confidence": written.confidence,
        "shares": written.shares,
        "areas_m2": written.areas,
        "nodata": written.nodata,
        "warning": written.warning or None,
    }


def _print_predictions(rows: Sequence[dict[str, Any]]) -> None:
    """Print what was written as a table; say how images were looked at, what was odd, and of which there is no mask."""
    done = [row for row in rows if "error" not in row]
    for looked, count in Counter(row["looked"] for row in done).items():
        say(f"{plural(count, 'image')} predicted {looked}.")
    for row in rows:
        if "error" in row:
            say(f"No mask of {row['image']}: {row['error']}")
        elif row["warning"]:
            say(f"Note on {row['image']}: {row['warning']}.")
    print_table(
        ("mask", ">size", ">mean confidence", "largest classes"),
        [
            (
                row["mask"],
                f"{row['width']} × {row['height']}",
                percent(row["confidence"]),
                ", ".join(_class_text(row, name) for name in list(row["shares"])[:3]),
            )
            for row in done
        ],
    )


def _class_text(row: dict[str, Any], name: str) -> str:
    share = f"{name} {percent(row['shares'][name])}"
    return share if row["areas_m2"] is None else f"{share} ({_area(row['areas_m2'][name])})"


def _area(square_metres: float) -> str:
    """Return an area as people read it: "85 m²", "1.25 ha", "3.40 km²"."""
    for unit, name in ((1e6, "km²"), (1e4, "ha")):
        if square_metres >= unit:
            return f"{square_metres / unit:,.2f} {name}"
    return f"{square_metres:,.0f} m²"


class _Bars:
    """A bar of images and one of the windows of the image at hand; without a terminal a line an image."""

    def __init__(self, bars: Bars | None, images: int) -> None:
        self._bars = bars
        self._total = images
        self._done = 0
        if bars is not None:
            self._images, self._windows = bars.add_task("images", total=images), bars.add_task("", total=None)

    def begin(self, name: str) -> Progress:
        """Say which image comes next, and return the progress of its windows."""
        if (bars := self._bars) is None:
            say(f"Predicting {name} ({self._done + 1} of {self._total}) …")
            return silent
        bars.update(self._windows, description=name, completed=0, total=None)
        return lambda done, total: bars.update(self._windows, completed=done, total=total)

    def end(self) -> None:
        self._done += 1
        if self._bars is not None:
            self._bars.update(self._images, completed=self._done)


@contextmanager
def _bars(images: int) -> Iterator[_Bars]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Bars(None, images)
        return
    name = TextColumn("{task.description}", markup=False)  # a name in square brackets is a name
    with Bars(name, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console, transient=True) as bars:
        yield _Bars(bars, images)
