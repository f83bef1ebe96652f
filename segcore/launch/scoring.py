"""Starting and ending the detached process that predicts a study's test images; it outlives the browser."""

from __future__ import annotations

import time

from segcore.errors import LaunchError
from segcore.evaluation import scoring, seal
from segcore.evaluation.scoring import Scoring
from segcore.inherited import inheritable
from segcore.launch.processes import spawn
from segcore.runs import Study

HELD = "--held"
"""Tells the process that the lock was handed to it."""


def start(study: Study) -> bool:
    """Start the process that scores what an opening covers, unless one is at it or nothing is left.

    Returns:
        Whether one was started.

    Raises:
        SealError: the study's test scores are sealed.
        LaunchError: it cannot be started.
    """
    if not seal.opened(study):
        raise seal.SealError(f"The test scores of study {study.name!r} are sealed. Open them first.")
    runs = seal.to_score(study)
    if not runs or scoring.running(study):
        return False
    try:
        with inheritable(study.scoring_lock) as descriptors:
            study.clear_scoring_request()
            now = time.time()
            scoring.write(study, Scoring("running", len(runs), phase="starting", started=now, heartbeat=now))
            spawn("segcore.inference.scoring", str(study.path), HELD, log=study.scoring_log, descriptors=descriptors)
    except BlockingIOError:
        return False  # another was faster
    except OSError as error:
        raise LaunchError(f"The process that predicts the test images could not be started: {error}.") from error
    return True


def stop(study: Study) -> None:
    """Ask the process to end after the image it is at; what is scored stays, and it can go on later."""
    study.request_scoring_stop()
