"""A dataset as a study was launched on it, whatever was decided since.

    datasets/<name>/versions/<fingerprint>-<scenes>.json    what a check with the study's decisions and scenes found;
                                                            can be made again

A run holds the settings of its dataset, decisions and all. As long as the files are the same, what the study had can
be had again from them, mostly without decoding anything (see `segcore.data.journal`); its prepared data stays where
it was, as that is found by the fingerprint.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from segcore.config import DatasetConfig
from segcore.data.dataset import Dataset
from segcore.data.journal import LOOKS
from segcore.data.state import DatasetState, examine, write_state
from segcore.errors import DatasetError
from segcore.progress import Progress, silent

SCENES = ("group_regex", "group_by_folder", "groups_given", "groups_from")
"""Fields that name the scenes. They are no part of the fingerprint, as other scenes leave the pixels as they are; yet
the runs of one study are compared scene by scene, so each keeps those it was launched with."""


class Snapshot(Dataset):
    """A dataset as it is now, whatever is decided about it meanwhile; to be read and prepared."""

    def __init__(self, dataset: Dataset) -> None:
        super().__init__(dataset.path)
        self._taken = dataset._state

    @property
    def _state(self) -> DatasetState:
        return self._taken

    def _refresh(self, progress: Progress) -> None:  # noqa: ARG002 - there is nothing to count
        if self.changed():
            raise DatasetError(
                f"The files of dataset {self.name!r} have just changed. Try again when nothing writes there."
            )

    def _redecide(self, config: DatasetConfig, progress: Progress) -> None:  # noqa: ARG002 - it never does
        raise DatasetError(f"Dataset {self.name!r} as it was cannot be changed; decide about the dataset.")


class LaunchedDataset(Dataset):
    """A dataset with the classes, images and scenes of a study; to be read and prepared, not to be decided about."""

    def __init__(self, dataset: Dataset, config: DatasetConfig, fingerprint: str) -> None:
        super().__init__(dataset.path)
        scenes = {field: getattr(config, field) for field in SCENES}
        own = {"classes": config.classes, "decisions": config.decisions, **scenes}
        self._launched = dataset.config.model_copy(update=own)
        self._wanted = fingerprint
        self._scenes = hashlib.sha256(json.dumps(scenes, sort_keys=True).encode()).hexdigest()[:8]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LaunchedDataset) and self.state_path == other.state_path

    def __hash__(self) -> int:
        return hash(self.state_path)

    @property
    def state_path(self) -> Path:
        return self.path / "versions" / f"{self._wanted}-{self._scenes}.json"

    def _refresh(self, progress: Progress) -> None:
        if self.exists() and not self.changed():
            return
        state = examine(self._launched, progress, self.path / LOOKS)
        if state.fingerprint != self._wanted:
            raise DatasetError(
                f"The files of dataset {self.name!r} have changed since the study was launched on them; its runs would "
                "no longer compare. Launch a new study on the dataset as it is now."
            )
        write_state(self.path, state, self.state_path)

    def _redecide(self, config: DatasetConfig, progress: Progress) -> None:  # noqa: ARG002 - it never does
        raise DatasetError(f"What a study had of dataset {self.name!r} cannot be changed; decide about the dataset.")


def as_launched(dataset: Dataset, config: DatasetConfig, fingerprint: str, progress: Progress = silent) -> Dataset:
    """Return a dataset as a study was launched on it.

    Args:
        dataset: as it is now.
        config: its settings at the launch.
        fingerprint: its fingerprint at the launch.
        progress: counts images, where they have to be looked at.

    Raises:
        DatasetError: its files are others now, or are gone.
        WorkspaceError: the workspace cannot be written.
    """
    if dataset.changed():
        dataset.refresh(progress)  # other times do not mean other files
    if dataset.fingerprint == fingerprint and all(
        getattr(dataset.config, field) == getattr(config, field) for field in SCENES
    ):
        return Snapshot(dataset)
    return LaunchedDataset(dataset, config, fingerprint).refresh(progress)
