"""The families of backbones in plain words, each with its paper."""

from __future__ import annotations

from segcore.models.families.classic import CLASSIC
from segcore.models.families.family import Family
from segcore.models.families.modern import MODERN
from segcore.models.families.thrifty import THRIFTY

__all__ = ["FAMILIES", "Family"]

FAMILIES: dict[str, Family] = {family.name: family for family in (*CLASSIC, *THRIFTY, *MODERN)}
