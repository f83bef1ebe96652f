"""What timm says of an architecture that the catalog has no words for: its papers and its pretrained weights."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass

from segcore.models.catalog import FAMILIES, Family, check_architecture
from segcore.models.lineage import lineage
from segcore.models.probing import about

_PAPER = re.compile(r"`([^`\n]+)`\s+-\s+(https://arxiv\.org/abs/[\w.]+)")
"""How timm's modules cite: `Title` - https://arxiv.org/abs/1512.03385"""


@dataclass(frozen=True)
class Origin:
    """Where an architecture comes from, as far as timm tells."""

    module: str
    """timm's module, which holds relatives as well: "efficientnet"."""
    family: str
    """What it belongs to, in the words of `lineage`."""
    year: int | None
    """Of that family's paper; None where none is known."""
    papers: tuple[tuple[str, str], ...]
    """Title and address of each that the module's docstring names; not all are about this architecture."""
    weights: tuple[tuple[str, str], ...]
    """Tag and licence of each set of pretrained weights; the licence is "" where timm states none."""

    @property
    def kin(self) -> Family | None:
        """The family of the catalog that it belongs to, if any."""
        return next((family for family in FAMILIES.values() if family.title == self.family), None)


def origin(encoder: str) -> Origin:
    """Return what timm says of an architecture, named with a weights tag or without.

    Raises:
        UnknownBackboneError: timm has no such architecture.
    """
    architecture = encoder.partition(".")[0]
    check_architecture(architecture)
    known = about(architecture)
    papers = tuple(dict.fromkeys(_PAPER.findall(sys.modules[f"timm.models.{known.module}"].__doc__ or "")))
    family, year = lineage(architecture, known.module, known.paper)
    weights = tuple((found.tag, found.license or "") for found in known.weights)
    return Origin(known.module, family, year, papers, weights)
