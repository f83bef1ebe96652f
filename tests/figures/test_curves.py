"""Curves: what their traces hold, what they are called, and that an update keeps zoom and hidden lines."""

from __future__ import annotations

import json
import math

import plotly.graph_objects as go
import pytest
from scipy import stats

from segcore import figures
from segcore.evaluation.comparison import Contender, contenders
from segcore.figures.curves import FIELD_TITLES
from segcore.models import catalog
from segcore.records import EpochRecord, StepRecord
from segcore.runs import Run
from segcore.status import RunState
from segcore.store import RunStore
from tests.factories import LITE0, RESNET18, make_run, make_study

RESNET34 = "resnet34.tv_in1k"


def run_with(store: RunStore, accuracies: list[float], *, seed: int = 0, encoder: str = RESNET18) -> Run:
    """A run whose epochs have these validation accuracies; training is 0.1 above, mIoU half of it."""
    run = make_run(store, seed=seed, encoder=encoder, done=0)
    for epoch, value in enumerate(accuracies, start=1):
        run.append_epoch(EpochRecord(epoch, 1.0, value + 0.1, value, 2.0, value, value / 2, 1e-3, 9.0, 1.0, False))
    return run


def trace(chart: go.Figure, uid: str) -> go.Scatter:
    (found,) = [trace for trace in chart.data if trace.uid == uid]
    return found


def note(chart: go.Figure, name: str) -> str:
    (found,) = [annotation for annotation in chart.layout.annotations if annotation.name == name]
    return found.text


def test_a_contender_with_one_run_is_one_line_in_percent(store: RunStore) -> None:
    chart = figures.accuracy_curves(contenders([run_with(store, [0.25, 0.5])]))
    (line,) = chart.data
    assert line.name == "ResNet-18 (n = 1)"
    assert list(line.x) == [1, 2]
    assert list(line.y) == pytest.approx([25, 50])
    assert line.line.color == catalog.color(RESNET18)
    assert chart.layout.yaxis.ticksuffix == " %"
    assert chart.layout.yaxis.title.text == "Validation pixel accuracy"


def test_several_seeds_give_their_mean_in_a_band_of_the_interval(store: RunStore) -> None:
    runs = [run_with(store, [0.2, value], seed=seed) for seed, value in enumerate((0.5, 0.52, 0.54))]
    chart = figures.accuracy_curves(contenders(runs))
    mean, band = trace(chart, f"mean:{RESNET18}"), trace(chart, f"band:{RESNET18}")
    assert mean.name == "ResNet-18 (n = 3)"
    assert list(mean.y) == pytest.approx([20, 52])
    low, high = stats.t.interval(0.95, 2, 52, 2 / math.sqrt(3))
    assert list(band.x) == [1, 2, 2, 1]
    assert list(band.y) == pytest.approx([20, high, low, 20])
    assert (band.fill, band.hoverinfo, band.showlegend) == ("toself", "skip", False)
    assert mean.customdata[1] == f" [{low:.1f}, {high:.1f}]"
    assert "%{customdata}" in mean.hovertemplate


def test_a_band_does_not_leave_what_is_possible(store: RunStore) -> None:
    chart = figures.accuracy_curves(contenders([run_with(store, [v], seed=s) for s, v in enumerate((0.1, 0.9))]))
    assert list(trace(chart, f"band:{RESNET18}").y) == [100, 0]


def test_what_a_run_recorded_beyond_the_others_is_a_thin_line(store: RunStore) -> None:
    runs = [run_with(store, [0.1, 0.2, 0.3, 0.4]), run_with(store, [0.3, 0.4], seed=1)]
    chart = figures.accuracy_curves(contenders(runs))
    assert list(trace(chart, f"mean:{RESNET18}").x) == [1, 2]
    (thin,) = [t for t in chart.data if t.uid.startswith("run:")]
    assert (list(thin.x), thin.name) == ([2, 3, 4], "ResNet-18, seed 0")
    everything = figures.accuracy_curves(contenders(runs), show_runs=True)
    assert [list(t.x) for t in everything.data if t.uid.startswith("run:")] == [[1, 2, 3, 4], [1, 2]]


