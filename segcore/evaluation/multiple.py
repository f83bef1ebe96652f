"""Many tests at once: p-values adjusted for it, and letters that tell all pairs at a glance.

Nothing here imports torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from segcore.evaluation.statistics import CONFIDENCE


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for making so many tests at once (S. Holm, Scandinavian Journal of Statistics 6, 1979).

    Comparing each with 5 % keeps the chance of any false alarm among all at 5 %. NaN stays NaN and counts for nothing.
    """
    known = sorted((p, place) for place, p in enumerate(p_values) if not math.isnan(p))
    adjusted = [math.nan] * len(p_values)
    highest = 0.0
    for rank, (p, place) in enumerate(known):
        highest = max(highest, min(1.0, (len(known) - rank) * p))
        adjusted[place] = highest
    return adjusted


def level(tests: int, smaller: int) -> float:
    """Return the level of one of so many tests, of which so many have smaller p-values (Holm)."""
    return (1 - CONFIDENCE) / max(1, tests - smaller)


def letters(order: Sequence[str], apart: set[frozenset[str]]) -> dict[str, str]:
    """Return letters such that two entries share one exactly where they cannot be told apart.

    The insert-and-absorb algorithm of H.-P. Piepho, "An Algorithm for a Letter-Based Representation of All-Pairwise
    Comparisons", Journal of Computational and Graphical Statistics 13, 2004.

    Args:
        order: entries, the best first; the first gets the letter a.
        apart: pairs that are told apart.
    """
    columns: list[set[str]] = [set(order)]
    for pair in sorted(apart, key=sorted):
        first, second = sorted(pair)
        split = [column for column in columns if first in column and second in column]
        columns = [column for column in columns if column not in split]
        columns += [column - {one} for column in split for one in (first, second)]
        columns = [
            c for at, c in enumerate(columns) if not any(c < o or (c == o and at > i) for i, o in enumerate(columns))
        ]
    place = {entry: at for at, entry in enumerate(order)}
    columns.sort(key=lambda column: sorted(place[entry] for entry in column))
    return {entry: "".join(_letter(at) for at, column in enumerate(columns) if entry in column) for entry in order}


def _letter(number: int) -> str:
    """a, b, …, z, aa, ab, …"""
    return (_letter(number // 26 - 1) if number >= 26 else "") + chr(ord("a") + number % 26)
