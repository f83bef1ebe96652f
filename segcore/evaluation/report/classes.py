"""Where the backbones differ: class by class, what is taken for what, and how they learnt."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from segcore import figures
from segcore.evaluation.classwise import class_differences
from segcore.evaluation.comparison import majority_of
from segcore.evaluation.findings import Findings, class_estimates
from segcore.evaluation.report.markup import Html, joined, paragraph, swatch, table, tag
from segcore.evaluation.report.page import Page
from segcore.evaluation.report.results import majority_text, percent_text
from segcore.evaluation.sizes import recall_by_size
from segcore.evaluation.statistics import Estimate
from segcore.figures.curves import FIELD_TITLES
from segcore.figures.theme import css
from segcore.runs import statuses
from segcore.status import RunState

CURVES = ("val_miou", "val_pixel_accuracy", "train_pixel_accuracy")


def add_classes(page: Page, findings: Findings) -> None:
    """Add the IoU of every class as a chart and a table, and one confusion matrix a contender."""
    standings = findings.standings
    if not standings:
        return
    classes = findings.studies[0].dataset.trained_classes
    found = {s.label: class_estimates(s, len(classes)) for s in standings}
    titles = {standing.label: standing.title for standing in standings}
    first, others = standings[0], standings[1:]
    behind = {s.title: class_differences(s, first, len(classes)) for s in others}
    page.add(
        "classes",
        "Class by class",
        page.chart(
            figures.class_map(classes, {titles[label]: of_one for label, of_one in found.items()}),
            f"IoU of each class in percent, with its 95 % interval over {findings.over}; – is absent.",
            alt="IoU of every class by backbone",
        ),
        page.chart(
            figures.class_difference_map(classes, behind, first.title),
            f"Points above (blue) or below (orange) {first.title}; pale where the cell's own 95 % interval contains 0. "
            "Among many cells some leave 0 out by chance.",
            alt=f"Difference of the IoU of every class from {first.title}",
        )
        if others
        else "",
        table(
            ("class", *(f">{titles[label]}" for label in found)),
            [
                (joined((swatch(css(info.color)), info.name), ""), *(_class_cell(found[label][at]) for label in found))
                for at, info in enumerate(classes)
            ],
        ),
        paragraph(
            f"IoU with its 95 % interval over {findings.over}. A class in neither masks nor predictions is absent: it "
            "has no IoU and is left out of the mean.",
            class_="caption",
        ),
        tag("h3", "What each class is taken for"),
        *(_confusion(page, findings, standing.label, opened=at == 0) for at, standing in enumerate(standings)),
    )


def _class_cell(estimate: Estimate | None) -> str:
    return "absent" if estimate is None else percent_text(estimate)


def _confusion(page: Page, findings: Findings, label: str, *, opened: bool) -> Html:
    standing = next(s for s in findings.standings if s.label == label)
    names = [info.name for info in findings.studies[0].dataset.trained_classes]
    counts = np.stack([cells.matrix for cells in standing.by_seed.values()])
    chart = page.chart(
        figures.confusion_heatmap(counts, names),
        "A row shows where the pixels of a true class went, in percent; on the diagonal they are right. All seeds and "
        "validation images together.",
        alt=f"What {standing.title} takes each class for",
    )
    return tag("details", tag("summary", standing.title), chart, open="open" if opened else None)


def add_sizes(page: Page, findings: Findings) -> None:
    """Add how much is found of objects of each size, where the runs counted it."""
    contenders = [standing.contender for standing in findings.standings]
    recall = recall_by_size(contenders)
    if recall:
        chart = page.chart(
            figures.size_curves(contenders, recall),
            "Share of the pixels that is found, by the size of the object they belong to; all classes together, mean "
            "over seeds with the 95 % interval.",
            alt="Pixels found by size of the object",
        )
        page.add("sizes", "Small and large objects", chart)


def add_curves(page: Page, findings: Findings) -> None:
    """Add how the contenders learnt, epoch by epoch."""
    contenders = [s.contender for s in [*findings.standings, *findings.pending]]
    # A run that failed in epoch 3 would cut off the mean of all seeds there.
    sound = [
        replace(c, runs=[run for run, status in statuses(c.runs) if status.state is RunState.FINISHED])
        for c in contenders
    ]
    sound = [contender for contender in sound if contender.runs]
    if not sound:
        return
    majority = majority_of(run for contender in sound for run in contender.runs)
    charts = [
        page.chart(
            figures.accuracy_curves(
                sound, name, majority=majority if name.endswith("pixel_accuracy") else None, show_runs=True
            ),
            f"{FIELD_TITLES[name]} by epoch: mean over finished seeds with the 95 % band, single runs as thin lines.",
            alt=f"{FIELD_TITLES[name]} by epoch",
        )
        for name in CURVES
    ]
    charts.append(
        page.chart(
            figures.accuracy_curves(sound, "val_miou", by="minute"),
            "Validation mIoU by minute of training.",
            alt="Validation mIoU by minute of training",
        )
    )
    page.add("curves", "How they learnt", *charts, paragraph(majority_text(majority), class_="caption"))
