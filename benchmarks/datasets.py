"""Adding, checking, browsing and preparing many images, beside decoding alone.

    python benchmarks/datasets.py [--images 1000] [--size 512] [--leakage]

Writes that many JPEGs with colour masks (PNG), and measures each step in a process of its own, with files that lie in
the system's cache:

    decode       every image and mask decoded once, in as many threads; nothing is kept: as little as can be done
    add          the dataset added and checked, first look
    classes      two classes merged: what must be read again to know their pixels
    thumbnails   all made; then again, with all there
    gallery      what the server does for a gallery of at most 1,000 of them, with all there
    prepare      decoded and resized to 256 px for training
    leakage      with --leakage: images that show the same ground looked for, across all scenes; the slowest by far

and prints images a second, the time as a multiple of decoding alone, and peak memory.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image
from streamlit.runtime.media_file_manager import MediaFileKind
from streamlit.runtime.memory_media_file_storage import MemoryMediaFileStorage

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)  # in place of this folder, whose statistics.py would hide Python's own

if TYPE_CHECKING:
    from segcore.config import DatasetConfig
    from segcore.data.store import Dataset

CLASSES = 8
NAME = "many"
STEPS = ("decode", "add", "classes", "thumbnails", "thumbnails again", "gallery", "prepare")
SCENE = 10
"""So many images are in each scene."""


def draw(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a large picture with structure of all sizes (HWC uint8) and a map of its areas (HW), to cut pairs from."""
    rng, span = np.random.default_rng(0), 4 * side
    picture = np.zeros((span, span, 3), np.float32)
    for cells in (4, 16, 64, 256):
        layer = rng.normal(0, 120 / cells**0.4, (cells, cells, 3)).astype(np.float32)
        picture += cv2.resize(layer, (span, span), interpolation=cv2.INTER_CUBIC)
    picture += rng.normal(110, 6, (span, span, 1)).astype(np.float32)
    areas = cv2.resize(rng.normal(0, 1, (24, 24)).astype(np.float32), (span, span), interpolation=cv2.INTER_CUBIC)
    labels = np.digitize(areas, np.quantile(areas[::9, ::9], np.linspace(0, 1, CLASSES + 1)[1:-1]))
    return np.clip(picture, 0, 255).astype(np.uint8), labels.astype(np.uint8)


def write(directory: Path, colors: np.ndarray, base: tuple[np.ndarray, np.ndarray], side: int, number: int) -> None:
    """Write one pair: a square of the base picture, turned, in a tint of its own."""
    rng = np.random.default_rng(number)
    top, left, turns = int(rng.integers(3 * side)), int(rng.integers(3 * side)), int(rng.integers(4))
    image, labels = (np.rot90(part[top : top + side, left : left + side], turns) for part in base)
    tint = rng.integers(-12, 13, 3).astype(np.int16)
    stem = f"scene{number // SCENE:05d}_{number % SCENE}"
    for folder, suffix, pixels, options in (
        ("images", ".jpg", np.clip(image + tint, 0, 255).astype(np.uint8), (cv2.IMWRITE_JPEG_QUALITY, 90)),
        ("masks", ".png", colors[labels], (cv2.IMWRITE_PNG_COMPRESSION, 3)),
    ):
        done, data = cv2.imencode(suffix, np.ascontiguousarray(pixels[..., ::-1]), options)
        assert done
        (directory / folder / f"{stem}{suffix}").write_bytes(data.tobytes())


def config(directory: Path) -> DatasetConfig:
    from segcore.config import ClassInfo, DatasetConfig

    classes = [ClassInfo(name=f"class {row}", color=tuple(map(int, color))) for row, color in enumerate(palette())]
    return DatasetConfig(
        name=NAME,
        images=directory / "images",
        masks=directory / "masks",
        classes=tuple(classes),
        group_regex=r"^(scene\d+)",
    )


def palette() -> np.ndarray:
    return np.random.default_rng(1).permutation(256)[: 3 * CLASSES].reshape(CLASSES, 3).astype(np.uint8)


