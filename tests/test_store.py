from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from segcore.config import StudyConfig
from segcore.errors import ConfigError, ExistsError, NotFoundError, WorkspaceError
from segcore.runs import Run
from segcore.status import RunState, process_identity
from segcore.store import RunStore
from segcore.workspace import Workspace
from tests.factories import RESNET18, fake_dataset, make_mixed_study, make_run


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
