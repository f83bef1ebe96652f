"""What backbones of a study reached, for charts that set it beside something else."""

from __future__ import annotations

import pytest

from segcore.evaluation.comparison import contenders
from segcore.evaluation.trained import trained
from segcore.evaluation.verdicts import compare
from segcore.status import RunState
from segcore.store import RunStore
from tests.factories import CONTEST_SKILLS, make_contest, make_run


def test_rows_carry_the_interval_over_seeds_and_images(store: RunStore) -> None:
    runs = make_contest(store)
    rows = trained(runs)
    assert {row["encoder"] for row in rows} == set(CONTEST_SKILLS)
    scores = [row["miou"] or 0.0 for row in rows]
    assert scores == sorted(scores, reverse=True)
    judged = {found.label: found for found in compare(contenders(runs)).standings}
    for row in rows:
        estimate = judged[row["label"]].estimate
        assert estimate is not None
        assert row["miou"] == pytest.approx(estimate.mean)
        assert (row["miou_low"], row["miou_high"]) == pytest.approx(estimate.interval())
        assert row["miou_text"].endswith("(n = 5)")
        assert row["n"] == 5


def test_who_has_no_result_is_left_out(store: RunStore) -> None:
    run = make_run(store, study="s", state=RunState.QUEUED)
    assert trained([run]) == []
    assert trained([]) == []
