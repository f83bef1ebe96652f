"""Which of many pretrained weights are on this machine, by one look into each folder. Asks no network."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from segcore.errors import WeightsError
from segcore.models.weights import default_directories, locate


def here(repositories: Mapping[str, str | None], directories: Sequence[Path] | None = None) -> frozenset[str]:
    """Return which encoders' weights are in a local folder or in the Hub's cache.

    Args:
        repositories: timm names with weights tags -> where they are published on the Hub; None for elsewhere.
        directories: local folders to look in; by default those in SEGCORE_WEIGHTS and `weights/` in the workspace.
    """
    folders = default_directories() if directories is None else list(directories)
    local = {re.split(r"[.-]", name)[0] for folder in folders for name in _names(folder)}
    cached = set(_names(_hub_cache()))
    # `locate` has the last word; asked of a thousand it would look into every folder a thousand times.
    likely = [
        name
        for name, repository in repositories.items()
        if name.partition(".")[0] in local or (repository and f"models--{repository.replace('/', '--')}" in cached)
    ]
    return frozenset(name for name in likely if _is_here(name, folders))


def _names(folder: Path) -> list[str]:
    try:
        return [file.name for file in folder.iterdir()]
    except OSError:  # no such folder, or a closed one
        return []


def _hub_cache() -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def _is_here(encoder: str, folders: Sequence[Path]) -> bool:
    try:
        return locate(encoder, folders, reachable=lambda: False).path is not None
    except WeightsError:
        return False
