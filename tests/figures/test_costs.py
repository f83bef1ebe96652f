"""Costs, confusions and the dataset's class shares as figures."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from segcore import figures
from segcore.config import ClassInfo
from segcore.evaluation.comparison import ResultRow
from segcore.evaluation.statistics import Estimate
from segcore.figures.costs import DOMINATED

CLASSES = [
    ClassInfo(name="grass", color=(0, 102, 0)),
    ClassInfo(name="roof", color=(70, 70, 70)),
    ClassInfo(name="car", color=(9, 143, 150)),
]


def row(label: str = "a", **changes: Any) -> ResultRow:
    values: dict[str, Any] = {
        "label": label,
        "title": label.upper(),
        "study": "s",
        "encoder": label,
        "weights": "none",
        "color": "#112233",
        "n": 3,
        "states": {"finished": 3},
        "seeds": [0, 1, 2],
        "miou": 0.5,
        "miou_low": 0.45,
        "miou_high": 0.55,
        "miou_text": "50 ± 5 % (n = 3)",
        "pixel_accuracy": 0.7,
        "pixel_accuracy_low": 0.68,
        "pixel_accuracy_high": 0.72,
        "pixel_accuracy_text": "70 ± 2 % (n = 3)",
        "majority_baseline": 0.4,
        "best_epoch": [3, 4, 5],
        "minutes": 2.0,
        "minutes_low": None,
        "minutes_high": None,
        "latency_p95_ms": None,
        "throughput": None,
        "throughput_low": None,
        "throughput_high": None,
        "peak_memory_mb": None,
        "idle": None,
        "parameters": 14_000_000,
        "macs": 5_000_000_000,
        "latency_ms": 20.0,
        "device": "cpu",
    }
    return ResultRow(**{**values, **changes})  # type: ignore[typeddict-item]


def estimate(mean: float, error: float = 0.01) -> Estimate:
    return Estimate(mean, error, 4.0, 3, 20, "seeds and images")


def note(chart: go.Figure, name: str) -> str:
    (found,) = [annotation for annotation in chart.layout.annotations if annotation.name == name]
    return found.text


def test_score_against_cost() -> None:
    rows = [row("a"), row("b", latency_ms=40.0, miou=0.6, miou_low=None, miou_high=None), row("c", latency_ms=None)]
    chart = figures.cost_scatter(rows)
    first, second = points(chart)
    assert [(trace.name, trace.x[0], trace.y[0]) for trace in (first, second)] == [("A", 20, 50), ("B", 40, 60)]
    assert chart.layout.xaxis.type is None
    assert "20" in first.hovertemplate and "(n = 3)" in first.hovertemplate
    wide = figures.cost_scatter([row("a"), row("b", parameters=200_000_000)], "parameters")
    assert [trace.x[0] for trace in points(wide)] == pytest.approx([14, 200])
    assert wide.layout.xaxis.type == "log"


def points(chart: go.Figure) -> list[go.Scatter]:
    return [trace for trace in chart.data if trace.uid != "frontier"]


def test_the_frontier_steps_over_those_that_nobody_beats_and_the_others_are_grey() -> None:
    rows = [
        row("cheap", latency_ms=10.0, miou=0.5),
        row("bad", latency_ms=20.0, miou=0.45),
        row("dear", latency_ms=30.0, miou=0.7),
    ]
    chart = figures.cost_scatter(rows)
    (front,) = [trace for trace in chart.data if trace.uid == "frontier"]
    assert (list(front.x), list(front.y), front.line.shape) == ([10, 30], [50, 70], "hv")
    colors = {trace.name: trace.marker.color for trace in points(chart)}
    assert colors == {"CHEAP": "#112233", "BAD": DOMINATED, "DEAR": "#112233"}
    assert [("as good for less" in trace.hovertemplate) for trace in points(chart)] == [False, True, False]
    # Of images a second more is better: the frontier runs the other way.
    fast = [row("a", throughput=5.0, miou=0.7), row("b", throughput=9.0, miou=0.5)]
    (front,) = [trace for trace in figures.cost_scatter(fast, "throughput").data if trace.uid == "frontier"]
    assert (list(front.x), list(front.y), front.line.shape) == ([5, 9], [70, 50], "vh")


def test_costs_have_their_spread_and_a_mark_where_the_machine_was_busy() -> None:
    (point,) = figures.cost_scatter([row(latency_ms=20.0, latency_p95_ms=26.0, idle=False)]).data
    assert (point.error_x.array[0], point.error_x.arrayminus[0]) == (6, 0)
    assert (point.error_y.array[0], point.error_y.arrayminus[0]) == pytest.approx((5, 5))
    assert point.text[0] == "A *"
    assert "the machine was busy" in point.hovertemplate
    memory = row(peak_memory_mb=2048.0, peak_memory_low=1024.0, peak_memory_high=4096.0, idle=False)
    (point,) = figures.cost_scatter([memory], "peak_memory_mb").data
    assert (point.x[0], point.error_x.array[0], point.error_x.arrayminus[0]) == (2, 2, 1)  # GiB
    assert point.text[0] == "A"  # memory is what it is, whatever else runs


def test_wide_intervals_bring_labels_together() -> None:
    spread = {"title": "ResNet-18", "miou_low": 0.3, "miou_high": 0.9}
    near = [row("a", latency_ms=20.0, miou=0.60, **spread), row("b", latency_ms=24.0, miou=0.59, **spread)]
    far = row("far", latency_ms=60.0, miou=0.58, **spread)
    first, second, _ = (trace.textposition for trace in points(figures.cost_scatter([*near, far])))
    assert first.split()[0] != second.split()[0]  # one above and one below, as they stand at about one height


def test_labels_of_near_points_take_different_sides() -> None:
    rows = [row("a"), row("b", latency_ms=20.5), row("far", latency_ms=60.0, miou=0.2)]
    sides = [trace.textposition for trace in points(figures.cost_scatter(rows))]
    assert sides[0] != sides[1]
    assert sides[2].endswith("left")  # there is no room right of the rightmost


@pytest.mark.parametrize(
    ("chart", "message"),
    [
        (figures.cost_scatter([row(miou=None)]), "No run is finished yet."),
        (figures.cost_scatter([row(latency_ms=None)]), "No cost is measured yet."),
        (figures.confusion_heatmap(np.zeros((2, 3, 3)), ["a", "b", "c"]), "No labelled pixels."),
        (figures.class_share_bars(CLASSES, [0, 0, 0]), "No labelled pixels."),
        (figures.cost_bars({}, "macs"), "No network is chosen."),
    ],
)
def test_figures_without_data_say_so(chart: go.Figure, message: str) -> None:
    assert not chart.data
    assert note(chart, "empty") == message


def test_confusions_are_shares_of_the_true_class() -> None:
    counts = np.array([[[3, 1, 0], [0, 0, 0], [0, 0, 2]], [[0, 0, 0], [0, 0, 0], [2, 0, 0]]])
    chart = figures.confusion_heatmap(counts, ["grass", "roof", "car"])
    heat = chart.data[0]
    assert [list(cells) for cells in heat.z] == [[75, 25, 0], [None, None, None], [50, 0, 50]]
    assert [list(cells) for cells in heat.customdata] == [[3, 1, 0], [0, 0, 0], [2, 0, 2]]
    assert chart.layout.yaxis.autorange == "reversed"
    texts = {
        (x, y): text for trace in chart.data[1:-1] for x, y, text in zip(trace.x, trace.y, trace.text, strict=True)
    }
    assert texts == {
        ("grass", "grass"): "75",
        ("roof", "grass"): "25",
        ("grass", "car"): "50",
        ("car", "car"): "50",
    }
    targets = chart.data[-1]  # over every cell of a row with pixels, to be clicked
    assert [tuple(data[:3]) for data in targets.customdata][:3] == [(0, 0, 3), (0, 1, 1), (0, 2, 0)]
    assert (len(targets.x), targets.marker.opacity) == (6, 0)
    with pytest.raises(ValueError, match="2 names for 3 classes"):
        figures.confusion_heatmap(counts, ["a", "b"])


def test_class_shares_are_of_the_labelled_pixels_in_class_colours() -> None:
    (bars,) = figures.class_share_bars(CLASSES, [300, 99_690, 10], images=[1, 2, 3]).data
    assert list(bars.y) == ["car", "grass", "roof"]
    assert list(bars.x) == pytest.approx([0.01, 0.3, 99.69])
    assert list(bars.text) == ["0.01 %", "0.3 %", "99.7 %"]
    assert list(bars.marker.color) == ["#098f96", "#006600", "#464646"]
    assert bars.customdata[2] == "<b>roof</b><br>99,690 pixels<br>in 2 images"


def test_parts_of_a_split_are_shares_of_their_own_part() -> None:
    chart = figures.class_share_bars(CLASSES, {"train": [50, 50, 0], "val": [3, 1, 0], "test": [0, 0, 0]})
    bars = {trace.name: list(trace.x) for trace in chart.data if trace.type == "bar"}
    assert bars == {"Validation": [0, 25, 75], "Training": [0, 50, 50]}
    legend = [trace.name for trace in chart.data if trace.showlegend is not False]
    assert legend == ["Training", "Validation"]
    assert {trace.marker.opacity for trace in chart.data if trace.name == "Validation"} == {0.6}


def test_a_name_as_long_as_a_sentence_leaves_room_for_the_bars() -> None:
    long = ClassInfo(name="a name that somebody wrote as a whole sentence 1", color=(1, 2, 3))
    axis = figures.class_share_bars([long, CLASSES[0]], [10, 5]).layout.yaxis
    assert list(axis.tickvals) == [CLASSES[0].name, long.name]
    assert list(axis.ticktext) == [CLASSES[0].name, "a name that so…ntence 1"]


def test_cost_bars_divide_into_encoder_decoder_and_head() -> None:
    parts = {"A": {"encoder": 3e6, "decoder": 1e6, "head": 0.0}, "B": {"encoder": 5e6, "decoder": 5e6, "head": 0.0}}
    chart = figures.cost_bars(parts, "parameters")
    assert [(trace.name, list(trace.y), list(trace.x)) for trace in chart.data] == [
        ("Encoder", ["B", "A"], [5, 3]),
        ("Decoder", ["B", "A"], [5, 1]),
        ("Head", ["B", "A"], [0, 0]),
    ]
    assert list(chart.data[0].customdata) == pytest.approx([50, 75])
    assert chart.layout.barmode == "stack"


ODD = ["1", "10", "<b>bold</b>", '<a href="x">', "a & %{x}"]


def odd_figures() -> dict[str, go.Figure]:
    classes = [ClassInfo(name=name, color=(place, 0, 0)) for place, name in enumerate(ODD)]
    shares = [0.1, 0.2, 0.3, 0.4, 0.5]
    cells = [estimate(share) for share in shares]
    rows = [row("a", title=ODD[2]), row("b", title=ODD[4], latency_ms=30.0)]
    parts = {name: {"encoder": 2e6, "decoder": 1e6, "head": 0.0} for name in ODD}
    return {
        "class map": figures.class_map(classes, {ODD[2]: cells, ODD[4]: cells}),
        "differences": figures.class_difference_map(classes, {ODD[2]: cells}, ODD[4]),
        "heatmap": figures.confusion_heatmap(np.eye(5, dtype=np.int64), ODD),
        "shares": figures.class_share_bars(classes, [1, 2, 3, 4, 5]),
        "cost": figures.cost_scatter(rows),
        "parts": figures.cost_bars(parts, "macs"),
    }


@pytest.mark.parametrize("kind", list(odd_figures()))
def test_names_are_drawn_letter_by_letter(kind: str) -> None:
    text = json.dumps(odd_figures()[kind].to_plotly_json(), default=str)
    assert "&lt;b&gt;bold&lt;/b&gt;" in text
    assert "<b>bold" not in text
    assert "<a href" not in text
    assert "a & %{x}" not in text  # in a hover template plotly would put a number there


@pytest.mark.parametrize("kind", ["class map", "differences", "heatmap", "shares", "parts"])
def test_classes_called_by_numbers_are_no_numbers(kind: str) -> None:
    chart = odd_figures()[kind]
    assert chart.layout.yaxis.type == "category"
    if kind in ("heatmap", "class map", "differences"):
        assert chart.layout.xaxis.type == "category"


@pytest.mark.parametrize("count", [1, 2, 5, 9])
def test_no_label_of_a_cost_leaves_a_narrow_plot(count: int) -> None:
    title = "EfficientNet-B7"
    rows = [row(str(i), title=title, latency_ms=10.0 + 7 * i, miou=0.3 + 0.05 * i) for i in range(count)]
    chart = figures.cost_scatter(rows)
    costs = [trace.x[0] for trace in points(chart)]
    pixels = 360 / ((max(costs) - min(costs)) or 1.0)  # of the plot in a window of 800 px
    for trace in points(chart):
        place, wide = (trace.x[0] - min(costs)) * pixels, 7 * len(title)
        left = place if trace.textposition.endswith("right") else place - wide
        assert left >= -20
        assert left + wide <= 380
