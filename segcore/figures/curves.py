"""Training as it goes: the scores of contenders, epoch by epoch or minute by minute."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Literal

import plotly.graph_objects as go

from segcore.evaluation.comparison import Contender, Curve, curve
from segcore.figures.theme import INK, empty_figure, faded, figure, mark, percents, plain, show_legend
from segcore.runs import Run

FIELD_TITLES = {
    "train_pixel_accuracy": "Training pixel accuracy",
    "val_pixel_accuracy": "Validation pixel accuracy",
    "train_miou": "Training mIoU",
    "val_miou": "Validation mIoU",
}
"""Fields of an epoch's record that `accuracy_curves` draws, and what they are called on screen."""
UNIFIED_HOVER_LIMIT = 8
"""Lines up to which one hover label shows them all."""


def accuracy_curves(
    contenders: Sequence[Contender],
    field: str = "val_pixel_accuracy",
    *,
    majority: float | None = None,
    show_runs: bool = False,
    by: Literal["epoch", "minute"] = "epoch",
    title: str | None = None,
) -> go.Figure:
    """Draw one score over the epochs, a line a contender: mean over its seeds in a band of the 95 % interval.

    A contender with one begun run is that run's line. Of several, the mean ends with the run that got least far;
    what others recorded beyond it is drawn as thin lines, as are all runs with `show_runs`.

    Args:
        field: a field of `EpochRecord` that is a share, see `FIELD_TITLES`.
        majority: pixel accuracy (0-1) of always answering the most frequent class, as a dashed line.
        by: what the lines run along; minutes of training, of each epoch the mean over the runs that a line is of.
    """
    name = FIELD_TITLES.get(field, field.replace("_", " "))
    curves = [(contender, curve(contender.runs, field)) for contender in contenders]
    curves = [(contender, line) for contender, line in curves if line.n]
    if not curves:
        return empty_figure("No epoch is finished yet.", kind=f"curves-{field}", title=title)
    kind = f"curves-{field}" if by == "epoch" else f"curves-{field}-{by}"
    chart = figure(kind, title=title, x_title="Epoch", y_title=name)
    # Bands first, then runs, then means: what matters most lies on top.
    for contender, line in curves:
        _add_band(chart, contender, line)
    for contender, line in curves:
        for run in contender.runs:
            _add_run(chart, contender, run, field, first=1 if show_runs and line.n > 1 else len(line.epochs))
    for contender, line in curves:
        _add_mean(chart, contender, line)
    if by == "minute":
        _along_minutes(chart, [contender for contender, _ in curves])
    add_majority(chart, majority)
    finish(chart, entries=len(curves))
    chart.update_yaxes(ticksuffix=" %")
    unified = by == "epoch" and len(curves) <= UNIFIED_HOVER_LIMIT  # no two lines have points at the same minute
    chart.update_layout(hovermode="x unified" if unified else "closest")
    if by == "minute":
        chart.update_xaxes(title_text="Minutes of training", dtick=None, autorangeoptions={"clipmin": 0})
    return chart


def _along_minutes(chart: go.Figure, contenders: Sequence[Contender]) -> None:
    """Move what is drawn over epochs to the minutes at which these ended, the mean over a contender's runs."""
    for contender in contenders:
        at: dict[int, list[float]] = {}
        for run in contender.runs:
            seconds = 0.0
            for record in run.epochs():
                seconds += record.seconds
                at.setdefault(record.epoch, []).append(seconds / 60)
        minutes = {epoch: fmean(values) for epoch, values in at.items()}
        for trace in chart.data:
            if trace.legendgroup == contender.label:
                trace.x = [minutes[epoch] for epoch in trace.x]


def _add_band(chart: go.Figure, contender: Contender, line: Curve) -> None:
    """The interval over seeds as a closed outline, cut at 0 and 100 %, where no score can be."""
    known = [
        (epoch, min(max(low, 0.0), 1.0), min(max(high, 0.0), 1.0))
        for epoch, low, high in zip(line.epochs, line.low, line.high, strict=True)
        if not math.isnan(low)
    ]
    if not known:
        return
    epochs, low, high = zip(*known, strict=True)
    chart.add_scatter(
        x=[*epochs, *reversed(epochs)],
        y=percents([*high, *reversed(low)]),
        mode="lines",
        line={"width": 0},
        fill="toself",
        fillcolor=faded(contender.color, 0.14),
        hoverinfo="skip",
        showlegend=False,
        legendgroup=contender.label,
        name=f"{plain(contender.title)}: 95 % interval",
        uid=f"band:{contender.label}",
    )


