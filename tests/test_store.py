from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from segcore import runs as runs_module
from segcore import status as status_module
from segcore.config import Recipe, StudyConfig
from segcore.errors import ConfigError, ExistsError, NotFoundError, WorkspaceError
from segcore.files import read_json, write_json
from segcore.inherited import inheritable, is_held
from segcore.runqueue import HUNG_SECONDS, QueueSettings, queue_lock
from segcore.runs import Run, load_evaluation
from segcore.status import RunState, is_alive, process_identity
from segcore.store import RunStore
from segcore.workspace import Workspace
from tests.factories import RESNET18, fake_dataset, make_mixed_study, make_run, make_study


def create(store: RunStore, **changes: object) -> list[Run]:
    dataset = fake_dataset()
    values = {"name": "s", "dataset": "tiny", "encoders": ("resnet18", "vgg16"), "weights": "none", "seeds": (0, 1)}
    config = StudyConfig(**{**values, **changes})
    return store.create_study(config, dataset.config, dataset.fingerprint, dataset.split)


def test_a_study_is_one_queued_run_for_each_backbone_and_seed(store: RunStore) -> None:
    runs = create(store)
    assert [run.name for run in runs] == [
        "resnet18-scratch-seed0",
        "vgg16-scratch-seed0",
        "resnet18-scratch-seed1",
        "vgg16-scratch-seed1",
    ]
    assert {run.state for run in runs} == {RunState.QUEUED}
    assert store.study("s").runs() == runs
    assert runs[0].config.recipe == store.study("s").recipe
    assert runs[0].split == fake_dataset().split


def test_launching_again_adds_what_is_new_and_leaves_the_rest(store: RunStore) -> None:
    first = create(store)
    first[0].write_status(replace(first[0].status, state=RunState.FINISHED))
    added = create(store, seeds=(0, 2))
    assert [run.name for run in added] == ["resnet18-scratch-seed2", "vgg16-scratch-seed2"]
    assert first[0].state is RunState.FINISHED
    assert create(store, weights="pretrained", encoders=(RESNET18,), seeds=(0,))[0].name == f"{RESNET18}-seed0"


def test_a_study_does_not_mix_decoders(store: RunStore) -> None:
    create(store)
    with pytest.raises(ConfigError, match="another decoder") as caught:
        create(store, decoder="fpn")
    assert caught.value.field == "name"
    assert len(store.runs()) == 4


def test_claiming_takes_the_longest_waiting_once(store: RunStore) -> None:
    runs = create(store)
    assert store.claim_next() == runs[0]
    assert runs[0].state is RunState.RUNNING
    assert [store.claim_next() for _ in range(4)] == [*runs[1:], None]


def test_stop_cancels_the_waiting_and_asks_the_running(store: RunStore) -> None:
    runs = create(store)
    store.claim_next()
    store.stop(runs[0])
    store.stop(runs[1])
    assert runs[0].state is RunState.RUNNING
    assert runs[0].stop_requested()
    assert runs[1].state is RunState.STOPPED
    assert store.claim_next() == runs[2]


def test_a_stopped_run_queues_again_behind_the_others(store: RunStore) -> None:
    runs = create(store, seeds=(0,))
    store.stop(runs[0])
    store.requeue(runs[0])
    assert [store.claim_next(), store.claim_next()] == [runs[1], runs[0]]
    with pytest.raises(ConfigError, match="running"):
        store.requeue(runs[0])


def test_a_vanished_process_reads_as_interrupted(store: RunStore) -> None:
    run = make_run(store, state=RunState.INTERRUPTED)
    assert run.state is RunState.INTERRUPTED
    assert "Resume" in run.status.hint
    alive = replace(run.status, state=RunState.RUNNING, **process_identity())
    run.write_status(alive)
    assert run.state is RunState.RUNNING
    run.write_status(replace(alive, pid=2**22 + 1))
    assert run.state is RunState.INTERRUPTED


