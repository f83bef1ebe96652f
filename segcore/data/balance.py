"""Dealing groups of unlike size and content into parts that are as alike as can be."""

from __future__ import annotations

import numpy as np


def deal(amounts: np.ndarray, shares: np.ndarray, seed: int) -> np.ndarray:
    """Deal groups to parts: the best of several greedy dealings, each improved by moves and swaps.

    Args:
        amounts: (G, K) float, what each group holds: images, then pixels of each class.
        shares: (P,) float, what share of everything each part shall get; at most G parts.
        seed: of the order in which groups are dealt.

    Returns:
        the part of each group: (G,) int, 0 .. P-1; every part gets at least one.
    """
    rng = np.random.default_rng(seed)
    amounts = _normalise(amounts)
    starts = 12 if len(amounts) <= 200 else 2
    best, best_cost = np.zeros(0, dtype=np.intp), np.inf
    for _ in range(starts):
        parts = _greedy(amounts, shares, rng)
        parts, cost = _improve(parts, amounts, shares)
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


def _cost(sums: np.ndarray, goals: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Squared deviation of what the parts hold, (..., P, K), from their goals, relative to the parts' sizes."""
    return np.asarray((((sums - goals) ** 2).sum(axis=-1) / shares).sum(axis=-1))


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


def _improve(parts: np.ndarray, amounts: np.ndarray, shares: np.ndarray) -> tuple[np.ndarray, float]:
    """Move one group or swap two as long as that lowers the cost and leaves no part empty."""
    goals = shares[:, None] * amounts.sum(axis=0)
    parts = parts.copy()
    sums = np.stack([amounts[parts == part].sum(axis=0) for part in range(len(shares))])
    cost = float(_cost(sums, goals, shares))
    for _ in range(min(4 * len(parts), 400)):
        changes = _best_change(parts, amounts, sums, goals, shares)
        if changes is None or changes[0] > cost - 1e-12:
            break
        cost, moved = changes
        for group, part in moved:
            sums[parts[group]] -= amounts[group]
            sums[part] += amounts[group]
            parts[group] = part
    return parts, cost


def _best_change(
    parts: np.ndarray, amounts: np.ndarray, sums: np.ndarray, goals: np.ndarray, shares: np.ndarray
) -> tuple[float, list[tuple[int, int]]] | None:
    """Return the lowest cost that one move or swap leads to, with the (group, new part) that do it."""
    best: tuple[float, list[tuple[int, int]]] | None = None
    excess = sums - goals
    per_part = (excess**2).sum(axis=1) / shares
    counts = np.bincount(parts, minlength=len(shares))

    def consider(costs: np.ndarray, changes: list[list[tuple[int, int]]]) -> None:
        nonlocal best
        if costs.size and (best is None or costs.min() < best[0]):
            best = float(costs.min()), changes[int(costs.argmin())]

    for source in range(len(shares)):
        here = np.flatnonzero(parts == source)
        for target in range(len(shares)):
            if target == source:
                continue
            rest = per_part.sum() - per_part[source] - per_part[target]
            if counts[source] > 1:
                costs = _pair_cost(excess, amounts[here], shares, source, target) + rest
                consider(costs, [[(int(group), target)] for group in here])
            there = np.flatnonzero(parts == target)
            # Swaps are tried where they are few; among many small groups moves alone come close enough.
            if source < target and len(here) * len(there) <= 4096:
                difference = (amounts[here][:, None] - amounts[there][None]).reshape(-1, amounts.shape[1])
                costs = _pair_cost(excess, difference, shares, source, target) + rest
                consider(costs, [[(int(a), target), (int(b), source)] for a in here for b in there])
    return best


def _pair_cost(excess: np.ndarray, moved: np.ndarray, shares: np.ndarray, source: int, target: int) -> np.ndarray:
    """Cost of two parts after each row of `moved` (M, K) went from `source` to `target`."""
    after_source = ((excess[source] - moved) ** 2).sum(axis=1) / shares[source]
    return np.asarray(after_source + ((excess[target] + moved) ** 2).sum(axis=1) / shares[target])
