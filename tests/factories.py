"""Generated data and made-up runs: what tests of pages and commands need without training anything.

`write_dataset` writes a small folder of images and masks, `add_dataset` brings it into a workspace, and
`make_run` / `make_study` write run directories in any state through the same `RunStore` and `Run` that
the workers use.
"""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from segcore.config import ClassInfo, DatasetConfig, Recipe, RunConfig, StudyConfig, Weights
from segcore.data.splits import Split
from segcore.records import EpochRecord, StepRecord
from segcore.runs import Evaluation, Run
from segcore.status import RunState, process_identity
from segcore.store import RunStore
from segcore.workspace import Workspace

if TYPE_CHECKING:
    from segcore.data.store import Dataset

CLASSES: tuple[ClassInfo, ...] = (
    ClassInfo(name="unlabeled", color=(0, 0, 0), ignore=True),
    ClassInfo(name="paved-area", color=(128, 64, 128)),
    ClassInfo(name="grass", color=(0, 102, 0)),
    ClassInfo(name="roof", color=(70, 70, 70)),
)
GROUP_REGEX = r"^(scene\d+)"
RESNET18 = "resnet18.tv_in1k"
LITE0 = "tf_efficientnet_lite0.in1k"


# Datasets ------------------------------------------------------------------------------------------


def write_classes(path: Path, classes: Sequence[ClassInfo] = CLASSES) -> Path:
    """Write a class table as the Semantic Drone Dataset does: blanks after commas."""
    rows = [f"{info.name}, {', '.join(map(str, info.color))}" for info in classes]
    path.write_text("\n".join(["name, r, g, b", *rows]) + "\n", encoding="utf-8")
    return path


