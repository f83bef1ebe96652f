"""What the runs of a study say together: contenders, their mean and its interval, the final table.

A contender is all runs of one backbone in a study, one per seed. It is shown as the mean over its seeds with
the 95 % interval of Student's t and n beside it, never as a single run passed off as a backbone. The interval
says how far another set of seeds on the same images would move the mean; the doubt that comes from having these
validation images and no others is not in it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev

from segcore.config import Weights
from segcore.errors import WorkspaceError
from segcore.evaluation import cells
from segcore.evaluation.cells import Cells
from segcore.evaluation.collapse import collapsed
from segcore.evaluation.costs import Costs, costs_of
from segcore.evaluation.metrics import majority_baseline
from segcore.evaluation.statistics import CONFIDENCE, t_quantile
from segcore.models import catalog
from segcore.records import EpochRecord
from segcore.runs import Run, statuses
from segcore.status import RunState, Status


@dataclass(frozen=True)
class Interval:
    """A mean over seeds and how far it can be trusted."""

    mean: float
    low: float
    """NaN, like `high`, where one value or none says nothing about spread."""
    high: float
    n: int
    sd: float
    """Sample standard deviation (divided by n - 1); NaN for fewer than two values."""

    @property
    def half_width(self) -> float:
        """What stands behind the ±; NaN where there is no interval."""
        return (self.high - self.low) / 2


def mean_interval(values: Iterable[float], confidence: float = CONFIDENCE) -> Interval:
    """Return mean and two-sided t interval: mean ± t(n - 1) x sd / sqrt(n).

    NaN values are left out and not counted in n; without any value the mean is NaN.
    """
    known = [float(value) for value in values if not math.isnan(value)]
    n = len(known)
    if n < 2:
        return Interval(known[0] if known else math.nan, math.nan, math.nan, n, math.nan)
    mean, sd = fmean(known), stdev(known)
    half = t_quantile(n - 1, confidence) * sd / math.sqrt(n)
    return Interval(mean, mean - half, mean + half, n, sd)


def format_percent(interval: Interval) -> str:
    """Write a share in percent with no more digits than its interval bears: "78.3 ± 0.9 % (n = 5)"."""
    if interval.n == 0:
        return "–"
    half = 100 * interval.half_width
    if math.isnan(half):
        return f"{100 * interval.mean:.1f} % (n = {interval.n})"
    digits = 0 if half >= 9.95 else 1 if half >= 0.095 or half == 0 else 2
    return f"{100 * interval.mean:.{digits}f} ± {half:.{digits}f} % (n = {interval.n})"


@dataclass(frozen=True)
class Contender:
    """All runs of one backbone in one study; they differ in their seed alone."""

    label: str
    """`RunConfig.contender`; with the study behind it where runs of several studies stand together."""
    study: str
    encoder: str
    weights: Weights
    runs: list[Run] = field(repr=False)

    @property
    def title(self) -> str:
        """What people call it: "ResNet-18", "ResNet-18 (scratch)"."""
        title = catalog.title(self.encoder)
        # Names that differ from the label behind the encoder: "(scratch)", the study.
        return title + self.label.removeprefix(self.encoder)

    @property
    def color(self) -> str:
        """The backbone's colour, "#rrggbb", the same everywhere."""
        return catalog.color(self.encoder)


def contenders(runs: Iterable[Run]) -> list[Contender]:
    """Gather runs into contenders, in the order in which each first appears.

    Runs whose directory vanished meanwhile are left out.
    """
    gathered: dict[tuple[str, str], Contender] = {}
    for run in runs:
        try:
            config = run.config
        except WorkspaceError:
            continue
        key = (config.study, config.contender)
        if key not in gathered:
            gathered[key] = Contender(config.contender, config.study, config.encoder, config.weights, [])
        gathered[key].runs.append(run)
    found = list(gathered.values())
    if len({contender.study for contender in found}) < 2:
        return found
    return [Contender(f"{c.label} · {c.study}", c.study, c.encoder, c.weights, c.runs) for c in found]


