from __future__ import annotations

import math

import pytest

from segcore.text import duration, percent, plural, scaled


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "–"), (0.2, "1 s"), (42, "42 s"), (720, "12 min"), (7200, "2 h"), (12_000, "3 h 20 min"), (90_000, "25 h")],
)
def test_duration(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_percent_and_plural() -> None:
    assert percent(0.7834) == "78.3 %"
    assert percent(math.nan) == percent(None) == "–"
    assert plural(1, "class", "classes") == "1 class"
    assert plural(2000, "run") == "2,000 runs"


@pytest.mark.parametrize(
    ("count", "text"), [(None, "–"), (7, "7"), (14_328_000, "14.3 M"), (2_061_000_000, "2.06 G"), (5_400, "5.40 k")]
)
def test_scaled(count: float | None, text: str) -> None:
    assert scaled(count) == text