def _add_run(chart: go.Figure, contender: Contender, run: Run, field: str, *, first: int) -> None:
    """One run as a thin line from the `first` epoch on, counted from 1."""
    records = run.epochs()[max(0, first - 1) :]
    if len(records) < 2:
        return
    name = f"{plain(contender.title)}, {run.config.repetition}"
    chart.add_scatter(
        x=[record.epoch for record in records],
        y=percents(getattr(record, field) for record in records),
        mode="lines",
        line={"color": faded(contender.color, 0.55), "width": 1, "dash": mark(contender)[1]},
        hovertemplate=f"%{{y:.1f}} %<extra>{name}</extra>",
        showlegend=False,
        legendgroup=contender.label,
        name=name,
        uid=f"run:{contender.label}:{run.name}",
    )


def _add_mean(chart: go.Figure, contender: Contender, line: Curve) -> None:
    symbol, dash = mark(contender)
    name = f"{plain(contender.title)} (n = {line.n})"
    # In words where there is an interval, as its ends do not fit a plain y template.
    spread = [
        "" if math.isnan(low) else f" [{100 * low:.1f}, {100 * high:.1f}]"
        for low, high in zip(line.low, line.high, strict=True)
    ]
    chart.add_scatter(
        x=line.epochs,
        y=percents(line.mean),
        customdata=spread,
        mode="lines+markers",
        line={"color": contender.color, "width": 2.4, "dash": dash},
        marker={"symbol": symbol, "size": 7, "maxdisplayed": 12},
        hovertemplate=f"%{{y:.1f}} %%{{customdata}}<extra>{name}</extra>",
        legendgroup=contender.label,
        name=name,
        uid=f"mean:{contender.label}",
    )


def add_majority(chart: go.Figure, majority: float | None, *, in_legend: bool = False) -> None:
    """Draw the majority-class line across the epochs drawn so far.

    It is named on its free side, or in the legend where the chart is too narrow for that.
    """
    if majority is None or math.isnan(majority):
        return
    lines = [trace for trace in chart.data if trace.mode != "lines" or trace.line.width]
    epochs = [epoch for trace in lines for epoch in trace.x]
    values = [value for trace in lines for value in trace.y if value is not None]
    level = 100 * majority
    first, last = min(epochs), max(epochs)
    if first == last:
        first, last = first - 0.4, last + 0.4
    # A trace, not a shape: shapes do not widen the axis, and the line must be in sight. Invisible markers
    # keep it off the axis' edge.
    chart.add_scatter(
        x=[first, last],
        y=[level, level],
        mode="lines+markers",
        line={"color": INK, "width": 1.6, "dash": "dash"},
        marker={"size": 14, "opacity": 0},
        hovertemplate="%{y:.1f} %<extra>Most frequent class</extra>",
        showlegend=in_legend,
        name=f"Always the most frequent class: {level:.1f} %",
        uid="majority",
    )
    if in_legend:
        return
    # Curves end above the line unless training collapsed to it; then its upper side may be the free one.
    ends = [trace.y[-1] for trace in lines if trace.y[-1] is not None]
    below = min(ends, default=level) >= level or level - min(values, default=level) > max([*values, level]) - level
    chart.add_annotation(
        x=1,
        xref="paper",
        xanchor="right",
        y=level,
        yanchor="top" if below else "bottom",
        text=f"always the most frequent class: {level:.1f} %",
        showarrow=False,
        font={"size": 12},
        name="majority",
    )


def finish(chart: go.Figure, *, entries: int) -> None:
    """Legend, and an axis of whole epochs that does not begin at an epoch 0."""
    show_legend(chart, entries)
    chart.update_xaxes(autorangeoptions={"clipmin": 0.5}, unifiedhovertitle={"text": "Epoch %{x}"})
    last = max((epoch for trace in chart.data for epoch in trace.x), default=0)
    if last <= 12:
        chart.update_xaxes(dtick=1)