def by_family(entries: Iterable[Contender]) -> dict[str, list[Contender]]:
    """Group contenders by the family of their backbone: title -> contenders; "Other" for unknown families."""
    families: dict[str, list[Contender]] = {}
    for contender in entries:
        family = catalog.family(contender.encoder)
        families.setdefault(family.title if family else "Other", []).append(contender)
    return families


@dataclass(frozen=True)
class Curve:
    """One quantity over the epochs that all runs of a contender have reached."""

    epochs: list[int]
    mean: list[float]
    low: list[float]
    """Lower end of the 95 % interval over seeds; NaN, like `high`, for a single run."""
    high: list[float]
    n: int
    """Runs that have recorded anything: the mean of every epoch is over all of them."""


def curve(runs: Iterable[Run], field: str) -> Curve:
    """Average one field of `EpochRecord` over runs, epoch by epoch.

    Only epochs that every begun run has are averaged: a mean over fewer runs here than there would jump without
    anything having happened. Runs without any epoch yet are left out.

    Raises:
        ValueError: `EpochRecord` has no such field.
    """
    if field not in EpochRecord.__dataclass_fields__:
        raise ValueError(f"no field {field!r} in an epoch's record; there are {', '.join(EpochRecord.__slots__)}")
    begun = [{record.epoch: float(getattr(record, field)) for record in run.epochs()} for run in runs]
    begun = [values for values in begun if values]
    epochs = sorted(set.intersection(*(set(values) for values in begun))) if begun else []
    intervals = [mean_interval([values[epoch] for values in begun]) for epoch in epochs]
    return Curve(
        epochs, [i.mean for i in intervals], [i.low for i in intervals], [i.high for i in intervals], len(begun)
    )


def best_epoch(run: Run) -> EpochRecord | None:
    """Return the epoch of the highest validation mIoU, whose weights are kept; None before the first."""
    known = [record for record in run.epochs() if not math.isnan(record.val_miou)]
    # The first of equals, as the worker keeps the first.
    return max(known, key=lambda record: record.val_miou, default=None)


def majority_of(runs: Iterable[Run]) -> float | None:
    """Return the majority-class baseline that the runs recorded; None before the first has, or if they differ."""
    return _agreed(status for _, status in statuses(runs))


def _agreed(found: Iterable[Status]) -> float | None:
    baselines = {status.majority_baseline for status in found} - {None}
    return baselines.pop() if len(baselines) == 1 else None


def finished_by_seed(runs: Iterable[Run]) -> dict[int, list[Run]]:
    """Return the finished runs of each seed, in the seeds' order: one run, or one a fold.

    Of folds only seeds that have them all: what is missing would be other images for each contender. Runs whose
    directory vanished meanwhile are left out.
    """
    gathered: dict[int, dict[int | None, Run]] = {}
    wanted: dict[int, int] = {}
    for run, status in statuses(runs):
        if status.state is RunState.FINISHED:
            config = run.config
            gathered.setdefault(config.seed, {})[config.fold] = run
            wanted[config.seed] = config.folds if config.fold is not None else 1
    return {seed: list(gathered[seed].values()) for seed in sorted(gathered) if len(gathered[seed]) >= wanted[seed]}


class ResultRow(Costs):
    """One contender in the final table: plain JSON values; shares 0-1; None where there is nothing yet."""

    label: str
    title: str
    study: str
    encoder: str
    weights: str
    color: str
    n: int
    """Seeds with a result: what the scores are made of. With folds, those of which all folds are finished."""
    states: dict[str, int]
    """All its runs by state; failed and unfinished ones are counted here and nowhere else."""
    collapsed: int
    """Of all its runs, those that answer one class everywhere (see `collapse`)."""
    seeds: list[int]
    """These seeds."""
    miou: float | None
    """Mean over seeds of the best epoch's validation mIoU, pooled over the folds where there are any. The epoch was
    chosen on the same images: a little high."""
    miou_low: float | None
    miou_high: float | None
    miou_text: str
    pixel_accuracy: float | None
    """Mean over seeds of the validation pixel accuracy in that same epoch."""
    pixel_accuracy_low: float | None
    pixel_accuracy_high: float | None
    pixel_accuracy_text: str
    majority_baseline: float | None
    best_epoch: list[int]
    """One a run, seed after seed."""
    minutes: float | None
    """Mean time of all epochs, over finished runs; not of preparing data, which only a study's first run does."""
    minutes_low: float | None
    """Ends of its 95 % interval over seeds."""
    minutes_high: float | None
    minutes_to_best: float | None
    """The same up to the best epoch, itself included."""
    minutes_to_best_low: float | None
    minutes_to_best_high: float | None


