"""How the numbers came to be: what else differs, what is left out, the data, the recipe, the machine, the method."""

from __future__ import annotations

import time

import segcore
from segcore.config import Recipe
from segcore.errors import SegcoreError
from segcore.evaluation import conditions
from segcore.evaluation.comparison import best_epoch
from segcore.evaluation.findings import Findings
from segcore.evaluation.report import rerun
from segcore.evaluation.report.markup import Html, bullets, data_link, facts, joined, paragraph, swatch, table, tag
from segcore.evaluation.report.page import Page
from segcore.evaluation.report.results import margin_text
from segcore.figures.theme import css
from segcore.models import catalog
from segcore.runs import Run, Study, statuses
from segcore.status import RunState
from segcore.text import UNKNOWN, duration, percent, plural

METHOD = (
    "Scores are pooled: one confusion matrix over all labelled pixels of the validation images; IoU of a class is "
    "TP / (TP + FP + FN), mIoU the mean over the classes that occur. Every seed's network predicts every image, so "
    "seeds and groups of images are crossed random effects. The difference of two backbones is taken apart into the "
    "influence of each group of images under each seed (the infinitesimal jackknife; Efron 1982), and a two-way "
    "analysis of variance of that table (Searle, Casella, McCulloch, Variance Components, 1992) gives the standard "
    "error, Satterthwaite's formula (Biometrics Bulletin 2, 1946) the degrees of freedom, Student's t interval and "
    "p-value; the groups count with their effective number (Carter, Schnepel and Steigerwald, Review of Economics "
    "and Statistics 99, 2017), and the spread over seeds is never taken below its average over all backbones of the "
    "study. p-values are adjusted over all pairs (Holm, Scandinavian Journal of Statistics 6, 1979). Equivalence is "
    "two one-sided tests against the margin (Schuirmann, Journal of Pharmacokinetics and Biopharmaceutics 15, "
    "1987), adjusted likewise. Letters are those of Piepho (Journal of Computational and Graphical Statistics 13, "
    "2004). The bootstrap interval, a cross-check that is known to be too narrow with few seeds, resamples seeds "
    "and groups of images (Efron and Tibshirani 1993). Over folds stands the corrected test of Nadeau and Bengio "
    "(Machine Learning 52, 2003)."
)


def add_doubts(page: Page, findings: Findings) -> None:
    """Add what else could explain a difference, and the runs that no number rests on."""
    doubts = bullets(c.sentence for c in findings.confounds)
    told = doubts or paragraph("The runs of this study differ in nothing that was written down but backbone and seed.")
    page.add("confounds", "What else could explain a difference", told)
    rows = [
        (run.name, status.state.value, f"{status.epoch}/{run.config.recipe.epochs}", f"{status.message} {status.hint}")
        for run, status in statuses(_readable(findings.studies[0]))
        if status.state is not RunState.FINISHED
    ]
    if rows or findings.damaged:
        listed = table(("run", "state", ">epoch", "why"), rows) if rows else ""
        damaged = bullets(f"Cannot be read: {error}" for error in findings.damaged)
        page.add("left-out", "Left out", paragraph("No score rests on these runs."), listed, damaged)


def add_origin(page: Page, findings: Findings) -> None:
    """Add the dataset, the split, the recipe, the machine and every run."""
    study = findings.studies[0]
    runs = _readable(study)
    page.add(
        "origin",
        "What it was made of",
        tag("h3", "Dataset and split"),
        _dataset_facts(study),
        _class_table(study),
        tag("h3", "Recipe"),
        facts(_recipe_facts(study)),
        tag("h3", "Machine and versions"),
        facts(_machine_facts(study)),
        tag("h3", "Runs"),
        _run_table(runs),
    )


def _dataset_facts(study: Study) -> Html:
    dataset, split = study.dataset, study.split
    parts = {"training": split.train, "validation": split.val, "test (sealed until opened)": split.test}
    rows: dict[str, object] = {
        "name": dataset.name + (" (synthetic: drawn, not photographed)" if dataset.synthetic else ""),
        "images": ", ".join(f"{len(names)} {part}" for part, names in parts.items() if names),
    }
    if study.folds:
        rows["folds"] = f"{study.folds}: every image is judged once, by networks that did not learn from it"
    rows |= {
        "scenes": _scenes(study),
        "classes": plural(len(dataset.trained_classes), "class", "classes"),
        "fingerprint of the files": study.shared["dataset_fingerprint"],
        "fingerprint of the split": study.shared.get("split_fingerprint") or split.fingerprint,
    }
    return facts(rows)


