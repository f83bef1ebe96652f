"""A study of folds, trained for real by the worker."""

from __future__ import annotations

from pathlib import Path

import pytest

from segcore.config import Recipe, StudyConfig
from segcore.data.store import DatasetStore
from segcore.evaluation.metrics import scores
from segcore.evaluation.studies import compare_study
from segcore.launch import plan
from segcore.status import RunState
from segcore.store import RunStore
from segcore.training import worker
from tests.factories import add_dataset
from tests.training.conftest import ENCODER


def test_every_image_is_judged_once_by_a_network_that_has_not_seen_it(
    store: RunStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "ensure_scheduler", lambda _workspace: None)
    add_dataset(store.workspace, tmp_path / "source")
    recipe = Recipe(epochs=1, image_size=32, batch_size=4, precision="fp32", memory_format="contiguous")
    config = StudyConfig(name="s", dataset="tiny", encoders=(ENCODER,), weights="none", folds=2, recipe=recipe)
    runs = plan.launch_study(config, store.workspace)
    assert [worker.main([str(run.path)]) for run in runs] == [0, 0]
    dataset = DatasetStore(store.workspace).get("tiny")
    judged = []
    for run in runs:
        assert run.state is RunState.FINISHED
        evaluation = run.evaluation()
        assert evaluation is not None and evaluation.names == list(run.split.val)
        assert set(evaluation.groups).isdisjoint(dataset.groups[name] for name in run.split.train)
        assert scores(evaluation.counts).miou == pytest.approx(run.epochs()[0].val_miou)
        judged += evaluation.names
    assert sorted(judged) == sorted(dataset.names)
    (standing,) = compare_study(store.study("s")).standings
    assert standing.estimate is not None and standing.estimate.groups == len(set(dataset.groups.values()))
    assert sum(standing.by_seed[0].images) == len(dataset.names)
