"""What one or several studies say together: comparison, costs, confounds, races; what `compare` and the report print.

Contenders of several studies are judged in pairs where the studies were judged on the same images; else each study is
judged for itself, the results stand side by side, and it is said why. Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segcore.errors import ConfigError, WorkspaceError, nearest
from segcore.evaluation import confounds, racing
from segcore.evaluation.cells import Score
from segcore.evaluation.comparison import ResultRow, contenders, result_table
from segcore.evaluation.confounds import Confound
from segcore.evaluation.racing import RacedOut
from segcore.evaluation.standings import effective
from segcore.evaluation.statistics import Estimate, crossed
from segcore.evaluation.studies import sound, test_share
from segcore.evaluation.verdicts import MARGIN, Comparison, Standing, compare
from segcore.runs import Part, Run, Study

SCORES: dict[str, str] = {"miou": "mIoU", "pixel_accuracy": "pixel accuracy"}
"""Scores that are no class, and what they are called on screen."""


@dataclass(frozen=True, eq=False)
class Findings:
    """What is known of some studies, for one score, margin and part of the split."""

    studies: list[Study]
    score: str
    """A key of `SCORES`, or the name of a class."""
    margin: float
    part: Part
    comparisons: list[Comparison]
    """One over all contenders where they can be paired; else one for each study, in their order."""
    unpaired: str
    """Why the studies are not paired, in a sentence; "" where they are, or there is one."""
    rows: dict[str, ResultRow]
    """Costs and states of each contender, by label; its scores are those of the best epoch as it was recorded."""
    confounds: list[Confound]
    raced: dict[str, RacedOut]
    """What a race stopped, by the contender's label here."""
    runs: list[Run]
    """All runs of the studies that can be read."""
    damaged: list[WorkspaceError]
    """What is wrong with those that cannot, which are left out of everything."""

    @property
    def standings(self) -> list[Standing]:
        """All contenders with a result, the highest mean first."""
        found = [standing for comparison in self.comparisons for standing in comparison.standings]
        return sorted(found, key=lambda s: -s.estimate.mean if s.estimate else 0.0)

    @property
    def pending(self) -> list[Standing]:
        """All contenders without a result."""
        return [standing for comparison in self.comparisons for standing in comparison.pending]

    @property
    def score_title(self) -> str:
        """What people call the score: "mIoU", "IoU of roof"."""
        return score_title(self.score)

    @property
    def over(self) -> str:
        """What the intervals of the means are over: "seeds and images", or what of it there is."""
        scopes = {s.estimate.scope for s in self.standings if s.estimate}
        return f"{scopes.pop()} alone" if scopes in ({"images"}, {"seeds"}) else "seeds and images"

    def letters(self, label: str) -> str:
        """Return the letters of a contender; "" where it has no result."""
        return next((c.letters[label] for c in self.comparisons if label in c.letters), "")


def gather(
    studies: Sequence[Study],
    *,
    score: str = "miou",
    margin: float = MARGIN,
    part: Part = "val",
) -> Findings:
    """Judge the contenders of one study, or of several together; runs that cannot be read are left out and named.

    Args:
        studies: at least one, each once.
        score: "miou", "pixel_accuracy" or the name of a trained class.
        margin: of practical equivalence, as a share: 0.01 is one point.
        part: of the split. Whether the user has opened the test part is for the caller to ask.

    Raises:
        ConfigError: no study, one twice, a margin that is not between 0 and 1, or no class of that name.
        WorkspaceError: a study is damaged.
    """
    if not studies or len({study.path for study in studies}) < len(studies):
        raise ConfigError(f"Name each study once, not {', '.join(s.name for s in studies) or 'none'}.", field="study")
    if not 0 < margin < 1:
        raise ConfigError(f"The margin is {100 * margin:g} points; it must be above 0 and below 100.", field="margin")
    runs, damaged = sound((run for study in studies for run in study.runs()), part)
    unpaired = confounds.pairable(studies)
    found = contenders(runs)
    groups = [[c for c in found if c.study == study.name] for study in studies] if unpaired else [found]
    comparisons = [
        compare(
            group,
            score=score_of(score, study),
            margin=margin,
            part=part,
            test_share=test_share(study),
        )
        for study, group in zip(studies, groups, strict=False)
    ]
    labels = {(c.study, c.runs[0].config.contender): c.label for c in found}
    raced = {
        labels[study.name, out.contender]: out
        for study in studies
        for out in racing.outcome(study)
        if (study.name, out.contender) in labels
    }
    return Findings(
        list(studies),
        score,
        margin,
        part,
        comparisons,
        unpaired,
        {row["label"]: row for row in result_table(runs)},
        confounds.differences(studies),
        raced,
        runs,
        damaged,
    )


def score_of(name: str, study: Study) -> Score:
    """Return the score of that name: one of `SCORES`, or the place of a trained class.

    Raises:
        ConfigError: the study has no class of that name.
    """
    if name == "miou":
        return "miou"
    if name == "pixel_accuracy":
        return "pixel_accuracy"
    classes = [info.name for info in study.dataset.trained_classes]
    if name not in classes:
        raise ConfigError(
            f"{name!r} is no score of study {study.name}: give {', '.join(SCORES)} or one of its classes, "
            f"{', '.join(classes)}.{nearest(name, [*SCORES, *classes])}",
            field="score",
        )
    return classes.index(name)


def score_title(name: str) -> str:
    """Return what people call a score."""
    return SCORES.get(name, f"IoU of {name}")


def class_estimates(standing: Standing, classes: int) -> list[Estimate | None]:
    """Return the mean IoU of each class over seeds and images, as a verdict on that class has it.

    None for a class that no mask shows, though a network may answer it, and throughout where the seeds were judged on
    different images.
    """
    return [_class_estimate(standing, index) for index in range(classes)]


def _class_estimate(standing: Standing, index: int) -> Estimate | None:
    networks = [cells for cells in standing.by_seed.values() if cells.shown[:, index].any()]
    if len({cells.groups for cells in networks}) != 1:
        return None
    tables = np.stack([cells.table(index) for cells in networks])
    return crossed(tables, effective=effective(networks, index))
