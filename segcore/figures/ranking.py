"""Who leads, and who is not told apart from whom: the rank plot."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any

import plotly.graph_objects as go

from segcore.evaluation.answer import basis, score_text
from segcore.evaluation.comparison import mean_interval
from segcore.evaluation.statistics import Estimate
from segcore.evaluation.verdicts import Comparison, Standing
from segcore.figures.theme import (
    INK,
    OUTLINE,
    empty_figure,
    faded,
    figure,
    plain,
    wrapped,
)


def rank_plot(
    comparison: Comparison,
    metric: str = "mIoU",
    *,
    show_runs: bool = False,
    flagged: Collection[str] = (),
    majority: float | None = None,
    title: str | None = None,
) -> go.Figure:
    """Draw each contender's mean with its 95 % intervals, the highest on top, and who is not told apart from whom.

    The thin interval is over seeds and images, the thick one inside it over seeds alone. A circle is open where there
    is one seed and the interval is over images alone. On the right, a bar for each group of contenders of which none is
    shown to be better than another.

    Args:
        comparison: from `verdicts.compare`.
        metric: what is compared, as the axis calls it.
        show_runs: draw every seed as a small point, too.
        flagged: labels of contenders that get a warning sign, as they collapsed.
        majority: pixel accuracy (0-1) of always answering the most frequent class, where that is what is compared.
    """
    kind = f"rank-{comparison.part}-{comparison.score}"
    shown = list(reversed(comparison.standings))  # plotly draws upwards
    if not shown:
        return empty_figure("No run is finished yet.", kind=kind, title=title, height=200)
    chart = figure(kind, title=title, height=104 + 40 * len(shown), x_title=_axis_title(shown, metric))
    for standing in shown:
        _add_seeds_interval(chart, standing, comparison)
    for standing in shown:
        _add_mean(chart, standing)
        if show_runs:
            _add_runs(chart, standing, comparison)
    if majority is not None and not math.isnan(majority):
        _add_majority(chart, 100 * majority, [standing.label for standing in shown])
    _add_groups(chart, comparison)
    chart.update_xaxes(ticksuffix=" %")
    names = [f"⚠ {plain(s.title)}" if s.label in flagged else plain(s.title) for s in shown]
    # Labels are unique, titles need not be.
    labels = [standing.label for standing in shown]
    chart.update_yaxes(
        type="category",
        categoryorder="array",
        categoryarray=labels,
        tickvals=labels,
        ticktext=names,
        range=[-0.6, len(shown) - 0.4],
    )
    return chart


def _axis_title(standings: Sequence[Standing], metric: str) -> str:
    """The axis title says how to read the intervals that are there."""
    scopes = {s.estimate.scope for s in standings if s.estimate}
    how = []
    if "seeds and images" in scopes:
        how.append("95 % interval over seeds and images")
    if "seeds" in scopes:
        how.append("95 % interval over seeds alone, as all images are of one scene")
    if "images" in scopes:
        how.append("open circle: one seed, interval over images alone")
    return "<br>".join([plain(metric), *how])


def _add_mean(chart: go.Figure, standing: Standing) -> None:
    estimate = standing.estimate
    assert estimate is not None
    title = plain(standing.title)
    chart.add_scatter(
        x=[100 * estimate.mean],
        y=[standing.label],
        error_x=_arms(estimate, standing.contender.color),
        mode="markers",
        marker={
            "color": standing.contender.color,
            "size": 12,
            "symbol": "circle" if estimate.seeds > 1 else "circle-open",
            "line": {"width": 2 if estimate.seeds == 1 else 0},
        },
        hovertemplate=f"<b>{title}</b><br>{score_text(standing)}<br>{basis(standing)}<extra></extra>",
        name=title,
        uid=f"mean:{standing.label}",
    )


def _arms(estimate: Estimate, color: str) -> dict[str, Any]:
    """The 95 % interval as error bars, cut at 0 and 100 %, where no score can be."""
    low, high = estimate.interval()
    if math.isnan(low):
        return {"visible": False}
    return {
        "type": "data",
        "symmetric": False,
        "array": [100 * (min(high, 1.0) - estimate.mean)],
        "arrayminus": [100 * (estimate.mean - max(low, 0.0))],
        "thickness": 2,
        "width": 7,
        "color": color,
    }


def _add_seeds_interval(chart: go.Figure, standing: Standing, comparison: Comparison) -> None:
    """The interval over seeds alone, thick and pale: what another set of seeds on these very images would give."""
    if standing.estimate is None or standing.estimate.scope != "seeds and images":
        return
    over_seeds = mean_interval(cells.score(comparison.score) for cells in standing.by_seed.values())
    low, high = max(over_seeds.low, 0.0), min(over_seeds.high, 1.0)
    chart.add_scatter(
        x=[100 * low, 100 * high],
        y=[standing.label] * 2,
        mode="lines",
        line={"color": faded(standing.contender.color, 0.32), "width": 9},
        hovertemplate=f"over seeds alone: {100 * low:.1f} to {100 * high:.1f} %<extra></extra>",
        name=f"{plain(standing.title)}: over seeds alone",
        uid=f"seeds:{standing.label}",
    )


def _add_runs(chart: go.Figure, standing: Standing, comparison: Comparison) -> None:
    scores = {seed: 100 * cells.score(comparison.score) for seed, cells in standing.by_seed.items()}
    chart.add_scatter(
        x=list(scores.values()),
        y=[standing.label] * len(scores),
        customdata=list(scores),
        mode="markers",
        marker={
            "color": faded(standing.contender.color, 0.6),
            "size": 10,
            "symbol": "line-ns-open",
            "line": {"width": 1.5},
        },
        hovertemplate=f"{plain(standing.title)}, seed %{{customdata}}: %{{x:.1f}} %<extra></extra>",
        name=f"{plain(standing.title)}: single seeds",
        uid=f"runs:{standing.label}",
    )


def _add_majority(chart: go.Figure, level: float, labels: Sequence[str]) -> None:
    """A dashed line over all rows: a trace, so that the axis reaches to it, with markers that keep it off the edge."""
    chart.add_scatter(
        x=[level] * len(labels),
        y=list(labels),
        mode="lines+markers",
        line={"color": INK, "width": 1.6, "dash": "dash"},
        marker={"size": 14, "opacity": 0},
        hovertemplate=f"Always the most frequent class: {level:.1f} %<extra></extra>",
        name="Always the most frequent class",
        uid="majority",
    )
    chart.add_annotation(
        x=level,
        y=1,
        yref="paper",
        yanchor="bottom",
        xanchor="left",
        text=f"always the most frequent class: {level:.1f} %",
        showarrow=False,
        font={"size": 12},
        name="majority",
    )
    chart.update_layout(margin_t=max(chart.layout.margin.t, 26))


def groups_alike(comparison: Comparison) -> list[list[str]]:
    """Return each group of two or more labels of which none is shown to be better than another, the best first."""
    order = [standing.label for standing in comparison.standings]
    letters = sorted({letter for of_one in comparison.letters.values() for letter in of_one})
    groups = [[label for label in order if letter in comparison.letters[label]] for letter in letters]
    return [group for group in groups if len(group) > 1]


def _add_groups(chart: go.Figure, comparison: Comparison) -> None:
    """A bar beside the plot for each group, with a dot at every member, as others may stand between them."""
    groups = groups_alike(comparison)
    if not groups:
        return
    width = min(0.25, 0.035 * len(groups) + 0.02)
    chart.update_layout(
        xaxis={"domain": [0, 1 - width]},
        xaxis2={
            "domain": [1 - width, 1],
            "anchor": "y",
            "range": [-0.7, len(groups) - 0.3],
            "visible": False,
            "fixedrange": True,
        },
    )
    titles = {standing.label: standing.title for standing in comparison.standings}
    for place, group in enumerate(groups):
        names = ", ".join(titles[label] for label in group)
        chart.add_scatter(
            x=[place] * len(group),
            y=group,
            xaxis="x2",
            mode="lines+markers",
            line={"color": OUTLINE, "width": 3},
            marker={"color": INK, "size": 9},
            hovertemplate=f"{wrapped(f'None is shown to be better than another: {names}')}<extra></extra>",
            name=f"not told apart: {names}",
            uid=f"group:{place}",
        )
