"""How long a large image takes, beside the network's own work and beside the loop that one writes first.

    python benchmarks/inference.py [--width 6000 --height 4000] [--backbone resnet18] [--window 256] [--rounds 3]

Three sides, taken in turn on the same image and the same overlapping windows:

    ours     `inference.large.predict`, read row by row, blended, labels taken
    forward  the bare forward passes of these windows, in batches, already cut and stacked; nothing done with the result
    naive    one window at a time in fp32: softmax, added up in arrays of the whole image, divided, argmax

Wanted: ours at most 1.15 times the forward passes. Beside the ratio of wall times stands that of the processor time of
this process, which others on the machine disturb less; with a GPU it says nothing. Memory is the most that stood in
memory during a side, above what stood there before, where the system tells (Linux).
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Callable
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


def ours(predictor: Predictor, image: np.ndarray) -> np.ndarray:
    """Labels (H, W) uint8."""
    view = large.view_of(predictor.config, *image.shape[:2], None)
    bands = large.predict(predictor, rows_of(image), view)
    return np.concatenate([band.probabilities.max(0).indices.byte().numpy() for band in bands])


def corners(image: np.ndarray, window: int) -> list[tuple[int, int]]:
    tops, lefts = (starts(length, window, OVERLAP) for length in image.shape[:2])
    return [(top, left) for top in tops for left in lefts]


def forward(predictor: Predictor, batches: list[torch.Tensor]) -> None:
    with torch.inference_mode():
        for batch in batches:
            predictor.model(batch)
    if predictor.device.type == "cuda":
        torch.cuda.synchronize()


def naive(predictor: Predictor, image: np.ndarray, window: int) -> np.ndarray:
    """Labels (H, W) uint8."""
    height, width = image.shape[:2]
    total, covered = (
        np.zeros((len(predictor.classes), height, width), np.float32),
        np.zeros((height, width), np.float32),
    )
    for top, left in corners(image, window):
        place = slice(top, top + window), slice(left, left + window)
        pixels = torch.from_numpy(image[place].transpose(2, 0, 1).copy())[None].to(predictor.device)
        with torch.inference_mode():
            total[:, *place] += predictor.model(pixels).float().softmax(1)[0].cpu().numpy()
        covered[place] += 1
    return (total / covered).argmax(0).astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=6000)
    parser.add_argument("--height", type=int, default=4000)
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--window", type=int, default=256, help="side in pixels")
    parser.add_argument("--batch", type=int, default=8, help="windows at once, at most; fewer on a CPU")
    parser.add_argument("--classes", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    image = np.random.default_rng(0).integers(0, 256, (options.height, options.width, 3), dtype=np.uint8)
    predictor, places = predictor_of(options), corners(image, options.window)
    windows = [image[top : top + options.window, left : left + options.window] for top, left in places]
    batches = [
        torch.from_numpy(np.stack(windows[begin : begin + predictor.windows_at_once]).transpose(0, 3, 1, 2).copy()).to(
            predictor.device
        )
        for begin in range(0, len(windows), predictor.windows_at_once)
    ]
    sides: dict[str, Callable[[], object]] = {
        "ours": lambda: ours(predictor, image),
        "forward": lambda: forward(predictor, batches),
        "naive": lambda: naive(predictor, image, options.window),
    }
    forward(predictor, batches[:1])
    print(
        f"{options.backbone} + unet, {options.classes} classes, {options.width} x {options.height} px in {len(places)} "
        f"windows of {options.window}, {predictor.windows_at_once} at once; {device_name(predictor.device)}, "
        f"{platform.machine()}, {torch.get_num_threads()} threads"
    )
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    busy: dict[str, list[float]] = {name: [] for name in sides}
    memory: dict[str, float] = {}
    for _ in range(options.rounds):
        for name, run in sides.items():
            before = PeakMemory(predictor.device).sample()
            peak, start, start_busy = PeakMemory(predictor.device), time.perf_counter(), time.process_time()
            run()
            seconds[name].append(time.perf_counter() - start)
            busy[name].append(time.process_time() - start_busy)
            memory[name] = max(memory.get(name, 0.0), peak.sample() - before)
    for name, times in seconds.items():
        print(f"{name:<8}{median(times):>8.2f} s  ({min(times):.2f} to {max(times):.2f}){memory[name]:>9.0f} MiB more")
    for kind, times in (("wall", seconds), ("processor", busy)):
        forward_ratio, naive_ratio = (
            median(mine / its for mine, its in zip(times["ours"], times[other], strict=True))
            for other in ("forward", "naive")
        )
        wanted = f" (wanted at most {WANTED})" if kind == "wall" else ""
        print(f"{kind} time: ours / forward {forward_ratio:.2f}{wanted}, ours / naive {naive_ratio:.2f}")


if __name__ == "__main__":
    main()
