"""A workspace as large as years of work make it: studies with all that their runs leave behind.

    python benchmarks/workspace.py FOLDER [--studies 20] [--backbones 10] [--seeds 5] [--epochs 100]

By default 1,000 runs of 100 epochs on made-up data: records of every epoch, counts of 80 images by class and by size,
costs and provenance, in the newest study records of steps, too; no weights and no images. The studies take turns in
having 13 or 23 classes. In the newest two runs train and three wait, as far as their files tell (while this process
lives).
"""

from __future__ import annotations

import argparse
import sys
import time
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)  # in place of this folder, whose statistics.py would hide Python's own

from segcore.config import ClassInfo, DatasetConfig, Recipe, StudyConfig  # noqa: E402
from segcore.data.splits import Split  # noqa: E402
from segcore.evaluation.metrics import scores  # noqa: E402
from segcore.evaluation.sizes import BINS  # noqa: E402
from segcore.records import EpochRecord, StepRecord  # noqa: E402
from segcore.runs import Evaluation, Run  # noqa: E402
from segcore.status import RunState  # noqa: E402
from segcore.store import RunStore  # noqa: E402
from segcore.workspace import Workspace  # noqa: E402
from tests import factories  # noqa: E402

BACKBONES = (
    *("resnet18.tv_in1k", "resnet34.tv_in1k", "resnet50.tv_in1k", "vgg16.tv_in1k", "vgg19.tv_in1k"),
    *("efficientnet_b0.ra_in1k", "tf_efficientnet_b7.ns_jft_in1k", "mobilenetv3_large_100.ra_in1k"),
    *("convnext_tiny.fb_in1k", "pvt_v2_b0.in1k", "resnet101.tv_in1k", "densenet121.tv_in1k"),
    *("vgg11_bn.tv_in1k", "vgg16_bn.tv_in1k", "efficientnet_b3.ra2_in1k", "mobilenetv2_100.ra_in1k"),
    *("convnext_small.fb_in1k", "pvt_v2_b1.in1k", "densenet169.tv_in1k", "regnety_016.tv2_in1k"),
)
CLASSES = (13, 23)
SIDE = 256
VAL_IMAGES, SCENES = 80, 20
STEPS = 10
"""Records of steps for each epoch."""
TRAINING, WAITING = 2, 3
"""Runs of the newest study that are not finished."""


def dataset(classes: int) -> tuple[DatasetConfig, Split]:
    """Return a dataset of 400 images in scenes that is not on disk."""
    colors = [((37 * c) % 256, (91 * c) % 256, (151 * c) % 256) for c in range(classes)]
    config = DatasetConfig(
        name=f"made-up-{classes}",
        images=Path("/nowhere/images"),
        masks=Path("/nowhere/masks"),
        classes=tuple(ClassInfo(name=f"class {c}", color=colors[c]) for c in range(classes)),
        group_regex=factories.GROUP_REGEX,
    )
    names = [f"scene{image % 100:02d}_frame{image // 100}" for image in range(400)]
    val = sorted(name for name in names if int(name[5:7]) < SCENES)
    return config, Split(tuple(name for name in names if name not in val), tuple(val))


def fill(
    root: Path,
    *,
    studies: int = 20,
    backbones: int = 10,
    seeds: int = 5,
    epochs: int = 100,
    tell: Callable[[str], None] = lambda _text: None,
) -> None:
    """Write the studies into the workspace `root`; `tell` is called after each."""
    with mock.patch("os.fsync"):  # flushing each of thousands of files to the disk takes longer than all the rest
        _fill(RunStore(Workspace(root)), studies, backbones, seeds, epochs, tell)


def _fill(store: RunStore, studies: int, backbones: int, seeds: int, epochs: int, tell: Callable[[str], None]) -> None:
    for number in range(studies):
        config, split = dataset(CLASSES[number % len(CLASSES)])
        study = StudyConfig(
            name=f"study-{number + 1:02d}",
            dataset=config.name,
            encoders=BACKBONES[:backbones],
            seeds=tuple(range(seeds)),
            recipe=Recipe(epochs=epochs, image_size=SIDE, batch_size=8),
        )
        runs = store.create_study(study, config, "0123456789abcdef", split)
        newest = number == studies - 1
        training = runs[len(runs) - TRAINING - WAITING : len(runs) - WAITING] if newest else []
        waiting = runs[len(runs) - WAITING :] if newest else []
        images = _Images(split, len(config.trained_classes), number)
        for run in runs:
            if run not in waiting:
                state = RunState.RUNNING if run in training else RunState.FINISHED
                _write(run, images, state, with_steps=newest)
        tell(f"{study.name}: {len(runs)} runs")


