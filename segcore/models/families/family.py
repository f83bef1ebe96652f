"""What is known of a family of backbones."""

from __future__ import annotations

from dataclasses import dataclass

from segcore.models.words import Words


@dataclass(frozen=True)
class Family:
    """Backbones that share one idea."""

    name: str
    title: str
    paper: str
    """Title of the paper that introduced it."""
    url: str
    year: int
    words: Words
    """What it is; numbers as `words.backbone_numbers` names them."""
