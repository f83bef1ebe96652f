"""What the Charts page draws, read once a drawing, and the settings by which it is judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import streamlit as st

from segcore.evaluation import comparison
from segcore.evaluation.comparison import Contender, ResultRow
from segcore.evaluation.findings import SCORES, Findings, gather, score_title
from segcore.evaluation.trained import with_estimate
from segcore.evaluation.verdicts import MARGIN
from segcore.runs import Run, Study
from segcore.status import RunState, Status
from segcore.store import RunStore
from segcore.text import UNKNOWN
from segcore.ui.components import name_unreadable
from segcore.ui.state import Key, Param, choose, choose_number


@dataclass(frozen=True, eq=False)
class Shown:
    """One or several studies as they are now."""

    study: Study
    """The chosen one."""
    studies: list[Study]
    """It and those it is compared with."""
    rows: list[tuple[Run, Status]]
    """All runs whose files can be read, with their status."""
    findings: Findings
    majority: float | None
    """Pixel accuracy of always answering the most frequent class; None where unknown, or where it differs."""
    show_runs: bool

    @property
    def key(self) -> str:
        """Tells these studies from others, for the keys of charts: zoom belongs to what is looked at."""
        return "+".join(study.name for study in self.studies)

    @cached_property
    def results(self) -> list[ResultRow]:
        """The final table, the highest mean mIoU first."""
        rows = self.findings.rows.values()
        return sorted(rows, key=lambda row: -1.0 if row["miou"] is None else row["miou"], reverse=True)

    @cached_property
    def judged(self) -> list[ResultRow]:
        """The same with the chosen score, its interval over seeds and images, in place of the recorded mIoU."""
        estimates = {found.label: found for found in self.findings.standings if found.estimate}
        rows = [
            with_estimate(row, estimates[row["label"]])
            if row["label"] in estimates
            else ResultRow(**{**row, "miou": None, "miou_text": UNKNOWN})
            for row in self.results
        ]
        return sorted(rows, key=lambda row: -1.0 if row["miou"] is None else row["miou"], reverse=True)

    @cached_property
    def drawn(self) -> list[Contender]:
        """All contenders, each with the runs that its curve is made of."""
        return comparison.contenders(worth_drawing(self.rows))

    @property
    def over(self) -> str:
        """What the intervals are over: "seeds and images", or what of it there is."""
        return self.findings.over

    @property
    def collapsed(self) -> set[str]:
        """Labels of the contenders of which a run answers one class everywhere."""
        return {label for label, row in self.findings.rows.items() if row["collapsed"]}


def read(store: RunStore, names: Sequence[str], score: str, margin: float, *, show_runs: bool) -> Shown:
    """Read studies and judge their contenders; runs that cannot be read are named on screen and left out.

    Raises:
        SegcoreError: a study is gone or damaged.
    """
    studies = [store.study(name) for name in names]
    findings = gather(studies, score=score, margin=margin)
    name_unreadable(findings.damaged)
    runs = findings.runs
    return Shown(studies[0], studies, store.statuses(runs), findings, comparison.majority_of(runs), show_runs)


def worth_drawing(rows: Sequence[tuple[Run, Status]]) -> list[Run]:
    """Leave out of the curves runs that failed, and those that ended early where their backbone has others.

    A mean goes as far as its shortest run: one that was stopped in epoch 3 would cut off the curve of all seeds.
    """
    whole = {RunState.FINISHED, RunState.RUNNING, RunState.QUEUED}
    states = [(run, status.state) for run, status in rows if status.state is not RunState.FAILED]
    carried = {(run.study_name, run.config.contender) for run, state in states if state in whole}
    return [run for run, state in states if state in whole or (run.study_name, run.config.contender) not in carried]


def settings(studies: Sequence[Study]) -> tuple[str, float, bool]:
    """Draw what decides how contenders are judged; return score, margin (a share) and whether to show single runs."""
    known = [[info.name for info in study.dataset.trained_classes] for study in studies]
    classes = [name for name in known[0] if all(name in names for names in known)]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        score = choose(
            Param.SCORE,
            "Judge by",
            [*SCORES, *(name for name in classes if name not in SCORES)],
            format_func=lambda name: score_title(name)[0].upper() + score_title(name)[1:] if name != "miou" else "mIoU",
            help="mIoU averages over all classes, so that a rare one counts as much as a frequent one.",
        )
        with st.popover("Settings", icon=":material/tune:"):
            points = choose_number(
                Param.MARGIN,
                "Margin of equivalence, in points",
                default=100 * MARGIN,
                low=0.1,
                high=20.0,
                step=0.5,
                help="Backbones whose difference is surely smaller than this are called equivalent: as good as each "
                "other for your purpose.",
            )
            show_runs = st.toggle(
                "Show every single run",
                key=Key.CHARTS_SINGLE,
                persist_state="session",
                help="Thin lines and marks beside the means over seeds.",
            )
    assert score is not None
    return score, points / 100, show_runs
