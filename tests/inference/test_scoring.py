"""Predicting the test images of a real, tiny study: the numbers that validation gives, and none before the opening."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from segcore.data.store import DatasetStore
from segcore.errors import SealError, WeightsError
from segcore.evaluation import seal
from segcore.evaluation.scoring import Scoring
from segcore.files import read_json, write_json
from segcore.inference import scoring as inference
from segcore.inherited import inheritable
from segcore.launch import scoring as launch
from segcore.runs import Evaluation, Run, Study
from segcore.status import OTHER_WORKER
from segcore.store import RunStore
from segcore.workspace import Workspace


@pytest.fixture
def study(trained: Callable[[str], Path], tmp_path: Path) -> Study:
    """A copy of the study of its own for each test."""
    shutil.copytree(trained("resize"), tmp_path / "home")
    return RunStore(Workspace(tmp_path / "home")).study("s")


def same(found: Evaluation | None, wanted: Evaluation | None) -> None:
    assert found is not None and wanted is not None
    assert (found.names, found.groups, found.epoch) == (wanted.names, wanted.groups, wanted.epoch)
    np.testing.assert_array_equal(found.counts, wanted.counts)
    assert (found.sizes is None) == (wanted.sizes is None)
    if found.sizes is not None and wanted.sizes is not None:
        np.testing.assert_array_equal(found.sizes, wanted.sizes)


@pytest.mark.parametrize("geometry", ["resize", "crop"])
def test_val_is_scored_as_training_scored_it(trained: Callable[[str], Path], geometry: str) -> None:
    """Bit for bit: so a difference between val and test is none of two ways to count."""
    for run in RunStore(Workspace(trained(geometry))).study("s").runs():
        same(inference.evaluate(run, "val"), run.evaluation())


def test_nothing_is_scored_before_the_seal_is_broken(study: Study, capfd: pytest.CaptureFixture[str]) -> None:
    (run, _) = study.runs()
    with pytest.raises(SealError, match="are sealed"):
        inference.evaluate(run)
    with pytest.raises(SealError, match="are sealed"):
        launch.start(study)
    assert inference.main([str(study.path)]) == 2
    assert "are sealed" in capfd.readouterr().err
    assert run.evaluation("test") is None
    assert study.scoring.read(Scoring) is None


def test_all_opened_runs_are_scored_on_their_test_images(study: Study) -> None:
    seal.open_test(study)
    assert inference.main([str(study.path)]) == 0
    for run in study.runs():
        evaluation = run.evaluation("test")
        assert evaluation is not None
        assert evaluation.names == list(study.split.test)
        assert evaluation.epoch == run.evaluation_epoch()
        assert evaluation.counts.sum() == 2 * 32 * 32 - (evaluation.counts.shape[0] * 32 * 2)  # the border is ignored
    said = study.scoring.read(Scoring)
    assert said is not None
    assert (said.state, said.done, said.runs, said.refused) == ("finished", 2, 2, {})
    assert said.share == 1.0


def test_it_goes_on_where_it_was_cancelled(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    seal.open_test(study)
    first, second = study.runs()
    written = Run.write_evaluation

    def cancel_after_the_first(self: Run, evaluation: Evaluation, part: str = "val") -> None:
        written(self, evaluation, part)  # type: ignore[arg-type]
        study.scoring.ask_to_stop()

    monkeypatch.setattr(Run, "write_evaluation", cancel_after_the_first)
    assert inference.main([str(study.path)]) == 0
    said = study.scoring.read(Scoring)
    assert said is not None and said.state == "cancelled"
    assert (seal.is_scored(first), seal.is_scored(second)) == (True, False)
    monkeypatch.undo()
    stamp = first.evaluation_path("test").stat().st_mtime_ns
    assert inference.main([str(study.path)]) == 0
    assert seal.is_scored(second)
    assert first.evaluation_path("test").stat().st_mtime_ns == stamp  # not done again


def test_what_cannot_be_scored_does_not_stop_the_others(study: Study) -> None:
    seal.open_test(study)
    first, second = study.runs()
    first.best_weights.unlink()
    assert inference.main([str(study.path)]) == 0
    assert seal.is_scored(second) and not seal.is_scored(first)
    said = study.scoring.read(Scoring)
    assert said is not None
    assert said.state == "finished"
    assert list(said.refused) == [first.name]
    assert "is missing" in said.refused[first.name]
    with pytest.raises(WeightsError):
        inference.evaluate(first)


def test_a_changed_dataset_is_said_of_every_run(study: Study) -> None:
    seal.open_test(study)
    dataset = DatasetStore(Workspace(study.path.parents[1])).get("tiny")
    image = dataset.pairs[0].image
    image.write_bytes(image.read_bytes() + b"more")
    try:
        assert inference.main([str(study.path)]) == 0
    finally:
        image.write_bytes(image.read_bytes()[:-4])
    said = study.scoring.read(Scoring)
    assert said is not None
    assert sorted(said.refused) == sorted(run.name for run in study.runs())
    assert all("have changed" in reason for reason in said.refused.values())


def test_only_one_process_is_at_it(study: Study, capfd: pytest.CaptureFixture[str]) -> None:
    seal.open_test(study)
    with inheritable(study.scoring.lock):
        assert inference.main([str(study.path)]) == OTHER_WORKER
    assert "Another process scores" in capfd.readouterr().err
    assert not any(seal.is_scored(run) for run in study.runs())


def test_the_detached_process_scores_and_can_be_watched(study: Study) -> None:
    seal.open_test(study)
    assert launch.start(study)
    assert study.scoring.running()
    assert not launch.start(study)  # one at a time
    deadline = time.monotonic() + 120
    while study.scoring.running():
        assert time.monotonic() < deadline, study.scoring.log.read_text()
        time.sleep(0.1)
    said = study.scoring.read(Scoring)
    assert said is not None
    assert said.state == "finished", study.scoring.log.read_text()
    assert said.pid != os.getpid()
    assert all(seal.is_scored(run) for run in study.runs())
    assert not launch.start(study)  # nothing is left


def test_a_process_that_died_is_told_from_one_that_works(study: Study) -> None:
    seal.open_test(study)
    study.scoring.write(Scoring("running", runs=2, host="gone", pid=1, pid_started=1.0))
    write_json(study.scoring.said, {**(read_json(study.scoring.said) or {}), "heartbeat": 1.0})
    said = study.scoring.read(Scoring)
    assert said is not None and said.state == "interrupted"
    assert launch.start(study)  # it goes on
    study.scoring.ask_to_stop()
    while study.scoring.running():
        time.sleep(0.1)


def test_a_study_that_is_removed_meanwhile_is_not_made_anew(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    seal.open_test(study)
    load = inference.load_weights

    def remove(*arguments: object) -> None:
        load(*arguments)  # type: ignore[arg-type]
        shutil.move(study.path, study.path.parents[2] / "away")

    monkeypatch.setattr(inference, "load_weights", remove)
    assert inference.main([str(study.path)]) == 0
    assert not study.path.exists()


def test_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert inference.main([]) == 2
    assert "usage" in capsys.readouterr().err


def test_share_and_time_left() -> None:
    said = Scoring("running", runs=4, done=1, image=5, images=10, started=100.0, heartbeat=130.0)
    assert said.share == pytest.approx(0.375)
    assert said.seconds_left == pytest.approx(50.0)  # 30 s for 0.375, so 50 s for 0.625
    assert Scoring("running", runs=4).seconds_left is None