def test_another_hosts_run_is_judged_by_its_heartbeat(store: RunStore) -> None:
    run = make_run(store, state=RunState.RUNNING)
    run.write_status(replace(run.status, host="elsewhere", pid=1))
    assert run.state is RunState.RUNNING
    run.write_status(replace(run.status, heartbeat=(run.status.heartbeat or 0) - 1000))
    assert run.state is RunState.INTERRUPTED


def test_removing_goes_to_the_trash_and_spares_what_trains(store: RunStore) -> None:
    runs = make_mixed_study(store)
    with pytest.raises(ExistsError, match="Stop it first"):
        store.remove_run(runs[RunState.RUNNING])
    with pytest.raises(ExistsError, match="is training"):
        store.remove_study(store.study("mixed"))
    gone = store.remove_run(runs[RunState.FINISHED])
    assert (gone / "metrics.jsonl").is_file()
    assert not runs[RunState.FINISHED].exists()
    runs[RunState.RUNNING].write_status(replace(runs[RunState.RUNNING].status, state=RunState.STOPPED))
    store.remove_study(store.study("mixed"))
    assert store.studies() == []
    assert store.workspace.trash_size()[0] == 2
    store.workspace.empty_trash()
    assert store.workspace.trash_size() == (0, 0)


def test_listings_bear_a_run_that_vanishes(store: RunStore) -> None:
    runs = create(store)
    shutil.rmtree(runs[0].path)
    (runs[1].path / "status.json").write_text('{"a": 1}')
    assert [run for run, _ in store.statuses(runs)] == runs[2:]
    assert store.active() == runs[2:]


def test_an_epoch_done_again_counts_once(store: RunStore) -> None:
    run = make_run(store, epochs=3)
    third = run.epochs()[-1]
    run.append_epoch(replace(third, val_miou=0.125))
    assert [record.epoch for record in run.epochs()] == [1, 2, 3]
    assert run.epochs()[-1].val_miou == 0.125


def test_steps_done_again_count_once(store: RunStore) -> None:
    run = make_run(store, epochs=2)
    steps = run.steps()
    for record in steps[2:]:
        run.append_step(record)
    assert run.steps() == steps


def test_summary_says_what_a_listing_needs(store: RunStore) -> None:
    row = make_run(store, miou=0.6).summary()
    assert row["state"] == "finished"
    assert row["val_miou"] == pytest.approx(0.6, abs=0.03)
    assert row["majority_baseline"] == 0.45
    assert make_run(store, seed=1, state=RunState.QUEUED).summary()["val_miou"] is None


@pytest.mark.parametrize("name", ["..", "../x", "a/b", "", "%2e%2e"])
def test_names_from_a_url_cannot_leave_the_workspace(store: RunStore, name: str) -> None:
    with pytest.raises(WorkspaceError):
        store.study(name)


