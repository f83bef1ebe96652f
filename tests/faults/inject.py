"""Faults from within a process under test: killed at a file operation, a clock that jumps, little memory, a stand-in.

The product has no hooks for this. Python tells an audit hook of every file it is about to open for writing, to rename
or to remove (PEP 578); a kill there leaves exactly what was done by then. Audit hooks cannot be taken back, so all
this is only for processes that are started for one test.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import re
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

Watcher = Callable[[str, str, Path], None]
"""Told of an operation before it happens: its kind, the name of what it works on (see `name_of`), and the path."""

_TEMPORARY = re.compile(r"\.([^/]+)\.[a-z0-9_]{8}\.tmp")
_BUILDING = re.compile(r"\.([^/]+)-building-[a-z0-9_]{8}")


def arm(plan: dict[str, Any]) -> None:
    """Prepare this process for what `plan` asks for; its keys name the functions below."""
    root = Path(plan["root"])
    if "record" in plan:
        record(root, Path(plan["record"]))
    if "kill_at" in plan:
        kill_at(root, **plan["kill_at"])
    if "jumping_clock" in plan:
        jumping_clock(plan["jumping_clock"])
    if "memory" in plan:
        limit_memory(plan["memory"])
    if "slow_steps" in plan:
        slow_steps(plan["slow_steps"])
    if "stand_in" in plan:
        stand_in(plan["module"], Path(plan["stand_in"]))


def name_of(path: Path, root: Path) -> str:
    """Return how an operation's object is called: its path below `root`, temporary names as `name~`."""
    return _BUILDING.sub(r"\1~", _TEMPORARY.sub(r"\1~", path.relative_to(root).as_posix()))


def watch(root: Path, watcher: Watcher) -> None:
    """Tell `watcher` of each operation of this process that changes something below `root`; locks are left out."""

    def tell(kind: str, target: object) -> None:
        if isinstance(target, (str, bytes, os.PathLike)):
            path = Path(os.fsdecode(target))
            if path.is_relative_to(root) and path.suffix != ".lock":
                watcher(kind, name_of(path, root), path)

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            if arguments[2] & (os.O_WRONLY | os.O_RDWR):
                tell("open", arguments[0])
        elif event in ("os.rename", "os.link"):
            tell(event.removeprefix("os."), arguments[1])
        elif event in ("os.remove", "os.mkdir", "os.rmdir", "os.chmod"):
            tell(event.removeprefix("os."), arguments[0])

    fsync = os.fsync

    def watched_fsync(file: Any) -> None:
        number = file if isinstance(file, int) else file.fileno()
        tell("fsync", Path(f"/proc/self/fd/{number}").readlink())
        fsync(number)

    os.fsync = watched_fsync  # of this there is no audit event
    sys.addaudithook(audit)


def record(root: Path, trace: Path) -> None:
    """Write every operation below `root` into `trace`: a JSON pair of kind and name a line."""
    file = os.open(trace, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def watcher(kind: str, name: str, _path: Path) -> None:
        os.write(file, json.dumps([kind, name]).encode() + b"\n")

    watch(root, watcher)


def kill_at(root: Path, *, kind: str, name: str, nth: int = 1, size: int | None = None) -> None:
    """Kill this process before its `nth` operation (from 1) of that kind on `name`.

    With `size`, kill it a little later, in the middle of writing what it opens there: once that has `size`
    bytes, and at the latest before it is flushed.
    """
    seen = 0

    def watcher(now: str, on: str, path: Path) -> None:
        nonlocal seen
        if (now, on) == (kind, name):
            seen += 1
            if seen == nth and size is None:
                die()
            if seen == nth and size is not None:
                threading.Thread(target=_die_when_grown, args=(path, size), daemon=True).start()
        elif seen >= nth and (now, on) == ("fsync", name):
            die()

    watch(root, watcher)


def slow_steps(seconds: float) -> None:
    """Rest after each training step, so that a fault finds the worker within an epoch on the fastest machine, too."""
    from segcore.training.worker import Worker

    tell = Worker.tell

    def slow(worker: Worker, **changes: object) -> None:
        if changes.get("phase") == "training":
            time.sleep(seconds)
        tell(worker, **changes)

    Worker.tell = slow  # type: ignore[method-assign]


def die() -> None:
    """Be killed, at once and without a word."""
    os.kill(os.getpid(), signal.SIGKILL)


def _die_when_grown(path: Path, size: int) -> None:
    while True:
        try:
            if path.stat().st_size >= size:
                die()
        except FileNotFoundError:
            pass  # just about to be made
        time.sleep(0.0005)


def jumping_clock(jumps: Sequence[tuple[int, float]]) -> None:
    """Make `time.time` jump by so many seconds after so many calls, as when somebody sets the machine's clock."""
    true_time = time.time
    left = sorted(jumps)
    calls, offset = 0, 0.0

    def jumping() -> float:
        nonlocal calls, offset
        calls += 1
        while left and calls > left[0][0]:
            offset += left.pop(0)[1]
        return true_time() + offset

    time.time = jumping


def limit_memory(more: int) -> None:
    """Let this process have no more than `more` bytes beyond what it has now."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + more, resource.RLIM_INFINITY))


def stand_in(module: str, file: Path) -> None:
    """Have the source in `file` run in place of `module`."""

    class Finder(importlib.abc.MetaPathFinder):
        def find_spec(
            self, name: str, _path: Sequence[str] | None, _target: ModuleType | None = None
        ) -> importlib.machinery.ModuleSpec | None:
            return importlib.util.spec_from_file_location(name, file) if name == module else None

    sys.meta_path.insert(0, Finder())
