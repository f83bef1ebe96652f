"""Zip files that people hand in: looked through before anything is unpacked, and then unpacked whole or not at all.

A zip may name files outside of where it is unpacked ("zip slip"), hold links, or unfold to a million times its size.
All that is known from its directory is checked first; while unpacking, no file may grow beyond what was stated.
"""

from __future__ import annotations

import shutil
import stat
import unicodedata
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO

from segcore.data.pairing import SUFFIXES
from segcore.errors import DatasetError
from segcore.files import describe_os_error
from segcore.progress import Progress, silent

MAX_FILES = 200_000
MAX_BYTES = 100 * 10**9
MAX_FACTOR = 200
"""So many times its packed size a zip may have in all. Blank masks shrink to a thousandth, photographs hardly."""
FREE_SIZE = 256 * 10**6
"""Below this a zip may unfold by any factor: miniatures of blank masks do."""
MAX_DEPTH = 32
MAX_NAME_BYTES = 240
KEPT = SUFFIXES | {".csv", ".txt", ".json"}
"""What datasets are made of; anything else in a zip is left packed."""


def unpack(archive: Path | BinaryIO, target: Path, progress: Progress = silent) -> int:
    """Unpack the images, masks and tables of a zip into `target`, and return how many files those are.

    Args:
        archive: a zip file, or one opened for reading bytes.
        target: a folder that is not there yet; it is there whole afterwards, or not at all.
        progress: counts files.

    Raises:
        DatasetError: no zip, damaged, encrypted, larger than allowed, or with names that no dataset needs (field
            "archive").
        WorkspaceError: the disk is full or may not be written.
    """
    if isinstance(archive, Path) and not archive.is_file():
        raise DatasetError(f"There is no file {archive}.", field="archive")
    whole = False
    try:
        with zipfile.ZipFile(archive) as opened:
            members = _checked(opened.infolist(), _packed_size(archive))
            needed, free = sum(member.file_size for member in members), shutil.disk_usage(target.parent).free
            if needed > free:
                raise _refused(f"it unfolds to {_size(needed)} and {_size(free)} are free on the disk")
            target.mkdir()
            for done, member in enumerate(members):
                progress(done, len(members))
                _extract(opened, member, target)
            progress(len(members), len(members))
        whole = True
    # What zipfile raises on damaged directories and data, and on versions it does not know.
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
        raise _refused(f"it is damaged, cut off or no zip ({error})") from error
    except OSError as error:
        raise describe_os_error(error, target) from error
    finally:
        if not whole:  # also where progress() cancels
            shutil.rmtree(target, ignore_errors=True)
    return len(members)


def _refused(why: str) -> DatasetError:
    return DatasetError(
        f"The zip is not unpacked: {why}. Pack the dataset's folder anew, or unpack it yourself and give the folder.",
        field="archive",
    )


def _packed_size(archive: Path | BinaryIO) -> int:
    if isinstance(archive, Path):
        return archive.stat().st_size
    place = archive.tell()
    size = archive.seek(0, 2)
    archive.seek(place)
    return size


def _checked(members: list[zipfile.ZipInfo], packed: int) -> list[zipfile.ZipInfo]:
    """Return the members to unpack; refuse the whole zip where any member is not what a dataset has."""
    if len(members) > MAX_FILES:
        raise _refused(f"it holds {len(members):,} files, at most {MAX_FILES:,} are taken")
    total = sum(member.file_size for member in members)
    if total > MAX_BYTES:
        raise _refused(f"it unfolds to {_size(total)}, at most {_size(MAX_BYTES)} are taken")
    if total > FREE_SIZE and total > MAX_FACTOR * packed:
        raise _refused(
            f"it unfolds from {_size(packed)} to {_size(total)}, more than {MAX_FACTOR} times its size, as no images do"
        )
    kept, places = [], set()
    for member in members:
        _check_member(member)
        if member.is_dir() or not _wanted(member.filename):
            continue
        # Systems that do not tell upper from lower case, or composed from decomposed letters, would overwrite one.
        place = unicodedata.normalize("NFC", member.filename).casefold()
        if place in places:
            raise _refused(f"it holds {_shown(member.filename)} twice")
        places.add(place)
        kept.append(member)
    if not kept:
        raise _refused("it holds no images, masks or tables")
    return kept


def _check_member(member: zipfile.ZipInfo) -> None:
    name = member.filename
    mode = member.external_attr >> 16
    parts = name.rstrip("/").split("/")
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise _refused(f"{_shown(name)} is a link or a device, not a file")
    if member.flag_bits & 0x1:
        raise _refused(f"{_shown(name)} is encrypted")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise _refused(f"{_shown(name)} is packed in a way that zips of images are not")
    outside = name.startswith("/") or "\\" in member.orig_filename or any(part in ("", ".", "..") for part in parts)
    if outside or (len(parts[0]) > 1 and parts[0][1] == ":"):
        raise _refused(f"{_shown(name)} names a place outside of the dataset's folder")
    if len(parts) > MAX_DEPTH or any(len(part.encode("utf-8", "surrogatepass")) > MAX_NAME_BYTES for part in parts):
        raise _refused(f"{_shown(name)} is nested too deep or too long a name")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in member.orig_filename):
        raise _refused(f"{_shown(name)} has control characters in its name")


def _wanted(name: str) -> bool:
    parts = name.split("/")
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
    return not hidden and Path(parts[-1]).suffix.lower() in KEPT


def _extract(opened: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    path = target.joinpath(*member.filename.split("/"))
    path.parent.mkdir(parents=True, exist_ok=True)
    with opened.open(member) as source, open(path, "xb") as written:
        # ZipFile itself stops at the stated size and compares the checksum at the end.
        shutil.copyfileobj(source, written, 2**20)


def _shown(name: str) -> str:
    shown = name if len(name) <= 80 else f"{name[:80]}…"
    return repr(shown)


def _size(count: float) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e8 else f"{count / 1e6:,.1f} MB"
