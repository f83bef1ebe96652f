"""Peak memory of real training steps against what the launch form reckons beforehand.

    python benchmarks/memory.py [--backbones resnet18,vgg16_bn] [--sizes 128,256] [--batches 4,8]

Each case trains three steps in a process of its own that has imported what a worker imports, and prints the peak of
its memory (on a GPU what torch reserved of it, and the constant that stands for CUDA itself). Wanted: every ratio of
reckoned to real within 0.85-1.15.
"""

from __future__ import annotations

import argparse
import itertools
import json
import platform
import resource
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)  # in place of this folder, whose statistics.py would hide Python's own

import statistics  # noqa: E402

BACKBONES = ("resnet18", "vgg16_bn", "efficientnet_b0", "efficientnet_b7", "densenet121", "convnext_femto", "pvt_v2_b0")
CLASSES = 12
STEPS = 3


def train(backbone: str, size: int, batch: int) -> dict[str, float]:
    """Train a few steps in this process; return the bytes reckoned and the bytes at the peak."""
    import torch

    import segcore.training.worker  # noqa: F401  # all that a worker has in memory
    from segcore.config import Recipe
    from segcore.models.build import skeleton
    from segcore.models.footprint import GPU_CONTEXT, catalogued, need
    from segcore.models.memory import footprint
    from segcore.training.device import best_device
    from segcore.training.losses import SegmentationLoss
    from segcore.training.optim import build_optimizer

    device = best_device()
    gpu = device.type == "cuda"
    found = catalogued(backbone, "unet", CLASSES, size) or footprint(backbone, "unet", CLASSES, size)
    reckoned = need(found, CLASSES, size, half=False, gpu=gpu).of(batch)
    recipe = Recipe(image_size=size, batch_size=batch)
    model = skeleton(backbone, "unet", CLASSES, size).to(device).train()
    optimizer, loss_of = build_optimizer(model, recipe, pretrained=False), SegmentationLoss(recipe)
    for _ in range(STEPS):
        images = torch.randint(0, 256, (batch, 3, size, size), dtype=torch.uint8, device=device)
        labels = torch.randint(0, CLASSES, (batch, size, size), device=device)
        loss = loss_of(model(images), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    if gpu:
        return {"reckoned": reckoned, "real": GPU_CONTEXT + torch.cuda.max_memory_reserved(device)}
    # ru_maxrss is in KiB on Linux and in bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    return {"reckoned": reckoned, "real": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbones", default=",".join(BACKBONES))
    parser.add_argument("--sizes", default="128,256")
    parser.add_argument("--batches", default="4,8")
    parser.add_argument("--case", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        backbone, size, batch = arguments.case
        print(json.dumps(train(backbone, int(size), int(batch))))
        return
    print(f"U-Net, {CLASSES} classes, fp32, {STEPS} steps; {platform.machine()}")
    print(f"{'backbone':<18}{'px':>5}{'batch':>7}{'reckoned':>12}{'real':>12}{'ratio':>8}")
    ratios = []
    names, sizes, batches = (value.split(",") for value in (arguments.backbones, arguments.sizes, arguments.batches))
    for backbone, size, batch in itertools.product(names, sizes, batches):
        done = subprocess.run(
            [sys.executable, __file__, "--case", backbone, size, batch], capture_output=True, text=True, check=True
        )
        row = json.loads(done.stdout.splitlines()[-1])
        ratios.append(row["reckoned"] / row["real"])
        print(
            f"{backbone:<18}{size:>5}{batch:>7}{row['reckoned'] / 1e6:>9.0f} MB{row['real'] / 1e6:>9.0f} MB"
            f"{ratios[-1]:>8.2f}",
            flush=True,
        )
    print(f"ratio: median {statistics.median(ratios):.2f}, from {min(ratios):.2f} to {max(ratios):.2f}")


if __name__ == "__main__":
    main()
