"""Showing a network an image mirrored and turned as well, and averaging what it says ("test-time augmentation").

From above there is no up: a square seen in a mirror or turned by 90° is as likely an image as the square itself. A
network's answers to the eight such views of a square differ a little by chance; the mean of their probabilities is
mostly a little better, for eight times the work.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from segcore.errors import ConfigError, nearest


@dataclass(frozen=True)
class Symmetry:
    """One way to lay a square onto itself: turned first, then mirrored."""

    quarter_turns: int
    """Of 90° each, against the clock."""
    mirrored: bool
    """Left and right exchanged."""

    def apply(self, images: Tensor) -> Tensor:
        """Turn and mirror (..., S, S) images."""
        turned = torch.rot90(images, self.quarter_turns, (-2, -1))
        return turned.flip(-1) if self.mirrored else turned

    def undo(self, images: Tensor) -> Tensor:
        """Bring what `apply` made of (..., S, S) images back."""
        turned = images.flip(-1) if self.mirrored else images
        return torch.rot90(turned, -self.quarter_turns, (-2, -1))


SYMMETRIES: dict[str, Symmetry] = {
    "identity": Symmetry(0, False),
    "rot90": Symmetry(1, False),
    "rot180": Symmetry(2, False),
    "rot270": Symmetry(3, False),
    "mirror": Symmetry(0, True),
    "mirror90": Symmetry(1, True),
    "mirror180": Symmetry(2, True),
    "mirror270": Symmetry(3, True),
}
"""All eight; the image as it is comes first."""

Views = bool | Sequence[str]
"""Which views of an image are averaged: True for all of `SYMMETRIES`, False for the image as it is, or their names."""


def chosen(views: Views) -> tuple[Symmetry, ...]:
    """Return the symmetries that `views` names.

    Raises:
        ConfigError: there is none of that name, or none at all.
    """
    names = tuple(SYMMETRIES) if views is True else ("identity",) if views is False else tuple(views)
    for name in names:
        if name not in SYMMETRIES:
            raise ConfigError(
                f"{name!r} is no view of an image; there are {', '.join(SYMMETRIES)}.{nearest(name, SYMMETRIES)}",
                field="tta",
            )
    if not names or len(set(names)) < len(names):
        raise ConfigError(f"Name one view or more, each once, not {', '.join(names) or 'none'}.", field="tta")
    return tuple(SYMMETRIES[name] for name in names)


def averaged(forward: Callable[[Tensor], Tensor], symmetries: Sequence[Symmetry]) -> Callable[[Tensor], Tensor]:
    """Return `forward` as a function whose softmax is the mean of the softmaxes of all views.

    Args:
        forward: square images (B, 3, S, S) -> logits (B, C, S, S).
        symmetries: of the views; where there is the identity alone, `forward` itself is returned.
    """
    if tuple(symmetries) == (SYMMETRIES["identity"],):
        return forward

    def run(images: Tensor) -> Tensor:
        views = (symmetry.undo(forward(symmetry.apply(images)).float().softmax(1)) for symmetry in symmetries)
        mean = torch.stack(list(views)).mean(0)
        return mean.clamp_min(torch.finfo(mean.dtype).tiny).log()

    return run
