"""Preparing large photographs with their masks, beside decoding alone.

    python benchmarks/prepare.py [--images 100] [--size 256] [--rounds 3] [--native]

Writes that many generated 24-megapixel JPEGs and colour masks (PNG), adds them as a dataset, and measures in turn, each
side in a fresh process, with the same number of threads and files that lie in the system's cache:

    reduced   decoding alone, JPEGs at the fraction of their size that `prepare` takes: as little as can be done
    full      decoding alone, every pixel of the JPEGs
    ours      the real `prepare`: digests, decoding, resizing, labels, checksums, writing, flushing to disk
    native    with --native: `prepare` at the images' own size, for crops; writes 96 MB an image, full is its limit

and prints medians, ratios and peak memory. Wanted: ours at most 1.25 times as long as reduced.
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

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)  # in place of this folder, whose statistics.py would hide Python's own

import statistics  # noqa: E402

if TYPE_CHECKING:
    from segcore.data.store import Dataset

WIDTH, HEIGHT = 6000, 4000
CLASSES = 8
NAME = "photographs"


def draw(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a picture with structure of all sizes, as photographs have (HWC uint8), and a map of its areas (HW)."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    for cells in (4, 16, 64, 256, 1024):
        layer = rng.normal(0, 120 / cells**0.4, (cells, cells * 3 // 2, 3)).astype(np.float32)
        picture += cv2.resize(layer, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    picture += rng.normal(110, 6, (HEIGHT, WIDTH, 1)).astype(np.float32)
    areas = cv2.resize(rng.normal(0, 1, (24, 36)).astype(np.float32), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    labels = np.digitize(areas, np.quantile(areas[::50, ::50], np.linspace(0, 1, CLASSES + 1)[1:-1]))
    return np.clip(picture, 0, 255).astype(np.uint8), labels.astype(np.uint8)


def write(directory: Path, colors: np.ndarray, base: tuple[np.ndarray, np.ndarray], number: int) -> None:
    """Write one pair: a part of the base picture that no other pair shows at this place."""
    rng = np.random.default_rng(number)
    shift = int(rng.integers(HEIGHT)), int(rng.integers(WIDTH))
    image, labels = (np.roll(array, shift, axis=(0, 1)) for array in base)
    for folder, suffix, pixels, options in (
        ("images", ".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, 90)),
        ("masks", ".png", colors[labels], (cv2.IMWRITE_PNG_COMPRESSION, 6)),
    ):
        done, data = cv2.imencode(suffix, pixels[..., ::-1], options)
        assert done
        (directory / folder / f"photo{number:04d}{suffix}").write_bytes(data.tobytes())


def generate(directory: Path, images: int) -> None:
    """Write the folders images and masks, and add them as a dataset."""
    from segcore.config import ClassInfo, DatasetConfig
    from segcore.data.store import DatasetStore

    colors = np.random.default_rng(1).permutation(256)[: 3 * CLASSES].reshape(CLASSES, 3).astype(np.uint8)
    for folder in ("images", "masks"):
        (directory / folder).mkdir()
    began = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:  # a picture in the making takes half a gigabyte
        list(pool.map(partial(write, directory, colors, draw(0)), range(images)))
    size = sum(file.stat().st_size for file in directory.rglob("photo*"))
    print(
        f"wrote {images} pairs, {size / 1e6 / images:.1f} MB each, in {time.perf_counter() - began:.0f} s", flush=True
    )
    classes = [ClassInfo(name=f"class {row}", color=tuple(map(int, color))) for row, color in enumerate(colors)]
    config = DatasetConfig(name=NAME, images=directory / "images", masks=directory / "masks", classes=tuple(classes))
    began = time.perf_counter()
    DatasetStore().add(config)
    print(f"added and checked them in {time.perf_counter() - began:.1f} s", flush=True)


def decode(dataset: Dataset, size: int | None, name: str) -> None:
    """Decode one pair and keep nothing of it."""
    pair = dataset.pair(name)
    with Image.open(pair.image) as image:
        if size is not None:
            image.draft("RGB", (2 * size, 2 * size))
        image.load()
    with Image.open(pair.mask) as mask:
        mask.load()


def measure(side: str, size: int) -> dict[str, float]:
    """Run one side in this process; return its seconds, its CPU seconds with start-up, and its peak memory in MB."""
    from segcore.data.parallel import ordered_map
    from segcore.data.prepared import prepare
    from segcore.data.store import DatasetStore

    dataset = DatasetStore().get(NAME)
    names = dataset.names
    work: Callable[[], object] = {
        "reduced": lambda: list(ordered_map(partial(decode, dataset, size), names)),
        "full": lambda: list(ordered_map(partial(decode, dataset, None), names)),
        "ours": lambda: prepare(dataset, size),
        "native": lambda: prepare(dataset, None),
    }[side]
    if dataset.prepared_directory.is_dir():
        for cache in dataset.prepared_directory.iterdir():
            for file in cache.iterdir():
                file.unlink()
            cache.rmdir()
    began = time.perf_counter()
    work()
    seconds = time.perf_counter() - began
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {"seconds": seconds, "cpu": used.ru_utime + used.ru_stime, "megabytes": used.ru_maxrss / 1000}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--native", action="store_true")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--generate", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        print(json.dumps(measure(arguments.side, arguments.size)))
        return
    if arguments.generate:
        generate(arguments.generate, arguments.images)
        return
    from segcore.data.parallel import worker_count

    sides = ["reduced", "full", "ours", *(["native"] if arguments.native else [])]
    results: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        os.environ["SEGCORE_HOME"] = str(root / "home")
        # In a process of its own: on Linux the peak memory of a process counts as that of those it starts, too.
        subprocess.run(
            [sys.executable, __file__, "--generate", directory, "--images", str(arguments.images)], check=True
        )
        print(f"{WIDTH} × {HEIGHT} to {arguments.size} px; {worker_count()} threads, {platform.machine()}", flush=True)
        for turn in range(arguments.rounds):
            for side in sides:
                command = [sys.executable, __file__, "--side", side, "--size", str(arguments.size)]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                results[side].append(json.loads(done.stdout.splitlines()[-1]))
                print(f"round {turn + 1}: {side:<8}{results[side][-1]['seconds']:7.1f} s", flush=True)
    report(results, arguments.images)


def report(results: dict[str, list[dict[str, float]]], images: int) -> None:
    seconds = {side: statistics.median(row["seconds"] for row in rows) for side, rows in results.items()}
    print(f"\n{'':<10}{'seconds':>9}{'CPU s':>8}{'images/s':>10}{'× reduced':>11}{'× full':>9}{'peak MB':>9}")
    for side, rows in results.items():
        took, cpu = seconds[side], statistics.median(row["cpu"] for row in rows)
        ratios = f"{took / seconds['reduced']:>11.2f}{took / seconds['full']:>9.2f}"
        peak = max(row["megabytes"] for row in rows)
        print(f"{side:<10}{took:>9.1f}{cpu:>8.1f}{images / took:>10.1f}{ratios}{peak:>9.0f}")
    ratio = seconds["ours"] / seconds["reduced"]
    print(f"\nours against decoding alone: {ratio:.2f} (wanted: at most 1.25)")


if __name__ == "__main__":
    main()
