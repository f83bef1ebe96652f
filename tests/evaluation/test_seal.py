"""The seal on the test images: what opens it, what is written down, and what it does not cover."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import numpy as np
import pytest

from segcore import __version__
from segcore.config import Recipe, StudyConfig
from segcore.data.splits import fold_splits
from segcore.errors import SealError, WorkspaceError
from segcore.evaluation import seal
from segcore.evaluation.seal import Seal
from segcore.evaluation.studies import compare_study
from segcore.runs import Evaluation, Run, Study
from segcore.status import RunState
from segcore.store import RunStore
from tests import factories


@pytest.fixture
def study(store: RunStore) -> Study:
    """Two backbones with two seeds on a split with two test images, and a run that failed."""
    factories.make_study(store, dataset=factories.with_test())
    factories.make_run(store, seed=9, state=RunState.FAILED, dataset=factories.with_test())
    return store.study("study")


def finish_anew(run: Run, epoch: int) -> None:
    """Let a run have trained on to a better epoch."""
    evaluation = run.evaluation()
    assert evaluation is not None
    run.write_evaluation(replace(evaluation, epoch=epoch))


def test_states(store: RunStore, study: Study) -> None:
    factories.make_run(store, study="without")
    assert seal.state(store.study("without")) is Seal.NONE
    assert seal.state(study) is Seal.SEALED
    assert not seal.opened(study)
    seal.open_test(study)
    assert seal.state(study) is Seal.OPENED
    assert seal.opened(study)


def test_opening_writes_down_what_was_known(store: RunStore, study: Study) -> None:
    comparison = compare_study(study, margin=0.02)
    opening = seal.open_test(study, margin=0.02)
    assert seal.openings(study) == [opening]
    assert opening.time >= max(run.status.created for run in study.runs())
    assert (opening.version, opening.margin, opening.images) == (__version__, 0.02, 2)
    assert opening.recipe == study.recipe.to_json()
    assert opening.states == {"finished": 4, "failed": 1}
    assert opening.scored == 0
    best = comparison.standings[0]
    assert best.estimate is not None
    assert opening.leader == best.title
    assert [row["label"] for row in opening.contenders] == [s.label for s in comparison.standings]
    assert opening.contenders[0]["n"] == 2
    assert opening.contenders[0]["mean"] == pytest.approx(best.estimate.mean)
    assert (opening.contenders[0]["low"], opening.contenders[0]["high"]) == pytest.approx(best.estimate.interval())
    (verdict,) = opening.verdicts
    assert verdict["answer"] == comparison.verdicts[0].answer
    assert verdict["sentence"].startswith("Cannot tell") or "ResNet-18" in verdict["sentence"]
    assert {(entry["run"], entry["epoch"]) for entry in opening.covers} == {
        (run.name, 5) for run in study.runs() if run.state is RunState.FINISHED
    }


def test_opening_again_adds_nothing_until_a_run_is_new(store: RunStore, study: Study) -> None:
    first = seal.open_test(study)
    assert seal.open_test(study) == first
    for run in seal.to_score(study):
        factories.score_test(run)
    factories.make_run(store, seed=2, dataset=factories.with_test())
    second = seal.open_test(study)
    assert [o.time for o in seal.openings(study)] == [first.time, second.time]
    assert second.scored == 4
    assert len(second.covers) == 5


def test_two_openings_at_once_are_one(study: Study) -> None:
    both = threading.Barrier(2)

    def open_now() -> None:
        both.wait()
        seal.open_test(study)

    threads = [threading.Thread(target=open_now) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seal.openings(study)) == 1


def test_nothing_to_open_is_refused(store: RunStore) -> None:
    factories.make_run(store, study="without")
    with pytest.raises(SealError, match=r"no test images\. Divide the dataset anew with a test share"):
        seal.open_test(store.study("without"))
    factories.make_run(store, study="waiting", state=RunState.QUEUED, dataset=factories.with_test())
    with pytest.raises(SealError, match="No run of study 'waiting' is finished"):
        seal.open_test(store.study("waiting"))
    assert not seal.opened(store.study("waiting"))


def test_a_run_is_judged_only_with_the_weights_that_were_opened(store: RunStore, study: Study) -> None:
    run = seal.scorable(study)[0]
    with pytest.raises(SealError, match="are sealed"):
        seal.check_opened(run)
    seal.open_test(study)
    seal.check_opened(run)
    finish_anew(run, 7)
    with pytest.raises(SealError, match=r"before .* had the weights it has now"):
        seal.check_opened(run)
    new = factories.make_run(store, seed=2, dataset=factories.with_test())
    with pytest.raises(SealError, match="Open them again"):
        seal.check_opened(new)
    assert seal.uncovered(study) == [run, new]


def test_a_run_that_was_removed_and_trained_again_is_another(store: RunStore, study: Study) -> None:
    seal.open_test(study)
    run = seal.scorable(study)[0]
    config = run.config
    store.remove_run(run)
    again = factories.make_run(store, encoder=config.encoder, seed=config.seed, dataset=factories.with_test())
    assert again == run
    assert seal.uncovered(study) == [again]


def test_scores_of_older_weights_are_to_be_made_anew(study: Study) -> None:
    seal.open_test(study)
    runs = seal.to_score(study)
    assert len(runs) == 4
    for run in runs:
        factories.score_test(run)
    assert seal.to_score(study) == []
    assert {s.label: len(s.by_seed) for s in compare_study(study, part="test").standings}.popitem()[1] == 2
    finish_anew(runs[0], 7)
    assert not seal.is_scored(runs[0])
    assert seal.to_score(study) == []  # its new weights are not opened yet
    standings = {s.label: s for s in compare_study(study, part="test").standings}
    assert list(standings[runs[0].config.contender].by_seed) == [1]  # its seed 0 is out
    seal.open_test(study)
    assert seal.to_score(study) == [runs[0]]
    runs[1].evaluation_path("test").write_bytes(b"torn")
    assert seal.to_score(study) == [runs[0], runs[1]]


def test_folds_share_their_test_images(store: RunStore) -> None:
    """Every fold's network predicts all of them; a seed is judged by the counts of its folds together."""
    source = factories.with_test()
    parts = [source.split.train, source.split.val]
    config = StudyConfig(
        name="folded", dataset="tiny", encoders=(factories.RESNET18,), seeds=(0,), folds=2, recipe=Recipe(epochs=5)
    )
    folds = fold_splits(parts, source.split.test)
    runs = store.create_study(config, source.config, source.fingerprint, source.split, folds=folds)
    for run in runs:
        factories.set_state(run, RunState.FINISHED, done=5)
        names = list(run.split.val)
        counts = np.ones((len(names), 3, 3), dtype=np.int64)
        run.write_evaluation(Evaluation(names, [name.split("_")[0] for name in names], counts, 5))
    study = store.study("folded")
    seal.open_test(study)
    assert seal.to_score(study) == runs
    # Of 100 pixels of one class and 100 of another, the first fold's network finds all, the second's the first alone.
    for run, hits in zip(runs, (100, 0), strict=True):
        counts = np.array([[[50, 0, 0], [0, hits // 2, 50 - hits // 2], [0, 0, 0]]] * 2, dtype=np.int64)
        run.write_evaluation(Evaluation(list(run.split.test), ["scene01"] * 2, counts, 5), "test")
    (standing,) = compare_study(study, part="test").standings
    assert list(standing.by_seed) == [0]
    # Class 0: 200 of 200; class 1: 100 of 200; class 2, taken for class 1's missing half: 0 of 100.
    assert standing.by_seed[0].score() == pytest.approx((1 + 0.5 + 0) / 3)


def test_runs_that_came_after_the_opening_are_marked(store: RunStore, study: Study) -> None:
    assert seal.late(study) == {}
    seal.open_test(study)
    assert seal.late(study) == {}
    new = factories.make_run(store, seed=2, dataset=factories.with_test())
    old = seal.scorable(study)[0]
    store.extend([old], 9)
    assert seal.late(study) == {
        new.name: "trained after the test scores were opened",
        old.name: "trained longer after the test scores were opened",
    }


def test_the_record_outlasts_what_the_app_can_do(store: RunStore, study: Study) -> None:
    seal.open_test(study)
    for run in study.runs():
        store.remove_run(run)
    assert seal.opened(study)
    moved = store.remove_study(study)
    assert seal.opened(Study(moved))


def test_a_damaged_record_is_not_taken_for_a_seal(study: Study) -> None:
    seal.open_test(study)
    path = study.path / "test_opened.json"
    path.write_text("{}")
    with pytest.raises(WorkspaceError, match="damaged"):
        seal.opened(study)
    path.write_text(json.dumps({"openings": [{"time": 1.0}]}))
    with pytest.raises(WorkspaceError, match="lacks"):
        seal.openings(study)
    path.write_text("{")
    with pytest.raises(WorkspaceError):
        seal.open_test(study)


def test_a_damaged_run_is_not_opened_and_stops_nothing(study: Study) -> None:
    damaged, longer, *others = seal.scorable(study)
    damaged.evaluation_path().write_bytes(b"damaged")
    assert seal.scorable(study) == [longer, *others]
    opening = seal.open_test(study)
    assert {entry["run"] for entry in opening.covers} == {run.name for run in (longer, *others)}
    assert {row["label"]: row["n"] for row in opening.contenders}[damaged.config.contender] == 1
    (longer.path / "provenance.json").write_text("{")
    assert seal.late(study) == {}
