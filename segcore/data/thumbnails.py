"""Small pictures of a dataset's images, kept in its directory.

    datasets/<name>/thumbnails/<digest>.jpg         of a pair, by the hash of its bytes
    datasets/<name>/thumbnails/files/<hash>.jpg     of any other file, by where, how large and of when it is

What is missing is made in threads; all of it may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import cv2

from segcore.data.dataset import Dataset
from segcore.data.parallel import ordered_map
from segcore.data.readers import read_image
from segcore.errors import ImageReadError
from segcore.files import describe_os_error
from segcore.progress import Progress, silent

SIDE = 160
"""Longest side of a thumbnail in pixels."""
_QUALITY = 82


def thumbnails(
    dataset: Dataset, names: Sequence[str] | None = None, progress: Progress = silent, *, make: bool = True
) -> dict[str, Path | None]:
    """Return the thumbnail of each image, making those that are missing.

    Args:
        dataset: whose.
        names: of usable pairs; by default all.
        progress: counts what has to be made; not called where nothing has.
        make: what is missing; else it is None.

    Returns:
        name -> a JPEG file of at most `SIDE` pixels a side; None where the image cannot be read any more.

    Raises:
        NotFoundError: there is no usable pair of one of the names.
        WorkspaceError: the dataset's directory cannot be written.
    """
    known = {fact.name: fact for fact in dataset.facts}
    chosen = [known.get(name) or dataset.image_facts(name) for name in (known if names is None else names)]
    images = dataset.config.images
    wanted = {dataset.path / "thumbnails" / f"{fact.digest}.jpg": images / fact.image for fact in chosen}
    if make:
        gone = _make(wanted, progress, {f"{fact.digest}.jpg" for fact in known.values()})
    else:
        gone = set(wanted) - _there(wanted)
    places = ((fact.name, dataset.path / "thumbnails" / f"{fact.digest}.jpg") for fact in chosen)
    return {name: None if place in gone else place for name, place in places}


def of_files(dataset: Dataset, files: Iterable[Path], progress: Progress = silent) -> dict[Path, Path | None]:
    """Return the thumbnail of each image or mask file, as `thumbnails` does: also of those that cannot be used.

    Raises:
        WorkspaceError: the dataset's directory cannot be written.
    """
    places: dict[Path, Path | None] = {}
    for file in files:
        try:
            stat = file.stat()
        except (OSError, ValueError):  # gone, or a name that no file can have
            places[file] = None
            continue
        key = hashlib.sha256(os.fsencode(file) + f"\0{stat.st_size}\0{stat.st_mtime_ns}".encode()).hexdigest()
        places[file] = dataset.path / "thumbnails" / "files" / f"{key}.jpg"
    gone = _make({place: file for file, place in places.items() if place is not None}, progress)
    return {file: None if place in gone else place for file, place in places.items()}


def _make(wanted: Mapping[Path, Path], progress: Progress, keep: set[str] | None = None) -> set[Path]:
    """Make the thumbnails (place -> image) that are missing, and return the places of those that cannot be made.

    `keep` are the names that may stay; without it all do.
    """
    there = _there(wanted)
    missing = [(place, image) for place, image in wanted.items() if place not in there]
    if not missing:
        return set()
    try:
        for folder in {place.parent for place in wanted}:
            folder.mkdir(parents=True, exist_ok=True)
        made = list(ordered_map(_draw, missing, progress))
        if keep is not None:
            for place in there:
                if place.name not in keep:
                    place.unlink(missing_ok=True)
    except OSError as error:
        raise describe_os_error(error, missing[0][0].parent) from error
    return {place for (place, _), done in zip(missing, made, strict=True) if not done}


def _there(wanted: Iterable[Path]) -> set[Path]:
    """Return all thumbnails in the folders of those wanted; one torn by a crash holds nothing, and counts as none."""
    found: set[Path] = set()
    for folder in {place.parent for place in wanted}:
        with suppress(FileNotFoundError), os.scandir(folder) as entries:
            found.update(folder / entry.name for entry in entries if entry.is_file() and entry.stat().st_size)
    return found


def _draw(task: tuple[Path, Path]) -> bool:
    """Write one thumbnail (place, image); return whether the image can be read."""
    place, image = task
    try:
        small = read_image(image, max_side=SIDE)
    except ImageReadError:
        return False
    done, data = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    assert done
    # Renamed once it is whole, but not flushed to disk: it can be made again.
    temporary = place.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        temporary.write_bytes(data.tobytes())
        temporary.replace(place)
    finally:
        temporary.unlink(missing_ok=True)
    return True
