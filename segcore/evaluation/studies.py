"""A study's verdicts: its runs gathered into contenders, every pair of them judged.

The one road of the screens, the command line and the report from a study to its comparison. Nothing here imports
torch.
"""

from __future__ import annotations

from statistics import fmean

from segcore.evaluation.cells import Score
from segcore.evaluation.comparison import contenders
from segcore.evaluation.verdicts import MARGIN, Comparison, compare
from segcore.runs import Part, Study


def compare_study(study: Study, *, score: Score = "miou", margin: float = MARGIN, part: Part = "val") -> Comparison:
    """Judge all pairs of a study's contenders by their finished runs.

    Raises:
        ValueError: a margin that is not above 0.
        WorkspaceError: the study, its split or counts of its runs are damaged.
    """
    return compare(contenders(study.runs()), score=score, margin=margin, part=part, test_share=test_share(study))


def test_share(study: Study) -> float | None:
    """Return the images a fold is judged on / those it is trained on, the mean over folds; None without folds."""
    splits = study.fold_splits()
    return fmean(len(split.val) / len(split.train) for split in splits) if splits else None
