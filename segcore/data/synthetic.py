"""The demo dataset: invented aerial images with exact masks, the same for the same seed.

Nothing in it is photographed. It exists so that everything can be tried, tested and shown without anyone's
data; scores on it say nothing about scores on photographs.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from segcore.config import ClassInfo
from segcore.data.scenery.camera import flight, overlap, photograph
from segcore.data.scenery.canvas import Canvas, Label
from segcore.data.scenery.layouts import KINDS
from segcore.data.scenery.light import Sun, illuminate, make_sun
from segcore.data.scenery.materials import make_look
from segcore.errors import ConfigError
from segcore.files import describe_os_error
from segcore.progress import Progress, silent

# Names and colours are those of the Semantic Drone Dataset's class table (TU Graz); no file of it is used.
_TABLE: dict[Label, tuple[str, tuple[int, int, int]]] = {
    Label.PAVED: ("paved-area", (128, 64, 128)),
    Label.DIRT: ("dirt", (130, 76, 0)),
    Label.GRASS: ("grass", (0, 102, 0)),
    Label.GRAVEL: ("gravel", (112, 103, 87)),
    Label.WATER: ("water", (28, 42, 168)),
    Label.ROCKS: ("rocks", (48, 41, 30)),
    Label.VEGETATION: ("vegetation", (107, 142, 35)),
    Label.ROOF: ("roof", (70, 70, 70)),
    Label.FENCE: ("fence", (190, 153, 153)),
    Label.PERSON: ("person", (255, 22, 96)),
    Label.CAR: ("car", (9, 143, 150)),
    Label.BICYCLE: ("bicycle", (119, 11, 32)),
    Label.TREE: ("tree", (51, 51, 0)),
}
CLASSES: tuple[ClassInfo, ...] = tuple(ClassInfo(name=_TABLE[label][0], color=_TABLE[label][1]) for label in Label)
GROUP_REGEX = r"^(scene\d+)"
"""Finds the scene in an image's name: frames of one scene overlap and must not be divided."""

FRAME_SIDE = 24.0
"""Metres of ground along the edge of an image, about."""
SCENE_SIDE = 54.0
OVERSAMPLING = 1.5
"""Pixels of a scene for each pixel of an image, along an edge."""


def generate(
    directory: Path,
    *,
    scenes: int = 24,
    frames: int = 5,
    size: int = 256,
    seed: int = 0,
    workers: int | None = None,
    progress: Progress = silent,
) -> None:
    """Write images/*.jpg, masks/*.png (RGB colours) and classes.csv into `directory`.

    Files are called sceneNN_frameM; the bytes depend on the arguments but not on `workers`. `progress` counts
    images. What was written stays there when it raises: the caller chooses a temporary directory.

    Raises:
        ConfigError: fewer than one scene or frame, or a size outside 32-1024.
        WorkspaceError: the files cannot be written.
    """
    if scenes < 1 or frames < 1 or not 32 <= size <= 1024:
        raise ConfigError(f"{scenes} scenes of {frames} frames of {size} px: 1 or more, 1 or more, 32-1024 px.")
    digits = max(2, len(str(scenes)))
    pool = ThreadPoolExecutor(workers or min(8, os.cpu_count() or 1))
    try:
        for part in ("images", "masks"):
            (directory / part).mkdir(parents=True, exist_ok=True)
        write_classes(directory / "classes.csv")
        tasks = [
            pool.submit(_write_scene, directory, f"scene{scene + 1:0{digits}d}", scene, frames, size, seed)
            for scene in range(scenes)
        ]
        for done, task in enumerate(as_completed(tasks), start=1):
            task.result()
            progress(done * frames, scenes * frames)
    except OSError as error:
        raise describe_os_error(error, directory) from error
    finally:
        pool.shutdown(cancel_futures=True)


def generate_scene(
    scene: int, *, frames: int = 5, size: int = 256, seed: int = 0
) -> list[tuple[NDArray[np.uint8], NDArray[np.uint8], int]]:
    """Return the frames of one scene: (image HWC uint8 RGB, labels HW uint8 rows of `CLASSES`, JPEG quality).

    Frames of a scene overlap. Scenes 0-4, 5-9 and so on are of five different kinds, see `scenery.layouts.KINDS`.
    """
    rng, canvas, sun = _place(scene, size, seed)
    light = illuminate(canvas, sun)
    return [
        (*photograph(rng, canvas, sun, light, frame, size), frame.quality)
        for frame in flight(rng, canvas, frames, FRAME_SIDE)
    ]


def overlaps(scene: int, *, frames: int = 5, size: int = 256, seed: int = 0) -> dict[tuple[int, int], float]:
    """Return what the frames of one scene share: numbers (first < second, counted from 1) -> share of the smaller one.

    It is known exactly, from where the camera was.
    """
    rng, canvas, _ = _place(scene, size, seed)
    taken = flight(rng, canvas, frames, FRAME_SIDE)
    return {
        (first + 1, second + 1): overlap(taken[first], taken[second])
        for first in range(frames)
        for second in range(first + 1, frames)
    }


def _place(scene: int, size: int, seed: int) -> tuple[np.random.Generator, Canvas, Sun]:
    """Draw the ground of a scene; the generator goes on with the flight over it."""
    rng = np.random.default_rng((seed, scene))
    canvas = Canvas(rng, SCENE_SIDE, size / FRAME_SIDE * OVERSAMPLING)
    # In turns, so that each kind is there about equally often; shuffled, so that no split by counting finds one kind.
    turn, place = divmod(scene, len(KINDS))
    order = np.random.default_rng((seed, turn, 1)).permutation(len(KINDS))
    list(KINDS.values())[order[place]](canvas, make_look(rng))
    return rng, canvas, make_sun(rng)


def write_classes(path: Path) -> None:
    """Write the class table as the drone dataset does: a header, blanks after the commas."""
    rows = [f"{info.name}, {', '.join(map(str, info.color))}" for info in CLASSES]
    path.write_text("\n".join(("name, r, g, b", *rows)) + "\n", encoding="utf-8")


def _write_scene(directory: Path, name: str, scene: int, frames: int, size: int, seed: int) -> None:
    colors = np.array([info.color for info in CLASSES], np.uint8)
    for number, (image, labels, quality) in enumerate(
        generate_scene(scene, frames=frames, size=size, seed=seed), start=1
    ):
        stem = f"{name}_frame{number}"
        _write(directory / "images" / f"{stem}.jpg", image, (cv2.IMWRITE_JPEG_QUALITY, quality))
        _write(directory / "masks" / f"{stem}.png", colors[labels])


def _write(path: Path, rgb: NDArray[np.uint8], options: tuple[int, ...] = ()) -> None:
    # Encoded first and written by Python, which, other than cv2.imwrite, says when the disk is full.
    done, data = cv2.imencode(path.suffix, rgb[..., ::-1], options)
    assert done
    path.write_bytes(data.tobytes())