def generate(directory: Path, images: int, side: int) -> None:
    for folder in ("images", "masks"):
        (directory / folder).mkdir()
    began = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(partial(write, directory, palette(), draw(side), side), range(images)))
    size = sum(file.stat().st_size for file in directory.rglob("scene*"))
    print(
        f"wrote {images} pairs, {size / 1e3 / images:.0f} kB each, in {time.perf_counter() - began:.0f} s", flush=True
    )


def decode(pair: tuple[Path, Path]) -> None:
    for path in pair:
        with Image.open(path) as image:
            image.load()


def gallery(dataset: Dataset, thumbnails: Callable[[Dataset, list[str]], dict[str, Path | None]]) -> None:
    """Look up the thumbnails of a page and hand them to Streamlit, as `segcore.ui.gallery` does."""
    media = MemoryMediaFileStorage("/media")
    for place in thumbnails(dataset, dataset.names[:1000]).values():
        media.load_and_get_id(str(place), "image/jpeg", MediaFileKind.MEDIA)


def measure(step: str, directory: Path) -> dict[str, float]:
    """Run one step in this process; return its seconds and its peak memory in MB."""
    from segcore.data import mending
    from segcore.data.parallel import ordered_map
    from segcore.data.prepared import prepare
    from segcore.data.store import DatasetStore
    from segcore.data.thumbnails import thumbnails
    from segcore.decisions import Merge

    settings, store = config(directory), DatasetStore()
    pairs = list(zip(sorted(settings.images.iterdir()), sorted(settings.masks.iterdir()), strict=True))
    work: dict[str, Callable[[], object]] = {
        "decode": lambda: list(ordered_map(decode, pairs)),
        "add": lambda: store.add(settings),
        "classes": lambda: store.get(NAME).decide(Merge(names=("class 0", "class 1"), into="both")),
        "thumbnails": lambda: thumbnails(store.get(NAME)),
        "thumbnails again": lambda: thumbnails(store.get(NAME)),
        "gallery": lambda: gallery(store.get(NAME), thumbnails),
        "prepare": lambda: prepare(store.get(NAME), 256),
        "leakage": lambda: mending.find_leakage(store.get(NAME)),
    }
    began = time.perf_counter()
    work[step]()
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--leakage", action="store_true")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    parser.add_argument("--directory", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        if arguments.step == "generate":
            generate(arguments.directory, arguments.images, arguments.size)
        else:
            print(json.dumps(measure(arguments.step, arguments.directory)))
        return
    from segcore.data.parallel import worker_count

    with tempfile.TemporaryDirectory() as folder:
        os.environ["SEGCORE_HOME"] = f"{folder}/home"
        directory = Path(folder) / "source"
        directory.mkdir()
        # In a process of its own: on Linux the peak memory of a process counts as that of those it starts, too.
        sizes = ["--images", str(arguments.images), "--size", str(arguments.size)]
        subprocess.run(
            [sys.executable, __file__, "--step", "generate", "--directory", str(directory), *sizes], check=True
        )
        load = f"load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
        print(f"{arguments.size} px; {worker_count()} threads, {platform.machine()} {load}\n")
        print(f"{'':<18}{'seconds':>9}{'images/s':>10}{'× decode':>10}{'peak MB':>9}", flush=True)
        alone = 0.0
        for step in (*STEPS, "leakage") if arguments.leakage else STEPS:
            command = [sys.executable, __file__, "--step", step, "--directory", str(directory)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            row = json.loads(done.stdout.splitlines()[-1])
            alone = alone or row["seconds"]
            count = min(1000, arguments.images) if step == "gallery" else arguments.images
            took = row["seconds"]
            print(
                f"{step:<18}{took:>9.2f}{count / took:>10.0f}{took / alone:>10.2f}{row['megabytes']:>9.0f}", flush=True
            )


if __name__ == "__main__":
    main()
