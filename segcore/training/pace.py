"""How long a run will still take, from what it has measured of itself."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field

FORWARD = 1 / 3
"""Time of predicting an image in that of training on it: a backward pass costs two forward passes."""
FINISHING_PASSES = 23
"""Passes over one image by which the finished network's speed is measured."""
FINISHING_SECONDS = 5.0
"""How long that takes at most."""


@dataclass
class Pace:
    """Seconds of a run's epochs: measured once there is one, before that reckoned from its steps."""

    epochs: int
    steps: int
    """Of an epoch."""
    validation: float
    """Images, or windows of images, that validation predicts for each one that an epoch trains on."""
    measured: list[float] = field(default_factory=list)
    """Seconds of the epochs done, validation included."""
    _first: tuple[int, float] | None = None

    def epoch_done(self, seconds: float) -> None:
        """Take note of an epoch's seconds."""
        self.measured.append(seconds)
        self._first = None

    def left(self, epochs_done: int, batches: int, seconds: float) -> float | None:
        """Return the seconds to go, or None before the first step.

        Args:
            epochs_done: whole epochs.
            batches: of the epoch under way.
            seconds: that these took.
        """
        epoch = self._epoch(batches, seconds)
        if epoch is None:
            return None
        under_way = batches / self.steps / (1 + FORWARD * self.validation)
        return epoch * max(0.0, self.epochs - epochs_done - under_way) + self._finishing(epoch)

    def _epoch(self, batches: int, seconds: float) -> float | None:
        if self.measured:
            return statistics.median(self.measured[-5:])
        if batches == 0:
            return None
        if self._first is None or self._first[0] >= batches:
            self._first = batches, seconds
            step = seconds / batches
        else:
            # The first step is slower than all others: memory is taken, kernels are chosen.
            step = (seconds - self._first[1]) / (batches - self._first[0])
        return step * self.steps * (1 + FORWARD * self.validation)

    def _finishing(self, epoch: float) -> float:
        # An epoch has at least two images a step, so this is at most what a pass over one takes.
        one_pass = epoch / (self.steps * 2) * FORWARD
        return min(FINISHING_SECONDS, FINISHING_PASSES * one_pass)
