"""From what a person asks for to runs in the queue: the one road of the app and the command line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from segcore.config import StudyConfig
from segcore.data.dataset import Dataset
from segcore.data.launched import Snapshot, as_launched
from segcore.data.splits import Split
from segcore.data.store import DatasetStore
from segcore.errors import ConfigError, LaunchError, SegcoreError, UnknownBackboneError, nearest
from segcore.evaluation import racing
from segcore.launch import cluster, demand, memory, proving
from segcore.launch.estimate import estimate
from segcore.launch.gpus import gpus
from segcore.launch.local import ensure_scheduler
from segcore.models.catalog import DECODERS, find, resolve
from segcore.models.weights import default_directories, locate_all
from segcore.progress import Progress, silent
from segcore.runs import Run, Study
from segcore.status import Demand, Where
from segcore.store import RunStore
from segcore.text import plural
from segcore.workspace import Workspace

PROBED_DECODER = "unet"
"""The tests build every catalogued backbone with this decoder, so that no probe is needed for it."""


def launch_study(
    config: StudyConfig,
    workspace: Workspace | None = None,
    progress: Progress = silent,
    *,
    where: Where = Where.HERE,
) -> list[Run]:
    """Check everything that can be checked beforehand, queue the runs, and see that they will be trained.

    Each run keeps how long it was expected to take. Returns the new runs; those that the study already had are left as
    they are. `progress` counts images while a dataset whose files have changed is checked again.

    With `where` the new runs train on the Ray cluster that RAY_ADDRESS names, else the one used last, once its nodes
    have shown that they can, which takes some seconds; how long they will train nobody knows there.

    Raises:
        SegcoreError: with `field` naming the field of `config` that caused it; nothing was queued.
        LaunchError: the runs are queued, but what starts them does not come up.
    """
    workspace = workspace or Workspace()
    with _blamed_on("name"):
        workspace.ensure_writable()
    with _blamed_on("dataset"):
        dataset = DatasetStore(workspace).get(config.dataset)
        # A study that exists grows on what it began with, whatever was decided about the dataset or divided anew since.
        grown = next((study for study in RunStore(workspace).studies() if study.name == config.name), None)
        if grown and grown.dataset.name == dataset.name:
            settings = grown.dataset
            dataset = as_launched(dataset, settings, grown.shared["dataset_fingerprint"], progress)
        else:  # and the rest of this looks at the dataset as it is now, whatever is decided meanwhile
            dataset = Snapshot(dataset.refresh(progress) if dataset.changed() else dataset)
            settings = dataset.config
        split = grown.split if grown else dataset.split or dataset.make_split()
        folds = _folds(config, dataset, split, grown)
    if config.racing and grown is None:  # one that grows has what it takes
        racing.check(config.seeds, config.recipe.epochs)
    encoders = check_encoders(config)
    files: dict[str, Path] = {}
    if config.weights == "pretrained":
        with _blamed_on("weights"):
            for encoder, source in locate_all(encoders, default_directories(workspace)).items():
                if source.kind == "local" and source.path is not None:
                    files[encoder] = source.path
    config = config.model_copy(update={"encoders": encoders})
    store, classes = RunStore(workspace), len(settings.trained_classes)
    expected: dict[str, float] = {}
    demands = None
    if where is Where.CLUSTER:
        demands = _on_cluster(config, classes, store, dataset, files)
    elif config.recipe.gpus_per_run > 1:
        raise ConfigError(
            f"Only a cluster trains a run on {config.recipe.gpus_per_run} GPUs; on this machine each run has one. Set "
            "GPUs per run to 1, or launch onto a cluster.",
            field="gpus_per_run",
        )
    else:
        there = gpus()
        memory.check(memory.fit(config, classes, store, there, probe=True), config.recipe.image_size)
        expected = expect(config, classes, split, store, len(there))
    runs = store.create_study(config, settings, dataset.fingerprint, split, files, expected, folds, demands)
    try:
        ensure_scheduler(workspace)
    except LaunchError as error:
        raise LaunchError(
            f"{error} {plural(len(runs), 'run')} of study {config.name!r} wait in the queue all the same: to have them "
            "started, press Go on in the sidebar, or run 'python -m segcore queue resume'."
        ) from error
    return runs


def _on_cluster(
    config: StudyConfig, classes: int, store: RunStore, dataset: Dataset, files: Mapping[str, Path]
) -> dict[str, Demand]:
    """Return what the runs of each backbone ask of the cluster, once its nodes have shown that they can train them."""
    with _blamed_on("where"):
        where = cluster.chosen(store)
        found = proving.capacity(store.workspace, where)
    demands = demand.demands(config, classes, store, found)
    with _blamed_on("where"):
        proving.prove(
            store.workspace,
            where,
            demands.values(),
            dataset=dataset.name,
            images=dataset.config.images,
            files=files.values(),
        )
        store.set_queue(cluster=where)
    return demands


def _folds(config: StudyConfig, dataset: Dataset, split: Split, grown: Study | None) -> list[Split]:
    """Return the folds asked for: those that a study began with, or new ones of the images of `split`."""
    if grown is not None and grown.folds == config.folds:
        return grown.fold_splits()
    return dataset.folds(config.folds, split) if config.folds else []


def expect(config: StudyConfig, classes: int, split: Split, store: RunStore, gpu_count: int) -> dict[str, float]:
    """Return the seconds that each run is expected to take, by its name; empty where nothing can be said."""
    macs = {}
    for encoder in config.encoders:
        if config.decoder != PROBED_DECODER or find(encoder) is None:
            # Torch is here by now, as this combination was probed.
            from segcore.models.summary import describe

            size = config.recipe.image_size
            macs[encoder] = float(describe(encoder, decoder=config.decoder, image_size=size, classes=classes).macs)
    expected = estimate(config, classes, split, store, gpus=gpu_count, macs=macs)
    return dict(expected.runs) if expected else {}


def check_encoders(config: StudyConfig) -> tuple[str, ...]:
    """Return the full names of the backbones asked for.

    Raises:
        ModelError: one is unknown, or does not go with the decoder and image size.
    """
    with _blamed_on("decoder"):
        if config.decoder not in DECODERS:
            known = ", ".join(DECODERS)
            raise UnknownBackboneError(
                f"No decoder is called {config.decoder!r}; there are {known}.{nearest(config.decoder, DECODERS)}"
            )
    with _blamed_on("encoders"):
        encoders = tuple(dict.fromkeys(resolve(name, config.weights) for name in config.encoders))
        for encoder in encoders:
            if config.decoder != PROBED_DECODER or find(encoder) is None:
                # Imports torch, which takes seconds; hence only where it can find something.
                from segcore.models.build import probe

                probe(encoder, config.decoder, config.recipe.image_size)
    return encoders


@contextmanager
def _blamed_on(field: str) -> Iterator[None]:
    """Say of errors that do not name a field which one caused them."""
    try:
        yield
    except SegcoreError as error:
        error.field = error.field if error.field in StudyConfig.model_fields else field
        raise