def test_a_link_out_of_the_workspace_is_refused(store: RunStore, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (store.workspace.studies / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(WorkspaceError, match="leads out"):
        store.study("link")


def test_unknown_names_list_the_known(store: RunStore) -> None:
    create(store)
    with pytest.raises(NotFoundError, match="there are: s"):
        store.study("t")
    with pytest.raises(NotFoundError, match="no run"):
        store.run("s", "nothing")


def test_a_workspace_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkspaceError, match="file"):
        Workspace(tmp_path / "file" / "home").ensure_writable()
    if os.geteuid() != 0:  # root may write anywhere
        (tmp_path / "locked").mkdir(mode=0o500)
        with pytest.raises(WorkspaceError, match="SEGCORE_HOME"):
            Workspace(tmp_path / "locked" / "home").ensure_writable()


@pytest.mark.parametrize("text", ["{", "{}", "[]"])
def test_a_damaged_study_is_named_and_spares_the_others(store: RunStore, text: str) -> None:
    create(store)
    make_run(store, study="broken")
    (store.workspace.studies / "broken" / "study.json").write_text(text)
    assert [study.name for study in store.studies()] == ["s"]
    assert len(store.runs()) == 4
    (problem,) = store.unreadable_studies()
    assert "broken/study.json" in str(problem)


def test_a_launch_that_fails_midway_leaves_no_run(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    create(store, encoders=("resnet18",), seeds=(0,))
    write = Run.write_status

    def full_disk(self: Run, status: object) -> None:
        if "seed2" in self.name:
            raise WorkspaceError("The disk is full")
        write(self, status)  # type: ignore[arg-type]

    monkeypatch.setattr(Run, "write_status", full_disk)
    with pytest.raises(WorkspaceError, match="full"):
        create(store, encoders=("resnet18",), seeds=(1, 2, 3))
    assert [run.name for run in store.runs()] == ["resnet18-scratch-seed0"]
    monkeypatch.undo()
    assert len(create(store, encoders=("resnet18",), seeds=(1, 2, 3))) == 3


def test_a_study_that_lost_its_file_is_not_written_over(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    create(store, encoders=("resnet18",), seeds=(0,))
    folder = store.study("s").path
    (folder / "study.json").rename(folder / "elsewhere.json")
    split = (folder / "split.json").read_bytes()
    with pytest.raises(ConfigError, match=r"study\.json is gone") as caught:
        create(store, encoders=("resnet18",), seeds=(1,))
    assert caught.value.field == "name"
    assert (folder / "split.json").read_bytes() == split
    (folder / "elsewhere.json").rename(folder / "study.json")
    assert [run.name for run in store.runs()] == ["resnet18-scratch-seed0"]

    (store.workspace.studies / "t").mkdir()
    (store.workspace.studies / "t" / "notes.txt").write_text("mine")
    monkeypatch.setattr(Run, "create", lambda *_: (_ for _ in ()).throw(WorkspaceError("The disk is full")))
    with pytest.raises(WorkspaceError, match="full"):
        create(store, name="t")
    assert (store.workspace.studies / "t" / "notes.txt").exists()


def test_damaged_run_files_are_named(store: RunStore) -> None:
    run = make_run(store)
    (run.path / "evaluation.npz").write_bytes(b"PK torn")
    with pytest.raises(WorkspaceError, match=r"evaluation\.npz is damaged"):
        run.evaluation()
    (run.path / "config.json").write_text("{}")
    with pytest.raises(WorkspaceError, match=r"config\.json is damaged"):
        _ = run.config
    (run.path / "status.json").write_text("{}")
    with pytest.raises(WorkspaceError, match=r"status\.json cannot be read"):
        _ = run.status
    assert store.remove_run(run).is_dir()  # what cannot be read can still be removed


def test_flipped_bytes_in_counts_are_damage_wherever_they_are(store: RunStore) -> None:
    run = make_run(store)
    whole = run.evaluation_path().read_bytes()
    said = set()
    for place in range(0, len(whole), 3):
        run.evaluation_path().write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            load_evaluation(run.evaluation_path())  # in names and times of the archive a flip may do no harm
        except WorkspaceError as error:
            said.add(str(error))
    assert said and all("is damaged" in text and "pickle" not in text for text in said)


def test_emptying_the_trash_twice_does_no_harm(store: RunStore) -> None:
    store.workspace.empty_trash()
    store.remove_run(make_run(store))
    store.workspace.empty_trash()
    store.workspace.empty_trash()
    assert store.workspace.trash_size() == (0, 0)


def test_studies_that_a_dataset_is_still_needed_for(store: RunStore) -> None:
    make_run(store, study="done")
    make_run(store, study="broken-off", state=RunState.FAILED)
    make_run(store, study="elsewhere", state=RunState.FAILED, dataset=fake_dataset("other"))
    assert store.unfinished_on("tiny") == ["broken-off"]


# The queue -----------------------------------------------------------------------------------------


def names(runs: list[Run]) -> str:
    """Backbones and seeds of runs in short: "r0 v0"."""
    return " ".join(f"{run.name[0]}{run.name[-1]}" for run in runs)


def test_queue_settings_are_kept_and_checked(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segcore.runqueue.cores", lambda: 4)
    assert store.queue_settings() == QueueSettings(paused=False, slots=1)
    assert store.set_queue(slots=3) == QueueSettings(slots=3)
    assert store.set_queue(paused=True) == QueueSettings(paused=True, slots=3)
    assert RunStore(store.workspace).queue_settings() == QueueSettings(paused=True, slots=3)
    for slots in (0, 5):
        with pytest.raises(ConfigError, match="1 to 4") as caught:
            store.set_queue(slots=slots)
        assert caught.value.field == "slots"
    monkeypatch.setattr("segcore.runqueue.cores", lambda: 2)
    assert store.queue_settings().slots == 2  # the workspace came to a smaller machine


@pytest.mark.parametrize("text", ["{", "[]", '{"slots": "many"}', '{"slots": 0}', '{"colour": 1}'])
def test_damaged_queue_settings_are_chosen_anew(store: RunStore, text: str) -> None:
    (store.workspace.root / "queue.json").write_text(text)
    assert store.queue_settings() == QueueSettings()
    assert store.set_queue(paused=True).paused
    assert store.queue_settings().paused


def test_a_paused_queue_gives_nothing_out(store: RunStore) -> None:
    runs = create(store)
    store.set_queue(paused=True)
    assert store.claim_next() is None
    store.set_queue(paused=False)
    assert store.claim_next("cuda:1") == runs[0]
    assert runs[0].status.device == "cuda:1"


@pytest.mark.parametrize(
    ("moved", "position", "expected"),
    [
        (3, 0, "v1 r0 v0 r1"),
        (0, 1, "v0 r0 r1 v1"),
        (0, 2, "v0 r1 r0 v1"),
        (1, 3, "r0 r1 v1 v0"),
        (1, 99, "r0 r1 v1 v0"),
        (2, -5, "r1 r0 v0 v1"),
        (2, 2, "r0 v0 r1 v1"),
    ],
)
def test_moving_a_waiting_run(store: RunStore, moved: int, position: int, expected: str) -> None:
    runs = create(store)
    assert names(store.waiting()) == "r0 v0 r1 v1"
    store.move(runs[moved], position)
    assert names(store.waiting()) == expected
    assert names([store.claim_next() or runs[0] for _ in runs]) == expected


def test_moving_finds_room_between_times_that_are_equal_or_next_to_each_other(store: RunStore) -> None:
    runs = create(store)
    for run in runs:
        run.write_status(replace(run.status, queued=1e9, created=1e9))
    order = store.waiting()
    for _ in range(80):  # far more often than a time can be halved
        store.move(store.waiting()[2], 1)
        order = [order[0], order[2], order[1], order[3]]
        assert store.waiting() == order


def test_only_what_waits_can_be_moved(store: RunStore) -> None:
    runs = create(store)
    store.claim_next()
    with pytest.raises(ConfigError, match="is running"):
        store.move(runs[0], 0)


def test_a_clock_set_back_does_not_jump_the_queue(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = create(store, seeds=(0,))
    store.stop(runs[0])
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    store.requeue(runs[0])
    create(store, seeds=(1,))
    assert names(store.waiting()) == "v0 r0 r1 v1"


def test_a_clock_that_is_set_does_not_kill_what_runs(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(store, state=RunState.RUNNING)
    # psutil adds the time of the machine's start, which is what moves.
    monkeypatch.setattr("psutil.Process.create_time", lambda _self: time.time())
    assert run.state is RunState.RUNNING


def test_a_pid_used_again_is_another_process(store: RunStore) -> None:
    run = make_run(store, state=RunState.RUNNING)
    run.write_status(replace(run.status, pid_started=(run.status.pid_started or 0) - 1))
    assert run.state is RunState.INTERRUPTED


def test_a_cancelled_run_says_whether_it_had_begun(store: RunStore) -> None:
    begun = make_run(store, state=RunState.STOPPED)
    store.requeue(begun)
    store.stop(begun)
    assert "went on" in begun.status.message
    (fresh,) = create(store, seeds=(0,), encoders=("vgg16",))
    store.stop(fresh)
    assert "started" in fresh.status.message


def test_retrying_takes_what_failed_and_leaves_what_was_stopped(store: RunStore) -> None:
    runs = make_mixed_study(store)
    other = make_run(store, study="other", state=RunState.FAILED)
    requeued = store.requeue_failed("mixed")
    assert requeued == [runs[RunState.FAILED], runs[RunState.INTERRUPTED]]
    assert store.waiting() == [runs[RunState.QUEUED], *requeued]
    assert runs[RunState.FAILED].status.message == ""
    assert runs[RunState.STOPPED].state is RunState.STOPPED
    assert store.requeue_failed() == [other]
    with pytest.raises(NotFoundError):
        store.requeue_failed("nothing")


def test_a_worker_that_heeds_nothing_is_ended_when_asked_again(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as hung:
        run = make_run(store, state=RunState.RUNNING)
        run.write_status(replace(run.status, **process_identity(hung.pid)))
        store.stop(run)
        asked = run.stop_requested_at()
        store.stop(run)
        assert (run.state, run.stop_requested_at()) == (RunState.RUNNING, asked)
        assert asked is not None
        now = asked + HUNG_SECONDS + 1
        monkeypatch.setattr(time, "time", lambda: now)
        run.write_status(replace(run.status, heartbeat=now - 5))
        store.stop(run)
        assert run.state is RunState.RUNNING  # it lives, and is just saving
        run.write_status(replace(run.status, heartbeat=asked))
        assert is_alive(run.status)
        store.stop(run)
        assert not psutil.pid_exists(hung.pid)
    assert run.state is RunState.STOPPED
    assert "no sign of life" in run.status.message
    assert not run.stop_requested()


def test_a_claimed_run_still_names_the_scheduler_which_is_not_ended(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run,) = create(store, encoders=("resnet18",), seeds=(0,))
    store.claim_next()  # by this process
    store.stop(run)
    monkeypatch.setattr("segcore.runqueue.HUNG_SECONDS", -1.0)
    monkeypatch.setattr("segcore.runqueue.end_process", lambda _status: pytest.fail("this process would be killed"))
    store.stop(run)
    assert run.state is RunState.RUNNING


def test_asking_whether_a_lock_is_held_does_not_hold_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with inheritable(path):
        assert is_held(path)
    with open(path) as other:
        fcntl.flock(other, fcntl.LOCK_SH)  # as somebody does who asks just now
        assert not is_held(path)


def test_silence_of_a_running_run_is_noticed(store: RunStore) -> None:
    run = make_run(store, state=RunState.RUNNING)
    assert run.status.silence is None
    long_ago = time.time() - 2 * status_module.WORRYING_SECONDS
    assert (replace(run.status, heartbeat=long_ago).silence or 0) > status_module.WORRYING_SECONDS
    assert replace(run.status, heartbeat=long_ago, state=RunState.FINISHED).silence is None


def test_a_lock_does_not_bring_a_removed_run_back(store: RunStore) -> None:
    run = make_run(store)
    shutil.rmtree(run.path)
    with pytest.raises(NotFoundError):
        run.worker_lock()
    assert not run.path.exists()


def test_what_was_expected_is_written_down(store: RunStore) -> None:
    dataset = fake_dataset()
    config = StudyConfig(name="s", dataset="tiny", encoders=("resnet18", "vgg16"), weights="none")
    predicted = {"resnet18-scratch-seed0": 90.0}
    first, second = store.create_study(config, dataset.config, dataset.fingerprint, dataset.split, predicted=predicted)
    assert (first.status.predicted, second.status.predicted) == (90.0, None)
    assert first.summary()["predicted_seconds"] == 90.0


def test_a_study_of_an_earlier_version_grows(store: RunStore) -> None:
    (run,) = create(store, encoders=("resnet18",), seeds=(0,))
    path = run.path.parent / "study.json"
    value = read_json(path) or {}
    for field in ("geometry", "crops_per_image", "precision", "memory_format"):
        del value["recipe"][field]
    del value["dataset"]["synthetic"]
    write_json(path, value)
    assert len(create(store, encoders=("resnet18",), seeds=(1,))) == 1
    with pytest.raises(ConfigError, match="precision auto, not fp32"):
        create(store, recipe=Recipe(precision="fp32"))


# Training longer -----------------------------------------------------------------------------------


def finished(store: RunStore, seed: int = 0, **options: object) -> Run:
    return make_run(store, seed=seed, epochs=5, **options)  # type: ignore[arg-type]


def test_a_finished_run_is_extended(store: RunStore) -> None:
    run = finished(store)
    run.write_status(replace(run.status, predicted=10.0, predicted_after_epoch=20.0))
    run.request_stop()  # came too late, and must not stop it now
    store.extend([run], 8)
    assert run.state is RunState.QUEUED
    assert run.config.recipe.epochs == 8
    assert (run.status.epoch, run.status.ended) == (5, None)
    assert (run.status.step, run.status.steps) == (10, 16)
    assert (run.status.predicted, run.status.predicted_after_epoch) == (16.0, 32.0)
    assert not run.stop_requested()
    (entry,) = run.provenance()["extended"]
    assert (entry["from"], entry["to"]) == (5, 8)
    assert "rose again" in entry["note"]
    assert run.provenance()["weights"]["kind"] == "local"  # all else that was known stays


def test_what_does_not_grow_with_the_epochs_is_expected_once(store: RunStore) -> None:
    run = finished(store)
    run.write_status(replace(run.status, seconds=14.0, predicted=14.0))  # 10 s in five epochs, 4 s beside them
    store.extend([run], 10)
    assert run.status.predicted == pytest.approx(24.0)


def test_several_runs_wait_in_the_order_given(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1e9)
    runs = [finished(store, seed) for seed in (0, 1, 2)]
    store.extend(runs[::-1], 8)
    assert store.waiting() == runs[::-1]


def test_the_study_follows_when_all_its_runs_are_extended(store: RunStore) -> None:
    runs = [finished(store, seed) for seed in (0, 1)]
    study = store.study("study")
    store.extend(runs[:1], 8)
    assert study.recipe.epochs == 5
    assert {run.config.recipe.epochs for run in runs} == {5, 8}
    store.extend(runs[1:], 8)
    assert study.recipe.epochs == 8
    assert finished_with_recipe(store, study.recipe).config.recipe.epochs == 8


def finished_with_recipe(store: RunStore, recipe: Recipe) -> Run:
    """Add one more seed under the study's recipe, as the Charts page does."""
    dataset = fake_dataset()
    config = StudyConfig(name="study", dataset="tiny", encoders=(RESNET18,), seeds=(9,), recipe=recipe)
    (run,) = store.create_study(config, dataset.config, dataset.fingerprint, dataset.split)
    return run


def test_extending_is_all_or_nothing(store: RunStore) -> None:
    runs = [finished(store, 0), finished(store, 1), make_run(store, seed=2, state=RunState.FAILED)]
    with pytest.raises(ConfigError, match=r"seed2 \(failed\)"):
        store.extend(runs, 8)
    for epochs in (5, 4, 0):
        with pytest.raises(ConfigError, match="more than that") as caught:
            store.extend(runs[:2], epochs)
        assert caught.value.field == "epochs"
    with pytest.raises(ConfigError) as caught:
        store.extend(runs[:2], 10_001)
    assert caught.value.field == "epochs"
    assert {run.config.recipe.epochs for run in runs} == {5}
    assert store.waiting() == []


def test_cancelling_an_extension_leaves_the_run_as_it_was(store: RunStore) -> None:
    runs = [finished(store, seed) for seed in (0, 1)]
    for run in runs:
        run.write_status(replace(run.status, device="cuda:1"))
    before = [(run.status, run.config, run.provenance()) for run in runs]
    store.extend(runs, 8)
    assert store.study("study").recipe.epochs == 8
    for run in runs:
        run.write_status(replace(run.status, message="Its process could not be started; it is tried again."))
        store.stop(run)
        assert store.study("study").recipe.epochs == 5
    assert [(replace(run.status, queued=s.queued), run.config, run.provenance()) for run, (s, _, _) in
            zip(runs, before, strict=True)] == before  # fmt: skip


def test_an_extension_that_has_begun_is_stopped_like_any_run(store: RunStore) -> None:
    run = finished(store)
    store.extend([run], 8)
    run.write_status(replace(run.status, state=RunState.STOPPED, epoch=6, step=12, steps=16))
    store.requeue(run)
    store.stop(run)
    assert run.state is RunState.STOPPED
    assert run.config.recipe.epochs == 8


def test_extending_twice_keeps_both_entries_and_drops_one_that_did_not_take_place(store: RunStore) -> None:
    run = finished(store)
    store.extend([run], 6)
    run.write_status(replace(run.status, state=RunState.FINISHED, epoch=6, step=12, steps=12))
    provenance = run.provenance()
    # A kill between the two writes of an extension: announced, not done.
    run.write_provenance({**provenance, "extended": [*provenance["extended"], {"from": 6, "to": 50, "time": 0.0}]})
    store.extend([run], 7)
    assert [(entry["from"], entry["to"]) for entry in run.provenance()["extended"]] == [(5, 6), (6, 7)]


@pytest.mark.parametrize("failing", [1, 2, 3])
def test_an_extension_that_breaks_off_leaves_a_run_that_can_go_on(
    store: RunStore, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    """Whichever of its three files cannot be written, the run says the truth and can be extended in the end."""
    run = finished(store)
    writes = 0

    def full_disk(path: Path, value: object) -> None:
        nonlocal writes
        writes += 1
        if writes == failing:
            raise WorkspaceError("The disk is full")
        write_json(path, value)

    monkeypatch.setattr("segcore.runs.write_json", full_disk)
    with pytest.raises(WorkspaceError):
        store.extend([run], 8)
    monkeypatch.undo()
    assert run.state is (RunState.QUEUED if failing == 3 else RunState.FINISHED)
    assert run.extensions() == []
    store.stop(run)
    assert (run.state, run.status.steps, run.config.recipe.epochs) == (RunState.FINISHED, 10, 5)
    store.extend([run], 8)
    assert [entry["to"] for entry in run.extensions()] == [8]
    assert len(run.provenance()["extended"]) == 1


def test_a_status_is_parsed_once_until_it_is_replaced(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_study(store, seeds=range(3))
    assert len(store.statuses()) == len(made)
    parsed: list[Path] = []
    read = runs_module.read_json
    monkeypatch.setattr(runs_module, "read_json", lambda path: parsed.append(path) or read(path))
    for _ in range(3):
        assert store.runs() == made
        assert all(status.state is RunState.FINISHED for _, status in store.statuses())
    assert [path for path in parsed if path.name == "status.json"] == []
    for message in ("one", "two", "six"):  # of equal length, one just after the other
        with queue_lock(store.workspace):
            made[0].write_status(replace(made[0].status, message=message))
        assert made[0].status.message == message
    shutil.rmtree(made[1].path)
    assert store.runs() == [made[0], *made[2:]]
