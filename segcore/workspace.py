"""The one directory under which everything is kept."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path

from segcore.config import check_name
from segcore.errors import WorkspaceError
from segcore.files import describe_os_error, tree_size

HOME_VARIABLE = "SEGCORE_HOME"
DEFAULT_ROOT = Path(__file__).resolve().parent.parent / "checkpoints"


class Workspace:
    """A directory of datasets, studies and local weights.

    `Workspace()` is the one named by the environment variable SEGCORE_HOME, else `checkpoints/` beside
    the package.
    """

    def __init__(self, root: str | os.PathLike[str] | None = None) -> None:
        chosen = root if root is not None else os.environ.get(HOME_VARIABLE) or DEFAULT_ROOT
        try:
            self.root = Path(chosen).expanduser().resolve()
        except (RuntimeError, OSError) as error:
            raise WorkspaceError(f"{HOME_VARIABLE}={chosen} is no usable folder: {error}.") from error

    def __repr__(self) -> str:
        return f"Workspace({str(self.root)!r})"

    @property
    def datasets(self) -> Path:
        return self.root / "datasets"

    @property
    def studies(self) -> Path:
        return self.root / "studies"

    @property
    def weights(self) -> Path:
        """Where a user may put pretrained weights by hand."""
        return self.root / "weights"

    @property
    def catalog(self) -> Path:
        """What probing all architectures found; can be made again."""
        return self.root / "catalog"

    @property
    def checks(self) -> Path:
        """What checks saw of folders that are no dataset yet; can be made again."""
        return self.root / ".checks"

    @property
    def trash(self) -> Path:
        return self.root / ".trash"

    @property
    def queue_lock(self) -> Path:
        """Held while a run changes between waiting and not waiting."""
        return self.root / ".queue.lock"

    @property
    def mirror_lock(self) -> Path:
        """Handed to the process that sends to a tracking server (see `inherited`), so that there is one at most."""
        return self.root / ".mirror.lock"

    @property
    def mirror_log(self) -> Path:
        """What that process printed."""
        return self.root / ".mirror.log"

    @property
    def mirror_last(self) -> Path:
        """When something was last sent to a tracking server, and what went wrong."""
        return self.root / ".mirror.json"

    @property
    def cluster_news(self) -> Path:
        """What the cluster last said of itself; can be asked for anew."""
        return self.root / "cluster.json"

    @property
    def cluster_key(self) -> Path:
        """What tells this workspace's jobs on a cluster from those of others."""
        return self.root / ".cluster-key"

    @property
    def cluster_proven(self) -> Path:
        """Which nodes of the cluster have shown that they can train; can be proven anew."""
        return self.root / ".cluster-proven.json"

    def ensure_writable(self) -> None:
        """Make the workspace's directories.

        Raises:
            WorkspaceError: they cannot be made or written.
        """
        try:
            for directory in (self.datasets, self.studies, self.weights):
                directory.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root) as file:
                file.write(b"segcore")
        except OSError as error:
            raise describe_os_error(error, self.root) from error

    def child(self, parent: Path, name: str) -> Path:
        """Return `parent / name`, sure to lie directly in `parent` even if `name` came from a URL.

        Raises:
            WorkspaceError: `name` is no plain name, or leads out of the workspace through a link.
        """
        try:
            check_name(name)
        except ValueError as error:
            raise WorkspaceError(f"{error}.") from error
        path = parent / name
        if path.resolve().parent != parent.resolve():
            raise WorkspaceError(f"{path} leads out of the workspace.")
        return path

    def discard(self, path: Path) -> Path:
        """Move a dataset, study or run to the trash and return where it went."""
        target = self.trash / f"{time.strftime('%Y%m%d-%H%M%S')}-{time.monotonic_ns() % 10**6:06d}" / path.name
        try:
            target.parent.mkdir(parents=True, exist_ok=False)
            path.replace(target)
        except OSError as error:
            raise describe_os_error(error, path) from error
        return target

    def trash_size(self) -> tuple[int, int]:
        """Return (entries, bytes) in the trash."""
        if not self.trash.is_dir():
            return 0, 0
        return len(list(self.trash.iterdir())), tree_size(self.trash)

    def empty_trash(self) -> None:
        """Delete for good what was discarded.

        Raises:
            WorkspaceError: something in it may not be deleted.
        """
        try:
            shutil.rmtree(self.trash)
        except FileNotFoundError:
            return  # nothing is there, or somebody else empties it too
        except OSError as error:
            raise describe_os_error(error, self.trash) from error
