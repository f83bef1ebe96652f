"""Starting the detached process that judges a run on other images; it outlives the browser."""

from __future__ import annotations

import json
from collections.abc import Mapping

from segcore.evaluation.reevaluating import Reevaluating
from segcore.evaluation.reevaluation import Judged
from segcore.launch.processes import start_alone
from segcore.runs import Run


def start(run: Run, dataset: str, part: Judged, given: Mapping[str, str | None]) -> bool:
    """Start the process that judges a run on part of a dataset, unless one is at this run already.

    What cannot be judged is found out by the process, which says why; `evaluation.reevaluation.plan` tells before.

    Returns:
        Whether one was started.

    Raises:
        LaunchError: it cannot be started.
        NotFoundError: the run is gone.
    """
    if run.reevaluating.running():
        return False
    run.make_reevaluations()
    wish = json.dumps({"dataset": dataset, "part": part, "given": dict(given)})
    said = Reevaluating("running", dataset, part, phase="starting")
    return start_alone(run.reevaluating, said, "segcore.inference.reevaluation", str(run.path), wish)
