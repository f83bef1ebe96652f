"""What every architecture of timm costs in one decoder at one image size, or why it does not work: the stored result.

One file of JSON lines for each decoder, image size and versions of the libraries in `<workspace>/catalog/`, appended as
it is found (see `launch/probing.py`): whoever is killed while writing leaves a torn line, which is ignored, and whoever
comes after goes on where the last one stopped. Reading needs neither torch nor timm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache, cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from segcore.files import FileCache, append_json_line, describe_os_error, read_json_lines
from segcore.models import catalog
from segcore.models.licenses import commercial
from segcore.models.lineage import lineage
from segcore.workspace import Workspace

CLASSES = 12
"""Networks are probed for this many classes; it changes nothing but the last, tiny layer."""
FORMAT = 1
"""Part of the file's name: raised when what is found of an architecture gets another meaning."""
PACKAGES = {"timm": "timm", "smp": "segmentation-models-pytorch", "torch": "torch"}
"""Another version of one of these may find something else."""


@dataclass(frozen=True)
class Published:
    """Pretrained weights of an architecture."""

    tag: str
    """timm's tag, which tells on what and how they were trained."""
    license: str | None
    """As timm states it; None where it states none."""
    repository: str | None
    """On the Hub; None where they are published elsewhere."""


@dataclass(frozen=True)
class Entry:
    """One architecture of timm in one decoder at one image size."""

    architecture: str
    """timm's name, without a weights tag."""
    module: str
    """The module of timm that defines it."""
    paper: str = ""
    """Number on arXiv of the first paper that this module's docstring names."""
    weights: tuple[Published, ...] = ()
    """Those that timm knows, its default first."""
    parameters: int | None = None
    """Of the whole network; None, like the other costs, where it does not work."""
    encoder_parameters: int | None = None
    macs: int | None = None
    """Multiply-adds of the whole network for one image."""
    encoder_macs: int | None = None
    features: tuple[tuple[int, int], ...] = ()
    """(channels, reduction) of what the encoder hands to the decoder, fine to coarse."""
    why_not: str = ""
    """Why it does not work, in a sentence or two."""
    reason: str = ""
    """The same in a few words, alike for all that fail alike."""
    seconds: float = 0.0
    """That finding out took."""

    @property
    def works(self) -> bool:
        return not self.why_not

    @cached_property
    def _lineage(self) -> tuple[str, int | None]:
        backbone = catalog.find(self.architecture)
        if backbone is not None:
            return catalog.FAMILIES[backbone.family].title, backbone.year
        return lineage(self.architecture, self.module, self.paper)

    @property
    def family(self) -> str:
        """What people call its family."""
        return self._lineage[0]

    @property
    def year(self) -> int | None:
        """When its paper came out; None where no paper tells."""
        return self._lineage[1]

    @property
    def commercial(self) -> bool | None:
        """Whether some of its weights may surely be used commercially; False only where all rule it out.

        None where that cannot be told: for want of weights, or as a licence has to be read.
        """
        answers = {commercial(found.license) for found in self.weights}
        return True if True in answers else False if answers == {False} else None

    @property
    def encoders(self) -> dict[str, str | None]:
        """Its pretrained encoders, by name with tag -> where they are on the Hub."""
        return {
            f"{self.architecture}.{found.tag}" if found.tag else self.architecture: found.repository
            for found in self.weights
        }

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values: what the stored line and the command line hold."""
        return asdict(self)

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Entry:
        """Return the entry that `to_json` wrote.

        Raises:
            TypeError: it is something else.
        """
        known = {name: row[name] for name in cls.__dataclass_fields__ if name in row}
        known["weights"] = tuple(Published(**found) for found in row.get("weights", ()))
        known["features"] = tuple((channels, reduction) for channels, reduction in row.get("features", ()))
        return cls(**known)


@dataclass(frozen=True)
class Contents:
    """What is known so far."""

    entries: Mapping[str, Entry] = field(default_factory=dict)
    """By architecture, in timm's order."""
    total: int | None = None
    """Architectures there are; None before the first was probed."""

    @property
    def complete(self) -> bool:
        return self.total is not None and len(self.entries) >= self.total


class Atlas:
    """All architectures of timm in one decoder at one image size, as far as they were probed in a workspace."""

    def __init__(self, workspace: Workspace, decoder: str, image_size: int) -> None:
        """Choose what it is about; `image_size` is the side of the square image in pixels.

        Raises:
            UnknownBackboneError: there is no such decoder.
        """
        self.workspace = workspace
        self.decoder = catalog.find_decoder(decoder).name
        self.image_size = image_size

    @property
    def path(self) -> Path:
        """The file of JSON lines; it need not be there."""
        return self.workspace.catalog / f"{self.decoder}-{self.image_size}-{_made_with()}"

    def siblings(self) -> list[Contents]:
        """Return what was found in other decoders and at other sizes with the same versions."""
        paths = sorted(self.workspace.catalog.glob(f"*-{_made_with()}"))
        return [_CACHE.get(path) for path in paths if path != self.path]

    def read(self) -> Contents:
        """Return what was found so far; the same object until the file changes."""
        return _CACHE.get(self.path)

    def begin(self, total: int) -> None:
        """Make the file, or go on with it; it shall have `total` entries.

        Raises:
            WorkspaceError: it cannot be written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise describe_os_error(error, self.path.parent) from error
        if self.read().total != total:
            append_json_line(self.path, {"total": total})

    def append(self, entry: Entry) -> None:
        """Add what was found of one architecture; for the one process that holds the lock.

        Raises:
            WorkspaceError: it cannot be written.
        """
        append_json_line(self.path, entry.to_json())


@cache
def versions() -> dict[str, str]:
    """Return the versions that a result holds for, without the build's name ("+cpu"), which changes no shape."""
    return {short: _version(package).partition("+")[0] for short, package in PACKAGES.items()}


def _made_with() -> str:
    """What the names of all files end with that hold for these versions."""
    return "-".join(f"{short}{number}" for short, number in versions().items()) + f"-v{FORMAT}.jsonl"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # built from source, or not installed at all
        return "unknown"


def _load(path: Path) -> Contents:
    total, entries = None, {}
    for row in read_json_lines(path):
        if isinstance(row.get("total"), int):
            total = row["total"]
            continue
        try:
            entry = Entry.from_json(row)
        except (TypeError, ValueError):  # a line that another version wrote, or a damaged one
            continue
        entries[entry.architecture] = entry
    return Contents(entries, total)


_CACHE = FileCache(_load, entries=8)