def _scenes(study: Study) -> str:
    """Say in how many scenes the validation images are, as the runs have grouped them."""
    for run in _readable(study):
        try:
            evaluation = run.evaluation()
        except SegcoreError:
            continue
        if evaluation is not None:
            groups = len(set(evaluation.groups))
            alone = groups == len(evaluation.groups)
            return "each validation image counts alone" if alone else f"{plural(groups, 'scene')} to validate on"
    return UNKNOWN


def _class_table(study: Study) -> Html:
    entries = [
        tag("span", swatch(css(c.color)), c.name + (" (ignored)" if c.ignore else ""), class_="entry")
        for c in study.dataset.meaning.classes
    ]
    return tag("p", joined(entries, " "), class_="legend")


def _recipe_facts(study: Study) -> dict[str, object]:
    recipe = study.recipe
    decoder = catalog.DECODERS.get(study.decoder)
    execution = study.execution() or {}
    rows: dict[str, object] = {"decoder": decoder.title if decoder else study.decoder}
    for field in Recipe.model_fields:
        if field != "crops_per_image" or recipe.geometry == "crop":
            rows[field.replace("_", " ")] = getattr(recipe, field)
    if execution:
        used = f"{execution.get('precision')}, {execution.get('memory_format')}"
        rows["computed in"] = execution.get("reason") or used
    return rows


def _machine_facts(study: Study) -> dict[str, object]:
    """Return what the runs met when they began; several values with how many runs had each."""
    known = conditions.of_study(study)
    rows: dict[str, object] = {}
    for name in ("hardware", "threads", "processes", "packages", "segcore"):
        values = known.runs.get(name, {})
        counted = [
            f"{value} ({plural(len(who), 'run')})" if len(values) > 1 else value for value, who in values.items()
        ]
        rows[{"segcore": "trained by segcore"}.get(name, name)] = "; ".join(counted) or conditions.NOT_RECORDED
    for encoder, files in known.files.items():
        rows[f"weights of {encoder}"] = ", ".join(f"sha256 {sha}" for sha in files)
    return rows


def _run_table(runs: list[Run]) -> Html:
    columns = ("run", "state", ">epochs", ">best epoch", ">validation mIoU", ">pixel accuracy", ">time")
    rows = []
    for run, status in statuses(runs):
        best = best_epoch(run)
        rows.append(
            (
                run.name,
                status.state.value,
                f"{status.epoch}/{run.config.recipe.epochs}",
                best.epoch if best else UNKNOWN,
                percent(best.val_miou if best else None, 2),
                percent(best.val_pixel_accuracy if best else None, 2),
                duration(status.seconds or None),
            )
        )
    return table(columns, rows)


def add_method(page: Page, findings: Findings) -> None:
    """Add how it was judged, and the commands that do it again."""
    study = findings.studies[0]
    page.add(
        "method",
        "How it was judged",
        paragraph(METHOD),
        paragraph(
            f"Margin of practical equivalence: {margin_text(findings.margin)}. Judged on the "
            f"{'test' if findings.part == 'test' else 'validation'} images."
        ),
    )
    left = rerun.not_said(study.recipe)
    page.add(
        "rerun",
        "Run it again",
        paragraph(
            "These commands do it again; the first needs the images and masks, and ",
            data_link(rerun.CLASSES_FILE, rerun.CLASSES_FILE, rerun.classes_csv(study.dataset), "text/csv"),
            " and ",
            data_link(rerun.SPLIT_FILE, rerun.SPLIT_FILE, rerun.split_json(study), "application/json"),
            ", which are inside of this page, in the folder they are started in.",
        ),
        tag("pre", "\n".join(rerun.commands(study, _readable(study)))),
        paragraph(f"No flag gives these settings of the recipe: {', '.join(left)}.") if left else "",
        *(paragraph(note) for note in _longer(study)),
    )


def _longer(study: Study) -> list[str]:
    """Say which runs were made longer: another command than the one that began them."""
    notes = {str(entry.get("note", "")) for run in _readable(study) for entry in run.extensions()}
    return sorted(note for note in notes if note)


def _readable(study: Study) -> list[Run]:
    """Return the runs whose configuration and provenance can be read."""
    found = []
    for run in study.runs():
        try:
            run.config, run.provenance()  # read for what they raise
        except SegcoreError:
            continue
        found.append(run)
    return found


def footer() -> Html:
    """Say what wrote the report, and when."""
    now = time.strftime("%Y-%m-%d %H:%M %Z")
    return paragraph(f"Written by segcore {segcore.__version__} on {now}.", class_="soft")
