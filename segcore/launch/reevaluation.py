"""Starting and ending the detached process that judges a run on other images; it outlives the browser."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping

from segcore.errors import LaunchError
from segcore.evaluation import reevaluating
from segcore.evaluation.reevaluating import Reevaluating
from segcore.evaluation.reevaluation import Judged
from segcore.inherited import inheritable
from segcore.launch.processes import spawn
from segcore.runs import Run

HELD = "--held"
"""Tells the process that the lock was handed to it."""


def start(run: Run, dataset: str, part: Judged, given: Mapping[str, str | None]) -> bool:
    """Start the process that judges a run on part of a dataset, unless one is at this run already.

    What cannot be judged is found out by the process, which says why; `evaluation.reevaluation.plan` tells before.

    Returns:
        Whether one was started.

    Raises:
        LaunchError: it cannot be started.
        NotFoundError: the run is gone.
    """
    if reevaluating.running(run):
        return False
    run.make_reevaluations()
    wish = json.dumps({"dataset": dataset, "part": part, "given": dict(given)})
    try:
        with inheritable(run.reevaluating_lock) as descriptors:
            run.clear_reevaluating_request()
            now = time.time()
            said = Reevaluating("running", dataset, part, phase="starting", started=now, heartbeat=now)
            reevaluating.write(run, said)
            log = run.reevaluating_log
            spawn("segcore.inference.reevaluation", str(run.path), wish, HELD, log=log, descriptors=descriptors)
    except BlockingIOError:
        return False  # another was faster
    except OSError as error:
        raise LaunchError(f"The process that judges the run could not be started: {error}.") from error
    return True


def stop(run: Run) -> None:
    """Ask the process to end after the images it is at; it leaves no result."""
    run.request_reevaluating_stop()
