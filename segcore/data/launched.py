"""A dataset as a study was launched on it, whatever was decided since.

    datasets/<name>/versions/<fingerprint>.json     what a check with the study's decisions found; can be made again

A run holds the settings of its dataset, decisions and all. As long as the files are the same, what the study had can
be had again from them, mostly without decoding anything (see `segcore.data.journal`); its prepared data stays where
it was, as that is found by the fingerprint.
"""

from __future__ import annotations

from pathlib import Path

from segcore.config import DatasetConfig
from segcore.data.dataset import Dataset
from segcore.data.journal import LOOKS
from segcore.data.state import examine, write_state
from segcore.errors import DatasetError
from segcore.progress import Progress, silent


class LaunchedDataset(Dataset):
    """A dataset with the classes and images of a study; to be read and prepared, not to be decided about."""

    def __init__(self, dataset: Dataset, config: DatasetConfig, fingerprint: str) -> None:
        super().__init__(dataset.path)
        own = {"classes": config.classes, "decisions": config.decisions}
        self._launched = dataset.config.model_copy(update=own)
        self._wanted = fingerprint

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LaunchedDataset) and (self.path, self._wanted) == (other.path, other._wanted)

    def __hash__(self) -> int:
        return hash((self.path, self._wanted))

    @property
    def state_path(self) -> Path:
        return self.path / "versions" / f"{self._wanted}.json"

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
    if dataset.fingerprint == fingerprint:
        return dataset
    return LaunchedDataset(dataset, config, fingerprint).refresh(progress)
