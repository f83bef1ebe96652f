"""The figure of opened test scores."""

from __future__ import annotations

import pytest

from segcore.evaluation import confirmation, seal
from segcore.figures.test_scores import val_and_test
from segcore.store import RunStore
from tests import factories


def test_both_parts_with_their_intervals(store: RunStore) -> None:
    factories.make_study(store, dataset=factories.with_test())
    study = store.study("study")
    empty = val_and_test(confirmation.confirm(study))
    assert empty.layout.annotations[0].text == "No test image is predicted yet."
    seal.open_test(study)
    for run in seal.to_score(study):
        factories.score_test(run)
    found = confirmation.confirm(study)
    chart = val_and_test(found)
    traces = {trace.uid: trace for trace in chart.data}
    assert list(chart.layout.yaxis.ticktext) == [pair.title for pair in reversed(found.pairs)]
    for pair in found.pairs:
        assert pair.test is not None and pair.test.estimate is not None
        low, high = pair.test.estimate.interval()
        trace = traces[f"test:{pair.val.label}"]
        assert trace.x == pytest.approx((100 * pair.test.estimate.mean,))
        assert trace.x[0] + trace.error_x.array[0] == pytest.approx(100 * high)
        assert trace.x[0] - trace.error_x.arrayminus[0] == pytest.approx(100 * low)
        assert traces[f"validation:{pair.val.label}"].y > trace.y


def test_a_single_run_has_a_point_and_no_interval_beyond_images(store: RunStore) -> None:
    factories.make_run(store, dataset=factories.with_test())
    study = store.study("study")
    seal.open_test(study)
    factories.score_test(study.runs()[0])
    found = confirmation.confirm(study)
    assert found.summary() == "ResNet-18 is the only backbone with a result: there was nothing to choose."
    chart = val_and_test(found)
    # One scene and one seed: nothing tells how far off the mean may be.
    assert [t.error_x.visible for t in chart.data if t.uid.startswith("test:")] == [False]
