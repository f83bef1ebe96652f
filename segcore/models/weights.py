"""Where pretrained weights come from: a local folder, the Hub's cache on this machine, or the Hub.

Decided before anything is built, without torch, and in seconds even where the network swallows packets:
`locate` either names a source or says what to do. Weights of a catalog backbone are looked up without
timm too.
"""

from __future__ import annotations

import hashlib
import os
import queue
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, cast

from segcore.errors import WeightsError
from segcore.models import catalog
from segcore.workspace import Workspace

DIRECTORIES_VARIABLE = "SEGCORE_WEIGHTS"
SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")
HUB_FILES = ("model.safetensors", "pytorch_model.bin")
"""What timm's repositories on the Hub call their weights, the preferred first."""

# A mirror or the Hub itself, even if it wants a login or is busy; a proxy that blocks answers 403 or 407.
_REACHED = (401, 404, 405, 429)


@dataclass(frozen=True)
class WeightsSource:
    """Where the pretrained weights of one encoder are."""

    kind: Literal["local", "hub cache", "hub"]
    path: Path | None
    """The file; None as long as it has to be downloaded."""
    encoder: str
    """timm's name with the weights tag."""
    detail: str
    """In words, for provenance and for the screen."""
    sha256: str | None = None
    """Of the file; known once it was loaded."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values for `provenance.json`."""
        return {**asdict(self), "path": str(self.path) if self.path else None}


def locate_all(encoders: Sequence[str], directories: Sequence[Path] | None = None) -> dict[str, WeightsSource]:
    """Return `locate` of each encoder; the Hub is asked once whether it is there.

    Raises:
        WeightsError: some are nowhere to be had; names them all.
    """
    reachable = cache(hub_reachable)
    found: dict[str, WeightsSource] = {}
    missing: dict[str, WeightsError] = {}
    for encoder in encoders:
        try:
            found[encoder] = locate(encoder, directories, reachable=reachable)
        except WeightsError as error:
            missing[encoder] = error
    if missing:
        first, *others = missing
        also = f" The same is missing for {', '.join(others)}." if others else ""
        raise WeightsError(f"{missing[first]}{also}", field="weights")
    return found


def locate(
    encoder: str, directories: Sequence[Path] | None = None, *, reachable: Callable[[], bool] | None = None
) -> WeightsSource:
    """Return where the weights of `encoder` ("resnet18.tv_in1k") come from: local folder, Hub cache, Hub.

    Reads no weights and downloads nothing.

    Args:
        encoder: A timm name with its weights tag.
        directories: Local folders to look in; by default those in SEGCORE_WEIGHTS (separated as in PATH) and
            `weights/` in the workspace.
        reachable: Tells whether the Hub is; by default `hub_reachable`.

    Raises:
        WeightsError: they are nowhere to be had; says where to put which file.
    """
    folders = default_directories() if directories is None else [Path(folder) for folder in directories]
    file = _local_file(encoder, folders)
    if file is not None:
        return WeightsSource("local", file, encoder, f"local file {file}")
    repository = hub_repository(encoder)
    if repository is not None:
        cached = _cached_file(repository, _hub_files(encoder))
        if cached is not None:
            return WeightsSource("hub cache", cached, encoder, f"Hub cache, {repository}")
        if (reachable or hub_reachable)():
            return WeightsSource("hub", None, encoder, f"{_endpoint()}/{repository}")
    raise WeightsError(_not_found(encoder, folders, repository), field="weights")


def fetch(source: WeightsSource) -> WeightsSource:
    """Return `source` with its file on this machine, downloaded from the Hub where need be.

    Raises:
        WeightsError: the download failed.
    """
    if source.path is not None:
        return source
    from huggingface_hub import errors, hf_hub_download

    # What its HTTP client raises changed with its versions: requests, httpx, httpx2.
    transport = cast(tuple[type[Exception], ...], errors.HfHubHTTPError.__bases__)
    failures: tuple[type[Exception], ...] = (*transport, OSError, ValueError, RuntimeError)

    repository = hub_repository(source.encoder)
    assert repository is not None
    for name in _hub_files(source.encoder):
        try:
            return replace(source, path=Path(hf_hub_download(repository, name, etag_timeout=5)))
        except errors.LocalEntryNotFoundError as error:  # the Hub could not be reached after all
            raise _download_error(source, error) from error
        except errors.EntryNotFoundError:
            continue
        except failures as error:
            raise _download_error(source, error) from error
    raise WeightsError(
        f"{source.detail} holds none of {', '.join(_hub_files(source.encoder))}. {_by_hand(source.encoder)}",
        field="weights",
    )


