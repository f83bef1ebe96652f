"""Datasets decoded once, memory-mapped: what training reads.

    datasets/<name>/prepared/<fingerprint>-<size or "native">/
        images.bin      the images one after the other, each (H, W, 3) uint8 RGB, 0-255
        labels.bin      their labels, each (H, W) uint8, 0 .. C-1, 255 where ignored
        index.json      name, shape and checksum of each image, in order; written last

The key holds a hash of the source files, so a changed source is never served from an old cache; checksums notice
bytes that changed on the disk.
"""

from __future__ import annotations

import json
import os
import shutil
import zlib
from collections.abc import Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from segcore.config import Recipe
from segcore.data.building import exclusive, new_directory, remove_leftovers
from segcore.data.dataset import Dataset
from segcore.data.launched import Snapshot
from segcore.data.parallel import ordered_map
from segcore.data.readers import pair_digest, read_bytes, read_image, read_raw_mask, read_square
from segcore.errors import ConfigError, DatasetError, NotFoundError, WorkspaceError
from segcore.files import read_json, write_json
from segcore.progress import Progress, silent

_FORMAT = 3
"""To be raised when the same source and size would give other bytes."""
_CHUNK = 2**20
"""Bytes read at once when checksums are compared."""


class Pixels:
    """The decoded images and labels alone, read-only: all that a loader process needs, and as small as that."""

    def __init__(self, path: Path, shapes: np.ndarray) -> None:
        self.path = path
        self.shapes = shapes
        """(N, 2) int64: height and width of each image. An array, as a process that only reads a list of Python's own
        numbers makes its own copy of every memory page that they lie on."""
        ends = np.cumsum(shapes.prod(axis=1))
        self._starts = np.concatenate([np.zeros(1, np.int64), ends])
        self._images: np.ndarray = np.asarray(np.memmap(path / "images.bin", np.uint8, "r"))
        self._labels: np.ndarray = np.asarray(np.memmap(path / "labels.bin", np.uint8, "r"))

    def __len__(self) -> int:
        return len(self.shapes)

    def __reduce__(self) -> tuple[Any, ...]:
        # Sent to another process as a path: pickling a memory map would send all of its data.
        return Pixels, (self.path, self.shapes)

    def image(self, index: int) -> np.ndarray:
        """Return one image: (H, W, 3) uint8 RGB, 0-255; read-only."""
        return self._images[3 * self._starts[index] : 3 * self._starts[index + 1]].reshape(*self.shapes[index], 3)

    def label_map(self, index: int) -> np.ndarray:
        """Return the labels of one image: (H, W) uint8, 0 .. C-1, 255 where ignored; read-only."""
        return self._labels[self._starts[index] : self._starts[index + 1]].reshape(*self.shapes[index])


class Prepared(Pixels):
    """The decoded images and labels of a dataset at one size, or each at its own, with their names; read-only."""

    def __init__(self, path: Path, groups: Mapping[str, str], *, mended: bool = False) -> None:
        index = read_json(Path(path) / "index.json")
        if index is None:
            raise NotFoundError(f"{path} holds no prepared data.")
        super().__init__(Path(path), np.array(index["shapes"], np.int64).reshape(-1, 2))
        self.names: list[str] = list(index["names"])
        """Names of the images, in order."""
        self.groups: list[str] = [groups[name] for name in self.names]
        """The group of each image."""
        self.mended = mended
        """Whether a cache was found damaged and has been built anew just now."""
        self._checksums: list[int] = list(index["checksums"])
        self._index = {name: position for position, name in enumerate(self.names)}

    def __repr__(self) -> str:
        return f"Prepared({str(self.path)!r}, {len(self)} images)"

    def __reduce__(self) -> tuple[Any, ...]:
        return Prepared, (self.path, dict(zip(self.names, self.groups, strict=True)))

    @property
    def pixels(self) -> Pixels:
        """The same without names: what to hand to loader processes."""
        return Pixels(self.path, self.shapes)

    def index_of(self, name: str) -> int:
        """Return the position of an image.

        Raises:
            NotFoundError: it is not among the usable images.
        """
        try:
            return self._index[name]
        except KeyError as error:
            raise NotFoundError(
                f"Image {name!r} is not among the {len(self)} prepared images. Check the dataset again and make a new "
                "split.",
                field="dataset",
            ) from error

    def verify(self, progress: Progress = silent) -> bool:
        """Whether every image and label map still is what was written; reads them all, some GB a second.

        Not through the map, whose pages would count as this process's memory from then on.
        """
        with open(self.path / "images.bin", "rb") as images, open(self.path / "labels.bin", "rb") as labels:
            is_sound = partial(self._is_sound, images.fileno(), labels.fileno())
            with closing(ordered_map(is_sound, range(len(self)), progress)) as sound:
                return all(sound)

    def _is_sound(self, images: int, labels: int, index: int) -> bool:
        start, end = self._starts[index], self._starts[index + 1]
        try:
            return _checksum_of(labels, start, end, _checksum_of(images, 3 * start, 3 * end)) == self._checksums[index]
        except OSError:  # what cannot be read has to be built anew, too
            return False