def write_dataset(
    directory: Path,
    *,
    scenes: int = 4,
    frames: int = 2,
    size: int = 64,
    classes: Sequence[ClassInfo] = CLASSES,
    seed: int = 0,
    name: str = "tiny",
) -> DatasetConfig:
    """Write `scenes * frames` images with RGB masks and classes.csv into `directory`.

    Every image shows every class: bands of noise around the class colour, a border of the first class.
    Files are named sceneNN_frameM.png, so that `GROUP_REGEX` finds the scenes.
    """
    rng = np.random.default_rng(seed)
    images, masks = directory / "images", directory / "masks"
    images.mkdir(parents=True, exist_ok=True)
    masks.mkdir(exist_ok=True)
    write_classes(directory / "classes.csv", classes)
    colors = np.array([info.color for info in classes], dtype=np.uint8)
    for scene in range(scenes):
        for frame in range(frames):
            bands = (np.arange(size) * (len(classes) - 1) // size + scene + frame) % (len(classes) - 1) + 1
            labels = np.repeat(bands[:, None], size, axis=1)
            labels[:, :4] = 0
            image = colors[labels].astype(np.int16) + 60 + rng.integers(-20, 20, (size, size, 3))
            stem = f"scene{scene:02d}_frame{frame}.png"
            Image.fromarray(np.clip(image, 0, 255).astype(np.uint8)).save(images / stem)
            Image.fromarray(colors[labels]).save(masks / stem)
    return DatasetConfig(name=name, images=images, masks=masks, classes=tuple(classes), group_regex=GROUP_REGEX)


def add_dataset(workspace: Workspace, directory: Path, *, name: str = "tiny", **options: Any) -> Dataset:
    """Write a dataset into `directory` (see `write_dataset`) and add it to the workspace, with a split."""
    from segcore.data.store import DatasetStore

    return DatasetStore(workspace).add(write_dataset(directory, name=name, **options), val=0.25)


@dataclass(frozen=True)
class FakeDataset:
    """What `make_run` needs to know of a dataset, without any file."""

    config: DatasetConfig
    fingerprint: str
    split: Split


def fake_dataset(name: str = "tiny", directory: Path = Path("/nowhere")) -> FakeDataset:
    """Return a dataset of 8 images in 4 scenes that is not on disk."""
    config = DatasetConfig(
        name=name,
        images=directory / "images",
        masks=directory / "masks",
        classes=CLASSES,
        group_regex=GROUP_REGEX,
    )
    names = [f"scene{scene:02d}_frame{frame}" for scene in range(4) for frame in range(2)]
    return FakeDataset(config, "0123456789abcdef", Split(tuple(names[:6]), tuple(names[6:])))


# Runs ----------------------------------------------------------------------------------------------


def make_run(
    store: RunStore,
    *,
    study: str = "study",
    encoder: str = RESNET18,
    weights: Weights = "pretrained",
    seed: int = 0,
    state: RunState = RunState.FINISHED,
    epochs: int = 5,
    done: int | None = None,
    decoder: str = "unet",
    miou: float | None = None,
    image_size: int = 64,
    dataset: Dataset | FakeDataset | None = None,
    message: str = "",
    with_weights: bool = False,
) -> Run:
    """Write one run in any state, with the records, scores, previews and cost that such a run has.

    `done` is how many epochs it recorded (all for a finished run, none for a queued one, half else);
    `miou` what it reaches. A running run names this process, so that it counts as alive. With
    `with_weights` it gets randomly initialised best weights, which costs an import of torch.
    """
    source = dataset or fake_dataset()
    assert source.split is not None
    config = StudyConfig(
        name=study,
        dataset=source.config.name,
        encoders=(encoder,),
        weights=weights,
        decoder=decoder,
        seeds=(seed,),
        recipe=Recipe(epochs=epochs, image_size=image_size, batch_size=4),
    )
    (run,) = store.create_study(config, source.config, source.fingerprint, source.split)
    if done is None:
        done = {RunState.FINISHED: epochs, RunState.QUEUED: 0}.get(state, epochs // 2)
    if state is not RunState.QUEUED:
        _write_records(run, done, miou if miou is not None else 0.4 + 0.3 * _unit(run.config.contender))
    set_state(run, state, done=done, message=message)
    if with_weights:
        write_weights(run)
    return run


def make_study(
    store: RunStore,
    name: str = "study",
    *,
    encoders: Iterable[str] = (RESNET18, LITE0),
    seeds: Iterable[int] = (0, 1),
    **options: Any,
) -> list[Run]:
    """Write one run for every backbone and seed; `options` go to `make_run`."""
    backbones = list(encoders)
    return [make_run(store, study=name, encoder=e, seed=s, **options) for s in seeds for e in backbones]


def make_mixed_study(store: RunStore, name: str = "mixed", **options: Any) -> dict[RunState, Run]:
    """Write a study with one run in every state: finished, running, queued, failed, stopped, interrupted."""
    return {
        state: make_run(store, study=name, seed=seed, state=state, **options)
        for seed, state in enumerate(
            (
                RunState.FINISHED,
                RunState.RUNNING,
                RunState.QUEUED,
                RunState.FAILED,
                RunState.STOPPED,
                RunState.INTERRUPTED,
            )
        )
    }


def write_weights(run: Run) -> None:
    """Give a run best weights: a network of random numbers, as its worker would have saved it."""
    import torch
    from safetensors.torch import save_file

    from segcore.models.build import skeleton

    config = run.config
    torch.manual_seed(config.seed)
    model = skeleton(
        config.encoder, config.decoder, len(config.dataset.trained_classes), image_size=config.recipe.image_size
    )
    tensors = {name: tensor.contiguous().clone() for name, tensor in model.state_dict().items()}
    save_file(tensors, run.best_weights)


def _unit(text: str) -> float:
    """A number in [0, 1) that depends on nothing but `text`."""
    return (zlib.crc32(text.encode()) % 1000) / 1000


def _write_records(run: Run, done: int, miou: float) -> None:
    """Write epochs, steps, evaluation, previews, cost, provenance and log of `done` epochs."""
    config = run.config
    rng = np.random.default_rng([config.seed, zlib.crc32(run.name.encode())])
    best = 0.0
    for epoch in range(1, done + 1):
        # The last epoch is the best one and reaches `miou`, give or take the seed.
        share = epoch / max(done, 1)
        reached = miou * (0.5 + 0.5 * share) + float(rng.normal(0, 0.005))
        is_best, best = reached > best, max(best, reached)
        run.append_epoch(
            EpochRecord(
                epoch=epoch,
                train_loss=1.6 - share,
                train_pixel_accuracy=min(0.99, reached + 0.25),
                train_miou=min(0.99, reached + 0.05),
                val_loss=1.7 - share,
                val_pixel_accuracy=min(0.99, reached + 0.2),
                val_miou=reached,
                learning_rate=1e-3 * (1.0 - 0.9 * share),
                images_per_second=20.0,
                seconds=2.0,
                best=is_best,
            )
        )
        for step in (2 * epoch - 1, 2 * epoch):
            run.append_step(StepRecord(step, epoch, 1.6 - share, 1e-3, 20.0))
    run.log_path.write_text(f"training {config.encoder}\n" + "".join(f"epoch {e + 1}\n" for e in range(done)))
    run.write_provenance(_provenance(config))
    run.write_cost(_cost(config))
    if done:
        run.write_evaluation(_evaluation(run, rng, miou, done))
        _write_previews(run, rng, done)


def _evaluation(run: Run, rng: np.random.Generator, miou: float, epoch: int) -> Evaluation:
    """Counts of every validation image whose diagonal grows with `miou`."""
    names = list(run.split.val)
    classes = len(run.config.dataset.trained_classes)
    pixels = run.config.recipe.image_size**2
    counts = np.zeros((len(names), classes, classes), dtype=np.int64)
    for image in range(len(names)):
        totals = np.floor(rng.dirichlet(np.arange(classes, 0, -1)) * pixels).astype(np.int64)
        counts[image] = np.floor(np.eye(classes) * totals[:, None] * miou ** (1 / 2))
        wrong = totals - counts[image].sum(1)
        counts[image, np.arange(classes), (np.arange(classes) + 1) % classes] += wrong
    return Evaluation(names, [name.split("_")[0] for name in names], counts, epoch)


def _write_previews(run: Run, rng: np.random.Generator, done: int) -> None:
    size, classes = run.config.recipe.image_size, len(run.config.dataset.trained_classes)
    run.previews_directory.mkdir(exist_ok=True)
    for epoch in range(1, done + 1):
        for name in run.split.val[:2]:
            labels = np.kron(rng.integers(0, classes, (4, 4)), np.ones((size // 4, size // 4))).astype(np.uint8)
            Image.fromarray(labels).save(run.preview_path(epoch, name))


def _provenance(config: RunConfig) -> dict[str, Any]:
    return {
        "dataset_fingerprint": config.dataset_fingerprint,
        "split_fingerprint": config.split_fingerprint,
        "weights": {"kind": "local", "encoder": config.encoder, "sha256": "0" * 64},
    }


def _cost(config: RunConfig) -> dict[str, Any]:
    scale = 1 + int(9 * _unit(config.encoder))
    return {
        "parameters": 3_000_000 * scale,
        "parameters_encoder": 2_000_000 * scale,
        "parameters_decoder": 999_000 * scale,
        "parameters_head": 1_000 * scale,
        "macs": 300_000_000 * scale,
        "macs_encoder": 200_000_000 * scale,
        "macs_decoder": 99_000_000 * scale,
        "macs_head": 1_000_000 * scale,
        "latency_p50_ms": 4.0 * scale,
        "latency_p95_ms": 5.0 * scale,
        "images_per_second": 250.0 / scale,
        "device": "cpu",
        "threads": 2,
        "image_size": config.recipe.image_size,
        "peak_memory_mb": 500.0,
    }


def set_state(run: Run, state: RunState, *, done: int, message: str = "") -> None:
    """Write the status of a run, after `done` epochs, so that `run.state` reads as `state` now."""
    status = run.status
    if state is RunState.QUEUED:
        return
    now = time.time()
    status = replace(
        status,
        state=state,
        started=status.created,
        seconds=2.0 * done,
        epoch=done,
        step=2 * done,
        steps=2 * run.config.recipe.epochs,
        majority_baseline=0.45,
        message=message,
        **process_identity(),
    )
    if state is RunState.RUNNING:
        status = replace(status, phase="training", eta=2.0 * (run.config.recipe.epochs - done))
    elif state is RunState.INTERRUPTED:
        # Its file says "running", but no process of this host has that start time.
        status = replace(status, state=RunState.RUNNING, pid=os.getpid(), pid_started=1.0)
    else:
        status = replace(status, ended=now)
    if state is RunState.FAILED and not message:
        status = replace(status, message="The training loss is no number.", hint="Lower the learning rate.")
    run.write_status(status)
