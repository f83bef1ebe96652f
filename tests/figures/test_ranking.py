"""The rank plot and the matrix of verdicts: what stands where, worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from scipy import stats

from segcore import figures
from segcore.evaluation.cells import Cells
from segcore.evaluation.comparison import Contender
from segcore.evaluation.statistics import Estimate, Scope
from segcore.evaluation.verdicts import Answer, Comparison, Standing, Verdict
from segcore.figures.ranking import groups_alike
from segcore.runs import Evaluation

NAMES = ("resnet18.tv_in1k", "resnet34.tv_in1k", "vgg16.tv_in1k")


def cells(right: list[int]) -> Cells:
    """A network that got so many of 10 pixels right, one image of two classes each."""
    counts = np.array([[[n, 10 - n], [0, 0]] for n in right], dtype=np.int64)
    names = [f"image{at}" for at in range(len(right))]
    return Cells.of(Evaluation(names, names, counts, 1))


def standing(name: str, mean: float, error: float = 0.01, *, scope: Scope = "seeds and images") -> Standing:
    seeds = 1 if scope == "images" else 2
    # Pixel accuracy of 0.5 with the first seed and 0.7 with the second.
    by_seed = {seed: cells(right) for seed, right in zip(range(seeds), ([4, 6], [6, 8]), strict=False)}
    estimate = Estimate(mean, error, 4.0, seeds, 2, scope)
    return Standing(Contender(name, "s", name, "pretrained", []), by_seed, {}, estimate, 1.0)


def verdict(first: str, second: str, answer: Answer, mean: float) -> Verdict:
    estimate = Estimate(mean, 0.01, 4.0, 2, 2, "seeds and images")
    return Verdict(first, second, answer, estimate, 0.01, 0.02, 0.5, 0.5, (0, 1), 2)


def comparison(**changes: Any) -> Comparison:
    values: dict[str, Any] = {
        "score": "pixel_accuracy",
        "margin": 0.01,
        "part": "val",
        "standings": [standing(NAMES[0], 0.8), standing(NAMES[1], 0.79), standing(NAMES[2], 0.6)],
        "pending": [],
        "verdicts": [
            verdict(NAMES[0], NAMES[1], Answer.EQUIVALENT, 0.01),
            verdict(NAMES[0], NAMES[2], Answer.BETTER, 0.2),
            verdict(NAMES[1], NAMES[2], Answer.CANNOT_TELL, 0.19),
        ],
        "letters": {NAMES[0]: "a", NAMES[1]: "ab", NAMES[2]: "b"},
    }
    return Comparison(**{**values, **changes})


def trace(chart: go.Figure, uid: str) -> go.Scatter:
    (found,) = [trace for trace in chart.data if trace.uid == uid]
    return found


def test_means_with_their_interval_the_best_on_top() -> None:
    chart = figures.rank_plot(comparison())
    assert list(chart.layout.yaxis.ticktext) == ["VGG-16", "ResNet-34", "ResNet-18"]  # plotly draws upwards
    point = trace(chart, f"mean:{NAMES[0]}")
    half = 100 * stats.t.ppf(0.975, 4) * 0.01
    assert point.x[0] == pytest.approx(80)
    assert (point.error_x.array[0], point.error_x.arrayminus[0]) == pytest.approx((half, half))
    assert point.marker.symbol == "circle"
    assert "80.0 ± 2.8 %<br>2 seeds, 2 images" in point.hovertemplate


def test_the_thick_interval_is_over_seeds_alone() -> None:
    bar = trace(figures.rank_plot(comparison()), f"seeds:{NAMES[0]}")
    # Seeds of 50 % and 70 %: their standard error is 0.1, and t of one degree of freedom is 12.7. Cut at 0 and 100 %.
    assert list(bar.x) == [0, 100]
    near = comparison(
        standings=[
            Standing(
                Contender("a", "s", NAMES[0], "pretrained", []),
                {0: cells([60, 60]), 1: cells([61, 59]), 2: cells([60, 63])},
                {},
                Estimate(0.6, 0.1, 4, 3, 2, "seeds and images"),
                None,
            )
        ],
        letters={"a": "a"},
    )
    scores = [found.score("pixel_accuracy") for found in near.standings[0].by_seed.values()]
    low, high = stats.t.interval(0.95, 2, np.mean(scores), stats.sem(scores))
    assert list(trace(figures.rank_plot(near), "seeds:a").x) == pytest.approx([100 * max(low, 0), 100 * min(high, 1)])


def test_one_seed_is_an_open_circle_without_an_interval_over_seeds() -> None:
    chart = figures.rank_plot(comparison(standings=[standing(NAMES[0], 0.8, scope="images")], letters={NAMES[0]: "a"}))
    (point,) = chart.data
    assert point.marker.symbol == "circle-open"
    assert chart.layout.xaxis.title.text == "mIoU<br>open circle: one seed, interval over images alone"


def test_an_interval_that_nothing_tells_is_not_drawn() -> None:
    chart = figures.rank_plot(
        comparison(standings=[standing(NAMES[0], 0.8, math.nan, scope="nothing")], letters={NAMES[0]: "a"})
    )
    assert trace(chart, f"mean:{NAMES[0]}").error_x.visible is False


def test_bars_join_those_that_are_not_told_apart() -> None:
    assert groups_alike(comparison()) == [[NAMES[0], NAMES[1]], [NAMES[1], NAMES[2]]]
    chart = figures.rank_plot(comparison())
    assert list(trace(chart, "group:0").y) == [NAMES[0], NAMES[1]]
    assert list(trace(chart, "group:1").x) == [1, 1]
    assert chart.layout.xaxis.domain[1] == chart.layout.xaxis2.domain[0] < 1
    apart = comparison(letters={NAMES[0]: "a", NAMES[1]: "b", NAMES[2]: "c"})
    assert groups_alike(apart) == []
    assert figures.rank_plot(apart).layout.xaxis.domain is None


def test_single_seeds_alarms_and_the_majority_line() -> None:
    chart = figures.rank_plot(comparison(), show_runs=True, flagged={NAMES[2]}, majority=0.45)
    assert list(trace(chart, f"runs:{NAMES[0]}").x) == pytest.approx([50, 70])
    assert chart.layout.yaxis.ticktext[0] == "⚠ VGG-16"
    assert set(trace(chart, "majority").x) == {45}


def test_each_pair_stands_twice_in_the_matrix() -> None:
    chart = figures.verdict_matrix(comparison())
    heat = chart.data[0]
    assert [list(row) for row in heat.z] == [[None, 2, 3], [2, None, 1], [0, 1, None]]
    texts = {(y, x): text for t in chart.data[1:] for x, y, text in zip(t.x, t.y, t.text, strict=True)}
    assert texts[NAMES[0], NAMES[2]] == "▲ 20.0"
    assert texts[NAMES[2], NAMES[0]] == "▼ 20.0"
    assert texts[NAMES[1], NAMES[0]] == "= 1.0"
    assert texts[NAMES[2], NAMES[1]] == "? 19.0"
    assert heat.text[2][0].replace("<br>", " ").startswith("ResNet-18 is better than VGG-16, by 20.0 ± 2.8 points")
    assert chart.layout.yaxis.autorange == "reversed"


def test_nothing_to_compare_is_said() -> None:
    empty = comparison(standings=[], verdicts=[], letters={})
    assert figures.rank_plot(empty).layout.annotations[0].text == "No run is finished yet."
    one = comparison(standings=[standing(NAMES[0], 0.8)], verdicts=[], letters={NAMES[0]: "a"})
    assert "two backbones" in figures.verdict_matrix(one).layout.annotations[0].text
