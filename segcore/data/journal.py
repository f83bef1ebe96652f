"""Looks kept in a file, so that no image is decoded twice: not after a check that was cancelled or killed, and not for
other classes.

    datasets/<name>/looks.jsonl      of a dataset: one line a pair
    .checks/<hash>.jsonl             of folders that are not a dataset yet, until they are one

A look is found by the paths of both files below their folders, their sizes and their times. Everything here can be
deleted at any time; the next check then reads the files again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from segcore.config import DatasetConfig
from segcore.data.looks import Look
from segcore.data.pairing import Pair, path_below
from segcore.files import atomic_path, describe_os_error

LOOKS = "looks.jsonl"
"""What the file is called in a dataset's directory."""
_FORMAT = 1
"""To be raised when the same files would give another look."""
MAX_ENTRIES = 2**18
"""Masks of more colours are read again for each decision. One of 24 megapixels saved as JPEG has some 100,000: 0.4 MB
here, which are read in a hundredth of the seconds that the mask takes."""
_PENDING = 4
"""So many checks that did not come to a dataset are remembered, the latest."""


class Journal:
    """The looks of one dataset. Lines are appended; of a pair's, the last counts, and a torn one counts nothing.

    Without a path only looks that one check needs twice are kept, in memory: those at masks of values.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._place: dict[str, tuple[int, int]] = {}
        self._lines: dict[str, bytes] = {}
        if path is not None:
            self._scan(path)

    def __len__(self) -> int:
        return len(self._place) + len(self._lines)

    def get(self, key: str) -> Look | None:
        """Return the look kept under a key; None where there is none, or what is kept is damaged."""
        line = self._lines.get(key)
        if line is None and self.path is not None and key in self._place:
            start, length = self._place[key]
            with suppress(OSError), open(self.path, "rb") as lines:
                lines.seek(start)
                line = lines.read(length)
        if line is None:
            return None
        try:
            head, text = line.decode().rstrip("\n").split("\t")
            value = json.loads(head)
            return Look.from_json(value["look"], text) if value["key"] == key else None
        except (ValueError, KeyError, TypeError):
            return None

    def put(self, key: str, look: Look) -> None:
        """Keep a look; one of too many colours is not kept in a file.

        Raises:
            WorkspaceError: the file cannot be written.
        """
        if self.path is None and (look.histogram is None or look.histogram.values is None):
            return
        value, text = look.to_json()
        line = json.dumps({"format": _FORMAT, "key": key, "look": value}).encode() + b"\t" + text.encode() + b"\n"
        if self.path is None:
            self._lines[key] = line
            return
        if value.get("entries", 0) > MAX_ENTRIES:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(self.path, "ab") as lines:
                self._place[key] = lines.tell(), len(line)
                lines.write(line)
        except OSError as error:
            raise describe_os_error(error, self.path) from error

    def keep_only(self, keys: Iterable[str]) -> None:
        """Forget all looks but these, where most lines of the file have become useless."""
        kept = [key for key in keys if key in self._place]
        if self.path is None or not self.path.exists():
            return
        useful = sum(self._place[key][1] for key in kept)
        if self.path.stat().st_size <= 2 * useful:
            return
        with atomic_path(self.path) as temporary, open(self.path, "rb") as old, open(temporary, "wb") as new:
            for key in kept:
                start, length = self._place[key]
                old.seek(start)
                self._place[key] = new.tell(), length
                new.write(old.read(length))
        self._place = {key: self._place[key] for key in kept}

    def _scan(self, path: Path) -> None:
        start, line = 0, b"\n"
        with suppress(OSError), open(path, "rb") as lines:  # what cannot be read is looked at again
            for line in lines:
                head, _, _ = line.partition(b"\t")
                with suppress(ValueError, KeyError, TypeError):
                    value = json.loads(head)
                    if value["format"] == _FORMAT and line.endswith(b"\n"):
                        self._place[str(value["key"])] = start, len(line)
                start += len(line)
        if not line.endswith(b"\n"):
            with suppress(OSError), open(path, "ab") as torn:
                torn.write(b"\n")


def key_of(pair: Pair, config: DatasetConfig) -> str | None:
    """Return what a pair's look is kept under; None where a file is gone."""
    try:
        stats = pair.image.stat(), pair.mask.stat()
    except OSError:
        return None
    names = path_below(config.images, pair.image), path_below(config.masks, pair.mask)
    return json.dumps([names, [[found.st_size, found.st_mtime_ns] for found in stats]])


def pending(folder: Path, config: DatasetConfig) -> Path:
    """Return where the looks of folders are kept that are not a dataset yet, and forget those of long ago.

    Args:
        folder: the workspace's, for such files.
        config: of the dataset to be.
    """
    name = hashlib.sha256(f"{config.images}\n{config.masks}".encode(errors="surrogateescape")).hexdigest()[:24]
    path = folder / f"{name}.jsonl"
    others = sorted((other for other in folder.glob("*.jsonl") if other != path), key=_time, reverse=True)
    for other in others[_PENDING - 1 :]:
        with suppress(OSError):
            other.unlink()
    return path


def _time(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