def prepared_size(recipe: Recipe) -> int | None:
    """Return the size at which images are prepared for a recipe: a side in pixels, or None for their own size."""
    return recipe.image_size if recipe.geometry == "resize" else None


def prepare(
    dataset: Dataset, image_size: int | None, progress: Progress = silent, *, checking: Progress | None = None
) -> Prepared:
    """Return a dataset decoded and resized to `image_size` x `image_size`, building that on first use.

    Images are resized by area (their aspect ratio is not kept), labels by taking the pixel at the centre, so
    that no blended class arises. With None nothing is resized. Where the source changed, the dataset is
    checked again first. What is there already is read once and compared with its checksums; if it was damaged
    it is built anew (`Prepared.mended` then says so). Of several processes asking at once one builds and the
    others wait; a build that ends early, also by an exception from `progress`, leaves nothing behind.

    Args:
        dataset: the dataset.
        image_size: side in pixels, or None.
        progress: counts images being built.
        checking: counts images being compared with their checksums, in place of `progress`.

    Raises:
        DatasetError: the source cannot be used (any more).
        WorkspaceError: the disk is full or may not be written.
    """
    if image_size is not None and image_size < 1:
        raise ConfigError(f"An image size of {image_size} px is not possible.", field="image_size")
    if dataset.changed():
        dataset.refresh(progress)
    # Another process may check the dataset again, or decide about it, while this one waits to build.
    dataset = Snapshot(dataset)
    groups = dataset.groups
    target = dataset.prepared_directory / f"{dataset.fingerprint}-{image_size or 'native'}"
    found = _find(target, groups, checking or progress)
    if found is not None:
        return found
    with exclusive(dataset.lock_path, progress):
        found = _find(target, groups, checking or progress)  # another process may have built it meanwhile
        if found is not None:
            return found
        damaged = target.exists() and _format(target) in (_FORMAT, None)
        remove_leftovers(dataset.prepared_directory)
        shutil.rmtree(target, ignore_errors=True)
        _build(target, dataset, image_size, progress)
    return Prepared(target, groups, mended=damaged)


def _find(target: Path, groups: dict[str, str], progress: Progress) -> Prepared | None:
    """Return a cache that is there with all its bytes as they were written, else None."""
    try:
        index = read_json(target / "index.json")
        if index is None or index.get("format") != _FORMAT or index.get("checksum") != _index_checksum(index):
            return None
        pixels = sum(height * width for height, width in index["shapes"])
        sizes = ((target / name).stat().st_size for name in ("images.bin", "labels.bin"))
        if tuple(sizes) != (3 * pixels, pixels):
            return None
        prepared = Prepared(target, groups)
    except (WorkspaceError, OSError):
        return None
    return prepared if prepared.verify(progress) else None


