"""Generated data and made-up runs: what tests of pages and commands need without training anything.

`write_dataset` writes a small folder of images and masks, `add_dataset` brings it into a workspace, and
`make_run` / `make_study` write run directories in any state through the same `RunStore` and `Run` that
the workers use.
"""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from segcore.config import ClassInfo, DatasetConfig, Recipe, RunConfig, StudyConfig, Weights
from segcore.data.splits import Split, fold_splits
from segcore.evaluation.metrics import scores
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


CONTEST_CLASSES: tuple[ClassInfo, ...] = (
    *CLASSES,
    ClassInfo(name="water", color=(28, 42, 168)),
    ClassInfo(name="car", color=(9, 143, 150)),
    ClassInfo(name="dog", color=(102, 51, 0)),
)
"""Of the last there is no pixel."""
CONTEST_SKILLS: Mapping[str, float] = {
    "resnet34.tv_in1k": 0.86,
    "resnet18.tv_in1k": 0.8595,
    "vgg16.tv_in1k": 0.80,
    "efficientnet_b0.ra_in1k": 0.857,
}
"""The first two are alike, the third is far behind, the last differs much from seed to seed (see `make_contest`)."""


def contest_dataset(*, scenes: int = 40, frames: int = 2, name: str = "contest", seed: int = 0) -> FakeDataset:
    """Return a dataset that is not on disk, with half of its scenes for validation; the seed chooses which."""
    config = DatasetConfig(
        name=name, images=Path("/nowhere"), masks=Path("/nowhere"), classes=CONTEST_CLASSES, group_regex=GROUP_REGEX
    )
    order = np.random.default_rng(seed).permutation(scenes) if seed else np.arange(scenes)
    train, val = (
        tuple(f"scene{scene:02d}_frame{frame}" for scene in sorted(part) for frame in range(frames))
        for part in (order[: scenes // 2], order[scenes // 2 :])
    )
    return FakeDataset(config, "fedcba9876543210", Split(train, val))


def make_contest(
    store: RunStore,
    name: str = "contest",
    *,
    skills: Mapping[str, float] = CONTEST_SKILLS,
    seeds: Iterable[int] = range(5),
    wild: Mapping[str, float] | None = None,
    dataset: FakeDataset | None = None,
    **options: Any,
) -> list[Run]:
    """Write a study whose counts vary with image, class and seed as real ones do; `options` go to `make_run`.

    Scenes are hard or easy for all alike, which pairing takes out; `wild` says by how much the seeds of a backbone
    differ (standard deviation of the share found), 0.0005 for those it does not name.
    """
    source = dataset or contest_dataset()
    wild = {"efficientnet_b0.ra_in1k": 0.003} if wild is None else wild
    runs = []
    for seed in seeds:
        for encoder, skill in skills.items():
            own = np.random.default_rng([seed, zlib.crc32(encoder.encode())])
            reached = skill + own.normal(0, wild.get(encoder, 0.0005))
            found = _contest_evaluation(source, own, reached)
            miou = scores(found.counts).miou
            run = make_run(store, study=name, encoder=encoder, seed=seed, dataset=source, miou=miou, **options)
            if run.state is RunState.FINISHED:
                run.write_evaluation(found)
            runs.append(run)
    return runs


def _contest_evaluation(source: FakeDataset, own: np.random.Generator, reached: float) -> Evaluation:
    names, classes = list(source.split.val), len(source.config.trained_classes)
    groups = [name.split("_")[0] for name in names]
    hard = {group: np.random.default_rng([7, int(group[5:])]).normal(0, 0.03, classes) for group in sorted(set(groups))}
    shared = np.random.default_rng(11)
    counts = np.zeros((len(names), classes, classes), dtype=np.int64)
    for image, group in enumerate(groups):
        totals = np.floor(shared.dirichlet([6, 5, 3, 2, 0.6]) * 40_000).astype(np.int64)  # the last class has none
        found = np.clip(reached - 0.03 * np.arange(classes) + hard[group] + own.normal(0, 0.004, classes), 0.02, 0.99)
        for c in range(classes - 1):
            hits = int(totals[c] * found[c])
            counts[image, c, c] = hits
            counts[image, c, (c + 1) % (classes - 1)] += (totals[c] - hits) * 2 // 3
            counts[image, c, (c + 2) % (classes - 1)] += totals[c] - hits - (totals[c] - hits) * 2 // 3
    # Small objects are found less: the shares of five sizes, and what is found of them around the class's own.
    shares, bias = np.array([0.05, 0.1, 0.2, 0.3, 0.35]), np.array([0.6, 0.8, 0.95, 1.05, 1.08])
    pixels = np.floor(counts.sum(axis=2)[:, :, None] * shares).astype(np.int64)
    hits = np.diagonal(counts, axis1=1, axis2=2)[:, :, None] * shares * bias
    return Evaluation(names, groups, counts, 5, np.stack([pixels, np.minimum(pixels, hits.astype(np.int64))], axis=-1))


RACE_SKILLS: Mapping[str, float] = {"resnet34.tv_in1k": 0.8, RESNET18: 0.79, "vgg16.tv_in1k": 0.5}
"""The first two are close together, the last is far behind."""


def make_race(
    store: RunStore,
    name: str = "race",
    *,
    skills: Mapping[str, float] = RACE_SKILLS,
    seeds: Iterable[int] = range(3),
    epochs: int = 30,
    at_rung: bool = True,
    dataset: Dataset | FakeDataset | None = None,
) -> list[Run]:
    """Write a racing study whose runs wait to start, or stand at the first rung having got `skills` of all right."""
    source = dataset or contest_dataset()
    assert source.split is not None
    config = StudyConfig(
        name=name,
        dataset=source.config.name,
        encoders=tuple(skills),
        seeds=tuple(seeds),
        racing=True,
        recipe=Recipe(epochs=epochs, image_size=64, batch_size=4),
    )
    runs = store.create_study(config, source.config, source.fingerprint, source.split)
    if at_rung:
        for run in runs:
            reach_rung(run, skills[run.config.encoder])
    return runs


def reach_rung(run: Run, skill: float) -> None:
    """Write what a worker leaves that has taken a run to its rung: `skill` of the pixels right, give or take."""
    status, classes = run.status, len(run.config.dataset.trained_classes)
    assert status.rung is not None
    own = np.random.default_rng([run.config.seed, zlib.crc32(run.name.encode()), status.rung])
    names = list(run.split.val)
    found = np.clip(skill + own.normal(0, 0.002) + own.normal(0, 0.01, (len(names), classes)), 0.0, 1.0)
    hits = np.round(1000 * found).astype(np.int64)
    counts = hits[:, :, None] * np.eye(classes, dtype=np.int64)
    counts[:, np.arange(classes), (np.arange(classes) + 1) % classes] = 1000 - hits
    run.write_evaluation(Evaluation(names, [name.split("_")[0] for name in names], counts, status.rung))
    epochs = run.config.recipe.epochs
    done = replace(status, epoch=status.rung, step=2 * status.rung, steps=2 * epochs, seconds=2.0 * status.rung)
    message = f"It waits at epoch {status.rung} for the other runs of its race."
    run.write_status(replace(done, state=RunState.QUEUED, started=status.created, message=message))


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


def make_fold_study(
    store: RunStore,
    name: str = "folded",
    *,
    folds: int = 2,
    encoders: Iterable[str] = (RESNET18, LITE0),
    seeds: Iterable[int] = (0,),
    epochs: int = 5,
    miou: float | None = None,
) -> list[Run]:
    """Write a study of finished runs, one for every backbone, seed and fold; the folds share out the four scenes."""
    source = fake_dataset()
    names = sorted([*source.split.train, *source.split.val])
    parts = [[image for image in names if int(image[5:7]) % folds == fold] for fold in range(folds)]
    config = StudyConfig(
        name=name,
        dataset=source.config.name,
        encoders=tuple(encoders),
        seeds=tuple(seeds),
        folds=folds,
        recipe=Recipe(epochs=epochs, image_size=64, batch_size=4),
    )
    runs = store.create_study(config, source.config, source.fingerprint, source.split, folds=fold_splits(parts))
    for run in runs:
        _write_records(run, epochs, miou if miou is not None else 0.4 + 0.3 * _unit(run.config.contender))
        set_state(run, RunState.FINISHED, done=epochs)
    return runs


def with_test(name: str = "tiny") -> FakeDataset:
    """Return `fake_dataset` with its second scene as test part."""
    source = fake_dataset(name)
    names = source.split.train
    return FakeDataset(source.config, source.fingerprint, Split((*names[:2], *names[4:]), source.split.val, names[2:4]))


def score_test(run: Run, miou: float = 0.5, *, epoch: int | None = None) -> None:
    """Give a finished run counts on its test images, as `inference.scoring` would; by default of its best epoch."""
    rng = np.random.default_rng([run.config.seed, zlib.crc32(run.name.encode()), 1])
    evaluation = _evaluation(run, rng, miou, epoch or run.evaluation_epoch() or 0, list(run.split.test))
    run.write_evaluation(evaluation, "test")


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


def _evaluation(
    run: Run, rng: np.random.Generator, miou: float, epoch: int, names: list[str] | None = None
) -> Evaluation:
    """Counts of every image of `names`, by default the validation images, whose diagonal grows with `miou`."""
    names = list(run.split.val) if names is None else names
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
        "throughput": 250.0 / scale,
        "throughput_batch": 4,
        "busy": 0.01,
        "idle": True,
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
