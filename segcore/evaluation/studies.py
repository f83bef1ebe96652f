"""A study's verdicts: its runs gathered into contenders, every pair of them judged.

The one road of the screens, the command line and the report from a study to its comparison. Nothing here imports
torch.
"""

from __future__ import annotations

from collections.abc import Iterable
from statistics import fmean

from segcore.errors import NotFoundError, WorkspaceError
from segcore.evaluation.cells import Score, of_run
from segcore.evaluation.comparison import contenders
from segcore.evaluation.verdicts import MARGIN, Comparison, compare
from segcore.runs import Part, Run, Study


def compare_study(study: Study, *, score: Score = "miou", margin: float = MARGIN, part: Part = "val") -> Comparison:
    """Judge all pairs of a study's contenders by their finished runs; those that cannot be read are left out.

    Raises:
        ValueError: a margin that is not above 0.
        WorkspaceError: the study or its split is damaged.
    """
    runs, _ = sound(study.runs(), part)
    return compare(contenders(runs), score=score, margin=margin, part=part, test_share=test_share(study))


def sound(runs: Iterable[Run], part: Part | None = None) -> tuple[list[Run], list[WorkspaceError]]:
    """Return the runs whose files can be read, and what is wrong with the others: one must not hide all.

    Runs that were removed meanwhile are in neither list.

    Args:
        runs: to be looked at.
        part: of the split whose counts are to be read, too; None where counts do not matter.
    """
    whole: list[Run] = []
    damaged: list[WorkspaceError] = []
    for run in runs:
        try:
            run.status, run.config, run.epochs(), run.cost()  # read for what they raise, like what follows
            if part is not None:
                of_run(run), of_run(run, part)
        except NotFoundError:
            continue
        except WorkspaceError as error:
            damaged.append(error)
        else:
            whole.append(run)
    return whole, damaged


def test_share(study: Study) -> float | None:
    """Return the images a fold is judged on / those it is trained on, the mean over folds; None without folds."""
    splits = study.fold_splits()
    return fmean(len(split.val) / len(split.train) for split in splits) if splits else None