class _Images:
    """What the images of a study show, and how hard each is for every network."""

    def __init__(self, split: Split, classes: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.names = list(split.val)
        self.groups = [name.split("_")[0] for name in self.names]
        common = rng.dirichlet(np.full(classes, 0.7), len(self.names))
        self.pixels = np.floor(common * SIDE**2).astype(np.int64)
        self.hardness = rng.normal(0, 0.06, (len(self.names), classes))
        share = rng.dirichlet(np.ones(BINS), (len(self.names), classes))
        self.by_size = np.floor(share * self.pixels[..., None]).astype(np.int64)
        self.by_size[..., -1] += self.pixels - self.by_size.sum(axis=-1)

    def evaluation(self, skill: float, rng: np.random.Generator, epoch: int) -> Evaluation:
        """Return counts of a network that finds about `skill` of all pixels."""
        classes = self.pixels.shape[1]
        found = np.clip(skill + self.hardness + rng.normal(0, 0.03, self.pixels.shape), 0.02, 0.99)
        sides = np.clip(found[..., None] + np.linspace(-0.2, 0.1, BINS), 0.01, 0.99)
        hits = np.floor(self.by_size * sides).astype(np.int64)
        diagonal = hits.sum(axis=-1)
        counts = rng.multinomial(self.pixels - diagonal, np.full(classes, 1 / classes))
        counts[:, np.arange(classes), np.arange(classes)] = diagonal
        missing = self.pixels - counts.sum(axis=2)  # what fell by chance on the class itself
        counts[:, np.arange(classes), (np.arange(classes) + 1) % classes] += missing
        return Evaluation(self.names, self.groups, counts, epoch, np.stack([self.by_size, hits], axis=-1))


def _write(run: Run, images: _Images, state: RunState, *, with_steps: bool) -> None:
    """Write all that a run leaves that has come to its end, or half the way."""
    config = run.config
    rng = np.random.default_rng([config.seed, zlib.crc32(f"{run.study_name}/{run.name}".encode())])
    done = config.recipe.epochs if state is RunState.FINISHED else config.recipe.epochs // 2
    skill = 0.6 + 0.02 * (zlib.crc32(config.encoder.encode()) % 10) + rng.normal(0, 0.01)
    best_epoch = max(1, round(done * rng.uniform(0.7, 1)))
    evaluation = images.evaluation(skill, rng, best_epoch)
    reached = scores(evaluation.counts)
    for epoch in range(1, done + 1):
        # A curve that rises to what the counts say at the best epoch, and stays below it everywhere else.
        share = 1 - np.exp(-5 * epoch / done)
        miou = reached.miou if epoch == best_epoch else reached.miou * share * (0.99 - abs(rng.normal(0, 0.01)))
        run.append_epoch(_record(epoch, float(miou), reached.pixel_accuracy * float(share), float(share), best_epoch))
        for step in range(STEPS * (epoch - 1) + 1, STEPS * epoch + 1) if with_steps else ():
            run.append_step(StepRecord(step, epoch, float(1.7 - share + rng.normal(0, 0.05)), 1e-3, 20.0))
    run.log_path.write_text(f"training {config.encoder}\n" + "".join(f"epoch {e + 1}\n" for e in range(done)))
    run.write_evaluation(evaluation)
    run.write_cost(_cost(config.encoder, rng))
    run.write_provenance({"split_fingerprint": config.split_fingerprint, "packages": {}, "weights": {"kind": "local"}})
    factories.set_state(run, state, done=done)
    run.write_status(replace(run.status, steps=STEPS * config.recipe.epochs, step=STEPS * done))


def _record(epoch: int, miou: float, accuracy: float, share: float, best_epoch: int) -> EpochRecord:
    return EpochRecord(
        epoch=epoch,
        train_loss=1.7 - share,
        train_pixel_accuracy=min(0.99, accuracy + 0.05),
        train_miou=min(0.99, miou + 0.05),
        val_loss=1.8 - share,
        val_pixel_accuracy=accuracy,
        val_miou=miou,
        learning_rate=1e-3,
        images_per_second=20.0,
        seconds=12.0,
        best=epoch == best_epoch,
        top_share=0.4,
        top_class=0,
    )


def _cost(encoder: str, rng: np.random.Generator) -> dict[str, object]:
    scale = 1 + zlib.crc32(encoder.encode()) % 9
    parts = {"encoder": 2_000_000, "decoder": 999_000, "head": 1_000}
    return {
        **{f"parameters_{part}": scale * count for part, count in parts.items()},
        **{f"macs_{part}": 100 * scale * count for part, count in parts.items()},
        "parameters": scale * sum(parts.values()),
        "macs": 100 * scale * sum(parts.values()),
        "latency_p50_ms": 9.0 * scale * rng.uniform(0.95, 1.05),
        "latency_p95_ms": 10.5 * scale,
        "throughput": 140.0 / scale * rng.uniform(0.95, 1.05),
        "throughput_batch": 8,
        "peak_memory_mb": 900.0 + 150 * scale + rng.uniform(0, 20),
        "busy": 0.02,
        "idle": True,
        "device": "cpu",
        "threads": 2,
        "image_size": SIDE,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="the new workspace; SEGCORE_HOME=FOLDER then opens it")
    parser.add_argument("--studies", type=int, default=20)
    parser.add_argument("--backbones", type=int, default=10, help=f"up to {len(BACKBONES)}")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=100)
    arguments = parser.parse_args()
    began = time.perf_counter()
    fill(
        arguments.folder,
        studies=arguments.studies,
        backbones=arguments.backbones,
        seeds=arguments.seeds,
        epochs=arguments.epochs,
        tell=print,
    )
    print(f"written in {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
