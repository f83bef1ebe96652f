"""Training speed and memory of three sides, in turn: the machine's limit, ours, and what people write.

    python benchmarks/training.py [--encoders resnet18,efficientnet_b0,vgg16_bn] [--sizes 128,256] [--rounds 3]
                                  [--precision auto] [--memory-format auto]

limit   bare forward, loss, backward and optimiser step on one batch that lies in memory, in the precision and memory
        format of ours; for validation bare forward passes.
ours    the worker that trains every run: prepared data, augmentation, metrics, records and checkpoints.
peer    the loop that the documentation of segmentation_models.pytorch teaches: fp32, image files decoded and resized in
        every epoch by DataLoader workers, its loss and its metrics; the same network, augmentation and optimiser.

Every side of every round is a process of its own, so that peak memory is its own. Each does one batch to warm up and
`--steps` batches on the clock. Rates are images a second, medians over the rounds; the spread is (highest - lowest) /
median. The images are 768 px JPEGs of the demo generator.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)  # in place of this folder, whose statistics.py would hide Python's own

import statistics  # noqa: E402

ENCODERS = ("resnet18", "efficientnet_b0", "vgg16_bn")
SIDES = ("limit", "ours", "peer")
DATASET = "benchmark"
SOURCE_SIDE = 768


# The data ------------------------------------------------------------------------------------------------------------


def write_data(root: Path, images: int) -> None:
    """Add a dataset of `images` training and as many validation images to the workspace `root`/home."""
    from segcore.config import DatasetConfig
    from segcore.data import synthetic
    from segcore.data.splits import Split
    from segcore.data.store import DatasetStore
    from segcore.workspace import Workspace

    drawn, source = root / "drawn", root / "source"
    synthetic.generate(drawn, scenes=8, frames=1, size=SOURCE_SIDE)
    names = []
    for part, suffix in (("images", ".jpg"), ("masks", ".png")):
        (source / part).mkdir(parents=True)
        files = sorted((drawn / part).glob(f"*{suffix}"))
        names = [f"image{index:03d}" for index in range(2 * images)]
        for index, name in enumerate(names):
            shutil.copy(files[index % len(files)], source / part / f"{name}{suffix}")
    config = DatasetConfig(
        name=DATASET,
        images=source / "images",
        masks=source / "masks",
        classes=synthetic.CLASSES,
        synthetic=True,
    )
    split = Split(tuple(names[:images]), tuple(names[images:]))
    DatasetStore(Workspace(root / "home")).add(config, split=split)


def add_run(root: Path, options: argparse.Namespace, encoder: str, size: int, batch: int, seed: int) -> Path:
    """Return the directory of a new run of one epoch; one study for each encoder and size."""
    from segcore.config import Recipe, StudyConfig
    from segcore.data.splits import Split
    from segcore.data.store import DatasetStore
    from segcore.store import RunStore
    from segcore.workspace import Workspace

    workspace = Workspace(root / "home")
    count = (1 + options.steps) * batch
    dataset = DatasetStore(workspace).get(DATASET)
    recipe = Recipe(
        epochs=1,
        image_size=size,
        batch_size=batch,
        precision=options.precision,
        memory_format=options.memory_format,
    )
    config = StudyConfig(
        name=f"{encoder}-{size}", dataset=DATASET, encoders=(encoder,), weights="none", seeds=(seed,), recipe=recipe
    )
    whole = dataset.split
    assert whole is not None
    split = Split(whole.train[:count], whole.val[:count])
    (run,) = RunStore(workspace).create_study(config, dataset.config, dataset.fingerprint, split)
    return run.path


# The sides, each in its own process ----------------------------------------------------------------------------------


class Clock:
    """Images a second between the end of the first batch and the end of the last."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.images = 0

    def tick(self, images: int) -> None:
        self.times.append(time.perf_counter())
        if len(self.times) > 1:
            self.images += images

    @property
    def rate(self) -> float:
        return self.images / (self.times[-1] - self.times[0])


