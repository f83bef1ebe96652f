"""Making directories that are there whole or not at all, by one process at a time."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from segcore.errors import ExistsError
from segcore.files import describe_os_error
from segcore.progress import Progress

_MARK = "-building-"
_STAGING = ".incoming-"
_STALE_SECONDS = 24 * 3600


@contextmanager
def exclusive(lock: Path, progress: Progress) -> Iterator[None]:
    """Hold a lock file; while another process holds it, call `progress(0, 1)` so that waiting can be cancelled.

    The lock ends with the process that holds it. Not to be nested.

    Raises:
        WorkspaceError: the lock file cannot be written.
    """
    held = FileLock(lock)
    try:
        while True:
            try:
                held.acquire(timeout=0.5)
                break
            except Timeout:
                progress(0, 1)
    except OSError as error:
        raise describe_os_error(error, lock) from error
    try:
        yield
    finally:
        held.release()


@contextmanager
def new_directory(target: Path) -> Iterator[Path]:
    """Yield a temporary directory beside `target`; on success flush it to disk and rename it to `target`.

    On any error it is removed with all that it holds.

    Raises:
        ExistsError: `target` is there by now.
        WorkspaceError: the disk is full or may not be written.
    """
    temporary: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}{_MARK}", dir=target.parent))
        yield temporary
        _flush(temporary)
        temporary.chmod(0o755)  # mkdtemp makes it private; a shared workspace must be readable
        temporary.rename(target)
        temporary = None
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
            raise ExistsError(f"{target.name!r} is already there.") from error
        raise describe_os_error(error, target) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def becoming(folder: Path, target: Path) -> Iterator[Path]:
    """Yield `folder`; on success flush it to disk and rename it to `target`, else leave it where it is.

    Raises:
        ExistsError: `target` is there by now.
        WorkspaceError: the disk is full or may not be written.
    """
    try:
        yield folder
        _flush(folder)
        folder.chmod(0o755)
        folder.rename(target)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
            raise ExistsError(f"{target.name!r} is already there.") from error
        raise describe_os_error(error, target) from error


def new_staging(parent: Path) -> Path:
    """Return a new hidden folder inside `parent`; older ones that nobody has touched for a day are removed.

    Raises:
        WorkspaceError: the disk is full or may not be written.
    """
    try:
        parent.mkdir(parents=True, exist_ok=True)
        for old in parent.glob(f"{_STAGING}*"):
            if time.time() - old.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(old, ignore_errors=True)
        return Path(tempfile.mkdtemp(prefix=_STAGING, dir=parent))
    except OSError as error:
        raise describe_os_error(error, parent) from error


def remove_leftovers(parent: Path, name: str = "*") -> None:
    """Remove what builds of `parent / name` left that were killed; only for who holds the lock on them."""
    for leftover in parent.glob(f".{name}{_MARK}*"):
        shutil.rmtree(leftover, ignore_errors=True)


def _flush(directory: Path) -> None:
    """Bring all files of a directory to disk, so that a rename never outruns what it names."""
    for file in directory.rglob("*"):
        if file.is_file():
            with open(file, "rb") as written:
                os.fsync(written.fileno())
