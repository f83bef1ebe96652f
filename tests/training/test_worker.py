from __future__ import annotations

import errno
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from segcore.config import Recipe, StudyConfig
from segcore.errors import LaunchError, WorkspaceError
from segcore.evaluation.metrics import scores
from segcore.inference.predictor import Predictor
from segcore.launch import plan
from segcore.runs import Run, Study
from segcore.status import RunState
from segcore.store import RunStore
from segcore.training import results, worker
from segcore.training.checkpoint import CHECKPOINT, load_state
from segcore.training.device import LABEL_VARIABLE, PeakMemory, device_label
from segcore.training.journal import Journal
from segcore.training.last_words import words_for_stop
from segcore.training.validation import PREVIEW_SIDE, Validation
from tests.factories import add_dataset
from tests.training.conftest import CPU, without_times

Queue = Callable[..., Run]


@pytest.fixture(autouse=True)
def same_threads() -> Any:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def train(run: Run) -> int:
    return worker.main([str(run.path)])


def records(run: Run) -> list[dict[str, object]]:
    return [without_times(record) for record in run.epochs()]


def assert_same_results(run: Run, other: Run) -> None:
    """Records, best weights, counts and last weights, bit for bit."""
    assert records(run) == records(other)
    one, two = load_file(run.best_weights), load_file(other.best_weights)
    assert all(torch.equal(one[name], two[name]) for name in one)
    first, second = run.evaluation(), other.evaluation()
    assert first is not None and second is not None
    assert np.array_equal(first.counts, second.counts)
    assert first.sizes is not None and second.sizes is not None
    assert np.array_equal(first.sizes, second.sizes)
    states = [load_state(which)[0] for which in (run, other)]
    assert states[0] is not None and states[1] is not None
    for name, tensor in states[0]["model"].items():
        assert torch.equal(tensor, states[1]["model"][name]), name


When = Callable[[worker.Worker, dict[str, Any]], bool]


def interrupt(monkeypatch: pytest.MonkeyPatch, when: When) -> None:
    """Ask a worker to stop as soon as `when` is true of it and of what it tells."""
    tell = worker.Worker.tell

    def tell_and_ask(self: worker.Worker, **changes: Any) -> None:
        if when(self, changes):
            self.run.request_stop()
            self.journal._written = -1.0  # not to be throttled
        tell(self, **changes)

    monkeypatch.setattr(worker.Worker, "tell", tell_and_ask)


def test_a_run_leaves_all_that_its_readers_need(queue: Queue) -> None:
    run = queue()
    assert train(run) == 0
    status = run.status
    assert (status.state, status.epoch, status.step, status.steps) == (RunState.FINISHED, 2, 4, 4)
    assert status.started is not None and status.ended is not None
    assert status.majority_baseline is not None and 0.2 < status.majority_baseline < 0.8
    assert (status.device, status.threads) == ("cpu", torch.get_num_threads())
    assert status.predicted_after_epoch is not None and 0 < status.predicted_after_epoch < 100

    assert [record.epoch for record in run.epochs()] == [1, 2]
    assert 0 < run.epochs()[0].top_share <= 1
    assert run.epochs()[0].top_class in (0, 1, 2)
    assert len(run.previews()) == 2
    evaluation = run.evaluation()
    assert evaluation is not None
    best = max(run.epochs(), key=lambda record: record.val_miou)
    assert evaluation.names == list(run.split.val)
    assert evaluation.epoch == best.epoch
    assert scores(evaluation.counts).miou == pytest.approx(best.val_miou)

    cost, provenance = run.cost(), run.provenance()
    assert cost["parameters"] == sum(cost[f"parameters_{part}"] for part in ("encoder", "decoder", "head"))
    assert cost["latency_p50_ms"] > 0 and cost["peak_memory_mb"] > 0
    assert cost["throughput"] > 0 and cost["throughput_batch"] == 4
    assert cost["idle"] is (None if cost["busy"] is None else cost["busy"] <= 0.1)
    assert (cost["precision"], cost["memory_format"]) == ("fp32", "contiguous")
    assert provenance["execution"] == Study(run.path.parent).execution()
    assert provenance["execution"]["forced"]
    assert torch.__version__.startswith(provenance["packages"]["torch"])
    assert provenance["dataset_fingerprint"] == run.config.dataset_fingerprint
    assert run.summary()["val_miou"] == best.val_miou
    json.dumps(run.summary())

    image = torch.randint(0, 255, (50, 70, 3), dtype=torch.uint8).numpy()
    prediction = Predictor.from_run(run.path).predict(image)
    assert prediction.labels.shape == prediction.confidence.shape == (50, 70)
    assert prediction.labels.max() < 3


