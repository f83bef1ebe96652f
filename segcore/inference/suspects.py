"""Looking for label suspects: networks of one study predict the images that none of them was trained on.

What makes a place suspect is said in `evaluation.ranking_suspects`. Images are compared at the size at which networks
see them. Each image is written down when it is done, so that a search that was cancelled goes on where it ended; what
is written belongs to these weights and this dataset, and others begin anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from segcore.config import RunConfig
from segcore.data.classes import ClassTable
from segcore.data.dataset import Dataset
from segcore.data.readers import read_image, read_mask, read_square, resize_labels
from segcore.errors import ConfigError, ImageReadError, WeightsError
from segcore.evaluation.comparison import contenders
from segcore.evaluation.ranking_suspects import Suspect, suspects
from segcore.files import FileCache, append_json_line, read_json_lines
from segcore.progress import Progress, silent
from segcore.runs import Run, Study
from segcore.status import RunState

if TYPE_CHECKING:
    from segcore.inference.predictor import Prediction

Network = Callable[[np.ndarray], "Prediction"]
"""Takes an image, (H, W, 3) uint8 RGB, and says what it sees."""

_VERSION = 1
"""Of what is written; goes up when places are found otherwise."""
KEPT = 8
"""So many searches of a study are kept, those that were at work last."""


@dataclass(frozen=True)
class Search:
    """Networks of one study, and the dataset they were trained on.

    Raises:
        ConfigError: fewer than two networks, or such as do not belong together.
    """

    runs: tuple[Run, ...]
    dataset: Dataset

    def __post_init__(self) -> None:
        if len(set(self.runs)) < 2:
            raise ConfigError(
                "Label suspects are errors that networks share, so two of them are needed at least. Choose another "
                "network beside the first.",
                field="runs",
            )
        if len({run.path.parent for run in self.runs}) > 1:
            raise ConfigError("The networks are of different studies. Choose runs of one study.", field="runs")

    @cached_property
    def images(self) -> tuple[str, ...]:
        """Validation images of all the networks, sorted: none of them was trained on one of these."""
        common = set(self.dataset.names).intersection(*(run.split.val for run in self.runs))
        return tuple(sorted(common))

    @cached_property
    def path(self) -> Path:
        """Where what was found is kept.

        Raises:
            WeightsError: a network has lost its weights.
        """
        said = [_VERSION, self.dataset.fingerprint, *sorted(_weights(run) for run in self.runs)]
        key = hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]
        return Study(self.runs[0].path.parent).suspects_path(key)

    def found(self) -> dict[str, list[Suspect]]:
        """Return the suspects of each image that is done, the weightiest first; of one written twice, the later."""
        done = _places.get(self.path)
        return {name: done[name] for name in self.images if name in done}

    def go_on(
        self, progress: Progress = silent, network: Callable[[Run], Network] | None = None
    ) -> list[ImageReadError]:
        """Look at the images that are not done, and return what is wrong with those that cannot be read.

        Args:
            progress: counts images, those done before among them; raising from it cancels, and what is done stays.
            network: loads the network of a run; by default on the best device there is.

        Raises:
            WeightsError: weights are missing or damaged.
            WorkspaceError: what was found cannot be written.
        """
        before, unread = self.found(), []
        left, done = [name for name in self.images if name not in before], len(before)
        networks = [(network or _load)(run) for run in self.runs] if left else []
        progress(done, len(self.images))
        for name in left:
            try:
                places = self._look(name, networks)
            except ImageReadError as error:
                unread.append(error)
            else:
                append_json_line(self.path, {"image": name, "places": [place.to_json() for place in places]})
            done += 1
            progress(done, len(self.images))
        Study(self.runs[0].path.parent).forget_suspects(KEPT)
        return unread

    def _look(self, name: str, networks: Sequence[Network]) -> list[Suspect]:
        pair, config = self.dataset.pair(name), self.runs[0].config
        image = _read(pair.image, config)
        labels, _ = read_mask(pair.mask, ClassTable.of(config.dataset), reading=self.dataset.report.mask_reading)
        height, width = image.shape[:2]
        found = [network(image) for network in networks]
        truth = resize_labels(labels, width, height) if labels.shape != (height, width) else labels
        return suspects(name, truth, [one.labels for one in found], [one.confidence for one in found])


def one_of_each(runs: Iterable[Run], begin: Sequence[Run] = ()) -> list[Run]:
    """Return networks whose agreement says most: `begin`, then one finished run of each backbone that is not in it.

    They are of the seed and fold of the first, where a backbone has such a run: they then know the same images.
    """
    chosen = list(begin)
    for backbone in contenders(run for run in runs if run.status.state is RunState.FINISHED):
        if any(run in chosen for run in backbone.runs):
            continue
        mine = chosen[0].config if chosen else backbone.runs[0].config
        same = [run for run in backbone.runs if (run.config.seed, run.config.fold) == (mine.seed, mine.fold)]
        chosen.append((same or backbone.runs)[0])
    return chosen


def _written(path: Path) -> dict[str, list[Suspect]]:
    done: dict[str, list[Suspect]] = {}
    for row in read_json_lines(path):
        try:
            done[row["image"]] = [Suspect.from_json(place) for place in row["places"]]
        except (KeyError, TypeError, ValueError):
            continue  # a line that is torn or was changed by hand: its image is looked at again
    return done


_places = FileCache(_written, entries=16)


def _read(path: Path, config: RunConfig) -> np.ndarray:
    """Read an image as the network sees it: resized, or at its native scale."""
    recipe = config.recipe
    return read_square(path, recipe.image_size) if recipe.geometry == "resize" else read_image(path)


def _weights(run: Run) -> tuple[str, int, int]:
    try:
        stat = run.best_weights.stat()
    except OSError as error:
        raise WeightsError(f"Run {run.name} has no weights to predict with. Choose another one.") from error
    return run.name, stat.st_mtime_ns, stat.st_size


def _load(run: Run) -> Network:
    from segcore.inference.predictor import Predictor  # imports torch

    return Predictor.from_run(run.path).predict
