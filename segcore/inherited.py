"""A lock that a process hands to the one it starts, so that at no moment it is unclear whether that one lives.

Whoever starts a process knows its pid only afterwards, and may die before writing it down. The kernel, however, keeps
a file locked as long as any process has the descriptor on which it was locked (flock(2)), and a child inherits it.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

if sys.platform != "win32":
    import fcntl

PATIENCE_SECONDS = 2.0
"""Those who only ask hold the lock for an instant, and share it among themselves."""


@contextmanager
def inheritable(path: Path) -> Iterator[tuple[int, ...]]:
    """Lock the file `path`, made if need be; yields descriptors to hand to a child (`pass_fds`), which keeps the lock.

    Windows hands over no descriptors: there nothing is locked.

    Raises:
        OSError: the file cannot be made, or a process that was started for it lives (BlockingIOError).
    """
    if sys.platform == "win32":
        yield ()
        return
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not _locked(descriptor, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                raise BlockingIOError(f"{path} is held by a process that was started before")
            time.sleep(0.01)
        yield (descriptor,)
    finally:
        os.close(descriptor)  # not unlocked, which would unlock the child's as well


def is_held(path: Path) -> bool:
    """Whether a process that was handed the lock `path`, or the one about to start it, lives."""
    if sys.platform == "win32":
        return False
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return not _locked(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def _locked(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
