"""The made-up workspace of the benchmarks holds what real runs leave, so that pages are measured on the real thing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from segcore.evaluation.comparison import best_epoch, contenders, result_table
from segcore.evaluation.costs import COSTS
from segcore.evaluation.metrics import scores
from segcore.evaluation.sizes import recall_by_size
from segcore.status import RunState
from segcore.store import RunStore
from segcore.workspace import Workspace

ROOT = Path(__file__).resolve().parents[1]


def test_made_up_runs_are_whole(tmp_path: Path) -> None:
    few = ["--studies", "2", "--backbones", "3", "--seeds", "3", "--epochs", "4"]
    script = [sys.executable, "benchmarks/workspace.py", str(tmp_path), *few]
    done = subprocess.run(script, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    store = RunStore(Workspace(tmp_path))
    newest, oldest = store.studies()
    states = [status.state for _, status in store.statuses(newest.runs())]
    # Whoever wrote it has ended, so that what trained by then is interrupted.
    assert (states.count(RunState.QUEUED), states.count(RunState.INTERRUPTED)) == (3, 2)
    rows = result_table(oldest.runs())
    assert [row["n"] for row in rows] == [3, 3, 3]
    assert all(cost.value(row) for cost in COSTS.values() for row in rows)
    for run in oldest.runs():
        evaluation, best = run.evaluation(), best_epoch(run)
        assert evaluation is not None and evaluation.sizes is not None and best is not None
        assert len(run.epochs()) == 4 and best.epoch == evaluation.epoch
        assert abs(scores(evaluation.counts).miou - best.val_miou) < 1e-9
        np.testing.assert_array_equal(evaluation.sizes[..., 0].sum(axis=2), evaluation.counts.sum(axis=2))
        hits = np.diagonal(evaluation.counts, axis1=1, axis2=2)
        np.testing.assert_array_equal(evaluation.sizes[..., 1].sum(axis=2), hits)
    assert len(recall_by_size(contenders(oldest.runs()))) == 3