def test_by_minute_an_epoch_stands_where_it_ended_in_the_mean(store: RunStore) -> None:
    runs = [make_run(store, seed=seed, done=0) for seed in (0, 1)]
    for run, seconds in zip(runs, (30.0, 90.0), strict=True):
        for epoch in (1, 2):
            run.append_epoch(EpochRecord(epoch, 1, 0.5, 0.5, 1, 0.4, 0.2 * epoch, 1e-3, 9.0, seconds, False))
    chart = figures.accuracy_curves(contenders(runs), "val_miou", by="minute", show_runs=True)
    assert list(trace(chart, f"mean:{RESNET18}").x) == [1, 2]  # (0.5 + 1.5) / 2 and (1 + 3) / 2 minutes
    assert list(trace(chart, f"band:{RESNET18}").x) == [1, 2, 2, 1]
    assert chart.layout.xaxis.title.text == "Minutes of training"
    assert chart.layout.uirevision != figures.accuracy_curves(contenders(runs), "val_miou").layout.uirevision


def test_the_majority_line_is_dashed_labelled_and_as_long_as_the_curves(store: RunStore) -> None:
    chart = figures.accuracy_curves(contenders([run_with(store, [0.3, 0.5, 0.6])]), majority=0.381)
    line = trace(chart, "majority")
    assert (list(line.x), list(line.y), line.line.dash) == ([1, 3], pytest.approx([38.1, 38.1]), "dash")
    assert note(chart, "majority") == "always the most frequent class: 38.1 %"
    one = figures.accuracy_curves(contenders([run_with(store, [0.3], seed=1)]), majority=0.381)
    assert trace(one, "majority").x[0] < 1 < trace(one, "majority").x[1]
    assert len(figures.accuracy_curves(contenders([run_with(store, [0.3], seed=2)]), majority=math.nan).data) == 1


@pytest.mark.parametrize("field", FIELD_TITLES)
def test_every_field_has_its_own_zoom_which_updates_keep(store: RunStore, field: str) -> None:
    run = run_with(store, [0.3, 0.5])
    before = figures.accuracy_curves(contenders([run]), field)
    run.append_epoch(EpochRecord(3, 1.0, 0.7, 0.7, 2.0, 0.6, 0.7, 1e-3, 9.0, 1.0, False))
    after = figures.accuracy_curves(contenders([run]), field)
    assert before.layout.uirevision == after.layout.uirevision == f"curves-{field}"
    assert before.layout.yaxis.title.text == FIELD_TITLES[field]
    # plotly drops the user's zoom where the figure itself gives another range than before.
    for axis in ("xaxis", "yaxis"):
        assert before.layout[axis].range is None and after.layout[axis].range is None
    assert [t.uid for t in before.data] == [t.uid for t in after.data] == [f"mean:{RESNET18}"]
    assert len(after.data[0].x) == 3


def test_lines_of_one_family_differ_in_their_mark_and_scratch_in_its_dash(store: RunStore) -> None:
    runs = make_study(store, encoders=[RESNET18, RESNET34], seeds=[0])
    runs += [make_run(store, encoder="resnet18", weights="none")]
    lines = figures.accuracy_curves(contenders(runs)).data
    assert lines[0].marker.symbol != lines[1].marker.symbol
    assert lines[0].marker.symbol == lines[2].marker.symbol
    assert [line.line.dash for line in lines] == ["solid", "solid", "dot"]
    assert lines[0].line.color == lines[2].line.color


def test_a_backbone_looks_the_same_whoever_stands_beside_it(store: RunStore) -> None:
    entries = contenders(make_study(store, encoders=[RESNET18, RESNET34, LITE0], seeds=[0]))

    def look(chosen: list[Contender]) -> tuple[str, str]:
        line = trace(figures.accuracy_curves(chosen), f"mean:{RESNET34}")
        return line.line.color, line.marker.symbol

    assert look(entries) == look(entries[1:]) == look(entries[1:2])


@pytest.mark.parametrize("state", [None, RunState.QUEUED])
def test_without_an_epoch_the_figure_says_so(store: RunStore, state: RunState | None) -> None:
    entries = contenders([make_run(store, state=state)]) if state else []
    chart = figures.accuracy_curves(entries, majority=0.4, title="All")
    assert not chart.data
    assert note(chart, "empty") == "No epoch is finished yet."
    assert chart.layout.title.text == "All"


def test_figures_are_transparent_and_plain_json(store: RunStore) -> None:
    chart = figures.accuracy_curves(contenders(make_study(store)), majority=0.4)
    assert chart.layout.paper_bgcolor == chart.layout.plot_bgcolor == "rgba(0, 0, 0, 0)"
    # Numpy arrays would be written as base64, which tests and other readers of the JSON cannot see.
    assert "bdata" not in chart.to_json()
    assert json.loads(chart.to_json())["data"]


