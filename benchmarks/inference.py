"""How long a large image takes, beside the network's own work and beside the loop that one writes first.

    python benchmarks/inference.py [--width 6000 --height 4000] [--backbone resnet18] [--window 256] [--rounds 3]
    python benchmarks/inference.py --memory [--width 6000 --height 4000] …

Three sides, on the same image and the same overlapping windows:

    ours     `inference.large.predict`, read row by row, blended, labels taken
    forward  the bare forward passes of these windows, in batches, already cut and stacked; nothing done with the result
    naive    one window at a time in fp32: softmax, added up in arrays of the whole image, divided, argmax

They take turns, one row of windows each, as a machine's speed drifts over the minutes that a side takes. Wanted: ours
at most 1.15 times the forward passes. Beside the ratio of wall times stands that of the processor time of this process,
which others on the machine disturb less; with a GPU it says nothing.

With `--memory` each side runs alone instead, and is told by the most that stood in memory meanwhile, above what stood
there before, where the system tells (Linux).
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])  # in place of this folder, which would hide Python's statistics

from statistics import median  # noqa: E402

import numpy as np  # noqa: E402
import torch  # noqa: E402

from segcore.config import ClassInfo, DatasetConfig, Recipe, RunConfig  # noqa: E402
from segcore.inference import large  # noqa: E402
from segcore.inference.predictor import Predictor, network  # noqa: E402
from segcore.inference.rows import rows_of  # noqa: E402
from segcore.inference.tiling import OVERLAP, starts  # noqa: E402
from segcore.training.device import PeakMemory, best_device, device_name  # noqa: E402

WANTED = 1.15


def predictor_of(options: argparse.Namespace) -> Predictor:
    """A network of crops with random weights."""
    classes = tuple(ClassInfo(name=f"class {label}", color=(label, 0, 0)) for label in range(options.classes))
    config = RunConfig(
        study="benchmark",
        dataset=DatasetConfig(name="none", images=Path("images"), masks=Path("masks"), classes=classes),
        dataset_fingerprint="",
        split_fingerprint="",
        recipe=Recipe(geometry="crop", image_size=options.window, batch_size=options.batch),
        encoder=options.backbone,
        weights="none",
    )
    return Predictor(network(config), config, best_device())


def ours(predictor: Predictor, image: np.ndarray) -> Iterator[None]:
    view = large.view_of(predictor.config, *image.shape[:2], None)
    labels = []
    for band in large.predict(predictor, rows_of(image), view):
        labels.append(band.probabilities.max(0).indices.byte().numpy())
        yield
    np.concatenate(labels)


def corners(image: np.ndarray, window: int) -> list[list[tuple[int, int]]]:
    """Return the (top, left) of all windows, row by row."""
    tops, lefts = (starts(length, window, OVERLAP) for length in image.shape[:2])
    return [[(top, left) for left in lefts] for top in tops]


def cut(image: np.ndarray, window: int, top: int, left: int) -> np.ndarray:
    """Return a window (3, window, window), in the memory layout that the other sides have, too."""
    return image[top : top + window, left : left + window].transpose(2, 0, 1).copy()


def forward(predictor: Predictor, rows: list[list[torch.Tensor]]) -> Iterator[None]:
    """Predict the batches of one row of windows after another."""
    for batches in rows:
        with torch.inference_mode():
            for batch in batches:
                predictor.model(batch)
        if predictor.device.type == "cuda":
            torch.cuda.synchronize()
        yield


def naive(predictor: Predictor, image: np.ndarray, window: int) -> Iterator[None]:
    height, width = image.shape[:2]
    total, covered = (
        np.zeros((len(predictor.classes), height, width), np.float32),
        np.zeros((height, width), np.float32),
    )
    for row in corners(image, window):
        for top, left in row:
            place = slice(top, top + window), slice(left, left + window)
            pixels = torch.from_numpy(cut(image, window, top, left))[None].to(predictor.device)
            with torch.inference_mode():
                total[:, *place] += predictor.model(pixels).float().softmax(1)[0].cpu().numpy()
            covered[place] += 1
        yield
    (total / covered).argmax(0).astype(np.uint8)


def take_turns(sides: dict[str, Callable[[], Iterator[None]]]) -> dict[str, tuple[float, float]]:
    """Let each side do a part in turn, to the end; returns its (wall, processor) seconds."""
    running = {name: begin() for name, begin in sides.items()}
    spent = dict.fromkeys(sides, (0.0, 0.0))
    while running:
        for name, steps in list(running.items()):
            wall, busy = time.perf_counter(), time.process_time()
            if next(steps, running) is running:
                del running[name]
            spent[name] = (
                spent[name][0] + time.perf_counter() - wall,
                spent[name][1] + time.process_time() - busy,
            )
    return spent


def memory_of(predictor: Predictor, side: Callable[[], Iterator[None]]) -> float:
    """Return the MiB that a side needs at most, above what stands in memory before."""
    before = PeakMemory(predictor.device).sample()
    peak = PeakMemory(predictor.device)
    for _ in side():
        pass
    return peak.sample() - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=6000)
    parser.add_argument("--height", type=int, default=4000)
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--window", type=int, default=256, help="side in pixels")
    parser.add_argument("--batch", type=int, default=8, help="windows at once, at most; fewer on a CPU")
    parser.add_argument("--classes", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", action="store_true", help="how much memory each side needs, instead of its time")
    options = parser.parse_args()
    image = np.random.default_rng(0).integers(0, 256, (options.height, options.width, 3), dtype=np.uint8)
    predictor, places = predictor_of(options), corners(image, options.window)
    at_once = predictor.windows_at_once
    batches = [
        [
            torch.from_numpy(np.stack([cut(image, options.window, *place) for place in row[begin : begin + at_once]]))
            for begin in range(0, len(row), at_once)
        ]
        for row in places
    ]
    batches = [[batch.to(predictor.device) for batch in row] for row in batches]
    sides: dict[str, Callable[[], Iterator[None]]] = {
        "ours": lambda: ours(predictor, image),
        "forward": lambda: forward(predictor, batches),
        "naive": lambda: naive(predictor, image, options.window),
    }
    for _ in forward(predictor, [batches[0][:1]]):
        pass
    print(
        f"{options.backbone} + unet, {options.classes} classes, {options.width} x {options.height} px in "
        f"{sum(map(len, places))} windows of {options.window}, {at_once} at once; {device_name(predictor.device)}, "
        f"{platform.machine()}, {torch.get_num_threads()} threads"
    )
    if options.memory:
        for name, side in sides.items():
            print(f"{name:<8}{memory_of(predictor, side):>8.0f} MiB more")
        return
    rounds = [take_turns(sides) for _ in range(options.rounds)]
    for name in sides:
        times = [spent[name][0] for spent in rounds]
        print(f"{name:<8}{median(times):>8.2f} s  ({min(times):.2f} to {max(times):.2f})")
    for place, kind in enumerate(("wall", "processor")):
        forward_ratio, naive_ratio = (
            median(spent["ours"][place] / spent[other][place] for spent in rounds) for other in ("forward", "naive")
        )
        wanted = f" (wanted at most {WANTED})" if kind == "wall" else ""
        print(f"{kind} time: ours / forward {forward_ratio:.2f}{wanted}, ours / naive {naive_ratio:.2f}")


if __name__ == "__main__":
    main()
