from __future__ import annotations

import pytest

from segcore.training.pace import FINISHING_SECONDS, Pace


def test_before_an_epoch_is_measured_steps_are_reckoned_with() -> None:
    pace = Pace(epochs=10, steps=20, validation=0.3)
    assert pace.left(0, 0, 0.0) is None
    assert pace.left(0, 1, 9.0) is not None  # the first step is slow
    left = pace.left(0, 11, 19.0)  # and the others take a second each
    assert left is not None
    whole = 20 * 1.1  # validation: 0.3 of the images at a third of the time
    assert left == pytest.approx(10 * whole - 11, abs=FINISHING_SECONDS)


def test_measured_epochs_are_believed() -> None:
    pace = Pace(epochs=10, steps=20, validation=0.3)
    for seconds in (90.0, 30.0, 30.0):
        pace.epoch_done(seconds)
    between = pace.left(3, 0, 0.0)
    assert between == pytest.approx(7 * 30, abs=FINISHING_SECONDS)
    halfway = pace.left(3, 10, 500.0)
    assert halfway is not None and between is not None
    assert between - halfway == pytest.approx(15 / 1.1)
    assert pace.left(10, 0, 0.0) == pytest.approx(0, abs=FINISHING_SECONDS)


def test_an_epoch_taken_up_midway_counts_what_it_took_before() -> None:
    pace = Pace(epochs=1, steps=10, validation=0.0)
    assert pace.left(0, 6, 60.0) == pytest.approx(40, abs=FINISHING_SECONDS)
    assert pace.left(0, 7, 61.0) == pytest.approx(3, abs=FINISHING_SECONDS), "this machine is faster"
