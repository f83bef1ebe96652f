"""Studies of folds: what the store keeps of them, in which order they train, and that they train to the end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from segcore.cli import results
from segcore.config import Recipe, StudyConfig
from segcore.data.splits import Split, fold_splits
from segcore.data.store import DatasetStore
from segcore.errors import ConfigError, NotFoundError, SplitError
from segcore.evaluation import studies
from segcore.evaluation.studies import compare_study
from segcore.files import read_json, write_json
from segcore.launch import plan
from segcore.launch.estimate import estimate
from segcore.launch.past import fold_passes, passes
from segcore.runs import Evaluation, Run, Study
from segcore.status import RunState
from segcore.store import RunStore
from segcore.workspace import Workspace
from tests.factories import LITE0, RESNET18, add_dataset, fake_dataset, make_fold_study, make_run

THIRDS = fold_splits([["scene00_frame0"], ["scene01_frame0"], ["scene02_frame0", "scene03_frame0"]])


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "ensure_scheduler", lambda _workspace: None)


def create(store: RunStore, splits: list[Split] = THIRDS, **changes: object) -> list[Run]:
    dataset = fake_dataset()
    values = {"name": "s", "dataset": "tiny", "encoders": ("resnet18", "vgg16"), "weights": "none"}
    config = StudyConfig(**{**values, "folds": len(splits), **changes})
    return store.create_study(config, dataset.config, dataset.fingerprint, dataset.split, folds=splits)


# The store -------------------------------------------------------------------------------------------


def test_every_backbone_is_judged_on_every_fold_before_the_next_seed(store: RunStore) -> None:
    runs = create(store, seeds=(0, 1))
    assert [run.name for run in runs] == [
        f"{encoder}-scratch-seed{seed}-fold{fold}"
        for seed in (0, 1)
        for fold in (0, 1, 2)
        for encoder in ("resnet18", "vgg16")
    ]
    assert [run.config.repetition for run in runs[:3]] == ["seed 0, fold 1 of 3"] * 2 + ["seed 0, fold 2 of 3"]
    assert store.active() == runs


def test_a_run_has_the_split_of_its_fold(store: RunStore) -> None:
    runs, study = create(store, encoders=("resnet18",)), store.study("s")
    assert [run.split for run in runs] == THIRDS == study.fold_splits()
    assert [run.config.split_fingerprint for run in runs] == [fold.fingerprint for fold in THIRDS]
    assert (study.folds, study.split) == (3, fake_dataset().split)
    assert [runs[1].summary()[key] for key in ("fold", "folds")] == [1, 3]
    with pytest.raises(NotFoundError, match="no fold 4: there are 3"):
        study.fold_split(3)


def test_a_study_without_folds_is_as_it_was(store: RunStore) -> None:
    run = make_run(store)
    study = Study(run.path.parent)
    assert (study.folds, study.racing, study.fold_splits(), studies.test_share(study)) == (0, False, [], None)
    assert "folds" not in (read_json(study.path / "split.json") or {})
    assert run.config.repetition == "seed 0"
    with pytest.raises(NotFoundError, match="no fold 1: there are none"):
        study.fold_split(0)


def test_a_study_of_an_earlier_version_has_neither_folds_nor_racing(store: RunStore) -> None:
    create(store, [])
    study = store.study("s")
    older = {key: value for key, value in study.shared.items() if key not in ("folds", "racing")}
    write_json(study.path / "study.json", older)
    assert (study.folds, study.racing) == (0, False)
    assert len(create(store, [], seeds=(1,))) == 2
    with pytest.raises(ConfigError, match=r"folds \(0, not 3\)"):
        create(store)
    with pytest.raises(ConfigError, match=r"racing \(off, not on\)"):
        create(store, [], racing=True)


def test_a_study_keeps_its_number_of_folds(store: RunStore) -> None:
    create(store, racing=True)
    assert store.study("s").racing
    with pytest.raises(ConfigError, match=r"with another folds \(3, not 2\); runs"):
        create(store, fold_splits([["a"], ["b"]]), racing=True)
    with pytest.raises(ConfigError, match="split fingerprint"):  # as many, but others
        create(store, fold_splits([["a"], ["b"], ["c"]]), racing=True)
    with pytest.raises(ValueError, match="3 folds are asked for, and 0 are given"):
        create(store, [], folds=3)


def test_one_fold_is_no_number_of_folds() -> None:
    with pytest.raises(ConfigError, match="must be 0 or at least 2") as caught:
        StudyConfig(name="s", dataset="d", encoders=("resnet18",), folds=1)
    assert caught.value.field == "folds"


# From the wish to the runs ---------------------------------------------------------------------------


def wish(**changes: object) -> StudyConfig:
    values = {"name": "s", "dataset": "tiny", "encoders": ("resnet18",), "weights": "none", "folds": 3}
    return StudyConfig(**{**values, "recipe": Recipe(image_size=64), **changes})


@pytest.mark.usefixtures("quiet")
def test_a_launch_makes_folds_of_all_but_the_test_images_and_growing_keeps_them(
    workspace: Workspace, tmp_path: Path
) -> None:
    add_dataset(workspace, tmp_path / "source")
    dataset = DatasetStore(workspace).get("tiny")
    sealed = dataset.make_split(test=0.25).test
    runs = plan.launch_study(wish(), workspace)
    assert [run.config.fold for run in runs] == [0, 1, 2]
    assert sealed and all(run.split.test == sealed for run in runs)
    assert sorted(name for run in runs for name in run.split.val) == sorted(set(dataset.names) - set(sealed))
    for run in runs:
        assert {dataset.groups[n] for n in run.split.val}.isdisjoint(dataset.groups[n] for n in run.split.train)
    assert all(run.status.predicted for run in runs)
    dataset.make_split(test=0.0, seed=3)
    more = plan.launch_study(wish(seeds=(0, 1), encoders=("resnet18", "resnet34")), workspace)
    assert len(more) == 9
    assert all(run.split == RunStore(workspace).study("s").fold_split(run.config.fold or 0) for run in more)
    assert more[0].split.test == sealed


@pytest.mark.usefixtures("quiet")
def test_more_folds_than_scenes_are_refused_before_anything_is_queued(workspace: Workspace, tmp_path: Path) -> None:
    add_dataset(workspace, tmp_path / "source")
    scenes = len(set(DatasetStore(workspace).get("tiny").groups.values()))
    with pytest.raises(SplitError, match=f"there are {scenes} groups") as caught:
        plan.launch_study(wish(folds=scenes + 1), workspace)
    assert caught.value.field == "folds"
    assert RunStore(workspace).studies() == []


def test_the_estimate_counts_every_fold(store: RunStore) -> None:
    split = fake_dataset().split  # 6 to train on, 2 to validate
    folded = wish(folds=4, seeds=(0, 1), recipe=Recipe(precision="fp32", memory_format="contiguous"))
    found = estimate(folded, 5, split, store)
    assert found is not None and len(found.runs) == 8
    assert list(found.runs)[:2] == ["resnet18-scratch-seed0-fold0", "resnet18-scratch-seed0-fold1"]
    # Each fold trains on 6 of the 8 images and is judged on 2, as the split does.
    assert fold_passes(Recipe(), split, 4, {}) == passes(Recipe(), split, {}) == 3 * 6 + 2
    crops = Recipe(geometry="crop", crops_per_image=4, image_size=64)
    wide = dict.fromkeys((*split.train, *split.val), (65, 64))  # two windows each
    assert fold_passes(crops, split, 2, wide) == 3 * 4 * 4 + 4 * 2


# Comparing -------------------------------------------------------------------------------------------


def test_a_study_of_folds_is_judged_on_all_its_images_and_by_the_corrected_test(store: RunStore) -> None:
    make_fold_study(store, encoders=(RESNET18, LITE0), seeds=(0, 1), folds=2)
    study = store.study("folded")
    assert studies.test_share(study) == 1.0  # 4 images judged, 4 trained on
    comparison = compare_study(study)
    (verdict,) = comparison.verdicts
    assert (verdict.images, verdict.seeds) == (8, (0, 1))
    assert verdict.folds is not None
    assert verdict.folds.freedom == 1  # two folds, over whose seeds the mean is taken


def test_on_test_images_the_networks_of_all_folds_count_together(store: RunStore) -> None:
    runs = make_fold_study(store, encoders=(RESNET18, LITE0), seeds=(0, 1), folds=2)
    counts = np.zeros((2, 5, 5), dtype=np.int64)
    for run in runs:
        # Of class 0 the first fold's network finds 3 of 4 pixels, the second's 1 of 4, class 1 takes the rest.
        found = 3 if run.config.fold == 0 else 1
        counts[:, 0, 0], counts[:, 0, 1] = found, 4 - found
        judged = run.evaluation()
        assert judged is not None
        run.write_evaluation(Evaluation(["t0", "t1"], ["t0", "t1"], counts, judged.epoch), "test")
    comparison = compare_study(store.study("folded"), part="test", score=0)
    assert [standing.estimate.mean for standing in comparison.standings if standing.estimate] == [0.5, 0.5]
    (verdict,) = comparison.verdicts
    assert (verdict.images, verdict.seeds, verdict.folds) == (2, (0, 1), None)


def test_a_seed_that_lacks_a_fold_waits(store: RunStore) -> None:
    runs = make_fold_study(store, encoders=(RESNET18,), seeds=(0, 1), folds=2)
    last = runs[-1]
    last.write_status(replace(last.status, state=RunState.FAILED))
    (standing,) = compare_study(store.study("folded")).standings
    assert list(standing.by_seed) == [0]
    assert standing.left_out == {"failed": 1}


# Managing --------------------------------------------------------------------------------------------


def test_training_longer_retrying_and_removing_keep_the_fold(store: RunStore) -> None:
    runs = make_fold_study(store, encoders=(RESNET18,), folds=2)
    store.extend(runs, 8)
    assert [run.config.fold for run in runs] == [0, 1]
    assert [run.config.recipe.epochs for run in runs] == [8, 8]
    study = store.study("folded")
    assert (study.recipe.epochs, study.folds) == (8, 2)
    runs[1].write_status(replace(runs[1].status, state=RunState.FAILED))
    assert store.requeue_failed("folded") == [runs[1]]
    store.remove_run(runs[1])
    source = fake_dataset()
    config = StudyConfig(name="folded", dataset="tiny", encoders=(RESNET18,), folds=2, recipe=study.recipe)
    again = store.create_study(config, source.config, source.fingerprint, source.split, folds=study.fold_splits())
    assert again == [runs[1]] and again[0].split == study.fold_split(1)


def test_damaged_counts_of_one_fold_do_not_hide_the_results(
    store: RunStore, capsys: pytest.CaptureFixture[str]
) -> None:
    *_, broken = make_fold_study(store, "folded", seeds=(0, 1))
    broken.evaluation_path().write_bytes(b"damaged")
    results._print_results(store.study("folded"), store.runs("folded"), as_json=False)
    printed = capsys.readouterr()
    assert f"Left out, as it cannot be read: {broken.evaluation_path()} is damaged" in printed.err
    assert "(n = 2)" in printed.out and "(n = 1)" in printed.out  # the seed of the damaged fold counts no more