def _format(target: Path) -> object:
    """Return the format a cache says it has; None where it cannot be read."""
    try:
        return (read_json(target / "index.json") or {}).get("format")
    except WorkspaceError:
        return None


def _build(target: Path, dataset: Dataset, size: int | None, progress: Progress) -> None:
    names = dataset.names
    shapes = [_shape(dataset, name, size) for name in names]
    _check_space(dataset, 4 * sum(height * width for height, width in shapes))
    with new_directory(target) as directory:
        checksums = []
        with (
            open(directory / "images.bin", "wb") as images,
            open(directory / "labels.bin", "wb") as labels,
            closing(ordered_map(partial(_decode, dataset, size), names, progress)) as decoded,
        ):
            # Written, not mapped: a full disk is then an error, where a map would kill the process.
            for image, label, checksum in decoded:
                images.write(image.data)
                labels.write(label.data)
                checksums.append(checksum)
        index = {
            "format": _FORMAT,
            "fingerprint": dataset.fingerprint,
            "image_size": size,
            "names": names,
            "shapes": shapes,
            "checksums": checksums,
        }
        write_json(directory / "index.json", {**index, "checksum": _index_checksum(index)})


def _shape(dataset: Dataset, name: str, size: int | None) -> tuple[int, int]:
    width, height = dataset.image_facts(name).size
    return (height, width) if size is None else (size, size)


def decode(dataset: Dataset, size: int | None, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return one image and its labels as they are prepared, sure to come from the very bytes that were checked.

    Args:
        dataset: the dataset.
        size: resized to so many pixels a side, or None for the image's own size.
        name: of the pair.

    Returns:
        HWC uint8 RGB, and training labels, HW uint8, 255 where ignored.

    Raises:
        DatasetError: a file is gone, damaged or another one than when it was checked.
        NotFoundError: there is no usable pair of that name.
    """
    pair, facts = dataset.pair(name), dataset.image_facts(name)
    image_bytes, mask_bytes = read_bytes(pair.image), read_bytes(pair.mask)
    if pair_digest(image_bytes, mask_bytes) != facts.digest:
        raise DatasetError(
            f"{pair.image} or its mask changed while being prepared. Try again when nothing writes there."
        )
    if size is None:
        image = np.ascontiguousarray(read_image(pair.image, data=image_bytes))
        mask = read_raw_mask(pair.mask, data=mask_bytes)
    else:
        image = read_square(pair.image, size, data=image_bytes)
        mask = read_raw_mask(pair.mask, data=mask_bytes, size=(size, size))
    labels, _ = mask.labels(dataset.table, dataset.report.mask_reading)
    return image, labels


def _decode(dataset: Dataset, size: int | None, name: str) -> tuple[np.ndarray, np.ndarray, int]:
    image, labels = decode(dataset, size, name)
    return image, labels, _checksum(image, labels)


def _checksum(image: np.ndarray, labels: np.ndarray) -> int:
    return zlib.crc32(labels.data, zlib.crc32(image.data))


def _checksum_of(file: int, start: int, end: int, before: int = 0) -> int:
    """Return the checksum of the bytes start .. end - 1 of a file, going on from that of those before them."""
    while start < end and (chunk := os.pread(file, min(_CHUNK, end - start), start)):
        before = zlib.crc32(chunk, before)
        start += len(chunk)
    return before


def _index_checksum(index: dict[str, Any]) -> int:
    """Return the checksum of everything an index holds but its own checksum."""
    content = {key: value for key, value in index.items() if key != "checksum"}
    return zlib.crc32(json.dumps(content, sort_keys=True).encode())


def _check_space(dataset: Dataset, needed: int) -> None:
    """Say at once, not after minutes, that the disk is too small."""
    free = shutil.disk_usage(dataset.path).free
    if free < needed:
        raise WorkspaceError(
            f"Preparing {dataset.name!r} takes {needed / 1e6:,.0f} MB, but {dataset.path} has {free / 1e6:,.0f} MB "
            "left. Free some space, choose a smaller image size, or another workspace with SEGCORE_HOME=/a/folder."
        )