def test_one_run_has_a_loss_and_an_accuracy_figure(store: RunStore) -> None:
    loss, accuracy = figures.run_curves(run_with(store, [0.3, 0.5]), majority=0.4)
    assert {t.name: list(t.y) for t in loss.data} == {"Training": [1.0, 1.0], "Validation": [2.0, 2.0]}
    assert list(trace(accuracy, "Training").y) == pytest.approx([40, 60])
    assert list(trace(accuracy, "Validation").y) == pytest.approx([30, 50])
    assert list(trace(accuracy, "majority").y) == [40, 40]
    assert {t.line.dash for t in loss.data} == {"solid", "dashdot"}
    empty = figures.run_curves(make_run(store, seed=9, state=RunState.QUEUED))
    assert [note(chart, "empty") for chart in empty] == ["No epoch is finished yet."] * 2


@pytest.mark.parametrize(("worst", "scale"), [(30_000.0, "log"), (3.0, None)])
def test_an_exploded_loss_is_seen_on_a_logarithmic_axis(store: RunStore, worst: float, scale: str | None) -> None:
    run = make_run(store, done=0)
    for epoch, loss in enumerate([1.0, worst, 1.0, 0.9], start=1):
        run.append_epoch(EpochRecord(epoch, 1.0, 0.5, 0.5, loss, 0.5, 0.5, 1e-3, 9.0, 1.0, False))
    loss, _ = figures.run_curves(run)
    assert loss.layout.yaxis.type == scale
    assert loss.layout.yaxis.title.text == ("Loss (log)" if scale else "Loss")


def test_a_loss_that_is_no_number_is_said(store: RunStore) -> None:
    run = make_run(store, done=0)
    for epoch, loss in enumerate([1.0, math.nan], start=1):
        run.append_epoch(EpochRecord(epoch, loss, 0.5, 0.5, 1.0, 0.5, 0.5, 1e-3, 9.0, 1.0, False))
    loss, _ = figures.run_curves(run)
    assert list(trace(loss, "Training").y) == [1.0, None]
    assert loss.layout.annotations[0].text == "⚠ Loss is no number in epoch 2"


def test_steps_are_drawn_with_their_running_mean() -> None:
    steps = [StepRecord(step, 1, float(step % 2), 1e-3, 20.0) for step in range(1, 31)]
    chart = figures.step_curve(steps)
    assert list(trace(chart, "steps").y) == [step.loss for step in steps]
    smooth = trace(chart, "smooth").y
    assert smooth[0] == pytest.approx(4 / 8)  # itself and the seven after it: 1 0 1 0 1 0 1 0
    assert smooth[15] == pytest.approx(8 / 15)  # steps 9 to 23, of which eight are odd
    assert "learning rate" in trace(chart, "steps").hovertemplate
    assert chart.layout.uirevision == "steps"
    assert note(figures.step_curve([]), "empty") == "No training step is recorded yet."


def test_few_steps_have_no_mean_and_no_halves() -> None:
    chart = figures.step_curve([StepRecord(step, 1, 1.0 / step, 1e-3, 20.0) for step in range(1, 5)])
    assert [line.uid for line in chart.data] == ["steps"]
    assert not chart.layout.showlegend
    assert chart.layout.xaxis.dtick == 1
    many = figures.step_curve([StepRecord(step, 1, 1.0 / step, 1e-3, 20.0) for step in range(10, 400, 10)])
    assert [line.uid for line in many.data] == ["steps", "smooth"]
    assert many.layout.xaxis.dtick is None


def test_steps_leave_a_gap_where_the_loss_is_no_number() -> None:
    losses = [1.0, math.inf, 3.0]
    chart = figures.step_curve([StepRecord(i, 1, loss, 1e-3, 20.0) for i, loss in enumerate(losses, start=1)])
    assert list(trace(chart, "steps").y) == [1.0, None, 3.0]
    losses *= 6
    chart = figures.step_curve([StepRecord(i, 1, loss, 1e-3, 20.0) for i, loss in enumerate(losses, start=1)])
    assert list(trace(chart, "smooth").y) == pytest.approx([2.0] * 18, abs=0.25)
    assert chart.layout.annotations[0].text == "⚠ Loss is no number from step 2 on"


def test_a_run_made_longer_shows_where(store: RunStore) -> None:
    run = run_with(store, [0.2, 0.3, 0.4, 0.5])
    for chart in figures.run_curves(run, longer_from=[2]):
        (line,) = chart.layout.shapes
        assert (line.x0, line.x1) == (2.5, 2.5)
        assert note(chart, "longer") == "trained longer"
    loss, accuracy = figures.run_curves(run, longer_from=[4, 9])  # nothing was learnt behind these yet
    assert not loss.layout.shapes and not accuracy.layout.shapes
