"""When the collapse alarm is raised, when it is not, and what it says."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segcore.config import Recipe
from segcore.evaluation.collapse import Collapse, advice, collapsed, describe
from segcore.records import EpochRecord


def records(*answers: tuple[int, float], accuracy: float = 0.5, first: int = 1) -> list[EpochRecord]:
    """One epoch for each (class answered most, its share)."""
    return [
        EpochRecord(epoch, 1.0, 0.5, 0.1, 1.0, accuracy, 0.1, 1e-3, 9.0, 1.0, False, top_share=share, top_class=top)
        for epoch, (top, share) in enumerate(answers, first)
    ]


def test_one_class_for_three_epochs_is_a_collapse() -> None:
    found = collapsed(records((0, 0.6), (1, 0.999), (1, 1.0), (1, 0.996)))
    assert found == Collapse(class_index=1, since_epoch=2, epochs=3, share=0.996, pixel_accuracy=0.5)


def test_two_epochs_are_not_and_the_number_can_be_chosen() -> None:
    two = records((0, 0.6), (1, 1.0), (1, 1.0))
    assert collapsed(two) is None
    assert collapsed(two, 2) is not None
    with pytest.raises(ValueError, match="at least 1"):
        collapsed(two, 0)


def test_a_network_that_recovered_is_sound() -> None:
    assert collapsed(records((1, 1.0), (1, 1.0), (1, 1.0), (1, 0.7))) is None


def test_the_class_must_be_the_same() -> None:
    assert collapsed(records((1, 1.0), (2, 1.0), (1, 1.0), (2, 1.0))) is None


def test_nothing_is_known_of_old_records() -> None:
    old = [EpochRecord(epoch, 1.0, 0.5, 0.1, 1.0, 0.5, 0.1, 1e-3, 9.0, 1.0, False) for epoch in range(1, 9)]
    assert collapsed(old) is None
    assert collapsed([]) is None


def test_a_class_that_covers_nearly_all_ground_is_answered_nearly_everywhere_rightly() -> None:
    series = [(0, 0.997)] * 5
    assert collapsed(records(*series, accuracy=0.996), majority=0.993) is None  # finds 43 % of what is rare
    assert collapsed(records(*series, accuracy=0.993), majority=0.993) is not None
    assert collapsed(records(*series, accuracy=0.545), majority=0.543) is not None
    assert collapsed(records(*series, accuracy=0.3), majority=math.nan) is not None


def test_a_dataset_of_one_class_has_no_collapse() -> None:
    assert collapsed(records(*[(0, 1.0)] * 5, accuracy=1.0), majority=1.0) is None


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from([0.5, 0.995, 1.0, math.nan])), max_size=12))
def test_a_series_ends_at_the_last_record_and_holds_throughout(answers: list[tuple[int, float]]) -> None:
    rows = records(*answers)
    found = collapsed(rows)
    if found is None:
        tail = answers[-3:]
        assert len(tail) < 3 or len({top for top, _ in tail}) > 1 or not all(share >= 0.995 for _, share in tail)
        return
    series = [row for row in rows if row.epoch >= found.since_epoch]
    assert len(series) == found.epochs >= 3
    assert all(row.top_class == found.class_index and row.top_share >= 0.995 for row in series)


def test_words_put_it_beside_the_majority_class_line() -> None:
    found = Collapse(1, since_epoch=2, epochs=4, share=1.0, pixel_accuracy=0.541)
    assert describe(found, "grass", 0.543) == (
        "For 4 epochs this network has answered “grass” everywhere: 54.1 % right, "
        "no better than the majority-class line of 54.3 %."
    )
    assert "hardly better" in describe(found, "grass", 0.539)
    assert "majority" not in describe(found, "grass", None)
    assert "on 99.6 % of the pixels" in describe(Collapse(1, 2, 4, 0.996, 0.5), "grass")


def test_advice_fits_the_recipe() -> None:
    scratch = advice(Recipe(epochs=5, learning_rate=0.01), "none")
    assert "lower learning rate than 0.01" in scratch
    assert "pretrained weights" in scratch
    assert "more epochs than 5" in scratch
    notebook = advice(Recipe.named("notebook"), "pretrained")
    assert "loss with Dice" in notebook
    assert "a warm-up" in notebook
    assert "from scratch" not in notebook
    assert "more epochs" not in notebook
