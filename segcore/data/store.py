"""The store of datasets.

    datasets/<name>/dataset.json    what the dataset is, what its check found, its files as they were then
    datasets/<name>/split.json      train, val and test
    datasets/<name>/prepared/       decoded caches (see `segcore.data.prepared`); can be rebuilt
    datasets/demo/source/           the generated images and masks of the demo dataset

Sources stay where they are and are never modified.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from segcore.config import DatasetConfig
from segcore.data.building import becoming, exclusive, new_directory, new_staging, remove_leftovers
from segcore.data.dataset import Dataset, auto_split, check_names
from segcore.data.deciding import restricted
from segcore.data.journal import LOOKS, pending
from segcore.data.layouts.coco import draw_masks
from segcore.data.layouts.guess import Guess
from segcore.data.pairing import pair_dataset
from segcore.data.splits import Split, read_split_file
from segcore.data.state import examine, write_state
from segcore.errors import ExistsError, NotFoundError, nearest
from segcore.files import write_json
from segcore.progress import Progress, silent
from segcore.runqueue import queue_lock
from segcore.store import RunStore
from segcore.workspace import Workspace

__all__ = ["DEMO_NAME", "Dataset", "DatasetStore"]

DEMO_NAME = "demo"


class DatasetStore:
    """All datasets of a workspace."""

    def __init__(self, workspace: Workspace | None = None) -> None:
        self.workspace = workspace or Workspace()

    def list(self) -> list[Dataset]:
        """All datasets, by name."""
        if not self.workspace.datasets.is_dir():
            return []
        found = [Dataset(path) for path in self.workspace.datasets.iterdir() if not path.name.startswith(".")]
        return sorted((dataset for dataset in found if dataset.exists()), key=lambda dataset: dataset.name)

    def get(self, name: str) -> Dataset:
        """Return the dataset called `name`.

        Raises:
            NotFoundError: there is none.
        """
        dataset = Dataset(self.workspace.child(self.workspace.datasets, name))
        if not dataset.exists():
            names = [dataset.name for dataset in self.list()]
            known = ", ".join(names) or "none yet"
            raise NotFoundError(
                f"There is no dataset {name!r}; there are: {known}.{nearest(name, names)}", field="dataset"
            )
        return dataset

    def add(
        self,
        config: DatasetConfig,
        *,
        split: Split | Path | None = None,
        val: float = 0.2,
        test: float = 0.0,
        seed: int = 0,
        own: Path | None = None,
        progress: Progress = silent,
    ) -> Dataset:
        """Check a folder of images and masks and add it under `config.name`.

        Args:
            config: where the files are and how they are read.
            split: given lists of names, or the file or folder that holds them (see `read_split_file`); by
                default the images are divided by group.
            val: share of the images for validation, where they are divided here.
            test: share of the images for test.
            seed: of the division.
            own: a folder made by `new_staging` whose files, among them images or masks of `config`, are to belong
                to the dataset: it becomes the dataset's directory; on an error it stays what it is.
            progress: counts pairs.

        Raises:
            DatasetError: the files cannot be used, or cannot be divided as asked.
            ExistsError: the name is taken.
            WorkspaceError: the workspace cannot be written.
        """
        target = self._free(config.name)
        config = config.model_copy(update={"images": _absolute(config.images), "masks": _absolute(config.masks)})
        given = _given_split(config, split) if split is not None else None
        looks = pending(self.workspace.checks, config)
        state = examine(config, progress, looks)
        names = {fact.name for fact in state.facts}
        chosen = auto_split(state.facts, val, test, seed) if given is None else restricted(given, names)
        with new_directory(target) if own is None else becoming(own, target) as directory:
            write_state(directory, state)
            write_json(directory / "split.json", chosen.to_json())
            if looks.exists():
                shutil.copyfile(looks, directory / LOOKS)
        looks.unlink(missing_ok=True)
        return Dataset(target)

    def add_guess(self, guess: Guess, *, own: Path | None = None, progress: Progress = silent, **how: Any) -> Dataset:
        """Add what was recognised in a folder, perhaps corrected, under `guess.config.name`.

        Masks of outlines (COCO) are drawn into the dataset's own directory first. Further arguments are those of `add`;
        the published parts (`guess.split`) count only where they are handed in.

        Raises:
            DatasetError, ExistsError, WorkspaceError: as of `add`.
        """
        if not guess.annotations:
            return self.add(guess.config, own=own, progress=progress, **how)
        self._free(guess.config.name)
        place = own or self.new_staging()
        try:
            config = draw_masks(guess, place / "masks", progress)
            return self.add(config, own=place, progress=progress, **how)
        finally:
            # Gone where it became the dataset; else nothing half-drawn is to stay.
            shutil.rmtree(place if own is None else place / "masks", ignore_errors=True)

    def new_staging(self) -> Path:
        """Return a new empty folder beside the datasets, for files that a dataset is to keep; see `add`.

        What nobody added within a day is removed.

        Raises:
            WorkspaceError: the workspace cannot be written.
        """
        self.workspace.ensure_writable()
        return new_staging(self.workspace.datasets)

    def remove(self, name: str) -> Path:
        """Move a dataset to the trash and return where it went. Its source files stay where they are.

        Raises:
            NotFoundError: there is none of that name.
            ExistsError: a run of it trains or waits, or it is being prepared.
        """
        dataset = self.get(name)
        runs = RunStore(self.workspace)
        try:
            # Under the lock of the queue, so that no run of it is queued between the look and the removal.
            with queue_lock(self.workspace), FileLock(dataset.lock_path, timeout=0):
                using = [run.name for run in runs.active() if run.config.dataset.name == name]
                if using:
                    raise ExistsError(f"Dataset {name!r} is in use by {', '.join(using[:3])}. Stop these runs first.")
                return self.workspace.discard(dataset.path)
        except Timeout as error:
            raise ExistsError(f"Dataset {name!r} is being prepared. Try again when that is done.") from error

    def demo(self, progress: Progress = silent) -> Dataset:
        """Return the demo dataset, generating it on first use. It is synthetic, and says so.

        Raises:
            ExistsError: another dataset has its name.
            WorkspaceError: the workspace cannot be written.
        """
        dataset = Dataset(self.workspace.child(self.workspace.datasets, DEMO_NAME))
        if not dataset.exists():
            self.workspace.ensure_writable()
            with exclusive(self.workspace.datasets / f".{DEMO_NAME}.lock", progress):
                if not dataset.exists():
                    remove_leftovers(self.workspace.datasets, DEMO_NAME)
                    _generate_demo(dataset.path, progress)
        if not dataset.config.synthetic:
            raise ExistsError(f"A dataset of yours is called {DEMO_NAME!r}; remove it to have the demo dataset.")
        return dataset

    def _free(self, name: str) -> Path:
        """Return the directory of a dataset to be."""
        self.workspace.ensure_writable()
        target = self.workspace.child(self.workspace.datasets, name)
        if target.exists():
            raise ExistsError(f"There is a dataset {name!r} already. Choose another name, or remove it.", field="name")
        return target


def _generate_demo(target: Path, progress: Progress) -> None:
    from segcore.data import synthetic  # only needed once in the life of a workspace

    with new_directory(target) as directory:
        source = directory / "source"
        source.mkdir()
        synthetic.generate(source, progress=progress)
        config = DatasetConfig(
            name=DEMO_NAME,
            images=source / "images",
            masks=source / "masks",
            classes=synthetic.CLASSES,
            group_regex=synthetic.GROUP_REGEX,
            synthetic=True,
        )
        state = examine(config, silent, directory / LOOKS)
        write_state(directory, state)
        write_json(directory / "split.json", auto_split(state.facts, 0.2, 0.0, 0).to_json())


def _given_split(config: DatasetConfig, split: Split | Path) -> Split:
    """Return a split handed in; it may name any pair, also one that the check will exclude."""
    pairing = pair_dataset(config)
    names = {pair.name: pair.group for pair in pairing.pairs}
    if isinstance(split, Split):
        check_names(split, names)
        return split
    return read_split_file(split, names)


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path.expanduser()))  # noqa: PTH100 - links stay as the user named them
