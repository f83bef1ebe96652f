"""Judging a run again, on any dataset and part: what is to be judged, what came out, and whether it still holds.

    plan       what a re-evaluation would be: images, classes, what the network has met of it; refuses sealed images
    read       what is kept beside a run; `inference.reevaluation` computes it

Nothing here imports torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np

from segcore.config import ClassInfo
from segcore.data.dataset import Dataset
from segcore.data.splits import Split
from segcore.data.store import DatasetStore
from segcore.errors import ConfigError, NotFoundError, SegcoreError, SplitError, WorkspaceError
from segcore.evaluation import overlap
from segcore.evaluation.classmap import ClassMap, by_decisions, match
from segcore.evaluation.metrics import Scores
from segcore.evaluation.overlap import Met
from segcore.runs import Recounted, Run
from segcore.text import plural
from segcore.workspace import Workspace

Judged = Literal["train", "val", "test", "all"]
"""What can be judged: a part of the split, or every usable image of the dataset."""
JUDGED: tuple[Judged, ...] = get_args(Judged)


@dataclass(frozen=True)
class Plan:
    """A re-evaluation that can be done."""

    dataset: Dataset
    fingerprint: str
    """Of the dataset, as it is now."""
    part: Judged
    split: Split | None
    """Of which `part` is a part: the run's own on its own dataset, else the dataset's."""
    names: tuple[str, ...]
    """Images, in the order in which they are judged."""
    classes: ClassMap
    met: Met
    epoch: int
    """After which the run's best weights of now were taken."""

    @property
    def key(self) -> str:
        """Name under which the result is kept: the same for the same images, weights and meaning of classes."""
        value = [self.fingerprint, sorted(self.names), self.classes.to_json(), self.epoch]
        return f"{self.dataset.name}-{self.part}-{hashlib.sha256(json.dumps(value).encode()).hexdigest()[:10]}"


def plan(run: Run, dataset: Dataset, part: Judged = "val", given: Mapping[str, str | None] | None = None) -> Plan:
    """Return what judging a run on part of a dataset would be.

    On the run's own dataset the parts are those of the run's split, on another those of its split as it is now.

    Args:
        run: with weights.
        dataset: as it was last checked.
        part: of the split, or "all".
        given: class of the network -> class of the dataset that it means, None for none; others are matched by
            `classmap.by_decisions` and by name.

    Raises:
        SealError: test images that are sealed are among them; says how to open them.
        SplitError: there is no such part, or it has no images.
        ConfigError: the classes do not fit, or `part` is none.
        WorkspaceError: the run has no weights yet, or its files are damaged.
    """
    if part not in JUDGED:
        raise ConfigError(f"{part!r} is no part of a split; there are {', '.join(JUDGED)}.", field="part")
    epoch = run.evaluation_epoch()
    if epoch is None:
        raise WorkspaceError(f"Run {run.name} has no weights yet. Judge it after its first epoch.")
    config, fingerprint = run.config, dataset.fingerprint
    split = run.split if is_own(run, dataset) else dataset.split
    names = images(dataset, split, part)
    network, there = ([info.name for info in one.trained_classes] for one in (config.dataset, dataset.config))
    classes = match(network, there, {**by_decisions(config.dataset, dataset.config), **(given or {})})
    overlap.check_open(run, dataset, names)
    return Plan(dataset, fingerprint, part, split, names, classes, overlap.met(run, dataset, names), epoch)


def is_own(run: Run, dataset: Dataset) -> bool:
    """Whether a dataset is the very one that a run was trained on."""
    return (dataset.name, dataset.fingerprint) == (run.config.dataset.name, run.config.dataset_fingerprint)


def images(dataset: Dataset, split: Split | None, part: Judged) -> tuple[str, ...]:
    """Return the images of a part, in its order.

    Raises:
        SplitError: there is no split, or the part has no images.
    """
    if part == "all":
        return tuple(dataset.names)
    if split is None:
        raise SplitError(
            f"Dataset {dataset.name!r} is not divided into parts. Judge on all of it (--part all), or divide it on the "
            "Dataset page.",
            field="part",
        )
    names = getattr(split, part)
    if not names:
        raise SplitError(f"The split of dataset {dataset.name!r} has no {part} images.", field="part")
    return tuple(names)


