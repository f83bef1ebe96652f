from __future__ import annotations

from dataclasses import replace

import pytest

from segcore.config import Recipe, StudyConfig
from segcore.launch import estimate as module
from segcore.launch.estimate import STARTUP_SECONDS, estimate, run_work
from segcore.models.catalog import BACKBONES, find
from segcore.runs import Run
from segcore.store import RunStore
from tests.factories import RESNET18, fake_dataset, make_run

SPLIT = fake_dataset().split  # 6 to train on, 2 to validate


def config(*encoders: str, seeds: tuple[int, ...] = (0,), image_size: int = 256) -> StudyConfig:
    recipe = Recipe(epochs=10, image_size=image_size)
    return StudyConfig(name="s", dataset="tiny", encoders=encoders, seeds=seeds, recipe=recipe)


def measured(store: RunStore, encoder: str, seconds: float, macs: int) -> Run:
    """A run at 64 px whose epochs took `seconds`."""
    run = make_run(store, encoder=encoder, epochs=2)
    for record in run.epochs():
        run.append_epoch(replace(record, seconds=seconds))
    run.write_cost({**run.cost(), "macs": macs})
    return run


def test_a_run_is_three_passes_a_training_image_and_one_a_validation_image() -> None:
    assert run_work(5.0, SPLIT, Recipe(epochs=10)) == 5.0 * 10 * (3 * 6 + 2)


def test_before_any_run_it_is_a_guess_from_the_machine(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "machine_rate", lambda: 1e11)
    found = estimate(config("resnet18"), SPLIT, store)
    assert found is not None
    assert not found.measured
    macs = BACKBONES["resnet18"].unet_macs
    assert found.seconds == pytest.approx(macs * 10 * 20 / (module.EFFICIENCY * 1e11) + STARTUP_SECONDS)


def test_a_measured_backbone_predicts_itself(store: RunStore) -> None:
    macs = BACKBONES["resnet18"].unet_macs
    measured(store, RESNET18, seconds=3.0, macs=macs // 16)  # a sixteenth of the pixels of 256 px
    same = estimate(config("resnet18", image_size=64), SPLIT, store)
    assert same is not None
    assert same.measured
    assert same.seconds == pytest.approx(10 * 3.0 + STARTUP_SECONDS, rel=1e-6)
    larger = estimate(config(RESNET18, seeds=(0, 1)), SPLIT, store)
    assert larger is not None
    assert larger.seconds == pytest.approx(2 * (16 * 10 * 3.0 + STARTUP_SECONDS), rel=1e-6)


def test_others_are_scaled_by_their_work(store: RunStore) -> None:
    measured(store, RESNET18, seconds=3.0, macs=BACKBONES["resnet18"].unet_macs)
    found = estimate(config("vgg16"), SPLIT, store)
    assert found is not None
    ratio = BACKBONES["vgg16"].unet_macs / BACKBONES["resnet18"].unet_macs
    assert found.seconds == pytest.approx(10 * 3.0 * ratio + STARTUP_SECONDS)


def test_runs_of_another_machine_do_not_count(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    run = measured(store, RESNET18, seconds=3.0, macs=10**9)
    run.write_status(replace(run.status, host="elsewhere"))
    monkeypatch.setattr(module, "machine_rate", lambda: 1e11)
    found = estimate(config("resnet18"), SPLIT, store)
    assert found is not None
    assert not found.measured


def test_an_unknown_backbone_has_no_estimate(store: RunStore) -> None:
    assert find("resnet26") is None
    assert estimate(config("resnet26"), SPLIT, store) is None


def test_the_machine_has_a_rate() -> None:
    assert module.machine_rate() > 1e8


def test_another_decoder_is_costed_by_its_own_runs(store: RunStore) -> None:
    wider = config("resnet18").model_copy(update={"decoder": "unetplusplus"})
    measured(store, RESNET18, seconds=3.0, macs=10**9)
    assert estimate(wider, SPLIT, store) is None
    run = make_run(store, study="wider", decoder="unetplusplus", epochs=2)
    for record in run.epochs():
        run.append_epoch(replace(record, seconds=7.0))
    found = estimate(wider, SPLIT, store)
    assert found is not None
    assert found.seconds == pytest.approx(16 * 10 * 7.0 + STARTUP_SECONDS, rel=1e-6)


def test_a_backbone_outside_the_catalog_is_known_once_trained(store: RunStore) -> None:
    measured(store, "resnet26.bt_in1k", seconds=3.0, macs=10**9)
    found = estimate(config("resnet26", image_size=64), SPLIT, store)
    assert found is not None
    assert found.seconds == pytest.approx(10 * 3.0 + STARTUP_SECONDS, rel=1e-6)
