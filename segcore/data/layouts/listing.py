"""Which files lie in a folder: listed once, then asked by every layout."""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from segcore.data.pairing import SUFFIXES
from segcore.errors import DatasetError

MAX_FILES = 500_000
"""A folder of more is no dataset's own folder, but a disk's or a home's."""

MAX_TEXT = 50_000_000
"""Lists and class tables of more bytes are none."""


@dataclass(frozen=True)
class Listing:
    """The files below `root`: relative paths with forward slashes, sorted, hidden ones left out."""

    root: Path
    files: tuple[str, ...]
    links: tuple[str, ...] = ()
    """Links to folders, which are not followed."""

    @cached_property
    def images(self) -> tuple[str, ...]:
        """Files that can be images or masks by their suffix."""
        return tuple(file for file in self.files if PurePosixPath(file).suffix.lower() in SUFFIXES)

    @cached_property
    def folders(self) -> Counter[str]:
        """Folder -> how many image files lie in it or below it; the root is ""."""
        counts: Counter[str] = Counter()
        for file in self.images:
            parts = file.split("/")[:-1]
            for end in range(len(parts) + 1):
                counts["/".join(parts[:end])] += 1
        return counts

    def folders_named(self, *names: str) -> list[str]:
        """Return the folders with image files whose last part is one of `names` in any case, the outermost first."""
        wanted = {name.lower() for name in names}
        found = [folder for folder in self.folders if folder and folder.rpartition("/")[2].lower() in wanted]
        return sorted(found, key=lambda folder: (folder.count("/"), folder))

    def named(self, name: str) -> str | None:
        """Return the outermost file called `name`, in any case; None where there is none."""
        found = [file for file in self.files if file.rpartition("/")[2].lower() == name.lower()]
        return min(found, key=lambda file: (file.count("/"), file), default=None)

    def base_of(self, pattern: str) -> str | None:
        """Return the folder below which most image files match `pattern` as a whole; None where none does."""
        matches = re.compile(rf"(?:(?P<base>.*?)/)??(?:{pattern})").fullmatch
        # As far out as can be: a pattern may begin with folders that need not be there.
        bases = Counter(match.group("base") or "" for file in self.images if (match := matches(file)))
        return min(bases, key=lambda base: (-bases[base], base.count("/"), base), default=None)

    def matching(self, base: str, pattern: str) -> list[str]:
        """Return the image files below the folder `base` that match `pattern` as a whole."""
        inside = f"{base}/" if base else ""
        matches = re.compile(pattern).fullmatch
        return [file for file in self.images if file.startswith(inside) and matches(file[len(inside) :])]

    def path(self, relative: str) -> Path:
        """Return the path of a folder or file of this listing."""
        return self.root / relative if relative else self.root


def read_lines(path: Path) -> list[str]:
    """Return the lines of a small text file that comes with a dataset; none where it cannot be read or is no such."""
    try:
        if not path.is_file() or path.stat().st_size > MAX_TEXT:  # a pipe would be waited for
            return []
        return path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError:
        return []


def list_folder(root: Path) -> Listing:
    """List a folder with its sub-folders.

    Raises:
        DatasetError: it is missing, no folder, may not be read, or holds more files than a dataset can have.
    """
    if not root.is_dir():
        problem = "is a file, not a folder" if root.exists() else "does not exist"
        raise DatasetError(f"{root} {problem}. Give the folder that the dataset's files lie in.", field="path")

    def refuse(error: OSError) -> None:
        raise DatasetError(f"The folder {error.filename} cannot be read: {error.strerror}.", field="path") from error

    files: list[str] = []
    links: list[str] = []
    for directory, folders, names in os.walk(root, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__MACOSX")
        here = Path(directory).relative_to(root).as_posix()
        prefix = "" if here == "." else f"{here}/"
        links += [prefix + name for name in folders if Path(directory, name).is_symlink()]
        files += [prefix + name for name in names if not name.startswith(".")]
        if len(files) > MAX_FILES:
            raise DatasetError(
                f"{root} holds more than {MAX_FILES:,} files. Give the dataset's own folder.", field="path"
            )
    return Listing(root, tuple(sorted(files)), tuple(links))
