"""Adjusting for many tests, and letters for all pairs: worked by hand, and as properties."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segcore.evaluation.multiple import holm, letters


def test_holm_by_hand() -> None:
    # In order: 0.005 x 4, 0.01 x 3, 0.03 x 2, 0.04 x 1, each at least the one before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.4, 0.9]) == pytest.approx([0.8, 0.9])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_an_unknown_p_value_is_no_test() -> None:
    assert holm([math.nan, 0.02, 0.03])[1:] == pytest.approx([0.04, 0.04])
    assert math.isnan(holm([math.nan, 0.02])[0])


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_is_between_the_p_value_and_bonferroni(p_values: list[float]) -> None:
    for p, adjusted in zip(p_values, holm(p_values), strict=True):
        assert p <= adjusted <= 1
    if p_values:
        assert min(holm(p_values)) == pytest.approx(min(1.0, len(p_values) * min(p_values)))


# Letters -------------------------------------------------------------------------------------------


def test_letters_by_hand() -> None:
    def pairs(*found: str) -> set[frozenset[str]]:
        return {frozenset(pair) for pair in found}

    assert letters("xyz", set()) == {"x": "a", "y": "a", "z": "a"}  # type: ignore[arg-type]
    assert letters(["x", "y", "z"], pairs("xz")) == {"x": "a", "y": "ab", "z": "b"}
    assert letters(["x", "y", "z"], pairs("xy", "xz", "yz")) == {"x": "a", "y": "b", "z": "c"}
    # The middle one of five is like all; the ends are apart from each other.
    assert letters(["v", "w", "x", "y", "z"], pairs("vy", "vz", "wz")) == {
        "v": "a", "w": "ab", "x": "abc", "y": "bc", "z": "c",
    }  # fmt: skip
    assert letters([], set()) == {}


@given(
    st.integers(0, 7).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.tuples(*[st.integers(0, max(0, n - 1))] * 2))))
)
def test_two_share_a_letter_exactly_where_they_are_not_apart(case: tuple[int, set[tuple[int, int]]]) -> None:
    count, drawn = case
    order = [f"entry{at}" for at in range(count)]
    apart = {frozenset((order[a], order[b])) for a, b in drawn if count and a != b}
    found = letters(order, apart)
    assert list(found) == order
    for at, first in enumerate(order):
        assert found[first]
        for second in order[at + 1 :]:
            assert (frozenset((first, second)) in apart) == (not set(found[first]) & set(found[second]))
    if order:
        assert "a" in found[order[0]]
