from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from segcore.config import Recipe, StudyConfig
from segcore.errors import WeightsError
from segcore.evaluation.metrics import scores
from segcore.inference.predictor import Predictor
from segcore.launch import plan
from segcore.runs import Run
from segcore.status import RunState
from segcore.store import RunStore
from segcore.training import worker
from segcore.training.checkpoint import load_state
from tests.factories import add_dataset

TIMES = {"images_per_second", "seconds"}


def queue(store: RunStore, source: Path, **changes: object) -> Run:
    dataset = add_dataset(store.workspace, source)
    recipe = Recipe(**{"epochs": 2, "image_size": 32, "batch_size": 4, **changes})
    assert dataset.split is not None
    config = StudyConfig(
        name="s", dataset="tiny", encoders=("mobilenetv3_small_050",), weights="none", seeds=(0,), recipe=recipe
    )
    return store.create_study(config, dataset.config, dataset.fingerprint, dataset.split)[0]


def records(run: Run) -> list[dict[str, object]]:
    return [{key: value for key, value in asdict(e).items() if key not in TIMES} for e in run.epochs()]


def test_a_run_leaves_all_that_its_readers_need(store: RunStore, tmp_path: Path) -> None:
    run = queue(store, tmp_path / "source")
    assert worker.main([str(run.path)]) == 0
    status = run.status
    assert (status.state, status.epoch, status.step, status.steps) == (RunState.FINISHED, 2, 4, 4)
    assert status.started is not None
    assert status.ended is not None
    assert status.majority_baseline is not None
    assert 0.2 < status.majority_baseline < 0.8

    assert [record.epoch for record in run.epochs()] == [1, 2]
    assert len(run.previews()) == 2
    evaluation = run.evaluation()
    assert evaluation is not None
    best = max(run.epochs(), key=lambda record: record.val_miou)
    assert evaluation.names == list(run.split.val)
    assert evaluation.epoch == best.epoch
    assert scores(evaluation.counts).miou == pytest.approx(best.val_miou)

    cost, provenance = run.cost(), run.provenance()
    assert cost["parameters"] == sum(cost[f"parameters_{part}"] for part in ("encoder", "decoder", "head"))
    assert cost["latency_p50_ms"] > 0
    assert torch.__version__.startswith(provenance["packages"]["torch"])
    assert provenance["dataset_fingerprint"] == run.config.dataset_fingerprint
    assert run.summary()["val_miou"] == best.val_miou
    json.dumps(run.summary())

    image = torch.randint(0, 255, (50, 70, 3), dtype=torch.uint8).numpy()
    prediction = Predictor.from_run(run.path).predict(image)
    assert prediction.labels.shape == prediction.confidence.shape == (50, 70)
    assert prediction.labels.max() < 3


