"""The answer, the contenders, every verdict and the costs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from segcore import figures
from segcore.evaluation.answer import answer
from segcore.evaluation.comparison import ResultRow, majority_of, mean_interval
from segcore.evaluation.costs import COSTS
from segcore.evaluation.findings import Findings
from segcore.evaluation.report.markup import Html, bullets, joined, paragraph, swatch, table, tag
from segcore.evaluation.report.page import Page
from segcore.evaluation.statistics import Estimate
from segcore.evaluation.verdicts import (
    Comparison,
    Standing,
    Verdict,
    Way,
    bootstrap_intervals,
    points_text,
    sentence,
)
from segcore.text import UNKNOWN, duration, percent, plural, scaled


def percent_text(estimate: Estimate | None) -> str:
    """Write a score with its 95 % interval: "78.3 ± 0.9 %"; "–" for none."""
    return UNKNOWN if estimate is None else f"{points_text(estimate).removesuffix(' points')} %"


def answer_texts(findings: Findings) -> list[Html]:
    """Say in words which backbone is ahead, how sure that is, and what would settle what is open."""
    if not findings.standings:
        return [
            paragraph("No run of this study has finished yet, so there is no answer. The report holds what is known.")
        ]
    runs = [run for standing in findings.standings for run in standing.contender.runs]
    said = answer(findings, findings.comparisons[0], majority=majority_of(runs))
    return [paragraph(tag("strong", said.headline)), *(paragraph(text) for text in said.sentences)]


# Contenders ----------------------------------------------------------------------------------------


def add_contenders(page: Page, findings: Findings) -> None:
    """Add the table of contenders and the chart of their means."""
    if not findings.rows:
        return
    rows = [_contender_row(findings, s) for s in [*findings.standings, *findings.pending]]
    columns = ("backbone", f">{findings.score_title}", ">pixel accuracy", ">sd over seeds", ">seeds", "alike", "runs")
    page.add(
        "results",
        "Results",
        *(_rank_chart(page, findings, comparison) for comparison in findings.comparisons if comparison.standings),
        table(columns, rows),
        bullets(_alarms(findings)),
        paragraph(
            f"± is the 95 % interval of the mean over {findings.over}. Backbones that share a letter "
            "cannot be told apart. The kept epoch is the best on these same images, so every score is a little high.",
            class_="caption",
        ),
    )


def _rank_chart(page: Page, findings: Findings, comparison: Comparison) -> Html:
    collapsed = [label for label, row in findings.rows.items() if row["collapsed"]]
    return page.chart(
        figures.rank_plot(comparison, f"Validation {findings.score_title}", flagged=collapsed),
        f"The thin interval is over {findings.over}, a thick pale one over seeds alone. The bars on the right join "
        "those that cannot be told apart; ⚠ marks those of which a run collapsed.",
        alt=f"Validation {findings.score_title} of every backbone",
    )


def _contender_row(findings: Findings, standing: Standing) -> tuple[object, ...]:
    row = findings.rows[standing.label]
    comparison = next(c for c in findings.comparisons if standing in [*c.standings, *c.pending])
    spread = mean_interval(cells.score(comparison.score) for cells in standing.by_seed.values()).sd
    return (
        _named(row),
        percent_text(standing.estimate),
        row["pixel_accuracy_text"],
        UNKNOWN if math.isnan(spread) else f"{100 * spread:.2f}",
        str(len(standing.by_seed)),
        findings.letters(standing.label),
        ", ".join(f"{n} {state}" for state, n in sorted(row["states"].items())),
    )


def _alarms(findings: Findings) -> list[str]:
    """Say which backbones a race stopped, and which runs have collapsed."""
    raced = [f"{findings.rows[label]['title']}: {out.sentence}" for label, out in findings.raced.items()]
    return raced + [
        f"{plural(row['collapsed'], 'run')} of {row['title']} answered one class everywhere: it has collapsed."
        for row in findings.rows.values()
        if row["collapsed"]
    ]


def _named(row: ResultRow) -> Html:
    return joined((swatch(row["color"]), row["title"]), "")


# Verdicts ------------------------------------------------------------------------------------------


def add_verdicts(page: Page, findings: Findings) -> None:
    """Add a sentence for every pair, and the table of all numbers behind it."""
    for comparison in findings.comparisons:
        if comparison.verdicts:
            page.add(
                "verdicts",
                "Verdicts",
                page.chart(
                    figures.verdict_matrix(comparison),
                    "Row against column, in points: ▲ the row is better, ▼ worse, = equivalent, ? cannot tell.",
                    alt="What can be said of each pair",
                ),
                bullets(sentence(verdict, comparison) for verdict in comparison.verdicts),
                tag("h3", "The numbers behind the verdicts"),
                _numbers(comparison),
                paragraph(
                    f"Differences in points, with 95 % intervals of each pair alone. p tests “no difference”, p of "
                    f"equivalence “a difference of {margin_text(comparison.margin)} or more”; both are adjusted over "
                    "all pairs (Holm), so that 5 % is the chance of any false alarm among all.",
                    class_="caption",
                ),
            )


def _numbers(comparison: Comparison) -> Html:
    resampled = bootstrap_intervals(comparison)
    folded = any(verdict.folds for verdict in comparison.verdicts)
    columns = ["ahead", "behind", "verdict", ">difference", ">95 % interval", ">p", ">p adjusted", ">p of equivalence"]
    columns += (
        [">bootstrap interval"] + [">over folds", ">p over folds"] * folded + [">seeds", ">images", "would settle it"]
    )
    rows = []
    for verdict in comparison.verdicts:
        row: list[object] = [comparison.title(verdict.first), comparison.title(verdict.second), verdict.answer.value]
        row += [_points(verdict.difference), _interval(verdict.interval)]
        row += [p_text(verdict.p), p_text(verdict.p_adjusted), p_text(verdict.p_equivalent_adjusted)]
        row.append(_interval(resampled.get(frozenset((verdict.first, verdict.second)), (math.nan, math.nan))))
        if folded:
            row += _over_folds(verdict)
        row += [str(len(verdict.seeds)), str(verdict.images), _settles(verdict)]
        rows.append(row)
    return table(columns, rows)


def _over_folds(verdict: Verdict) -> list[str]:
    if verdict.folds is None:
        return [UNKNOWN, UNKNOWN]
    return [f"{_points(verdict.folds.mean)} {_interval(verdict.folds.interval())}", p_text(verdict.folds.p_value())]


def _settles(verdict: Verdict) -> str:
    settle = verdict.settle
    if settle is None:
        return UNKNOWN
    if settle.way in (Way.SEEDS, Way.IMAGES):
        amounts = ((settle.seeds, "more seed"), (settle.images, "more image"))
        return " and ".join(plural(count, noun) for count, noun in amounts if count)
    return "other scenes" if settle.way is Way.SCENES else "nothing within reason"


def margin_text(margin: float) -> str:
    """Write a margin as "1 point" or "0.5 points"."""
    return f"{100 * margin:g} {'point' if margin == 0.01 else 'points'}"


def p_text(p: float) -> str:
    """Write a p-value: "0.032", "< 0.001"; "–" for none."""
    return UNKNOWN if math.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"


def _points(share: float) -> str:
    return UNKNOWN if math.isnan(share) else f"{100 * share:+.2f}"


def _interval(ends: tuple[float, float]) -> str:
    return UNKNOWN if math.isnan(ends[0]) else f"{100 * ends[0]:.2f} to {100 * ends[1]:.2f}"


# Costs ---------------------------------------------------------------------------------------------


def add_costs(page: Page, findings: Findings) -> None:
    """Add the table of costs, and the score against each of them."""
    rows = [findings.rows[s.label] for s in [*findings.standings, *findings.pending]]
    if not rows:
        return
    charts = [
        page.chart(
            figures.cost_scatter(rows, cost.key),
            f"Validation mIoU against {cost.title[0].lower() + cost.title[1:]}: up and to the "
            f"{'left' if cost.lower_is_better else 'right'} is better. Grey: another one is as good for less.",
            alt=f"Validation mIoU against {cost.title}",
        )
        for cost in COSTS.values()
        if any(row["miou"] is not None and cost.value(row) is not None for row in rows)
    ]
    page.add("costs", "What each one costs", _cost_table(rows), *charts)


def _cost_table(rows: Sequence[ResultRow]) -> Html:
    columns = (
        *("backbone", ">training", ">to the best epoch", ">latency, 95 %", ">images a second", ">memory"),
        *(">parameters", ">MACs", ">of encoder, decoder, head", "measured on"),
    )
    return table(columns, [_cost_row(row) for row in rows])


def _cost_row(row: ResultRow) -> tuple[object, ...]:
    p95, memory, rate = row["latency_p95_ms"], row["peak_memory_mb"], row["throughput"]
    parts = (row["macs_encoder"], row["macs_decoder"], row["macs_head"])
    busy = ", while something else ran" if row["idle"] is False else ""
    return (
        _named(row),
        duration(None if row["minutes"] is None else 60 * row["minutes"]),
        duration(None if row["minutes_to_best"] is None else 60 * row["minutes_to_best"]),
        _ms(row["latency_ms"]) + ("" if p95 is None else f", {_ms(p95)}"),
        UNKNOWN if rate is None else f"{rate:.1f}",
        UNKNOWN if memory is None else f"{memory / 1024:.2f} GiB",
        scaled(row["parameters"]),
        scaled(row["macs"]),
        ", ".join(map(scaled, parts)),
        (row["device"] or UNKNOWN) + busy,
    )


def _ms(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.1f} ms"


def majority_text(majority: float | None) -> str:
    """Say how good always answering the most frequent class would be; "" where that is not known."""
    if majority is None:
        return ""
    return f"Always answering the most frequent class gets {percent(majority)} of the pixels right."
