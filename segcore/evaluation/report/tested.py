"""Test scores, if the user has opened them, together with the record of what was known before."""

from __future__ import annotations

import time

from segcore import figures
from segcore.evaluation import acquainted, seal
from segcore.evaluation.confirmation import confirm, score_text
from segcore.evaluation.findings import Findings
from segcore.evaluation.report.markup import bullets, paragraph, table, tag
from segcore.evaluation.report.page import Page
from segcore.evaluation.seal import Opening
from segcore.runs import Study
from segcore.text import UNKNOWN, percent, plural


def add_test(page: Page, findings: Findings) -> None:
    """Add what the test images say; where they are sealed, say so; nothing where the split has none."""
    study = findings.studies[0]
    openings = seal.openings(study)
    if openings:
        _add_scores(page, findings, openings)
    elif study.split.test:
        page.add(
            "test",
            "Test scores",
            paragraph(
                f"Sealed: nobody has looked at the {plural(len(study.split.test), 'test image')} yet. They say what "
                "the chosen backbone is worth, once it is chosen."
            ),
        )


def _add_scores(page: Page, findings: Findings, openings: list[Opening]) -> None:
    study = findings.studies[0]
    both = confirm(study, findings.margin)
    rows = [
        (pair.title, score_text(pair.test), score_text(pair.val), "" if pair.complete else "not the same seeds")
        for pair in both.pairs
    ]
    page.add(
        "test",
        "Test scores",
        paragraph(
            "The backbone was to be chosen on the validation images; these say what it is worth. Choosing by them "
            "would make them too high, as well."
        ),
        page.chart(
            figures.rank_plot(both.test, "Test mIoU"),
            "Mean mIoU on the test images.",
            alt="Test mIoU of every backbone",
        )
        if both.any_scored
        else paragraph("No test score is computed yet."),
        paragraph(both.summary()) if both.any_scored else "",
        table(("backbone", ">test mIoU", ">validation mIoU", ""), rows),
        bullets(both.sentences()),
        tag("h3", "When they were opened, and what was known before"),
        bullets(opening_text(opening) for opening in openings),
        bullets(_doubts(study, openings)),
    )


def opening_text(opening: Opening) -> str:
    """Say when test scores were opened, what that covers and what was known on the validation images then."""
    when = time.strftime("%Y-%m-%d %H:%M %Z", time.localtime(opening.time))
    text = (
        f"{when}: {plural(len(opening.covers), 'finished run')} of {plural(sum(opening.states.values()), 'run')}, on "
        f"{plural(opening.images, 'test image')}."
    )
    known = [f"{entry['title']} {percent(entry['mean'])} (n = {entry['n']})" for entry in opening.contenders]
    text += f" On the validation images was known: {', '.join(known) or UNKNOWN}."
    if opening.scored:
        text += f" The test scores of {plural(opening.scored, 'run')} were known already."
    return text


def _doubts(study: Study, openings: list[Opening]) -> list[str]:
    """Say what makes the test scores less than unseen."""
    met = dict.fromkeys(acquainted.sentence(entry) for opening in openings for entry in opening.elsewhere)
    found = [f"Of these images was known: {text}" for text in met]
    found += [f"{name}: {text}." for name, text in seal.late(study).items()]
    later = seal.uncovered(study)
    if later:
        found.append(f"{plural(len(later), 'run')} finished or trained on since; no opening covers these weights.")
    return found
