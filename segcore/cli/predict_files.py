"""Which files `predict` reads and writes."""

from __future__ import annotations

import csv
import glob
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from segcore.config import ClassInfo
from segcore.data.pairing import SUFFIXES
from segcore.errors import ConfigError, NotFoundError
from segcore.files import atomic_path, describe_os_error, user_path


def collect(words: Sequence[str], out: Path) -> list[Path]:
    """Return the image files that paths, folders and patterns name, each once, in their order.

    In folders, hidden files are left out, and what lies in `out`: masks of an earlier time are no images.

    Raises:
        NotFoundError: a file is not there, or a folder or pattern gives no image.
    """

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


def targets_of(images: Sequence[Path], suffixes: Sequence[str], out: Path) -> list[Path]:
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


def write_classes(classes: Sequence[ClassInfo], out: Path) -> None:
    """Write the classes by label as a class table, so that the masks can be read without the run."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise describe_os_error(error, out) from error
    with atomic_path(out / "classes.csv") as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("name", "r", "g", "b"))
        rows.writerows((info.name, *info.color) for info in classes)
