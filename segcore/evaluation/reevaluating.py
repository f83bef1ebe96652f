"""How far the process is that judges a run on other images (see `Run.reevaluating`). Nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass

from segcore.background import Working


@dataclass(frozen=True)
class Reevaluating(Working):
    """What the process says of itself."""

    dataset: str
    part: str
    phase: str = ""
    """What it does before images are predicted, in a few words."""
    image: int = 0
    """Images that are done."""
    images: int = 0
    """All of them; 0 while that is not known."""
    key: str = ""
    """Name of the result, once it is there."""
    predicting: float = 0.0
    """When the first image came; 0 before."""

    @property
    def share(self) -> float:
        """How much is done, 0-1."""
        return min(1.0, self.image / self.images) if self.images else 0.0

    @property
    def seconds_left(self) -> float | None:
        """About how long it will take, if what is left is as fast; None before the first image is done."""
        if not 0 < self.share < 1 or not self.predicting:
            return None
        return (self.heartbeat - self.predicting) * (1 - self.share) / self.share
