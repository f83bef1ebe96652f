"""What screens read from files, kept until the file changes: every cache is keyed by path, time and size.

Records, evaluations and configurations of runs are kept by `segcore.runs` itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import streamlit as st

from segcore import figures
from segcore.config import DatasetConfig, RunConfig
from segcore.data.classes import ClassTable, palette
from segcore.data.readers import Reading, image_size, read_image, read_mask, read_square, resize_labels
from segcore.data.store import DatasetStore
from segcore.errors import ImageReadError, NotFoundError, SegcoreError, WorkspaceError
from segcore.files import describe_os_error
from segcore.launch.gpus import gpus
from segcore.runs import Run
from segcore.status import Status
from segcore.store import RunStore
from segcore.workspace import Workspace

Stamp = tuple[str, int, int]
"""A file as it is now: path, time of change in ns, size in bytes."""

SCREEN_SIDE = 1024
"""Longest side of an image on screen; larger ones are reduced while they are decoded."""


def stamp(path: Path) -> Stamp:
    """Return the key under which what `path` holds may be kept.

    Raises:
        ImageReadError: the file is gone.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise ImageReadError(f"{path} is not there any more ({error.strerror}).") from error
    return str(path), stat.st_mtime_ns, stat.st_size


def dataset_names() -> list[str]:
    """Names of all datasets of the workspace, sorted."""
    return [dataset.name for dataset in DatasetStore().list()]


def free_study_name(base: str) -> str:
    """Return `base`-1, or the next number that no study has."""
    studies = Workspace().studies
    number = 1
    while (studies / f"{base[:70]}-{number}").exists():
        number += 1
    return f"{base[:70]}-{number}"


def active_studies() -> frozenset[str]:
    """Names of the studies of which a run trains or waits."""
    return frozenset(run.study_name for run in RunStore().active())


@st.cache_data(ttl=60, max_entries=1, show_spinner=False)
def gpu_count() -> int:
    """Return how many GPUs train runs here; asked once a minute, as it starts a program."""
    return len(gpus())


def statuses(runs: Iterable[Run]) -> tuple[list[tuple[Run, Status]], list[SegcoreError]]:
    """Return the runs with their status, and what is wrong with those that cannot be read.

    Runs that were removed meanwhile are in neither list.
    """
    found: list[tuple[Run, Status]] = []
    unreadable: list[SegcoreError] = []
    for run in runs:
        try:
            found.append((run, run.status))
        except NotFoundError:
            continue
        except SegcoreError as error:
            unreadable.append(error)
    return found, unreadable


@st.cache_data(max_entries=64, show_spinner=False)
def _image(key: Stamp, max_side: int) -> np.ndarray:
    return read_image(Path(key[0]), max_side=max_side)


@st.cache_data(max_entries=64, show_spinner=False)
def _labels(key: Stamp, classes_json: str, reading: Reading | None, max_side: int) -> np.ndarray:
    config = DatasetConfig.model_validate_json(classes_json)
    found, _ = read_mask(Path(key[0]), ClassTable.of(config), reading=reading)
    height, width = found.shape
    scale = min(1.0, max_side / max(height, width))
    return resize_labels(found, max(1, round(width * scale)), max(1, round(height * scale)))


def image(path: Path, max_side: int = SCREEN_SIDE) -> np.ndarray:
    """Return an image for the screen: HWC uint8 RGB, at most `max_side` pixels long.

    Raises:
        ImageReadError: it is gone or cannot be read.
    """
    return _image(stamp(path), max_side)


def labels(
    path: Path, config: DatasetConfig, max_side: int = SCREEN_SIDE, *, reading: Reading | None = None
) -> np.ndarray:
    """Return a mask for the screen: HW uint8 training labels, 255 where ignored, at most `max_side` long.

    `reading` is how the dataset reads its masks (`CheckReport.mask_reading`); without it each mask is judged alone.

    Raises:
        ImageReadError: it is gone or cannot be read.
    """
    return _labels(stamp(path), config.model_dump_json(), reading, max_side)


def full_size(path: Path) -> tuple[int, int]:
    """Return (width, height) of an image file as it is on disk."""
    return image_size(path)


PREVIEW_SIDE = 384
"""Longest side of a preview on screen, where it has a third of the page's width."""


@st.cache_data(max_entries=64, show_spinner=False)
def _preview(key: Stamp, colors: tuple[tuple[int, int, int], ...]) -> np.ndarray:
    found = cv2.imread(key[0], cv2.IMREAD_UNCHANGED)
    if found is None or found.ndim != 2:
        raise ImageReadError(f"{key[0]} holds no label map.")
    scale = min(1.0, PREVIEW_SIDE / max(found.shape))
    if scale < 1.0:
        height, width = found.shape
        found = resize_labels(found, max(1, round(width * scale)), max(1, round(height * scale)))
    lookup = np.zeros((256, 3), dtype=np.uint8)
    lookup[: len(colors)] = np.array(colors, dtype=np.uint8).reshape(-1, 3)
    return figures.colorize(found, lookup)


def preview(path: Path, config: RunConfig) -> np.ndarray:
    """Return a preview in the colours of its dataset: HWC uint8, at most `PREVIEW_SIDE` long.

    Raises:
        ImageReadError: it is gone or holds no label map.
    """
    return _preview(stamp(path), tuple(info.color for info in config.dataset.trained_classes))


def image_and_truth(run: Run, name: str, side: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Return one image of a run's dataset and its mask in colours, both HWC uint8 `side` x `side`.

    None where the dataset or its files are gone.
    """
    try:
        dataset = DatasetStore().get(run.config.dataset.name)
        pair = dataset.pair(name)
        picture = _square(stamp(pair.image), side)
        truth = labels(pair.mask, run.config.dataset, reading=dataset.report.mask_reading)
    except SegcoreError:
        return None
    return picture, figures.colorize(resize_labels(truth, side, side), palette(run.config.dataset.trained_classes))


@st.cache_data(max_entries=64, show_spinner=False)
def _square(key: Stamp, side: int) -> np.ndarray:
    return read_square(Path(key[0]), side)


def workspace_problem() -> WorkspaceError | None:
    """Return why the workspace cannot be written, or None."""
    try:
        Workspace().ensure_writable()
    except WorkspaceError as error:
        return error
    except OSError as error:
        return describe_os_error(error, Workspace().root)
    return None
