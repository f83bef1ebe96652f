"""How far the process is that predicts a study's test images (see `Study.scoring`). Nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass, field

from segcore.background import Working


@dataclass(frozen=True)
class Scoring(Working):
    """What the process says of itself."""

    runs: int
    """To be scored."""
    done: int = 0
    """Of these, scored or refused."""
    run: str = ""
    """The one it is at."""
    phase: str = ""
    """What it does to it before images are predicted, in a few words."""
    image: int = 0
    """Test images of that run that are done."""
    images: int = 0
    """All of them."""
    refused: dict[str, str] = field(default_factory=dict)
    """Runs that cannot be scored -> why."""

    @property
    def share(self) -> float:
        """How much is done, 0-1."""
        within = self.image / self.images if self.images else 0.0
        return min(1.0, (self.done + within) / self.runs) if self.runs else 1.0

    @property
    def seconds_left(self) -> float | None:
        """About how long it will take, if what is left is as fast; None at the start."""
        if not 0 < self.share < 1:
            return None
        return (self.heartbeat - self.started) * (1 - self.share) / self.share
