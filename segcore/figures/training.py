"""The training of one run: loss and accuracy by epoch, loss by step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, median

import plotly.graph_objects as go

from segcore.figures.curves import add_majority, finish
from segcore.figures.theme import ACCENT, CONTRAST, INK, empty_figure, faded, figure, percents, show_legend
from segcore.records import EpochRecord, StepRecord
from segcore.runs import Run

SMOOTHED_STEPS = 15


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
    finish(chart, entries=2)
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
    add_majority(chart, majority, in_legend=True)
    chart.update_yaxes(ticksuffix=" %")
    finish(chart, entries=3)
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
