"""Which classes of a dataset a network's classes mean, and what a network scores on those that both sides have.

A network is judged on a dataset whose class table may be another than its own. Its classes are matched by name, or as
a person says, and in its own dataset by what was decided about that since; several of them may mean one class of the
dataset (grass and tree: vegetation). Then

    true pixels of a class that no class of the network means     count nowhere, as it could only be wrong there
    predictions of a class that the dataset lacks                 are wrong, wherever a true pixel counts

The second is not left out, as ignoring it would make a network better that answers something else where it is unsure.
Nothing here imports torch.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from segcore.config import IGNORE_INDEX, DatasetConfig
from segcore.data.classes import ClassTable
from segcore.errors import ConfigError, WorkspaceError, nearest
from segcore.evaluation.metrics import Scores, scores


@dataclass(frozen=True)
class ClassMap:
    """Classes of a network, classes of a dataset, and which of the latter each of the former means."""

    network: tuple[str, ...]
    """By the labels that the network predicts."""
    dataset: tuple[str, ...]
    """By the labels of the dataset's masks."""
    to: tuple[int | None, ...]
    """For each class of the network the dataset's label that it means; None where it means none."""

    @property
    def common(self) -> tuple[int, ...]:
        """Labels of the dataset that the network has a class for, in order."""
        return tuple(sorted({label for label in self.to if label is not None}))

    @property
    def unanswered(self) -> tuple[str, ...]:
        """Classes of the dataset that no class of the network means: their pixels count nowhere."""
        return tuple(name for label, name in enumerate(self.dataset) if label not in self.to)

    @property
    def unasked(self) -> tuple[str, ...]:
        """Classes of the network that the dataset lacks: predicting them is wrong."""
        return tuple(name for name, label in zip(self.network, self.to, strict=True) if label is None)

    def meaning(self, label: int) -> tuple[str, ...]:
        """Return the network's classes that mean a label of the dataset."""
        return tuple(name for name, to in zip(self.network, self.to, strict=True) if to == label)

    def common_counts(self, counts: np.ndarray) -> np.ndarray:
        """Return confusion counts of the common classes from those of all.

        Args:
            counts: (images, D, N) int64: [image, true label of the dataset, predicted label of the network].

        Returns:
            (images, K + 1, K + 1) int64 over the K `common` classes in order; the last column counts predictions of
            what the dataset lacks, the last row is 0.
        """
        place = {label: at for at, label in enumerate(self.common)}
        found = np.zeros((len(counts), len(place) + 1, len(place) + 1), dtype=np.int64)
        for predicted, label in enumerate(self.to):
            column = len(place) if label is None else place[label]
            found[:, :-1, column] += counts[:, list(place), predicted]
        return found

    def scores(self, counts: np.ndarray) -> Scores:
        """Return the scores over the common classes, whose arrays are (K,), from counts as for `common_counts`."""
        whole = scores(self.common_counts(counts))
        # What the dataset lacks is no class that could be scored: it has no pixel, and only takes pixels away.
        iou, accuracy, dice, pixels = whole.iou[:-1], whole.accuracy[:-1], whole.dice[:-1], whole.class_pixels[:-1]
        mean_iou, mean_dice = _mean(iou), _mean(dice)
        return replace(
            whole, miou=mean_iou, mean_dice=mean_dice, iou=iou, accuracy=accuracy, dice=dice, class_pixels=pixels
        )

    def to_json(self) -> dict[str, Any]:
        return {"network": list(self.network), "dataset": list(self.dataset), "to": list(self.to)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> ClassMap:
        """Rebuild what `to_json` wrote.

        Raises:
            WorkspaceError: it is not complete, or contradicts itself.
        """
        try:
            found = cls(tuple(value["network"]), tuple(value["dataset"]), tuple(value["to"]))
        except (KeyError, TypeError) as error:
            raise WorkspaceError(f"A mapping of classes cannot be read ({error!r}).") from error
        labels = range(len(found.dataset))
        if len(found.to) != len(found.network) or not {*found.to} <= {None, *labels}:
            raise WorkspaceError("A mapping of classes names classes that are not there.")
        return found


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def by_decisions(network: DatasetConfig, dataset: DatasetConfig) -> dict[str, str | None]:
    """Return what a network's classes mean in its own dataset, where classes were merged, renamed or ignored since.

    That is told by what the masks hold, and goes before names; a class whose parts now are several is left to these.

    Args:
        network: the dataset's settings when the network was launched.
        dataset: the dataset's settings now; of one with another table of what its masks hold nothing is told.

    Returns:
        Class of the network -> class of the dataset; None where that is ignored now.
    """
    if [(row.name, row.color) for row in network.classes] != [(row.name, row.color) for row in dataset.classes]:
        return {}
    ours, theirs = ClassTable.of(network), ClassTable.of(dataset)
    found: dict[str, str | None] = {}
    for label, name in enumerate(ours.names):
        now = {theirs.row_labels[row] for row, own in enumerate(ours.row_labels) if own == label} - {IGNORE_INDEX}
        if len(now) < 2:
            found[name] = theirs.names[now.pop()] if now else None
    return found


def match(network: Sequence[str], dataset: Sequence[str], given: Mapping[str, str | None] | None = None) -> ClassMap:
    """Match classes by name; upper and lower case, blanks, "_" and "-" make no difference.

    Args:
        network: names of the network's classes, by label.
        dataset: names of the dataset's trained classes, by label.
        given: class of the network -> class of the dataset that it means, or None for none; these go before names.

    Raises:
        ConfigError: `given` names a class that is not there, or nothing is common (field "map").
    """
    chosen = {
        resolve(ours, network, "network"): None if theirs is None else resolve(theirs, dataset, "dataset")
        for ours, theirs in (given or {}).items()
    }
    to = tuple(chosen[name] if name in chosen else _alike(name, dataset) for name in network)
    labels = {name: label for label, name in enumerate(dataset)}
    found = ClassMap(tuple(network), tuple(dataset), tuple(None if name is None else labels[name] for name in to))
    if not found.common:
        raise ConfigError(
            f"The network and the dataset have no class in common: the network knows {', '.join(network)}; the dataset "
            f"has {', '.join(dataset)}. Say which classes mean the same, as in --map '{dataset[0]}={network[0]}'.",
            field="map",
        )
    return found


def parse(
    words: Iterable[str],
    network: Sequence[str],
    dataset: Sequence[str],
    decided: Mapping[str, str | None] | None = None,
) -> dict[str, str | None]:
    """Return what `match` takes from words "theirs=ours": a class of the dataset, a class of the network.

    "theirs=" leaves a class of the dataset out, "=ours" says that the dataset lacks a class of the network. `decided`
    is what classes mean that no word names, as of `by_decisions`.

    Raises:
        ConfigError: a word is no pair of classes, or gives one class of the network two meanings (field "map").
    """
    given: dict[str, str | None] = {}
    for word in words:
        theirs, equals, ours = (part.strip() for part in word.partition("="))
        if not equals or not (theirs or ours):
            raise ConfigError(
                f"{word!r} is no pair of classes; write THEIRS=OURS, as in vegetation=grass.", field="map"
            )
        if not ours:
            name = resolve(theirs, dataset, "dataset")
            meaning = {**{ours: _alike(ours, dataset) for ours in network}, **(decided or {})}
            given.update({ours: None for ours, means in meaning.items() if means == name and ours not in given})
            continue
        ours, meant = resolve(ours, network, "network"), resolve(theirs, dataset, "dataset") if theirs else None
        if given.get(ours, meant) != meant:
            raise ConfigError(f"{ours!r} of the network would mean {given[ours]!r} and {theirs!r}.", field="map")
        given[ours] = meant
    return given


def resolve(name: str, known: Sequence[str], whose: str) -> str:
    """Return the class of `known` that is called `name`, or alike.

    Raises:
        ConfigError: there is none, or there are several alike; `whose` says where ("network", "dataset").
    """
    found = _alike(name, known)
    if found is None:
        raise ConfigError(
            f"The {whose} has no class {name!r}; it has {', '.join(known)}.{nearest(name, known)}", field="map"
        )
    return found


def _alike(name: str, known: Sequence[str]) -> str | None:
    """Return the one of `known` that is called `name`, else the only one that is called alike, if there is one."""
    if name in known:
        return name
    found = [other for other in known if _plain(other) == _plain(name)]
    return found[0] if len(found) == 1 else None


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name).casefold()
