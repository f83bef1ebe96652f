"""The files of outlines (COCO) that a dataset's masks were drawn from, remembered beside the masks.

Masks are drawn once, when the dataset is added. What such a file says later is not in them, and that must be told.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from segcore.files import read_json, write_json

_REMEMBERED = "drawn_from.json"
"""In the folder of the masks: path of each file -> {"bytes", "time" of change in ns, "sha256"} as it was."""


def remember(files: Iterable[Path], masks: Path) -> None:
    """Write down, in the folder where masks will be, what they are about to be drawn from.

    Raises:
        OSError: a file is gone.
        WorkspaceError: the folder cannot be written.
    """
    masks.mkdir(parents=True, exist_ok=True)
    found = {}
    for file in files:
        stat = file.stat()
        found[str(file)] = {"bytes": stat.st_size, "time": stat.st_mtime_ns, "sha256": _digest(file)}
    write_json(masks / _REMEMBERED, found)


def outline_stamps(masks: Path) -> dict[str, list[int]]:
    """Return path -> [bytes, time of change in ns], as they are now, of the files that masks were drawn from.

    Files that are gone are left out; where the masks in the folder were not drawn here there are none.
    """
    return {
        path: [stat.st_size, stat.st_mtime_ns]
        for path in read_json(masks / _REMEMBERED) or {}
        if (stat := _stat(path)) is not None
    }


def changed_outlines(masks: Path) -> list[Path]:
    """Return the files that say something else now than when the masks in a folder were drawn from them."""
    stamps = outline_stamps(masks)
    return [
        Path(path)
        for path, was in (read_json(masks / _REMEMBERED) or {}).items()
        if path in stamps
        and stamps[path] != [was.get("bytes"), was.get("time")]
        and _digest(Path(path)) != was.get("sha256")
    ]


def _stat(path: str) -> os.stat_result | None:
    try:
        return Path(path).stat()
    except OSError:
        return None


def _digest(file: Path) -> str:
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