def result_table(runs: Iterable[Run]) -> list[ResultRow]:
    """Return one row a contender, the highest mean validation mIoU first, those without a result last.

    The order is that of the means and says nothing about whether a difference is real.

    Raises:
        WorkspaceError: counts of a fold that are damaged.
    """
    rows = [_row(contender) for contender in contenders(runs)]
    return sorted(rows, key=lambda row: -math.inf if row["miou"] is None else row["miou"], reverse=True)


def _row(contender: Contender) -> ResultRow:
    rows = statuses(contender.runs)
    results = {
        seed: found for seed, runs in finished_by_seed(run for run, _ in rows).items() if (found := _seed_result(runs))
    }
    miou = mean_interval(result.miou for result in results.values())
    accuracy = mean_interval(result.pixel_accuracy for result in results.values())
    minutes = mean_interval(result.minutes for result in results.values())
    to_best = mean_interval(result.minutes_to_best for result in results.values())
    return ResultRow(
        label=contender.label,
        title=contender.title,
        study=contender.study,
        encoder=contender.encoder,
        weights=contender.weights,
        color=contender.color,
        n=miou.n,
        states=dict(Counter(str(status.state) for _, status in rows)),
        collapsed=sum(collapsed(run.epochs(), majority=status.majority_baseline) is not None for run, status in rows),
        seeds=list(results),
        miou=_known(miou.mean),
        miou_low=_known(miou.low),
        miou_high=_known(miou.high),
        miou_text=format_percent(miou),
        pixel_accuracy=_known(accuracy.mean),
        pixel_accuracy_low=_known(accuracy.low),
        pixel_accuracy_high=_known(accuracy.high),
        pixel_accuracy_text=format_percent(accuracy),
        # Each fold's is of its own images; those of all folds are the same for every seed.
        majority_baseline=_agreed(status for _, status in rows)
        or next((result.majority for result in results.values()), None),
        best_epoch=[epoch for result in results.values() for epoch in result.epochs],
        minutes=_known(minutes.mean),
        minutes_low=_known(minutes.low),
        minutes_high=_known(minutes.high),
        minutes_to_best=_known(to_best.mean),
        minutes_to_best_low=_known(to_best.low),
        minutes_to_best_high=_known(to_best.high),
        **costs_of([cost for run, _ in rows if (cost := run.cost())]),
    )


@dataclass(frozen=True)
class _SeedResult:
    """What the runs of one seed came to, one run or one a fold."""

    miou: float
    pixel_accuracy: float
    epochs: list[int]
    minutes: float
    """Of one run, like the next."""
    minutes_to_best: float
    majority: float | None = None
    """The majority-class baseline over all folds; None without folds."""


def _seed_result(runs: Sequence[Run]) -> _SeedResult | None:
    """Return the result of a seed's runs; None where one of them has none."""
    best = [(run, record) for run in runs if (record := best_epoch(run)) is not None]
    if len(best) < len(runs):
        return None
    if best[0][0].config.fold is None:
        miou, accuracy, majority = best[0][1].val_miou, best[0][1].val_pixel_accuracy, None
    else:
        # A mean of the folds' mIoUs would weigh a class that is rare in a fold as much as where it is frequent.
        counts = [found for run, _ in best if (found := cells.of_run(run)) is not None]
        if len(counts) < len(best):
            return None
        whole = Cells.joined(counts)
        miou, accuracy = whole.score("miou"), whole.score("pixel_accuracy")
        majority = majority_baseline(whole.matrix)
    seconds = [sum(record.seconds for record in run.epochs()) for run in runs]
    to_best = [sum(r.seconds for r in run.epochs() if r.epoch <= record.epoch) for run, record in best]
    return _SeedResult(miou, accuracy, [r.epoch for _, r in best], fmean(seconds) / 60, fmean(to_best) / 60, majority)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
