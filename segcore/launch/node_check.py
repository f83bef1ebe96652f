"""What a node has to show before runs are sent to it: `python -m segcore.launch.node_check FOLDER NODE` runs there.

FOLDER lies in the workspace; `ask.json` in it says what to look for, and the answer is written beside it.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from segcore.data.store import DatasetStore
from segcore.errors import SegcoreError
from segcore.files import read_json, write_json
from segcore.workspace import Workspace

ASK = "ask.json"
NOT_SEEN = 4
"""Exit code where the workspace is not what it is where the run was launched."""
LOCK_SECONDS = 10.0


def answer_path(folder: Path, node: str) -> Path:
    """Where a node leaves what it found."""
    return folder / f"{node}.json"


def problems(workspace: Workspace, ask: dict[str, Any]) -> Iterator[str]:
    """Yield what keeps runs from training here, each with what to do about it."""
    try:
        import_module("segcore.training.worker")
    except ImportError as error:
        yield f"lacks a package ({error}): install there what requirements.txt lists, for the Python that runs Ray"
        return  # without it, images cannot be read either
    try:
        FileLock(workspace.root / ".cluster.lock", timeout=LOCK_SECONDS).acquire().lock.release()
    except (OSError, NotImplementedError, Timeout) as error:
        yield f"cannot lock files in {workspace.root} ({error}): mount it with locks, as NFS does by default"
    try:
        dataset = DatasetStore(workspace).get(ask["dataset"])
        dataset.read(dataset.names[0])
    except (SegcoreError, OSError) as error:
        yield f"cannot read the dataset ({error}): mount {ask['images']} under this same path"
    for file in ask["files"]:
        try:
            with open(file, "rb") as weights:
                weights.read(1)
        except OSError as error:
            yield f"cannot read the weights {file} ({error.strerror}): mount their folder under this same path"


def main(folder: Path, node: str) -> int:
    """Write down what is wrong here; return the exit code."""
    ask = read_json(folder / ASK)
    if ask is None:
        print(f"{folder} is not here")
        return NOT_SEEN
    found = list(problems(Workspace(folder.parent), ask))
    write_json(answer_path(folder, node), {"host": platform.node(), "problems": found})
    print(found)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
