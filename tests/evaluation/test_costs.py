"""Which contenders no other beats in score and cost."""

from __future__ import annotations

import math
from typing import Any, cast

import pytest

from segcore.evaluation.comparison import ResultRow, result_table
from segcore.evaluation.costs import COSTS, pareto
from segcore.store import RunStore
from tests.factories import make_study


def rows(points: dict[str, tuple[Any, Any]], cost: str = "latency_ms") -> list[ResultRow]:
    """Rows of (cost, mIoU) by label."""
    return [cast(ResultRow, {"label": label, cost: price, "miou": miou}) for label, (price, miou) in points.items()]


def test_the_front_by_hand() -> None:
    found = rows({"cheap": (1, 0.5), "good": (4, 0.8), "dear": (9, 0.79), "worse": (2, 0.4), "between": (2, 0.6)})
    assert pareto(found, "latency_ms") == {"cheap", "good", "between"}
    assert pareto(reversed(found), COSTS["latency_ms"]) == {"cheap", "good", "between"}
    assert pareto([], "macs") == set()


def test_equals_do_not_dominate_each_other_but_what_is_better_in_one_does() -> None:
    twins = {"one": (1, 0.5), "other": (1, 0.5)}
    assert pareto(rows(twins), "latency_ms") == {"one", "other"}
    assert pareto(rows({**twins, "as cheap": (1, 0.6)}), "latency_ms") == {"as cheap"}
    assert pareto(rows({**twins, "as good": (0.5, 0.5)}), "latency_ms") == {"as good"}


@pytest.mark.parametrize("missing", [(None, 0.9), (0.1, None), (math.nan, 0.9)])
def test_what_is_not_measured_neither_dominates_nor_stands_on_the_front(missing: tuple[Any, Any]) -> None:
    assert pareto(rows({"known": (1, 0.5), "unknown": missing}), "latency_ms") == {"known"}


def test_of_throughput_more_is_better() -> None:
    found = rows({"slow": (10, 0.5), "fast": (90, 0.5), "best": (5, 0.6)}, "throughput")
    assert pareto(found, "throughput") == {"fast", "best"}


def test_a_cost_that_there_is_not() -> None:
    with pytest.raises(ValueError, match=r"no cost is called 'price'.*latency_ms"):
        pareto([], "price")


def test_every_cost_stands_in_the_table_with_its_spread_around_it(store: RunStore) -> None:
    row = result_table(make_study(store))[0]
    for cost in COSTS.values():
        value, interval = cost.value(row), cost.interval(row)
        assert value is not None and value > 0, cost.key
        if cost.low:
            assert interval is not None and interval[0] <= value <= interval[1] and cost.spread
        else:
            assert interval is None
    assert COSTS["throughput"].interval(result_table(make_study(store, "single", seeds=[0]))[0]) is None
