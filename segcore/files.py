"""Writing so that nothing is ever half-written, and reading files that another process is writing."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Generic, TypeVar

from segcore.errors import ConfigError, WorkspaceError


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success flush it to disk and rename it onto `path`.

    On any error the temporary file is removed and `path` is as it was. A full disk or a missing
    permission becomes a `WorkspaceError` that names the file.
    """
    temporary: Path | None = None
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o644)  # mkstemp makes it private; a shared workspace must be readable
        temporary.replace(path)
        temporary = None
    except OSError as error:
        raise describe_os_error(error, path) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def describe_os_error(error: OSError, path: Path) -> WorkspaceError:
    """Turn an operating system's refusal to write `path` into a message with a way out."""
    if error.errno == errno.ENOSPC:
        return WorkspaceError(
            f"The disk is full: {path} could not be written. Free some space (the prepared/ folders of "
            "datasets can be rebuilt, .trash can be emptied) and resume."
        )
    if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        return WorkspaceError(
            f"No permission to write {path}. Choose a workspace you can write with SEGCORE_HOME=/a/folder."
        )
    return WorkspaceError(f"Could not write {path}: {error.strerror or error}.")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n"
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the JSON object in `path`, or None where there is no such file.

    Raises:
        WorkspaceError: the file is there but holds no JSON object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise WorkspaceError(f"{path} cannot be read ({error}). Restore it from a copy or remove it.") from error
    if not isinstance(value, dict):
        raise WorkspaceError(f"{path} holds {type(value).__name__}, expected a JSON object.")
    return value


def read_limited(path: Path, limit: int) -> str:
    """Return what a UTF-8 text file of a user holds, without a byte order mark.

    Raises:
        OSError: missing, not allowed to be read, no regular file, or larger than `limit` bytes.
        UnicodeDecodeError: it is no UTF-8.
    """
    if path.exists() and not path.is_file():  # before opening it: a pipe would be waited for
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    with open(path, "rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise OSError(errno.EFBIG, f"it has more than {limit / 10**6:g} MB, the limit for such a file", str(path))
    return data.decode("utf-8-sig")


def append_json_line(path: Path, value: dict[str, Any]) -> None:
    """Append one JSON line and flush it to the operating system; a torn line before it is closed first."""
    try:
        with open(path, "ab+") as lines:
            if lines.seek(0, os.SEEK_END) > 0:
                lines.seek(-1, os.SEEK_END)
                if lines.read(1) != b"\n":
                    lines.write(b"\n")
            lines.write(json.dumps(value).encode() + b"\n")
    except OSError as error:
        raise describe_os_error(error, path) from error


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Return the JSON objects in `path`, one a line; no file means none, a torn line is left out.

    A line is torn when its writer was killed, or is just writing it; a resumed writer goes on below it.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    rows = []
    for line in text.splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            rows.append(row)
    return rows


def tree_size(root: Path) -> int:
    """Return the bytes of all files under `root`; what vanishes meanwhile counts nothing."""
    total = 0
    for directory, _, names in os.walk(root):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(directory, name)).st_size  # noqa: PTH118 (faster by half)
    return total


def tail(path: Path, *, max_bytes: int = 20_000) -> str:
    """Return the end of a text file, at most `max_bytes`, starting at a whole line; '' without a file."""
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - max_bytes))
            data = file.read()
    except FileNotFoundError:
        return ""
    if size > max_bytes:
        data = data.split(b"\n", 1)[-1]
    return data.decode("utf-8", errors="replace")


def user_path(text: str | os.PathLike[str], field: str | None = None) -> Path:
    """Return a path that a person typed, with ~ in its place; whether anything is there is not asked.

    Raises:
        ConfigError: no file can have that name, ~ names nobody's home, or a folder on the way is closed; `field` is
            the field or flag it was typed into.
    """
    try:
        path = Path(text).expanduser()
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return path
    except (OSError, RuntimeError, ValueError) as error:
        shown = str(text) if len(str(text)) <= 120 else f"{str(text)[:120]}…"
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"{shown!r} cannot be used as a path: {reason}. Give another one.", field=field) from error
    return path


T = TypeVar("T")


class FileCache(Generic[T]):
    """Remembers what `load(path)` returned until the file's time or size changes; the least used goes first.

    What it returns is shared: callers must not change it. Safe to use from several threads.
    """

    def __init__(self, load: Callable[[Path], T], *, entries: int) -> None:
        self._load = load
        self._entries = entries
        self._kept: OrderedDict[str, tuple[tuple[int, int, int], T]] = OrderedDict()

    def get(self, path: Path) -> T:
        """Return what the file holds now; a missing file is handed to `load` each time."""
        name = os.fspath(path)  # thousands of files are looked at for one screen, and paths are slow to compare
        try:
            stat = os.stat(name)  # noqa: PTH116 (for the same reason)
        except FileNotFoundError:
            return self._load(path)
        signature = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        kept = self._kept.get(name)
        if kept is not None and kept[0] == signature:
            with suppress(KeyError):  # another thread may just have let it go
                self._kept.move_to_end(name)
            return kept[1]
        value = self._load(path)
        self._kept[name] = (signature, value)
        while len(self._kept) > self._entries:
            with suppress(KeyError):
                self._kept.popitem(last=False)
        return value
