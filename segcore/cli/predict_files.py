"""Which files `predict` reads and writes."""

from __future__ import annotations

import csv
import glob
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from segcore.config import ClassInfo
from segcore.data.pairing import SUFFIXES
from segcore.errors import ConfigError, NotFoundError
from segcore.files import atomic_path, describe_os_error, user_path


def collect(words: Sequence[str], out: Path) -> dict[Path, Path]:
    """Return the image files that paths, folders and patterns name, each once, in their order, and where each belongs.

    In folders, hidden files are left out, and what lies in `out`: masks of an earlier time are no images.

    Returns:
        File -> the sub-folder it is in, seen from the folder, or from the part of the pattern before its first
        wildcard; "." for files that are named one by one.

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

    found: dict[Path, Path] = {}
    for word in words:
        path = user_path(word, "images")
        if path.is_dir():
            files, root = below(path), path
        elif path.exists() or not glob.has_magic(word):
            files, root = [path] if path.is_file() else [], path.parent
        else:
            matches = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207 (Path.glob wants a folder first)
            files = [Path(name) for name in matches if Path(name).is_file()]
            root = next(parent for parent in path.parents if not glob.has_magic(str(parent)))
        if not files:
            what = "is a folder without images" if path.is_dir() else "is not there"
            what = "matches no file" if glob.has_magic(word) and not path.exists() else what
            raise NotFoundError(f"{word} {what}. Give images, folders of images, or patterns in quotes.")
        for file in files:
            found.setdefault(file, file.parent.relative_to(root))
    return found


def targets_of(images: Mapping[Path, Path], suffixes: Sequence[str], out: Path) -> list[Path]:
    """Return where each mask goes: into the image's sub-folder, as of `collect`, of `out`.

    Raises:
        ConfigError: two masks would have the same name, or one would replace an image.
    """
    places = {image: out / folder / image.stem for image, folder in images.items()}
    taken = Counter(places.values())
    sources = {image.resolve() for image in images}
    targets = []
    for (image, place), suffix in zip(places.items(), suffixes, strict=True):
        if taken[place] > 1:
            raise ConfigError(f"Two of the images are called {image.stem}; predict them into different folders.")
        target = place.with_name(f"{image.stem}{suffix}")
        for file in (target, target.with_name(f"{image.stem}.overlay.jpg")):
            if file.resolve() in sources:
                raise ConfigError(f"{file} would replace an image. Choose another folder.", field="out")
        targets.append(target)
    return targets


def make_folders(folders: Iterable[Path]) -> None:
    """Make folders for what is to be written, unless they are there.

    Raises:
        WorkspaceError: one cannot be made.
    """
    for folder in dict.fromkeys(folders):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise describe_os_error(error, folder) from error


def write_classes(classes: Sequence[ClassInfo], out: Path) -> None:
    """Write the classes by label as a class table, so that the masks can be read without the run."""
    make_folders([out])
    with atomic_path(out / "classes.csv") as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("name", "r", "g", "b"))
        rows.writerows((info.name, *info.color) for info in classes)