# What came out -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reevaluation:
    """What a run scored on other images. Times are seconds since 1970."""

    key: str
    """Its name beside the run."""
    dataset: str
    dataset_fingerprint: str
    part: Judged
    split: str | None
    """Fingerprint of the split that the part is of."""
    own_split: bool
    """Whether that is the run's own."""
    classes: ClassMap
    table: tuple[ClassInfo, ...]
    """The dataset's classes with their colours, by label."""
    met: Met
    epoch: int
    """After which the weights were taken."""
    time: float
    version: str
    commit: str | None
    """Of this package's repository."""
    device: str
    names: list[str]
    groups: list[str]
    counts: np.ndarray
    """int64 (images, D, N): [n, t, p] pixels of the dataset's class t predicted as the network's class p."""

    @cached_property
    def scores(self) -> Scores:
        """Over the classes that both sides have; its arrays are in the order of `classes.common`."""
        return self.classes.scores(self.counts)

    @property
    def left_out(self) -> float:
        """Share of the labelled pixels that count nowhere, as no class of the network means theirs; 0-1."""
        pixels = self.counts.sum(axis=(0, 2))
        return float(1 - pixels[list(self.classes.common)].sum() / max(1, pixels.sum()))

    @classmethod
    def of(
        cls, plan: Plan, counts: np.ndarray, groups: Sequence[str], *, own_split: bool, **about: Any
    ) -> Reevaluation:
        """Put together what a plan's counts are to be kept with; `about` are time, version, commit and device."""
        return cls(
            key=plan.key,
            dataset=plan.dataset.name,
            dataset_fingerprint=plan.fingerprint,
            part=plan.part,
            split=None if plan.split is None else plan.split.fingerprint,
            own_split=own_split,
            classes=plan.classes,
            table=plan.dataset.config.trained_classes,
            met=plan.met,
            epoch=plan.epoch,
            names=list(plan.names),
            groups=list(groups),
            counts=counts,
            **about,
        )

    def write(self, run: Run) -> None:
        """Keep it beside the run, in place of an earlier one of the same images, weights and meaning of classes.

        Raises:
            WorkspaceError: the run is gone, or nothing can be written.
        """
        about = {name: getattr(self, name) for name in _PLAIN}
        about |= {"classes": self.classes.to_json(), "table": [info.to_json() for info in self.table]}
        about |= {"trained": self.met.trained, "validated": self.met.validated, "unknown": self.met.unknown}
        run.write_reevaluation(self.key, Recounted(self.names, self.groups, self.counts, about))

    def class_rows(self) -> list[dict[str, Any]]:
        """Return {name, means, iou, accuracy, dice, pixels} of each common class; NaN where there is no score."""
        found = self.scores
        return [
            {
                "name": self.classes.dataset[label],
                "means": list(self.classes.meaning(label)),
                "iou": float(found.iou[at]),
                "accuracy": float(found.accuracy[at]),
                "dice": float(found.dice[at]),
                "pixels": int(found.class_pixels[at]),
            }
            for at, label in enumerate(self.classes.common)
        ]


_PLAIN = (
    "dataset", "dataset_fingerprint", "part", "split", "own_split", "epoch", "time", "version", "commit", "device"
)  # fmt: skip
"""Fields that are kept as they are."""


def read(run: Run, key: str) -> Reevaluation:
    """Return one re-evaluation of a run.

    Raises:
        NotFoundError: there is none of that name.
        WorkspaceError: it is damaged.
    """
    found = run.reevaluation(key)
    about = found.about
    try:
        classes = ClassMap.from_json(about["classes"])
        if found.counts.shape[1:] != (len(classes.dataset), len(classes.network)):
            raise WorkspaceError("its counts are of other classes")
        return Reevaluation(
            key=key,
            classes=classes,
            table=tuple(ClassInfo.from_json(info) for info in about["table"]),
            met=Met(tuple(about["trained"]), tuple(about["validated"]), about["unknown"]),
            names=found.names,
            groups=found.groups,
            counts=found.counts,
            **{name: about[name] for name in _PLAIN},
        )
    except (KeyError, TypeError, ConfigError, WorkspaceError) as error:
        raise WorkspaceError(
            f"{run.reevaluation_path(key)} is not understood ({error}). Remove this re-evaluation and do it again."
        ) from error


def read_all(run: Run) -> tuple[list[Reevaluation], list[WorkspaceError]]:
    """Return all re-evaluations of a run, the newest first, and what is wrong with those that cannot be read."""
    found, damaged = [], []
    for key in run.reevaluation_names():
        try:
            found.append(read(run, key))
        except NotFoundError:
            continue  # removed meanwhile
        except WorkspaceError as error:
            damaged.append(error)
    return sorted(found, key=lambda one: one.time, reverse=True), damaged


def remove(run: Run, key: str) -> None:
    """Move a re-evaluation to the workspace's trash.

    Raises:
        NotFoundError: there is none of that name.
        WorkspaceError: it cannot be moved.
    """
    if key not in run.reevaluation_names():
        known = ", ".join(run.reevaluation_names()) or "none"
        raise NotFoundError(f"Run {run.name} has no re-evaluation {key!r}; there are: {known}.")
    Workspace(run.path.parents[2]).discard(run.reevaluation_path(key))


def outdated(run: Run, found: Reevaluation) -> list[str]:
    """Say why a re-evaluation tells no longer how the run does on that dataset; empty while it does."""
    reasons = []
    try:
        dataset = DatasetStore(Workspace(run.path.parents[2])).get(found.dataset)
        if dataset.changed() or dataset.fingerprint != found.dataset_fingerprint:
            reasons.append(f"dataset {found.dataset} has changed since")
        elif not found.own_split and found.part != "all":
            split = dataset.split
            if split is None or set(getattr(split, found.part)) != set(found.names):
                reasons.append(f"dataset {found.dataset} was divided anew since")
    except NotFoundError:
        reasons.append(f"dataset {found.dataset} is not here any more")
    except SegcoreError:
        reasons.append(f"dataset {found.dataset} cannot be read any more")
    try:
        epoch = run.evaluation_epoch()
    except WorkspaceError:
        epoch = None
    if epoch != found.epoch:
        reasons.append(f"it is of the weights of epoch {found.epoch}, and the run has others now")
    return reasons


def acquaintance(met: Met, images: int) -> str:
    """Say what the network has met of the images: "12 of 40 images were trained on"; "" where it has met none."""
    parts = [
        f"{len(names)} of {plural(images, 'image')} {'was' if len(names) == 1 else 'were'} {what}"
        for names, what in ((met.trained, "trained on"), (met.validated, "used to choose the best epoch"))
        if names
    ]
    return "; ".join(parts)
