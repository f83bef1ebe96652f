from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from segcore.config import Recipe, StudyConfig
from segcore.launch import estimate as module
from segcore.launch.estimate import CHOOSING_SECONDS, HEAD_MACS, STARTUP_SECONDS, Estimate, estimate, wall_time
from segcore.launch.past import Accuracy, history, passes
from segcore.models.catalog import BACKBONES, find
from segcore.runs import Run
from segcore.status import RunState
from segcore.store import RunStore
from segcore.workspace import Workspace
from tests.factories import RESNET18, add_dataset, fake_dataset, make_run

SPLIT = fake_dataset().split  # 6 to train on, 2 to validate
CLASSES = 3


def config(*encoders: str, seeds: tuple[int, ...] = (0,), name: str = "s", **recipe: Any) -> StudyConfig:
    wanted = {"epochs": 10, "image_size": 256, "precision": "fp32", "memory_format": "contiguous", **recipe}
    return StudyConfig(name=name, dataset="tiny", encoders=encoders, seeds=seeds, recipe=Recipe(**wanted))


def measured(store: RunStore, encoder: str, seconds: float, macs: float, **options: Any) -> Run:
    """A run at 64 px whose epochs took `seconds`, and nothing beside them; its head costs nothing."""
    run = make_run(store, encoder=encoder, epochs=2, **options)
    for record in run.epochs():
        run.append_epoch(replace(record, seconds=seconds))
    run.write_cost({**run.cost(), "macs": macs, "macs_head": 0})
    run.write_status(replace(run.status, seconds=2 * seconds, threads=module.worker_threads(1)))
    return run


def seconds(found: Estimate | None) -> float:
    assert found is not None
    return found.seconds


def test_a_run_is_three_passes_a_training_image_and_one_a_validation_image() -> None:
    assert passes(Recipe(), SPLIT, {}) == 3 * 6 + 2


def test_with_crops_it_is_the_crops_and_the_windows_of_the_validation_images() -> None:
    recipe = Recipe(geometry="crop", image_size=64, crops_per_image=4)
    small, wide = SPLIT.val
    # Windows begin every 48 pixels: 64 px take one, 65 px and 112 px two, 113 px three.
    assert passes(recipe, SPLIT, {small: (64, 30), wide: (65, 64)}) == 3 * 6 * 4 + 1 + 2
    assert passes(recipe, SPLIT, {small: (112, 64), wide: (113, 112)}) == 3 * 6 * 4 + 2 + 6


def test_windows_are_those_of_prediction() -> None:
    from segcore.inference.tiling import starts
    from segcore.launch.past import OVERLAP, _windows

    for length in (20, 64, 65, 112, 113, 500, 6000):
        assert _windows(length, 64) == len(starts(length, 64, OVERLAP))


def test_before_any_run_it_is_a_guess_from_the_machine(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "machine_rate", lambda: 1e11)
    monkeypatch.setattr(module, "cores", lambda: 2)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    found = estimate(config("resnet18"), 12, SPLIT, store)
    assert found is not None
    assert not found.measured
    whole = BACKBONES["resnet18"].unet_macs * 10 * 20 / (module.EFFICIENCY * 1e11)
    assert found.seconds == pytest.approx(whole + STARTUP_SECONDS)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert seconds(estimate(config("resnet18"), 12, SPLIT, store)) == pytest.approx(2 * whole + STARTUP_SECONDS)


def test_the_head_grows_with_the_classes(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "machine_rate", lambda: 1e11)
    few, many = (seconds(estimate(config("resnet18"), classes, SPLIT, store)) for classes in (2, 150))
    ratio = 1 + 148 * HEAD_MACS / (BACKBONES["resnet18"].unet_macs - 10 * HEAD_MACS)
    assert (many - STARTUP_SECONDS) / (few - STARTUP_SECONDS) == pytest.approx(ratio)


@pytest.mark.parametrize("classes", [3, 40])
def test_the_catalogs_multiply_adds_are_those_of_the_network(store: RunStore, classes: int) -> None:
    from segcore.models.summary import describe

    said = module.network_macs(config("resnet18", image_size=64), "resnet18", classes, [])
    assert said == pytest.approx(describe("resnet18", image_size=64, classes=classes).macs, rel=0.01)


def test_a_measured_backbone_predicts_itself(store: RunStore) -> None:
    macs = BACKBONES["resnet18"].unet_macs
    measured(store, RESNET18, seconds=3.0, macs=macs / 16)  # a sixteenth of the pixels of 256 px
    same = estimate(config("resnet18", image_size=64), CLASSES, SPLIT, store)
    assert same is not None and same.measured
    assert same.seconds == pytest.approx(10 * 3.0)
    larger = estimate(config(RESNET18, seeds=(0, 1)), CLASSES, SPLIT, store)
    assert seconds(larger) == pytest.approx(2 * 16 * 10 * 3.0)