def limit(options: argparse.Namespace) -> dict[str, float]:
    """Train on one batch in memory, and predict it."""
    import torch

    from segcore.config import Recipe
    from segcore.data import synthetic
    from segcore.models.build import skeleton
    from segcore.training.device import best_device
    from segcore.training.losses import SegmentationLoss
    from segcore.training.optim import allow_tf32, build_optimizer

    device = best_device()
    if device.type == "cuda":
        allow_tf32()
    torch.manual_seed(0)
    order = torch.channels_last if options.memory_format == "channels_last" else torch.contiguous_format
    model = skeleton(options.encoder, "unet", len(synthetic.CLASSES), options.size).to(device, memory_format=order)
    if options.compile:
        model.compile()
    recipe = Recipe()
    optimizer, loss_of = build_optimizer(model, recipe, pretrained=False), SegmentationLoss(recipe)
    images = torch.randint(0, 256, (options.batch, 3, options.size, options.size), dtype=torch.uint8, device=device)
    images = images.to(memory_format=order)
    labels = torch.randint(0, len(synthetic.CLASSES), (options.batch, options.size, options.size), device=device)
    half = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(options.precision)
    autocast = torch.autocast(device.type, dtype=half or torch.bfloat16, enabled=half is not None)
    scaler = torch.amp.GradScaler(device.type, enabled=options.precision == "fp16")

    def tick(clock: Clock, step: int) -> None:
        # Between the first tick and the last a GPU is kept busy, as in a loop that looks at nothing.
        if device.type == "cuda" and step in (0, options.steps):
            torch.cuda.synchronize()
        clock.tick(options.batch)

    training, validation = Clock(), Clock()
    model.train()
    for step in range(1 + options.steps):
        with autocast:
            logits = model(images)
        loss = loss_of(logits, labels)
        optimizer.zero_grad(set_to_none=True)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        tick(training, step)
    model.eval()
    with torch.inference_mode(), autocast:
        for step in range(1 + options.steps):
            model(images)
            tick(validation, step)
    return {"training": training.rate, "validation": validation.rate}


def ours(options: argparse.Namespace) -> dict[str, float]:
    """Let the worker train the run, and watch what its loop tells."""
    from segcore.records import StepRecord
    from segcore.training import worker
    from segcore.training.loop import ValidationTick

    training, validation = Clock(), Clock()
    fit = worker.fit

    def watched(*arguments: Any, **settings: Any) -> Iterator[Any]:
        done = 0
        for event in fit(*arguments, **settings):
            # Noted when the event comes: what the worker did with those before it is in the time. Beside a GPU the
            # loss of a step is told one step late, and the last two come together.
            if isinstance(event, StepRecord):
                training.tick(options.batch)
            elif isinstance(event, ValidationTick):
                validation.tick(event.images - done)
                done = event.images
            yield event

    worker.fit = watched
    assert worker.main([str(options.run)]) == 0, "the run failed; its status.json says why"
    return {"training": training.rate, "validation": validation.rate}