def test_stopped_and_resumed_equals_undisturbed(
    store: RunStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = queue(store, tmp_path / "source", epochs=3)
    assert worker.main([str(run.path)]) == 0
    expected, weights = records(run), load_file(run.best_weights)
    assert store.remove_run(run).is_dir()

    dataset_config = store.study("s")
    again = store.create_study(
        StudyConfig(
            name="s",
            dataset="tiny",
            encoders=("mobilenetv3_small_050",),
            weights="none",
            recipe=dataset_config.recipe,
        ),
        dataset_config.dataset,
        dataset_config.shared["dataset_fingerprint"],
        dataset_config.split,
    )[0]
    keep = worker.Worker.keep

    def keep_and_ask(self: worker.Worker, *args: object) -> None:
        keep(self, *args)  # type: ignore[arg-type]
        if self.run.epochs()[-1].epoch == 1:
            self.run.request_stop()

    monkeypatch.setattr(worker.Worker, "keep", keep_and_ask)
    assert worker.main([str(again.path)]) == 0
    assert again.state is RunState.STOPPED
    assert again.status.epoch == 1
    assert not again.stop_requested()
    monkeypatch.undo()
    monkeypatch.setenv("SEGCORE_HOME", str(store.workspace.root))
    store.requeue(again)
    assert worker.main([str(again.path)]) == 0
    assert again.state is RunState.FINISHED
    assert records(again) == expected
    resumed = load_file(again.best_weights)
    assert all(torch.equal(weights[name], resumed[name]) for name in weights)


def test_a_changed_dataset_fails_the_run_and_says_why(store: RunStore, tmp_path: Path) -> None:
    run = queue(store, tmp_path / "source")
    image = next((tmp_path / "source" / "images").iterdir())
    image.write_bytes(image.read_bytes() + b"\0")
    assert worker.main([str(run.path)]) == 1
    assert run.state is RunState.FAILED
    assert "has changed since" in run.status.message
    assert run.epochs() == []


def test_other_times_do_not_make_other_data(store: RunStore, tmp_path: Path) -> None:
    run = queue(store, tmp_path / "source", epochs=1)
    os.utime(next((tmp_path / "source" / "images").iterdir()), (1, 1))
    assert worker.main([str(run.path)]) == 0


def test_resuming_needs_no_pretrained_file(
    store: RunStore, tmp_path: Path, test_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "weights"
    folder.mkdir()
    shutil.copy(test_data / "weights" / "tf_efficientnet_lite0-timm.pth", folder)
    add_dataset(store.workspace, tmp_path / "source")
    monkeypatch.setattr(plan, "ensure_scheduler", lambda _workspace: None)
    monkeypatch.setenv("SEGCORE_WEIGHTS", str(folder))
    recipe = Recipe(epochs=2, image_size=32, batch_size=4)
    (run,) = plan.launch_study(
        StudyConfig(name="s", dataset="tiny", encoders=("tf_efficientnet_lite0",), recipe=recipe), store.workspace
    )
    monkeypatch.delenv("SEGCORE_WEIGHTS")  # a scheduler started elsewhere has other variables
    keep = worker.Worker.keep

    def keep_and_ask(self: worker.Worker, *args: object) -> None:
        keep(self, *args)  # type: ignore[arg-type]
        self.run.request_stop()

    with monkeypatch.context() as patch:
        patch.setattr(worker.Worker, "keep", keep_and_ask)
        assert worker.main([str(run.path)]) == 0
    assert run.state is RunState.STOPPED
    first = run.provenance()
    assert first["weights"]["kind"] == "local"
    assert first["weights"]["sha256"].startswith("8ae946ce")
    shutil.rmtree(folder)
    store.requeue(run)
    assert worker.main([str(run.path)]) == 0
    assert run.state is RunState.FINISHED
    assert run.provenance()["weights"] == first["weights"]
    assert len(run.provenance()["resumed"]) == 1


def test_an_unexpected_error_is_told_and_logged(
    store: RunStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = queue(store, tmp_path / "source")

    def fail(*_args: object, **_options: object) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(worker, "fit", fail)
    assert worker.main([str(run.path)]) == 1
    assert run.status.message == "ZeroDivisionError: by zero"
    assert "Traceback" in capsys.readouterr().err


def test_out_of_memory_says_what_to_try(store: RunStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = queue(store, tmp_path / "source")

    def fail(*_args: object, **_options: object) -> None:
        raise MemoryError

    monkeypatch.setattr(worker, "fit", fail)
    assert worker.main([str(run.path)]) == 1
    assert "memory" in run.status.message
    assert "batch size below 4" in run.status.hint


def test_a_second_worker_keeps_its_hands_off(store: RunStore, tmp_path: Path) -> None:
    run = queue(store, tmp_path / "source")
    with run.worker_lock():
        assert worker.main([str(run.path)]) == 3
    assert run.state is RunState.QUEUED


def test_damaged_files_are_named(store: RunStore, tmp_path: Path) -> None:
    run = queue(store, tmp_path / "source", epochs=1)
    assert worker.main([str(run.path)]) == 0
    with pytest.raises(WeightsError, match="is missing"):
        (run.path / "best.safetensors").rename(run.path / "away")
        Predictor.from_run(run.path)
    (run.path / "best.safetensors").write_bytes((run.path / "away").read_bytes()[:500])
    with pytest.raises(WeightsError, match="is damaged"):
        Predictor.from_run(run.path)
    checkpoint = run.last_directory / "checkpoint.pt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(WeightsError, match="is damaged"):
        load_state(run, torch.device("cpu"))
