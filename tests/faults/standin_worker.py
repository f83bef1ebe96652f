"""Takes the worker's place where only the queue is tested: keeps its contract, but trains nothing and needs no torch.

It notes each life in a journal, the file named by SEGCORE_TEST_JOURNAL, so that a test sees who trained what, when.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

from filelock import Timeout

from segcore.runs import Run
from segcore.status import OTHER_WORKER, RunState, process_identity

SECONDS = float(os.environ.get("SEGCORE_TEST_SECONDS", "0.3"))
"""How long a run takes."""


def note(run: Run, event: str) -> None:
    """Add a line to the journal: (run, process, event, seconds on a clock that all processes share)."""
    line = json.dumps([f"{run.study_name}/{run.name}", os.getpid(), event, time.monotonic()])
    with open(os.environ["SEGCORE_TEST_JOURNAL"], "a", encoding="utf-8") as journal:
        journal.write(line + "\n")


def main() -> int:
    """Pretend to train the run whose directory is the only argument."""
    run = Run(Path(sys.argv[1]).resolve())
    try:
        with run.worker_lock().acquire(timeout=0):
            return train(run)
    except Timeout:
        return OTHER_WORKER


def train(run: Run) -> int:
    """Live through the states of a run."""
    note(run, "begin")
    for leftover in run.path.glob(".*.tmp"):
        leftover.unlink()
    status = replace(run.status, state=RunState.RUNNING, phase="training", **process_identity())
    steps = max(8, int(SECONDS / 0.1))
    for step in range(steps):
        run.write_status(replace(status, step=step, steps=steps, heartbeat=time.time()))
        if run.stop_requested():
            run.clear_request()
            note(run, "stopped")
            run.write_status(replace(status, state=RunState.STOPPED, ended=time.time(), message="Stopped.", hint=""))
            return 0
        time.sleep(SECONDS / steps)
    note(run, "finished")
    run.write_status(replace(status, state=RunState.FINISHED, phase="", step=steps, steps=steps, ended=time.time()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