def hub_reachable(timeout: float = 1.5) -> bool:
    """Return whether the Hub (or the mirror in HF_ENDPOINT) answers within `timeout` seconds.

    False at once under HF_HUB_OFFLINE. The question is put in a thread of its own because looking up a
    name in a broken network ignores time limits; a proxy from the environment is used.
    """
    if _offline():
        return False
    answers: queue.Queue[bool] = queue.Queue()
    threading.Thread(target=lambda: answers.put(_ask(_endpoint(), timeout)), daemon=True).start()
    try:
        return answers.get(timeout=timeout)
    except queue.Empty:
        return False


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def default_directories(workspace: Workspace | None = None) -> list[Path]:
    """Return the folders of SEGCORE_WEIGHTS, then `weights/` in the workspace, by default the one of SEGCORE_HOME."""
    named = os.environ.get(DIRECTORIES_VARIABLE, "")
    folders = [Path(part).expanduser() for part in named.split(os.pathsep) if part]
    return [*folders, (workspace or Workspace()).weights]


def hub_repository(encoder: str) -> str | None:
    """Return the Hub repository of an encoder's weights, or None where they are published elsewhere."""
    if catalog.find(encoder) is not None:
        return f"timm/{encoder}"
    config = _timm_config(encoder)
    return str(config.hf_hub_id) if config is not None and config.hf_hub_id else None


def _timm_config(encoder: str) -> Any:
    import timm

    try:
        return timm.models.get_pretrained_cfg(encoder)
    except RuntimeError:  # an unknown tag
        return None


def _hub_files(encoder: str) -> tuple[str, ...]:
    config = None if catalog.find(encoder) else _timm_config(encoder)
    named = config.hf_hub_filename if config is not None else None
    return (named, *HUB_FILES) if named else HUB_FILES


def _local_file(encoder: str, folders: Sequence[Path]) -> Path | None:
    """Return the file of `encoder`'s weights in the first folder that has one.

    The file may be called `NAME.TAG`, `NAME` or `NAME-anything` (as `resnet18-f37072fd.pth`), with one of
    SUFFIXES. A file that names another tag is another network's.
    """
    name = encoder.partition(".")[0]
    exact = [f"{encoder}{suffix}" for suffix in SUFFIXES] + [f"{name}{suffix}" for suffix in SUFFIXES]
    dashed = re.compile(rf"{re.escape(name)}-[^.]*({'|'.join(map(re.escape, SUFFIXES))})")
    for folder in folders:
        if not folder.is_dir():
            continue
        files = {file.name: file for file in sorted(folder.iterdir()) if file.is_file()}
        names = [known for known in exact if known in files] + [known for known in files if dashed.fullmatch(known)]
        if names:
            return files[names[0]]
    return None


def _cached_file(repository: str, names: Sequence[str]) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    for name in names:
        found = try_to_load_from_cache(repository, name)
        if isinstance(found, str) and Path(found).is_file():
            return Path(found)
    return None


def _offline() -> bool:
    names = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    return any(os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE") for name in names)


def _endpoint() -> str:
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def _ask(address: str, timeout: float) -> bool:
    try:
        with urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=timeout):
            return True
    except urllib.error.HTTPError as error:
        return error.code in _REACHED
    except (OSError, ValueError):
        return False


def _by_hand(encoder: str) -> str:
    address = f"https://huggingface.co/{hub_repository(encoder) or encoder}"
    return (
        f"Put its weights ({address}) as {encoder}.safetensors into {default_directories()[0]}, or train from scratch."
    )


def _not_found(encoder: str, folders: Sequence[Path], repository: str | None) -> str:
    looked = ", ".join(str(folder) for folder in folders) or "no folder"
    if repository is None:
        config = _timm_config(encoder)
        address = config.url if config is not None and config.url else "nowhere that timm knows of"
        return (
            f"The pretrained weights of {encoder} are not in {looked}; they are published at {address}. Download "
            f"them into {default_directories()[0]} as {encoder}.pth, or train from scratch."
        )
    why = "HF_HUB_OFFLINE is set" if _offline() else f"{_endpoint()} cannot be reached"
    return (
        f"The pretrained weights of {encoder} are not in {looked}, not in the Hub cache, and {why}. {_by_hand(encoder)}"
    )


def _download_error(source: WeightsSource, error: Exception) -> WeightsError:
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return WeightsError(
        f"Downloading the weights of {source.encoder} from {source.detail} failed: {first} {_by_hand(source.encoder)}",
        field="weights",
    )
