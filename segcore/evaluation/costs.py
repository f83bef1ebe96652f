"""What a backbone may cost, as the final table has it, and which of them no other beats. Nothing here imports torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any, Literal, TypedDict

if TYPE_CHECKING:
    from segcore.evaluation.comparison import ResultRow

Metric = Literal["miou", "pixel_accuracy"]


class Costs(TypedDict):
    """What a contender's network costs; None where it is not measured (yet)."""

    parameters: int | None
    parameters_encoder: int | None
    parameters_decoder: int | None
    parameters_head: int | None
    macs: int | None
    """Multiply-adds of one image at the study's size."""
    macs_encoder: int | None
    macs_decoder: int | None
    macs_head: int | None
    latency_ms: float | None
    """Median time of one image; median over the runs that measured it."""
    latency_p95_ms: float | None
    """Time that 95 % of the passes stay below, likewise; from the median to it reaches the spread that is drawn."""
    throughput: float | None
    """Images a second in batches; median over the runs that measured it."""
    throughput_low: float | None
    """Lowest and highest of these runs, where they are several."""
    throughput_high: float | None
    peak_memory_mb: float | None
    """Most memory that training needed, in MiB; median over runs, lowest and highest beside it."""
    peak_memory_low: float | None
    peak_memory_high: float | None
    idle: bool | None
    """False where anything else ran while a speed was measured, None where it is not known (earlier versions)."""
    device: str | None


def costs_of(costs: Sequence[Mapping[str, Any]]) -> Costs:
    """Return what a contender costs, from what each of its runs wrote down (`Run.cost`)."""
    first = costs[0] if costs else {}
    throughput, memory = _measured(costs, "throughput"), _measured(costs, "peak_memory_mb")
    idle = [cost.get("idle") for cost in costs if cost.get("latency_p50_ms") is not None]
    return Costs(
        parameters=first.get("parameters"),
        parameters_encoder=first.get("parameters_encoder"),
        parameters_decoder=first.get("parameters_decoder"),
        parameters_head=first.get("parameters_head"),
        macs=first.get("macs"),
        macs_encoder=first.get("macs_encoder"),
        macs_decoder=first.get("macs_decoder"),
        macs_head=first.get("macs_head"),
        latency_ms=_over(median, _measured(costs, "latency_p50_ms")),
        latency_p95_ms=_over(median, _measured(costs, "latency_p95_ms")),
        throughput=_over(median, throughput),
        throughput_low=_over(min, throughput, least=2),
        throughput_high=_over(max, throughput, least=2),
        peak_memory_mb=_over(median, memory),
        peak_memory_low=_over(min, memory, least=2),
        peak_memory_high=_over(max, memory, least=2),
        idle=False if False in idle else None if None in idle or not idle else True,
        device=first.get("device"),
    )


def _measured(costs: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    return [float(cost[name]) for cost in costs if cost.get(name) is not None]


def _over(whole: Callable[[list[float]], float], values: list[float], least: int = 1) -> float | None:
    return whole(values) if len(values) >= least else None


@dataclass(frozen=True)
class Cost:
    """One thing that a backbone costs: a column of the final table."""

    key: str
    """Its name in `ResultRow`."""
    title: str
    unit: str
    """Of the values on screen: "ms", "million"; "" where the title says it all."""
    factor: float = 1.0
    """From the table's unit into this one."""
    lower_is_better: bool = True
    low: str | None = None
    """Names in `ResultRow` of the ends of its spread; None where it is exact."""
    high: str | None = None
    spread: str = ""
    """What that spread is."""

    def value(self, row: ResultRow) -> float | None:
        """Return it in the table's unit; None where it is not measured."""
        return _number(row, self.key)

    def interval(self, row: ResultRow) -> tuple[float, float] | None:
        """Return low and high in the table's unit; None where nothing tells."""
        if self.low is None or self.high is None:
            return None
        low, high = _number(row, self.low), _number(row, self.high)
        return None if low is None or high is None else (low, high)


_OVER_RUNS = "lowest and highest of the runs"
_OVER_SEEDS = "95 % interval over seeds"
COSTS: dict[str, Cost] = {
    cost.key: cost
    for cost in (
        Cost(
            "latency_ms",
            "Time of one image",
            "ms",
            low="latency_ms",
            high="latency_p95_ms",
            spread="from the median to what 95 % of the passes stay below",
        ),
        Cost(
            "throughput",
            "Images a second in batches",
            "",
            lower_is_better=False,
            low="throughput_low",
            high="throughput_high",
            spread=_OVER_RUNS,
        ),
        Cost(
            "peak_memory_mb",
            "Memory that training needs",
            "GiB",
            2**-10,
            low="peak_memory_low",
            high="peak_memory_high",
            spread=_OVER_RUNS,
        ),
        Cost(
            "minutes_to_best",
            "Training time to the best epoch",
            "min",
            low="minutes_to_best_low",
            high="minutes_to_best_high",
            spread=_OVER_SEEDS,
        ),
        Cost("minutes", "Training time of one run", "min", low="minutes_low", high="minutes_high", spread=_OVER_SEEDS),
        Cost("parameters", "Parameters", "million", 1e-6),
        Cost("macs", "Multiply-adds of one image", "billion", 1e-9),
    )
}
"""All costs by their name in `ResultRow`, the most telling first."""


def pareto(rows: Iterable[ResultRow], cost: Cost | str, metric: Metric = "miou") -> set[str]:
    """Return the labels of the contenders that no other dominates: is at least as good in both and better in one.

    Compared are the means as they stand, whatever their intervals. Equals do not dominate each other. A row that
    lacks either value dominates none and is not among those returned.

    Args:
        rows: from `result_table`.
        cost: one of `COSTS`, or its key.
        metric: what the cost is paid for; higher is better.

    Raises:
        ValueError: no cost is called so.
    """
    if isinstance(cost, str):
        if cost not in COSTS:
            raise ValueError(f"no cost is called {cost!r}; there are {', '.join(COSTS)}")
        cost = COSTS[cost]
    sign = 1.0 if cost.lower_is_better else -1.0
    points = [
        (row["label"], sign * price, gain)
        for row in rows
        if (price := cost.value(row)) is not None and (gain := _number(row, metric)) is not None
    ]
    # The cheapest first, of equally cheap ones the best; then each must be better than all before it.
    front: set[str] = set()
    best = (math.inf, -math.inf)
    for label, price, gain in sorted(points, key=lambda point: (point[1], -point[2])):
        if gain > best[1] or (price, gain) == best:
            front.add(label)
            best = (price, gain)
    return front


def _number(row: ResultRow, key: str) -> float | None:
    value = row.get(key)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
