"""What timm says of an architecture that the catalog has no words for: its papers and its pretrained weights."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass

import timm

from segcore.models.catalog import check_architecture

_PAPER = re.compile(r"`([^`\n]+)`\s+-\s+(https://arxiv\.org/abs/[\w.]+)")
"""How timm's modules cite: `Title` - https://arxiv.org/abs/1512.03385"""


@dataclass(frozen=True)
class Origin:
    """Where an architecture comes from, as far as timm tells."""

    module: str
    """timm's module, which holds relatives as well: "efficientnet"."""
    papers: tuple[tuple[str, str], ...]
    """Title and address of each that the module's docstring names; not all are about this architecture."""
    weights: tuple[tuple[str, str], ...]
    """Tag and licence of each set of pretrained weights; the licence is "" where timm states none."""


def origin(encoder: str) -> Origin:
    """Return what timm says of an architecture, named with a weights tag or without.

    Raises:
        UnknownBackboneError: timm has no such architecture.
    """
    architecture = encoder.partition(".")[0]
    check_architecture(architecture)
    module = timm.models.model_entrypoint(architecture).__module__
    papers = _PAPER.findall(sys.modules[module].__doc__ or "")
    weights = []
    for name in timm.list_pretrained(f"{architecture}.*"):
        config = timm.models.get_pretrained_cfg(name)
        weights.append((name.partition(".")[2], (config.license if config else None) or ""))
    return Origin(module.rpartition(".")[2], tuple(dict.fromkeys(papers)), tuple(weights))
