"""Training as it goes: accuracy of contenders, loss and accuracy of one run, loss by step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, median
from typing import Literal

import plotly.graph_objects as go

from segcore.evaluation.comparison import Contender, Curve, curve
from segcore.figures.theme import ACCENT, CONTRAST, INK, empty_figure, faded, figure, mark, percents, plain, show_legend
from segcore.records import EpochRecord, StepRecord
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
SMOOTHED_STEPS = 15


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
    _add_majority(chart, majority)
    _finish(chart, entries=len(curves))
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


def run_curves(
    run: Run, *, majority: float | None = None, longer_from: Sequence[int] = ()
) -> tuple[go.Figure, go.Figure]:
    """Draw one run: its loss, and its pixel accuracy, each for training and validation.

    `longer_from` holds the last epochs of earlier plans: behind each, training was made longer and the learning
    rate rose again, which explains a jump.

    Training scores are of the augmented images as they were learnt from, so they may lie below validation.
    """
    records = run.epochs()
    if not records:
        message = "No epoch is finished yet."
        return empty_figure(message, kind="run-loss"), empty_figure(message, kind="run-accuracy")
    charts = _run_loss(records), _run_accuracy(records, majority)
    inside = [epoch for epoch in longer_from if records[0].epoch <= epoch < records[-1].epoch]
    for chart, free_side in zip(charts, ("top", "bottom"), strict=True):
        _mark_longer(chart, inside, side=free_side)
    return charts


def _run_loss(records: Sequence[EpochRecord]) -> go.Figure:
    chart = figure("run-loss", height=300, x_title="Epoch", y_title="Loss")
    train, val = [r.train_loss for r in records], [r.val_loss for r in records]
    _add_pair(chart, records, _finite(train), _finite(val), template="%{y:.4g}")
    _scale_loss(chart, [*train, *val])
    _finish(chart, entries=2)
    broken = [r.epoch for r in records if not (math.isfinite(r.train_loss) and math.isfinite(r.val_loss))]
    if broken:
        _warn(chart, f"Loss is no number in epoch {broken[0]}" + (" and later" if len(broken) > 1 else ""))
    return chart


def _run_accuracy(records: Sequence[EpochRecord], majority: float | None) -> go.Figure:
    chart = figure("run-accuracy", height=300, x_title="Epoch", y_title="Pixel accuracy")
    train = percents(r.train_pixel_accuracy for r in records)
    val = percents(r.val_pixel_accuracy for r in records)
    _add_pair(chart, records, train, val, template="%{y:.1f} %")
    # Two such charts stand side by side: no room for words in the plot.
    _add_majority(chart, majority, in_legend=True)
    chart.update_yaxes(ticksuffix=" %")
    _finish(chart, entries=3)
    return chart


def _mark_longer(chart: go.Figure, epochs: Sequence[int], *, side: str) -> None:
    """A line behind each epoch with which training had once ended, named at its `side` ("top", "bottom")."""
    for epoch in epochs:
        chart.add_vline(
            epoch + 0.5,
            line={"color": INK, "width": 1, "dash": "dot"},
            annotation={"text": "trained longer", "font": {"size": 11}, "textangle": -90, "name": "longer"},
            annotation_position=f"{side} right",
        )


def _add_pair(
    chart: go.Figure,
    records: Sequence[EpochRecord],
    train: Sequence[float | None],
    val: Sequence[float | None],
    *,
    template: str,
) -> None:
    """Training dashed-dotted with squares, validation solid with circles: told apart without colour."""
    epochs = [record.epoch for record in records]
    for name, values, color, dash, symbol in (
        ("Training", train, CONTRAST, "dashdot", "square"),
        ("Validation", val, ACCENT, "solid", "circle"),
    ):
        chart.add_scatter(
            x=epochs,
            y=list(values),
            mode="lines+markers",
            line={"color": color, "width": 2.2, "dash": dash},
            marker={"symbol": symbol, "size": 6, "maxdisplayed": 12},
            hovertemplate=f"{template}<extra>{name}</extra>",
            name=name,
            uid=name,
        )
    chart.update_layout(hovermode="x unified")


def step_curve(steps: Sequence[StepRecord], *, color: str = ACCENT) -> go.Figure:
    """Draw the training loss by step: each record faint, their running mean over it once there are enough."""
    if not steps:
        return empty_figure("No training step is recorded yet.", kind="steps", height=260)
    chart = figure("steps", height=260, x_title="Step", y_title="Training loss")
    numbers, losses = [s.step for s in steps], [s.loss for s in steps]
    chart.add_scatter(
        x=numbers,
        y=_finite(losses),
        customdata=[[s.epoch, s.learning_rate, s.images_per_second] for s in steps],
        mode="lines+markers",
        line={"color": faded(color, 0.35), "width": 1},
        marker={"size": 3},
        hovertemplate=(
            "step %{x}, epoch %{customdata[0]}<br>loss %{y:.4g}<br>learning rate %{customdata[1]:.2e}"
            "<br>%{customdata[2]:.1f} images/s<extra></extra>"
        ),
        name="each record",
        uid="steps",
    )
    if len(steps) >= SMOOTHED_STEPS:
        chart.add_scatter(
            x=numbers,
            y=_running_mean(losses, SMOOTHED_STEPS),
            mode="lines",
            line={"color": color, "width": 2.4},
            hoverinfo="skip",
            name=f"mean of {SMOOTHED_STEPS} records",
            uid="smooth",
        )
        show_legend(chart, 2)
    if numbers[-1] - numbers[0] <= 12:
        chart.update_xaxes(dtick=1)  # else halves of a step, which there are not
    _scale_loss(chart, losses)
    broken = [s.step for s in steps if not math.isfinite(s.loss)]
    if broken:
        _warn(chart, f"Loss is no number from step {broken[0]} on")
    return chart


def _add_majority(chart: go.Figure, majority: float | None, *, in_legend: bool = False) -> None:
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


def _finish(chart: go.Figure, *, entries: int) -> None:
    """Legend, and an axis of whole epochs that does not begin at an epoch 0."""
    show_legend(chart, entries)
    chart.update_xaxes(autorangeoptions={"clipmin": 0.5}, unifiedhovertitle={"text": "Epoch %{x}"})
    last = max((epoch for trace in chart.data for epoch in trace.x), default=0)
    if last <= 12:
        chart.update_xaxes(dtick=1)


def _scale_loss(chart: go.Figure, losses: Sequence[float]) -> None:
    """Go to a logarithmic axis where a loss that exploded would press all else flat."""
    positive = [loss for loss in losses if math.isfinite(loss) and loss > 0]
    if positive and max(positive) > 20 * median(positive):
        chart.update_yaxes(type="log", title_text=f"{chart.layout.yaxis.title.text} (log)")


def _finite(values: Sequence[float]) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values]


def _running_mean(values: Sequence[float], window: int) -> list[float | None]:
    """Mean of each value and its neighbours, half a window to each side as far as there are any.

    What is no number is left out.
    """
    means: list[float | None] = []
    for place in range(len(values)):
        near = values[max(0, place - window // 2) : place + window // 2 + 1]
        known = [value for value in near if math.isfinite(value)]
        means.append(fmean(known) if known else None)
    return means


def _warn(chart: go.Figure, text: str) -> None:
    chart.add_annotation(
        text=f"⚠ {text}", xref="paper", yref="paper", x=1, y=1, xanchor="right", yanchor="bottom", showarrow=False
    )
