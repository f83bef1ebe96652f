"""Datasets decoded once and resized to one square size, memory-mapped: what training reads.

    datasets/<name>/prepared/<fingerprint>-<size>/
        images.npy      (N, S, S, 3) uint8 RGB, 0-255
        labels.npy      (N, S, S) uint8, 0 .. C-1, 255 where ignored
        index.json      names of the N images, in order; written last

The key holds a hash of the source files, so a changed source is never served from an old cache.
"""

from __future__ import annotations

import shutil
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from segcore.data.building import exclusive, new_directory, remove_leftovers
from segcore.data.dataset import Dataset
from segcore.data.parallel import ordered_map
from segcore.data.readers import pair_digest, read_bytes, read_raw_mask, read_square, resize_labels
from segcore.errors import ConfigError, DatasetError, NotFoundError, WorkspaceError
from segcore.files import read_json, write_json
from segcore.progress import Progress, silent

_FORMAT = 2
"""To be raised when the same source and size would give other bytes."""


class Prepared:
    """The decoded images and labels of a dataset at one size; read-only."""

    def __init__(self, path: Path, groups: dict[str, str]) -> None:
        self.path = Path(path)
        index = read_json(self.path / "index.json")
        if index is None:
            raise NotFoundError(f"{self.path} holds no prepared data.")
        self.names: list[str] = list(index["names"])
        """Names of the images, in the order of `images` and `labels`."""
        self.groups: list[str] = [groups[name] for name in self.names]
        """The group of each image."""
        self.images: np.memmap = np.load(self.path / "images.npy", mmap_mode="r")
        """(N, S, S, 3) uint8 RGB, 0-255."""
        self.labels: np.memmap = np.load(self.path / "labels.npy", mmap_mode="r")
        """(N, S, S) uint8: 0 .. C-1, 255 where ignored."""
        self._index = {name: position for position, name in enumerate(self.names)}

    def __repr__(self) -> str:
        return f"Prepared({str(self.path)!r}, {len(self)} images)"

    def __len__(self) -> int:
        return len(self.names)

    def __reduce__(self) -> tuple[Any, ...]:
        # Sent to another process as a path: pickling a memory map would send all of its data.
        return Prepared, (self.path, dict(zip(self.names, self.groups, strict=True)))

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


def prepare(dataset: Dataset, image_size: int, progress: Progress = silent) -> Prepared:
    """Return a dataset decoded and resized to `image_size` x `image_size`, building that on first use.

    Images are resized by area (their aspect ratio is not kept), labels by taking the pixel at the centre:
    masks become labels first, so that no blended class arises. Where the source changed, the dataset is
    checked again first. Of several processes asking at once one builds and the others wait; a build that
    ends early, also by an exception from `progress`, leaves nothing behind.

    Raises:
        DatasetError: the source cannot be used (any more).
        WorkspaceError: the disk is full or may not be written.
    """
    if image_size < 1:
        raise ConfigError(f"An image size of {image_size} px is not possible.", field="image_size")
    if dataset.changed():
        dataset.refresh(progress)
    # Read once: another process may check the dataset again while this one builds.
    fingerprint, groups = dataset.fingerprint, dataset.groups
    target = dataset.prepared_directory / f"{fingerprint}-{image_size}"
    if not _complete(target):
        with exclusive(dataset.lock_path, progress):
            if not _complete(target):
                remove_leftovers(dataset.prepared_directory)
                shutil.rmtree(target, ignore_errors=True)
                _build(target, dataset, fingerprint, image_size, progress)
    return Prepared(target, groups)


def _complete(target: Path) -> bool:
    """Whether a cache is there with all its bytes."""
    try:
        index = read_json(target / "index.json")
        if index is None or index.get("format") != _FORMAT:
            return False
        return all((target / name).stat().st_size == size for name, size in index["bytes"].items())
    except (WorkspaceError, OSError, KeyError):
        return False


def _build(target: Path, dataset: Dataset, fingerprint: str, size: int, progress: Progress) -> None:
    names = dataset.names
    _check_space(dataset, len(names) * size * size * 4)
    with new_directory(target) as directory:
        with open(directory / "images.npy", "wb") as images, open(directory / "labels.npy", "wb") as labels:
            _write_header(images, (len(names), size, size, 3))
            _write_header(labels, (len(names), size, size))
            # Written, not mapped: a full disk is then an error, where a map would kill the process.
            with closing(ordered_map(partial(_decode, dataset, size), names, progress)) as decoded:
                for image, label in decoded:
                    images.write(image.tobytes())
                    labels.write(label.tobytes())
        sizes = {file.name: file.stat().st_size for file in sorted(directory.glob("*.npy"))}
        index = {"format": _FORMAT, "fingerprint": fingerprint, "image_size": size, "names": names, "bytes": sizes}
        write_json(directory / "index.json", index)


def _decode(dataset: Dataset, size: int, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return one image and its labels at `size`, sure to come from the very bytes that were checked."""
    pair, facts = dataset.pair(name), dataset.image_facts(name)
    image_bytes, mask_bytes = read_bytes(pair.image), read_bytes(pair.mask)
    if pair_digest(image_bytes, mask_bytes) != facts.digest:
        raise DatasetError(
            f"{pair.image} or its mask changed while being prepared. Try again when nothing writes there."
        )
    image = read_square(pair.image, size, data=image_bytes)
    mask = read_raw_mask(pair.mask, data=mask_bytes)
    labels, _ = mask.labels(dataset.table, dataset.report.mask_reading)
    return image, resize_labels(labels, size, size)


def _write_header(file: BinaryIO, shape: tuple[int, ...]) -> None:
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})


def _check_space(dataset: Dataset, needed: int) -> None:
    """Say at once, not after minutes, that the disk is too small."""
    free = shutil.disk_usage(dataset.path).free
    if free < needed:
        raise WorkspaceError(
            f"Preparing {dataset.name!r} takes {needed / 1e6:,.0f} MB, but {dataset.path} has {free / 1e6:,.0f} MB "
            "left. Free some space, choose a smaller image size, or another workspace with SEGCORE_HOME=/a/folder."
        )
