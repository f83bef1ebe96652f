"""Measuring while nothing else runs, and telling where that was not possible.

A latency that was measured beside another program's work says more about that program. So who measures waits a while
for the machine to be otherwise idle, watches what others do meanwhile, tries again where they did much, and says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import psutil

IDLE = 0.1
"""Share of the machine's processor time that others may take while it counts as idle: what a desktop takes."""
LOOK_SECONDS = 0.5
"""How long one looks to see whether it is."""

T = TypeVar("T")


@dataclass(frozen=True)
class _Clock:
    """Seconds since some moment: on the wall, of all idle processors, of this process on all processors."""

    wall: float
    idle: float
    own: float

    @classmethod
    def now(cls) -> _Clock:
        times = psutil.cpu_times()
        return cls(time.perf_counter(), times.idle + getattr(times, "iowait", 0.0), time.process_time())


class Others:
    """What other processes take of this machine's processors from now on."""

    def __init__(self) -> None:
        self._start = _Clock.now()

    def share(self) -> float | None:
        """Return their share of all processor time since, 0-1; None where the system does not tell."""
        start, now = self._start, _Clock.now()
        whole = (now.wall - start.wall) * (psutil.cpu_count() or 1)
        # A system that hides other processes reports no idle time at all, or what lies outside of all bounds.
        if whole <= 0 or now.idle <= 0:
            return None
        busy = whole - (now.idle - start.idle) - (now.own - start.own)
        return min(1.0, max(0.0, busy / whole))


def quietly(
    measure: Callable[[], T], *, patience: float, wait: Callable[[float], None] = time.sleep
) -> tuple[T, float | None]:
    """Measure when the machine is otherwise idle, or once `patience` is over.

    Args:
        measure: called again where others took much meanwhile and there is patience left.
        patience: seconds to spend on waiting and measuring again, at most.
        wait: called with the seconds to let pass; it may raise to end it all.

    Returns:
        What `measure` returned last, and others' share of the machine's processors meanwhile, 0-1; None where the
        system does not tell.
    """
    end = time.monotonic() + patience
    while True:
        _wait_for_quiet(end, wait)
        others = Others()
        result = measure()
        share = others.share()
        if share is None or share <= IDLE or time.monotonic() + LOOK_SECONDS > end:
            return result, share


def _wait_for_quiet(end: float, wait: Callable[[float], None]) -> None:
    """Return as soon as a look finds the machine idle, or none is left to take before `end`."""
    while time.monotonic() + LOOK_SECONDS <= end:
        others = Others()
        wait(LOOK_SECONDS)
        share = others.share()
        if share is None or share <= IDLE:
            return
