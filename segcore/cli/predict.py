"""`predict`: masks of images of any kind and size."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segcore.cli.output import Json, emit_json, print_table, say
from segcore.errors import ConfigError, NotFoundError, SegcoreError
from segcore.files import user_path
from segcore.progress import Progress, silent
from segcore.text import percent, plural

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

    from segcore.inference.files import Written
    from segcore.inference.predictor import Predictor

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

    A mask is called like its image: a palette PNG, or a GeoTIFF on the same grid where the image is one. Its values are
    the rows of the classes.csv beside it, and 255 where the image holds nothing. TIFFs may be of any size; other images
    have up to 178 million pixels. An image that cannot be read is said, and the others are predicted all the same; the
    exit code is then 1.
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

    targets = _targets(files, [mask_suffix(file, geotiff) for file in files], out)
    predictor, size = Predictor.from_run(found.path), training_size(found)
    check_look(found.config, size, look)  # type: ignore[arg-type]
    wishes = Wishes(tta=tta, look=look, overlay=overlay, geotiff=geotiff, polygons=polygons)  # type: ignore[arg-type]
    rows: list[dict[str, Any]] = []
    _write_classes(predictor, out)
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


def collect(words: Sequence[str], out: Path) -> list[Path]:
    """Return the image files that paths, folders and patterns name, each once, in their order.

    In folders, hidden files are left out, and what lies in `out`: masks of an earlier time are no images.

    Raises:
        NotFoundError: a file is not there, or a folder or pattern gives no image.
    """
    from segcore.data.pairing import SUFFIXES

    def below(folder: Path) -> list[Path]:
        return [
            file
            for file in sorted(folder.rglob("*"))
            if file.suffix.lower() in SUFFIXES
            and not any(part.startswith(".") for part in file.relative_to(folder).parts)
            and not file.resolve().is_relative_to(out.resolve())
            and file.is_file()
        ]

    found: list[Path] = []
    for word in words:
        path = user_path(word, "images")
        if path.is_dir():
            files = below(path)
        elif path.exists() or not glob.has_magic(word):
            files = [path] if path.is_file() else []
        else:
            matches = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207 (Path.glob wants a folder first)
            files = [Path(name) for name in matches if Path(name).is_file()]
        if not files:
            what = "is a folder without images" if path.is_dir() else "is not there"
            what = "matches no file" if glob.has_magic(word) and not path.exists() else what
            raise NotFoundError(f"{word} {what}. Give images, folders of images, or patterns in quotes.")
        found += files
    return list(dict.fromkeys(found))


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


def _targets(images: Sequence[Path], suffixes: Sequence[str], out: Path) -> list[Path]:
    """Return where each mask goes.

    Raises:
        ConfigError: two masks would have the same name, or one would replace an image.
    """
    stems = Counter(image.stem for image in images)
    sources = {image.resolve() for image in images}
    targets = []
    for image, suffix in zip(images, suffixes, strict=True):
        if stems[image.stem] > 1:
            raise ConfigError(f"Two of the images are called {image.stem}; predict them into different folders.")
        target = out / f"{image.stem}{suffix}"
        for file in (target, out / f"{image.stem}.overlay.jpg"):
            if file.resolve() in sources:
                raise ConfigError(f"{file} would replace an image. Choose another folder.", field="out")
        targets.append(target)
    return targets


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