def peer(options: argparse.Namespace) -> dict[str, float]:
    """Train as the documentation of segmentation_models.pytorch does it."""
    import albumentations as A
    import cv2
    import segmentation_models_pytorch as smp
    import torch
    from torch.utils.data import DataLoader, Dataset

    from segcore.config import Recipe
    from segcore.data import synthetic
    from segcore.data.augment import build_transform
    from segcore.models.build import IMAGENET_MEAN, IMAGENET_STD

    classes = len(synthetic.CLASSES)
    colors = {info.color: index for index, info in enumerate(synthetic.CLASSES)}
    augmentation = build_transform(Recipe())
    assert augmentation is not None
    resize = A.Resize(options.size, options.size)
    normalize = A.Normalize(mean=IMAGENET_MEAN, std=IMAGENET_STD)

    class Files(Dataset[Any]):
        def __init__(self, names: list[str], transform: A.Compose) -> None:
            self.names, self.transform = names, transform

        def __len__(self) -> int:
            return len(self.names)

        def __getitem__(self, index: int) -> Any:
            name = self.names[index]
            image = cv2.cvtColor(cv2.imread(str(options.source / "images" / f"{name}.jpg")), cv2.COLOR_BGR2RGB)
            mask = cv2.cvtColor(cv2.imread(str(options.source / "masks" / f"{name}.png")), cv2.COLOR_BGR2RGB)
            labels = sum((mask == color).all(-1) * index for color, index in colors.items())
            sample = self.transform(image=image, mask=labels)
            return sample["image"].transpose(2, 0, 1), sample["mask"].astype("int64")

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(0)
    model = smp.create_model("unet", f"tu-{options.encoder}", encoder_weights=None, classes=classes).to(device)
    loss_of = smp.losses.DiceLoss("multiclass", from_logits=True, ignore_index=255)
    cross_entropy = torch.nn.CrossEntropyLoss(ignore_index=255)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    count = (1 + options.steps) * options.batch
    names = [f"image{index:03d}" for index in range(2 * count)]
    workers = os.cpu_count() or 1
    train_loader = DataLoader(
        Files(names[:count], A.Compose([resize, *augmentation.transforms, normalize])),
        batch_size=options.batch,
        shuffle=True,
        num_workers=workers,
    )
    val_loader = DataLoader(
        Files(names[count:], A.Compose([resize, normalize])), batch_size=options.batch, num_workers=workers
    )

    def step(images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        logits = model(images)
        loss = loss_of(logits, labels) + cross_entropy(logits, labels)
        stats = smp.metrics.get_stats(
            logits.argmax(1), labels, mode="multiclass", num_classes=classes, ignore_index=255
        )
        smp.metrics.iou_score(*stats, reduction="micro")
        return loss

    training, validation = Clock(), Clock()
    model.train()
    for images, labels in train_loader:
        loss = step(images.to(device), labels.to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()
        training.tick(options.batch)
    model.eval()
    with torch.no_grad():
        for images, labels in val_loader:
            step(images.to(device), labels.to(device)).item()
            validation.tick(options.batch)
    return {"training": training.rate, "validation": validation.rate}


def peak_memory(side: str) -> dict[str, float]:
    """Peak MiB of this process, of its largest loader worker if it has any, and of the GPU."""
    import torch

    unit = 2**20 if sys.platform == "darwin" else 2**10
    has_workers = side == "peer" or (side == "ours" and torch.cuda.is_available())
    peak = {
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit,
        "memory_worker": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / unit if has_workers else 0.0,
    }
    if torch.cuda.is_available():
        peak["memory_gpu"] = torch.cuda.max_memory_allocated() / 2**20
    return peak


# The comparison ------------------------------------------------------------------------------------------------------


def start(side: str, options: argparse.Namespace, **values: Any) -> dict[str, float]:
    """Run one side in a process of its own and return what it measured."""
    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in values.items()]
    command = [sys.executable, __file__, "--side", side, f"--steps={options.steps}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def compare(options: argparse.Namespace, root: Path, encoder: str, size: int) -> dict[str, Any]:
    """Measure all sides of one network at one size, `options.rounds` times in turn."""
    from segcore.runs import Study

    batch = options.batch_at[size]
    found: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    for number in range(options.rounds):
        run = add_run(root, options, encoder, size, batch, seed=number)
        shared = {"encoder": encoder, "size": size, "batch": batch}
        # Ours comes first: its first run of a study chooses the precision that the limit is then measured in.
        found["ours"].append(start("ours", options, **shared, run=run))
        execution = Study(run.parent).execution()
        assert execution is not None
        mode = {key: execution[key] for key in ("precision", "memory_format", "compile")}
        found["limit"].append(start("limit", options, **shared, **mode))
        found["peer"].append(start("peer", options, **shared, source=root / "source"))
    row: dict[str, Any] = {"encoder": encoder, "size": size, "batch": batch, **mode}
    for side in SIDES:
        for key in found[side][0]:
            values = [measured[key] for measured in found[side]]
            row[f"{side}_{key}"] = statistics.median(values)
            if key in ("training", "validation"):
                row[f"{side}_{key}_spread"] = (max(values) - min(values)) / statistics.median(values)
    row["of_limit"] = row["ours_training"] / row["limit_training"]
    row["over_peer"] = row["ours_training"] / row["peer_training"]
    row["validation_time"] = row["limit_validation"] / row["ours_validation"]
    return row


def show(row: dict[str, Any]) -> None:
    """Print one network at one size."""
    print(f"\n{row['encoder']} at {row['size']} px, batch {row['batch']}: {row['precision']}, {row['memory_format']}")
    for side in SIDES:
        memory = f"{row[f'{side}_memory']:7.0f} MiB"
        if row[f"{side}_memory_worker"] > 1:
            memory += f" + {row[f'{side}_memory_worker']:.0f} MiB each loader worker"
        if f"{side}_memory_gpu" in row:
            memory += f", GPU {row[f'{side}_memory_gpu']:.0f} MiB"
        print(
            f"  {side:6}training {row[f'{side}_training']:8.2f} images/s (spread {row[f'{side}_training_spread']:4.0%})"
            f"   validation {row[f'{side}_validation']:8.2f} ({row[f'{side}_validation_spread']:4.0%})   peak {memory}"
        )
    print(
        f"  ours / limit {row['of_limit']:.2f}   ours / peer {row['over_peer']:.2f}   "
        f"validation takes {row['validation_time']:.2f} x a bare forward pass",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoders", default=",".join(ENCODERS), help="timm names, with commas between them")
    parser.add_argument("--sizes", default="128,256", help="image sizes in pixels")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=6, help="batches on the clock, of each side in each round")
    parser.add_argument("--precision", default="auto", help="of ours and the limit")
    parser.add_argument("--memory-format", default="auto", help="of ours and the limit")
    parser.add_argument("--json", type=Path, help="write the rows there, too")
    for name, kind in (("side", str), ("encoder", str), ("size", int), ("batch", int), ("run", Path), ("source", Path)):
        parser.add_argument(f"--{name}", type=kind, help=argparse.SUPPRESS)
    parser.add_argument("--compile", type=lambda value: value == "True", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        measured = {"limit": limit, "ours": ours, "peer": peer}[options.side](options)
        print(json.dumps({**measured, **peak_memory(options.side)}))
        return

    sizes = [int(size) for size in options.sizes.split(",")]
    options.batch_at = {size: max(4, 16 * 128**2 // size**2 * 2 if size > 128 else 16) for size in sizes}
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {options.rounds} rounds")
    root = Path(tempfile.mkdtemp(prefix="segcore-training-"))
    try:
        write_data(root, (1 + options.steps) * max(options.batch_at.values()))
        rows = []
        for size in sizes:
            for encoder in options.encoders.split(","):
                rows.append(compare(options, root, encoder, size))
                show(rows[-1])
        if options.json:
            options.json.write_text(json.dumps(rows, indent=2))
    finally:
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
