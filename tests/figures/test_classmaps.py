"""Classes by contenders, differences from a reference, and what is found by the size of objects."""

from __future__ import annotations

import math

import plotly.graph_objects as go
import pytest

from segcore import figures
from segcore.config import ClassInfo
from segcore.evaluation.comparison import Contender
from segcore.evaluation.sizes import SizeRecall
from segcore.evaluation.statistics import Estimate
from segcore.figures.classmaps import clear

CLASSES = [ClassInfo(name=name, color=(0, 0, 0)) for name in ("grass", "roof", "dog")]


def estimate(mean: float, error: float = 0.01) -> Estimate:
    return Estimate(mean, error, 4.0, 3, 20, "seeds and images")


def texts(chart: go.Figure) -> dict[tuple[str, str], str]:
    return {(y, x): text for t in chart.data[1:] for x, y, text in zip(t.x, t.y, t.text, strict=True)}


def test_classes_stand_from_the_best_found_to_the_absent() -> None:
    chart = figures.class_map(CLASSES, {"A": [estimate(0.4), estimate(0.8), None], "B": [estimate(0.5), None, None]})
    heat = chart.data[0]
    assert list(heat.y) == ["roof", "grass", "dog"]
    assert [list(row) for row in heat.z] == [[80, None], [40, 50], [None, None]]
    assert heat.text[0][0] == "IoU 80.0 ± 2.8 % (n = 3)"
    assert heat.text[2][1] == "not in these images"
    assert texts(chart)["roof", "A"] == "80.0 ± 2.8"
    assert texts(chart)["dog", "A"] == "–"
    white = next(trace for trace in chart.data if trace.uid == "texts:True")
    assert list(zip(white.y, white.x, strict=True)) == [("roof", "A"), ("grass", "B")]  # full enough: from half on


def test_a_difference_is_pale_where_its_interval_contains_zero() -> None:
    differences = {"A": [estimate(0.1), estimate(-0.05), None], "B": [estimate(0.02), estimate(0.0), None]}
    chart = figures.class_difference_map(CLASSES, differences, "C")
    heat = dict(zip(chart.data[0].y, (list(row) for row in chart.data[0].z), strict=True))
    assert heat == {"grass": [1.0, 0.1], "roof": [-0.75, 0.0], "dog": [None, None]}
    assert texts(chart)["roof", "A"] == "-5.0"
    assert texts(chart)["grass", "B"] == "+2.0"
    assert "+10.0 points from C<br>95 % interval +7.2 to +12.8" in chart.data[0].text[0][0]


@pytest.mark.parametrize(
    ("mean", "error", "expected"),
    [(0.1, 0.01, True), (-0.1, 0.01, True), (0.1, 0.1, False), (0.1, math.nan, False), (0.0, 0.0, False)],
)
def test_an_interval_that_leaves_zero_out_is_clear(mean: float, error: float, expected: bool) -> None:
    assert clear(estimate(mean, error)) is expected


def test_maps_without_data_say_so() -> None:
    for chart in (
        figures.class_map(CLASSES, {"A": [None] * 3}),
        figures.class_difference_map(CLASSES, {"A": [None] * 3}, "B"),
        figures.class_difference_map(CLASSES, {}, "B"),
        figures.size_curves([], {}),
    ):
        assert not chart.data
        assert len(chart.layout.annotations) == 1


def test_found_pixels_by_size_with_their_intervals() -> None:
    contender = Contender("a", "s", "resnet18.tv_in1k", "pretrained", [])
    other = Contender("b", "s", "vgg16.tv_in1k", "pretrained", [])
    rows = [
        SizeRecall("< 8", 0.2, 0.1, 0.35, 3, 400),
        SizeRecall("8-16", 0.95, 0.8, 1.1, 3, 5000),
        SizeRecall("≥ 16", math.nan, math.nan, math.nan, 0, 0),
    ]
    chart = figures.size_curves([contender, other], {"a": rows})
    (line,) = chart.data  # the other was judged by an earlier version
    assert list(line.y) == [20, 95, None]
    assert list(line.error_y.array) == pytest.approx([15, 5, 0])  # no share above 100 %
    assert list(line.error_y.arrayminus) == pytest.approx([10, 15, 0])
    assert line.customdata[1][1] == "5,000"
    assert list(chart.layout.xaxis.ticktext) == ["&lt; 8", "8-16", "≥ 16"]