def test_crops_are_trained_on_and_whole_images_judged(queue: Queue) -> None:
    run = queue(geometry="crop", crops_per_image=2, epochs=1)
    assert train(run) == 0
    assert run.status.steps == 3  # 6 images, 2 crops each, 4 a batch
    evaluation = run.evaluation()
    assert evaluation is not None
    # 64 px images, the first 4 columns are ignored; windows of 32 px never count a pixel twice.
    assert evaluation.counts.sum(axis=(1, 2)).tolist() == [64 * 60] * 2
    (previews,) = run.previews().values()
    assert all(cv2.imread(str(path), cv2.IMREAD_UNCHANGED).shape == (64, 64) for path in previews)


def test_a_shutdown_is_no_persons_stop(queue: Queue, store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    run = queue()

    def terminate(work: worker.Worker, told: dict[str, Any]) -> bool:
        work.journal.terminated = told.get("step") == 3
        return False

    with monkeypatch.context() as patch:
        interrupt(patch, terminate)
        patch.setattr("segcore.training.journal.STATUS_SECONDS", 0.0)  # nothing is throttled
        assert train(run) == 0
    assert run.state is RunState.INTERRUPTED
    assert "The system told it to end" in run.status.message
    assert store.requeue_failed() == [run]
    assert train(run) == 0
    assert run.state is RunState.FINISHED


@pytest.mark.parametrize(
    ("name", "when"),
    [
        ("within an epoch", lambda _work, told: told.get("step") == 3),
        ("validating", lambda work, told: told.get("phase") == "validating" and work.journal.status.step == 4),
        ("after an epoch", lambda _work, told: told.get("epoch") == 1),
    ],
)
def test_stopped_and_resumed_equals_undisturbed(
    queue: Queue,
    undisturbed: Callable[[int], Run],
    store: RunStore,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    when: When,
) -> None:
    again = queue()
    with monkeypatch.context() as patch:
        interrupt(patch, when)
        assert train(again) == 0
    assert again.state is RunState.STOPPED, name
    assert again.status.epoch == 1
    assert not again.stop_requested()
    expected = "after epoch 1" if name == "after an epoch" else "within epoch 2, after step"
    assert expected in again.status.message
    store.requeue(again)
    assert train(again) == 0
    assert again.state is RunState.FINISHED
    assert_same_results(again, undisturbed(2))


def test_the_state_is_kept_every_few_minutes(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "SAVE_SECONDS", 0.0)
    steps: list[int] = []
    save = worker.Worker.save

    def note_and_save(self: worker.Worker, state: Any) -> None:
        steps.append(state.step)
        save(self, state)

    monkeypatch.setattr(worker.Worker, "save", note_and_save)
    assert train(queue(epochs=1)) == 0
    assert steps == [1, 2, 2]


def test_a_state_of_no_numbers_is_never_kept(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    run = queue()

    def poison(_work: worker.Worker, told: dict[str, Any]) -> bool:
        if told.get("step") == 3:
            state = states[-1]
            with torch.no_grad():
                next(state.model.parameters()).fill_(torch.nan)
            return True
        return False

    states: list[Any] = []
    fit = worker.fit

    def watched(state: Any, *arguments: Any, **options: Any) -> Any:
        states.append(state)
        return fit(state, *arguments, **options)

    monkeypatch.setattr(worker, "fit", watched)
    interrupt(monkeypatch, poison)
    assert train(run) == 0
    saved, _ = load_state(run)
    assert saved is not None and (saved["epoch"], saved["step"]) == (1, 2)
    assert "no numbers any more and were not kept" in run.status.message
    assert "what was kept before" in run.status.hint


def test_a_damaged_checkpoint_costs_an_epoch_and_is_told(
    queue: Queue,
    undisturbed: Callable[[int], Run],
    store: RunStore,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    again = queue()
    with monkeypatch.context() as patch:
        interrupt(patch, lambda _work, told: told.get("step") == 3)
        assert train(again) == 0
    path = again.last_directory / CHECKPOINT
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    store.requeue(again)
    capsys.readouterr()
    assert train(again) == 0
    assert "is damaged" in capsys.readouterr().out
    assert any("is damaged" in note for note in again.provenance()["resumed"][0]["notes"])
    assert_same_results(again, undisturbed(2))


def test_damaged_prepared_images_are_built_anew_and_it_is_told(
    queue: Queue, store: RunStore, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = queue(study="first", epochs=1), queue(study="second", epochs=1)
    assert train(first) == 0
    images = next(store.workspace.datasets.glob("*/prepared/*/images.bin"))
    data = bytearray(images.read_bytes())
    data[1000] ^= 0xFF
    images.write_bytes(data)
    assert train(second) == 0
    assert_same_results(second, first)
    assert any("built anew" in note for note in second.provenance()["notes"])
    assert "built anew" in capsys.readouterr().out


def test_a_later_life_uses_as_many_threads_as_the_first(
    queue: Queue, store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = queue()
    torch.set_num_threads(2)
    with monkeypatch.context() as patch:
        interrupt(patch, lambda _work, told: told.get("step") == 1)
        assert train(run) == 0
    assert run.status.threads == 2
    torch.set_num_threads(1)
    store.requeue(run)
    assert train(run) == 0
    assert run.status.threads == 2
    saved, _ = load_state(run)
    assert saved is not None and saved["threads"] == 2


def test_a_finished_run_is_trained_longer(queue: Queue, store: RunStore) -> None:
    run = queue()
    assert train(run) == 0
    before = records(run)
    store.extend([run], 4)
    assert words_for_stop(run.status, 4)[0] == "Stopped after epoch 2."
    assert train(run) == 0
    status = run.status
    assert (status.state, status.epoch, status.steps) == (RunState.FINISHED, 4, 8)
    assert records(run)[:2] == before
    rates = [record.learning_rate for record in run.epochs()]
    assert rates[2] > rates[1], "the learning rate rises to where the longer schedule has it"
    provenance = run.provenance()
    assert [entry["to"] for entry in provenance["extended"]] == [4]
    assert len(provenance["resumed"]) == 1


def test_a_removed_directory_is_not_made_anew(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = queue()

    def remove(_work: worker.Worker, told: dict[str, Any]) -> bool:
        if told.get("step") == 3 and run.path.exists():
            shutil.rmtree(run.path)
        return False

    interrupt(monkeypatch, remove)
    assert train(run) == 0
    assert not run.path.exists()
    assert "was removed while the run trained" in capsys.readouterr().err
    assert train(run) == 2
    assert not run.path.exists()


def test_a_directory_of_the_same_name_is_another_run(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run = queue()
    shutil.copytree(run.path, tmp_path / "copy")

    def replace_it(_work: worker.Worker, told: dict[str, Any]) -> bool:
        if told.get("step") == 3 and run.last_directory.exists():
            shutil.rmtree(run.path)
            shutil.copytree(tmp_path / "copy", run.path)
        return False

    interrupt(monkeypatch, replace_it)
    assert train(run) == 0
    assert run.state is RunState.QUEUED
    assert not run.last_directory.exists()


def test_a_clock_that_jumps_does_not_change_durations(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    run = queue()
    true_time, jumps = time.time, iter([0.0, 1e6, -1e7])
    offset = 0.0

    def jumping() -> float:
        nonlocal offset
        offset += next(jumps, 0.0)
        return true_time() + offset

    monkeypatch.setattr(worker.time, "time", jumping)
    assert train(run) == 0
    assert 0 < run.status.seconds < 300
    assert all(0 < record.seconds < 300 for record in run.epochs())


def test_a_changed_dataset_fails_the_run_and_says_why(queue: Queue, tmp_path: Path) -> None:
    run = queue()
    image = next((tmp_path / "source" / "images").iterdir())
    image.write_bytes(image.read_bytes() + b"\0")
    assert train(run) == 1
    assert run.state is RunState.FAILED
    assert "changed since" in run.status.message
    assert run.epochs() == []


def test_other_times_do_not_make_other_data(queue: Queue, tmp_path: Path) -> None:
    run = queue(epochs=1)
    os.utime(next((tmp_path / "source" / "images").iterdir()), (1, 1))
    assert train(run) == 0


def test_resuming_needs_no_pretrained_file(
    store: RunStore, tmp_path: Path, test_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "weights"
    folder.mkdir()
    shutil.copy(test_data / "weights" / "tf_efficientnet_lite0-timm.pth", folder)
    add_dataset(store.workspace, tmp_path / "source")
    monkeypatch.setattr(plan, "ensure_scheduler", lambda _workspace: None)
    monkeypatch.setenv("SEGCORE_WEIGHTS", str(folder))
    recipe = Recipe(epochs=2, image_size=32, batch_size=4, precision="fp32", memory_format="contiguous")
    (run,) = plan.launch_study(
        StudyConfig(name="s", dataset="tiny", encoders=("tf_efficientnet_lite0",), recipe=recipe), store.workspace
    )
    monkeypatch.delenv("SEGCORE_WEIGHTS")  # a scheduler started elsewhere has other variables
    with monkeypatch.context() as patch:
        interrupt(patch, lambda _work, told: told.get("epoch") == 1)
        assert train(run) == 0
    assert run.state is RunState.STOPPED
    first = run.provenance()
    assert first["weights"]["kind"] == "local"
    assert first["weights"]["sha256"].startswith("8ae946ce")
    shutil.rmtree(folder)
    store.requeue(run)
    assert train(run) == 0
    assert run.state is RunState.FINISHED
    assert run.provenance()["weights"] == first["weights"]
    assert len(run.provenance()["resumed"]) == 1


def fail_with(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise error

    monkeypatch.setattr(worker, "fit", fail)


def test_an_unexpected_error_is_told_and_logged(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = queue()
    fail_with(monkeypatch, ZeroDivisionError("by zero"))
    assert train(run) == 1
    assert run.status.message == "ZeroDivisionError: by zero"
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:121] data. DefaultCPUAllocator: not enough memory: you tried"),
        RuntimeError("could not create a memory object"),
    ],
)
def test_out_of_memory_says_what_to_try(queue: Queue, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    run = queue()
    fail_with(monkeypatch, error)
    assert train(run) == 1
    assert "memory" in run.status.message
    assert "batch size below 4" in run.status.hint


def test_a_second_worker_keeps_its_hands_off(queue: Queue) -> None:
    run = queue()
    with run.worker_lock():
        assert train(run) == 3
    assert run.state is RunState.QUEUED


def test_the_last_word_is_tried_again_on_a_full_disk(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    run = queue()
    fail_with(monkeypatch, ZeroDivisionError("by zero"))
    monkeypatch.setattr("segcore.training.journal.time.sleep", lambda _seconds: None)
    write, refused = Run.write_status, []

    def full_at_first(self: Run, status: Any) -> None:
        if status.state is RunState.FAILED and len(refused) < 2:
            refused.append(status)
            raise WorkspaceError("The disk is full")
        write(self, status)

    monkeypatch.setattr(Run, "write_status", full_at_first)
    assert train(run) == 1
    assert run.state is RunState.FAILED
    assert len(refused) == 2


class FullDisk(io.StringIO):
    """Where the log goes when its disk is full."""

    def flush(self) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_log_on_a_full_disk_keeps_no_status_from_being_written(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    run, failing = queue(epochs=1), queue(study="failing")
    monkeypatch.setattr(sys, "stdout", FullDisk())
    monkeypatch.setattr(sys, "stderr", FullDisk())
    assert train(run) == 0
    assert run.state is RunState.FINISHED
    fail_with(monkeypatch, ZeroDivisionError("by zero"))
    assert train(failing) == 1
    assert (failing.state, failing.status.message) == (RunState.FAILED, "ZeroDivisionError: by zero")


def test_the_leading_process_tells_its_own_error_before_that_of_others(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = queue()
    monkeypatch.setattr(worker.Group, "reason", lambda _group: "connection reset by peer")
    fail_with(monkeypatch, WorkspaceError("The disk is full"))
    assert train(run) == 1
    assert run.status.message == "The disk is full"


def test_the_most_memory_of_all_lives_is_kept(queue: Queue, store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    run = queue()
    with monkeypatch.context() as patch:
        interrupt(patch, lambda _work, told: told.get("step") == 1)
        assert train(run) == 0
    assert run.cost()["peak_memory_mb"] > 0
    run.write_cost({**run.cost(), "peak_memory_mb": 1e9})
    store.requeue(run)
    assert train(run) == 0
    assert run.cost()["peak_memory_mb"] == 1e9 and "latency_p50_ms" in run.cost()


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells mapped files apart")
def test_mapped_files_are_no_memory_needed(tmp_path: Path) -> None:
    size = 64 * 2**20
    (tmp_path / "images.bin").write_bytes(bytes(size))
    peak = PeakMemory(CPU)
    before = peak.sample()
    mapped = np.memmap(tmp_path / "images.bin", np.uint8, "r")
    assert int(mapped.sum()) == 0
    assert peak.sample() < before + 32
    taken = np.ones(size, np.uint8)
    assert int(taken[-1]) == 1
    del taken
    assert before + 32 < peak.sample() < before + 96


def test_half_written_files_of_others_stay_while_they_may_be_writing(
    queue: Queue, store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = queue()
    own, theirs = run.path / ".metrics.jsonl.abc.tmp", run.path / ".request.json.abc.tmp"
    for file in (own, theirs):
        file.touch()
    with monkeypatch.context() as patch:
        patch.setattr(results, "queue_lock", busy)
        results.remove_leftovers(run)
    assert theirs.exists() and not own.exists()
    results.remove_leftovers(run)
    assert not theirs.exists(), "left by a process that was killed"


def busy(_workspace: object) -> Any:
    raise LaunchError("Another process holds the lock.")


def test_a_directory_made_anew_is_another_one_whatever_its_number(queue: Queue, tmp_path: Path) -> None:
    """Systems give the numbers of removed directories to new ones."""
    run = queue()
    shutil.copytree(run.path, tmp_path / "copy")
    for _ in range(5):
        journal = Journal(run)
        assert not journal.gone()
        shutil.rmtree(run.path)
        assert journal.gone()
        shutil.copytree(tmp_path / "copy", run.path)
        assert journal.gone()
        journal.close()


def test_gpus_are_called_as_the_scheduler_calls_them(monkeypatch: pytest.MonkeyPatch) -> None:
    assert device_label(CPU) == "cpu"
    assert device_label(torch.device("cuda", 2)) == "cuda:2"
    monkeypatch.setenv(LABEL_VARIABLE, "cuda:5")
    assert device_label(torch.device("cuda")) == "cuda:5"
    assert device_label(CPU) == "cpu"


def test_large_previews_are_shrunk() -> None:
    labels = torch.zeros(1000, 2000, dtype=torch.int64)
    labels[:, 1000:] = 3
    shown = Validation._shown(labels)
    assert shown.shape == (PREVIEW_SIDE // 2, PREVIEW_SIDE)
    assert (shown[:, : PREVIEW_SIDE // 2] == 0).all() and (shown[:, PREVIEW_SIDE // 2 :] == 3).all()
    assert Validation._shown(labels[:30, :40]).shape == (30, 40)


@pytest.mark.slow  # three processes that each import torch
def test_sigterm_saves_within_the_epoch_and_sigkill_costs_only_time(
    queue: Queue, undisturbed: Callable[[int], Run], store: RunStore
) -> None:
    """The real process: asked to end, then killed, then left alone."""
    again = queue(epochs=20)

    def begin(epochs: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "segcore.training.worker", str(again.path)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while len(again.epochs()) < epochs:
            assert process.poll() is None
            time.sleep(0.01)
        return process

    process = begin(epochs=2)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0
    assert again.state is RunState.INTERRUPTED
    assert store.requeue_failed() == [again]
    process = begin(epochs=len(again.epochs()) + 1)
    process.kill()
    process.wait()
    assert again.state is RunState.INTERRUPTED
    store.requeue(again)
    assert train(again) == 0
    assert_same_results(again, undisturbed(20))