def test_what_runs_took_beside_their_epochs_is_added(store: RunStore) -> None:
    run = measured(store, RESNET18, seconds=3.0, macs=10**9)
    run.write_status(replace(run.status, seconds=2 * 3.0 + 7.5))
    found = estimate(config("resnet18", image_size=64, seeds=(0, 1)), CLASSES, SPLIT, store)
    assert seconds(found) == pytest.approx(2 * (30.0 + 7.5))


def test_the_first_run_of_a_study_chooses_the_precision(store: RunStore) -> None:
    measured(store, RESNET18, seconds=3.0, macs=10**9, study="old")
    asked = config("resnet18", image_size=64, seeds=(0, 1), precision="auto", name="old")
    found = estimate(asked, CLASSES, SPLIT, store)
    assert found is not None
    assert list(found.runs.values()) == pytest.approx([30.0 + CHOOSING_SECONDS, 30.0])
    store.study("old").write_execution({"precision": "fp32", "forced": False})
    assert seconds(estimate(asked, CLASSES, SPLIT, store)) == pytest.approx(60.0)


def test_others_are_scaled_by_their_work(store: RunStore) -> None:
    measured(store, RESNET18, seconds=3.0, macs=BACKBONES["resnet18"].unet_macs)
    found = estimate(config("vgg16"), 12, SPLIT, store)
    ratio = BACKBONES["vgg16"].unet_macs / BACKBONES["resnet18"].unet_macs
    assert seconds(found) == pytest.approx(10 * 3.0 * ratio)


def test_runs_of_another_machine_do_not_count(store: RunStore) -> None:
    run = measured(store, RESNET18, seconds=3.0, macs=10**9)
    run.write_status(replace(run.status, host="elsewhere", predicted=1.0))
    found = estimate(config("resnet18"), CLASSES, SPLIT, store)
    assert found is not None and not found.measured and found.accuracy is None


def test_the_processor_says_nothing_of_gpus(store: RunStore) -> None:
    run = measured(store, RESNET18, seconds=3.0, macs=10**9)
    assert estimate(config("resnet18"), CLASSES, SPLIT, store, gpus=1) is None
    run.write_status(replace(run.status, device="cuda:1"))
    card = estimate(config("resnet18", image_size=64, seeds=(0, 1)), CLASSES, SPLIT, store, gpus=2)
    assert card is not None and card.at_once == 2
    assert card.seconds == pytest.approx(30.0)
    processor = estimate(config("resnet18"), CLASSES, SPLIT, store)
    assert processor is not None and not processor.measured


def test_runs_of_the_same_precision_count_more_than_of_the_same_backbone(store: RunStore) -> None:
    macs = {name: float(BACKBONES[name].unet_macs) for name in ("resnet18", "vgg16")}
    measured(store, RESNET18, seconds=3.0, macs=macs["resnet18"], study="full")
    store.study("full").write_execution({"precision": "fp32", "forced": True})
    measured(store, "vgg16.tv_in1k", seconds=1.0, macs=macs["vgg16"], study="half")
    store.study("half").write_execution({"precision": "bf16", "forced": False})
    asked = {"image_size": 64, "memory_format": "contiguous"}
    full = estimate(config("resnet18", precision="fp32", **asked), CLASSES, SPLIT, store)
    assert seconds(full) == pytest.approx(30.0)
    ratio = macs["resnet18"] / macs["vgg16"]
    half = estimate(config("resnet18", precision="bf16", **asked), CLASSES, SPLIT, store)
    assert seconds(half) == pytest.approx(10.0 * ratio)
    chosen = estimate(config("resnet18", precision="auto", **asked), CLASSES, SPLIT, store)  # as measuring chose last
    assert seconds(chosen) == pytest.approx(10.0 * ratio + CHOOSING_SECONDS)


def test_slots_share_the_cores_and_the_wall_time(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "cores", lambda: 4)
    monkeypatch.setattr("segcore.runqueue.cores", lambda: 4)
    run = measured(store, RESNET18, seconds=3.0, macs=10**9)
    run.write_status(replace(run.status, threads=4))
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    asked = config("resnet18", image_size=64, seeds=(0, 1, 2, 3))
    alone = estimate(asked, CLASSES, SPLIT, store)
    assert alone is not None
    assert alone.seconds == pytest.approx(4 * 30.0)
    store.set_queue(slots=2)
    shared = estimate(asked, CLASSES, SPLIT, store)
    assert shared is not None and shared.at_once == 2
    assert next(iter(shared.runs.values())) == pytest.approx(60.0)  # two threads of four
    assert shared.seconds == pytest.approx(2 * 60.0)
    second = measured(store, RESNET18, seconds=4.0, macs=10**9, seed=1)
    second.write_status(replace(second.status, threads=2))
    faster = estimate(asked, CLASSES, SPLIT, store)  # measured with two threads: no proportion is taken
    assert seconds(faster) == pytest.approx(2 * 40.0)


