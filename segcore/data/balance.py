"""Dealing groups of unlike size and content into parts that are as alike as can be."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import numpy as np

ABSENCE = (2.0, 0.5, 0.25)
"""Cost of a class that is nowhere in train (it cannot be learnt), val (it cannot be judged) or test. For
comparison: in a fifth of the images, all or nothing of a class, where a fifth was due, cost 4 and 0.25."""


def deal(amounts: np.ndarray, shares: np.ndarray, seed: int, absence: Sequence[float] = ABSENCE) -> np.ndarray:
    """Deal groups to parts: the best of several greedy dealings, each improved by moves and swaps.

    Args:
        amounts: (G, K) float, what each group holds: images, then pixels of each class.
        shares: (P,) float, what share of everything each part shall get; at most G parts.
        seed: of the order in which groups are dealt.
        absence: what it costs where a part lacks a class altogether, one a part.

    Returns:
        the part of each group: (G,) int, 0 .. P-1; every part gets at least one.
    """
    rng = np.random.default_rng(seed)
    amounts = _normalise(amounts)
    starts = 12 if len(amounts) <= 200 else 2
    best, best_cost = np.zeros(0, dtype=np.intp), np.inf
    for _ in range(starts):
        parts = _greedy(amounts, shares, rng)
        parts, cost = _improve(parts, amounts, shares, absence)
        if cost < best_cost - 1e-12:
            best, best_cost = parts, cost
    return best


def _normalise(amounts: np.ndarray) -> np.ndarray:
    """Scale each column (images, then classes) to a sum of 1, so that rare classes count like common
    ones, and weigh the number of images like half of all classes together."""
    totals = amounts.sum(axis=0)
    present = totals > 0
    scaled = amounts[:, present] / totals[present]
    scaled[:, 0] *= np.sqrt(max(1.0, (scaled.shape[1] - 1) / 2))
    return scaled


def _cost(held: np.ndarray, goal: np.ndarray, share: float, absence: float) -> np.ndarray:
    """Return what is wrong with a part that holds `held`, (..., K): squared deviation from its goal, relative to
    the part's size, and classes that it lacks altogether."""
    deviation = ((held - goal) ** 2).sum(axis=-1) / share
    return np.asarray(deviation + absence * (held < 1e-9).sum(axis=-1))


def _greedy(amounts: np.ndarray, shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Deal the groups one by one, the big ones first, each to the part that lacks most of what it holds."""
    goals = shares[:, None] * amounts.sum(axis=0)
    size = amounts.sum(axis=1) * rng.uniform(0.7, 1.3, len(amounts))  # another order for each start
    parts = np.zeros(len(amounts), dtype=np.intp)
    sums = np.zeros_like(goals)
    order = np.argsort(-size)
    for place, group in enumerate(order):
        counts = np.bincount(parts[order[:place]], minlength=len(shares))
        open_parts = np.arange(len(shares))
        if len(order) - place <= (counts == 0).sum():  # the last ones go where there is none yet
            open_parts = np.flatnonzero(counts == 0)
        need = ((goals - sums)[open_parts] * amounts[group]).sum(axis=1) / shares[open_parts]
        parts[group] = open_parts[np.argmax(need)]
        sums[parts[group]] += amounts[group]
    return parts


def _improve(
    parts: np.ndarray, amounts: np.ndarray, shares: np.ndarray, absence: Sequence[float]
) -> tuple[np.ndarray, float]:
    """Move one group or swap two as long as that lowers the cost and leaves no part empty."""
    goals = shares[:, None] * amounts.sum(axis=0)
    parts = parts.copy()
    sums = np.stack([amounts[parts == part].sum(axis=0) for part in range(len(shares))])
    cost = sum(float(_cost(sums[part], goals[part], shares[part], absence[part])) for part in range(len(shares)))
    for _ in range(min(4 * len(parts), 400)):
        gain, moved = _best_change(parts, amounts, sums, goals, shares, absence)
        if gain < 1e-12:
            break
        cost -= gain
        for group, part in moved:
            sums[parts[group]] -= amounts[group]
            sums[part] += amounts[group]
            parts[group] = part
    return parts, cost


def _best_change(
    parts: np.ndarray,
    amounts: np.ndarray,
    sums: np.ndarray,
    goals: np.ndarray,
    shares: np.ndarray,
    absence: Sequence[float],
) -> tuple[float, list[tuple[int, int]]]:
    """Return by how much the best move or swap lowers the cost, and the (group, new part) that do it."""
    best: tuple[float, list[tuple[int, int]]] = 0.0, []
    for source, target in permutations(range(len(shares)), 2):
        here, there = np.flatnonzero(parts == source), np.flatnonzero(parts == target)
        choices: list[tuple[np.ndarray, bool]] = []
        if len(here) > 1:
            choices.append((amounts[here], False))
        # Swaps are tried where they are few; among many small groups moves alone come close enough.
        if source < target and len(here) * len(there) <= 4096:
            choices.append(((amounts[here][:, None] - amounts[there][None]).reshape(-1, amounts.shape[1]), True))
        for moved, swap in choices:
            gains = sum(
                _cost(sums[part], goals[part], shares[part], absence[part])
                - _cost(sums[part] + sign * moved, goals[part], shares[part], absence[part])
                for part, sign in ((source, -1), (target, 1))
            )
            place = int(np.argmax(gains))
            if gains[place] > best[0]:
                first, second = divmod(place, len(there)) if swap else (place, None)
                changes = [(int(here[first]), target)]
                if second is not None:
                    changes.append((int(there[second]), source))
                best = float(gains[place]), changes
    return best
