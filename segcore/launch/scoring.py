"""Starting the detached process that predicts a study's test images; it outlives the browser."""

from __future__ import annotations

from segcore.errors import SealError
from segcore.evaluation import seal
from segcore.evaluation.scoring import Scoring
from segcore.launch.processes import start_alone
from segcore.runs import Study


def start(study: Study) -> bool:
    """Start the process that scores what an opening covers, unless one is at it or nothing is left.

    Returns:
        Whether one was started.

    Raises:
        SealError: the study's test scores are sealed.
        LaunchError: it cannot be started.
    """
    if not seal.opened(study):
        raise SealError(f"The test scores of study {study.name!r} are sealed. Open them first.")
    runs = seal.to_score(study)
    if not runs or study.scoring.running():
        return False
    said = Scoring("running", len(runs), phase="starting")
    return start_alone(study.scoring, said, "segcore.inference.scoring", str(study.path))