def test_a_limit_on_threads_holds_in_every_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "cores", lambda: 8)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert [module.worker_threads(slots) for slots in (1, 2, 4, 8)] == [2, 2, 2, 1]


def test_runs_that_are_there_come_first(store: RunStore) -> None:
    measured(store, RESNET18, seconds=3.0, macs=10**9)
    asked = config("resnet18", image_size=64)
    found = estimate(asked, CLASSES, SPLIT, store)
    assert found is not None and found.once_started == "" and "once" not in found.basis
    make_run(store, study="new", seed=1, state=RunState.RUNNING)
    make_run(store, study="new", seed=2, state=RunState.QUEUED)
    found = estimate(asked, CLASSES, SPLIT, store)
    assert found is not None and found.before == 2
    assert "once they start: 2 runs are before them" in found.basis


def test_wall_time_is_that_of_the_fullest_place() -> None:
    assert wall_time([5, 3, 3, 1], 1) == 12
    assert wall_time([5, 3, 3, 1], 2) == 6
    assert wall_time([5, 3], 8) == 5


def test_an_unknown_backbone_has_no_estimate_until_it_was_counted(store: RunStore) -> None:
    assert find("resnet26") is None
    assert estimate(config("resnet26"), CLASSES, SPLIT, store) is None
    measured(store, RESNET18, seconds=3.0, macs=10**9)
    counted = estimate(config("resnet26", image_size=64), CLASSES, SPLIT, store, macs={"resnet26": 2e9})
    assert seconds(counted) == pytest.approx(2 * 30.0)


def test_the_machine_has_a_rate() -> None:
    assert module.machine_rate() > 1e8


def test_another_decoder_is_costed_by_its_own_runs(store: RunStore) -> None:
    wider = config("resnet18").model_copy(update={"decoder": "unetplusplus"})
    measured(store, RESNET18, seconds=3.0, macs=10**9)
    assert estimate(wider, CLASSES, SPLIT, store) is None
    measured(store, RESNET18, seconds=7.0, macs=3 * 10**9, study="wider", decoder="unetplusplus")
    assert seconds(estimate(wider, CLASSES, SPLIT, store)) == pytest.approx(16 * 10 * 7.0)


def test_crops_need_the_images_sizes(workspace: Workspace, store: RunStore, tmp_path: Any) -> None:
    asked = config("resnet18", geometry="crop", image_size=32, crops_per_image=2)
    assert estimate(asked, CLASSES, SPLIT, store) is None  # no such dataset
    dataset = add_dataset(workspace, tmp_path / "source")  # images of 64 px: 3 x 3 windows of 32 px
    assert dataset.split is not None
    measured(store, RESNET18, seconds=3.0, macs=10**9)
    found = estimate(asked, CLASSES, dataset.split, store)
    train, val = len(dataset.split.train), len(dataset.split.val)
    work = 0.25 * 1e9 * 10 * (3 * 2 * train + 9 * val)
    assert seconds(found) == pytest.approx(work / (1e9 * (3 * 6 + 2) / 3.0))


# How good earlier estimates were ---------------------------------------------------------------------------


def predicted(store: RunStore, seed: int, took: float, at_launch: float | None, after_epoch: float | None) -> Run:
    run = make_run(store, seed=seed, epochs=2)
    run.write_status(replace(run.status, seconds=took, predicted=at_launch, predicted_after_epoch=after_epoch))
    return run


def test_history_holds_estimates_against_what_runs_took(store: RunStore) -> None:
    assert history(store.statuses()) is None
    predicted(store, 0, 100.0, None, None)
    assert history(store.statuses()) is None
    predicted(store, 1, 100.0, 150.0, 90.0)
    predicted(store, 2, 200.0, 180.0, 200.0)
    predicted(store, 3, 100.0, 80.0, None)
    found = history(store.statuses())
    assert found is not None and found.runs == 3
    assert found.at_launch == pytest.approx(0.2)  # of 0.5, 0.1 and 0.2
    assert found.after_epoch == pytest.approx(0.05)  # of 0.1 and 0


def test_runs_that_ended_early_say_nothing_of_estimates(store: RunStore) -> None:
    run = make_run(store, state=RunState.STOPPED)
    run.write_status(replace(run.status, predicted=1.0))
    assert history(store.statuses()) is None


def test_the_estimate_says_how_good_it_is() -> None:
    alone = Estimate({("resnet18", 0): 5.0}, at_once=1, measured=True, accuracy=Accuracy(14, 0.118, 0.05))
    assert alone.basis == (
        "On this machine, one run after another; from the speed of earlier runs here. Earlier estimates were off by "
        "12 % at the launch and 5 % after the first epoch (median of 14 runs)."
    )
    guess = Estimate({("resnet18", 0): 5.0}, at_once=3, measured=False)
    assert guess.basis == "On this machine, 3 runs at once; a rough guess until a first run is done here."
