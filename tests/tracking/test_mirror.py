"""The mirror against a real MLflow server: what is there, once and only once, whatever happened on the way."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from segcore.__main__ import main
from segcore.errors import TrackingError
from segcore.runs import Run, Study
from segcore.status import RunState
from segcore.store import RunStore
from segcore.tracking import record
from segcore.tracking.contents import measurements
from segcore.tracking.destination import Destination
from segcore.tracking.sender import Sender
from segcore.tracking.sending import Sent, send
from segcore.tracking.server import STATES, Server
from tests import factories
from tests.tracking.conftest import Tracker


def sent(study: Study, where: Destination, store: RunStore) -> Sent:
    return send(study, Server(where), store=store)


def there(tracker: Tracker, where: Destination) -> dict[str, Any]:
    """Everything that the server has, in a form that two sendings can be compared by."""
    found: dict[str, Any] = {}
    for kind in ("study", "run"):
        for run in tracker.runs(kind, where.experiment):
            histories = {key: tracker.history(run.info.run_id, key) for key in sorted(run.data.metrics)}
            found[run.info.run_id] = (run.info.run_name, run.info.status, run.data.params, run.data.tags, histories)
    return found


def test_finished_study(tracker: Tracker, where: Destination, store: RunStore) -> None:
    runs = factories.make_study(store, "whole", seeds=(0,), with_weights=True)
    study = store.study("whole")
    assert record.standing(study, where) == record.Standing(False, 0, 2)

    done = sent(study, where, store)

    (parent,) = tracker.runs("study", where.experiment)
    children = {run.info.run_name: run for run in tracker.runs("run", where.experiment)}
    assert done.id == parent.info.run_id and parent.info.run_name == "whole" and parent.info.status == "FINISHED"
    assert set(tracker.artifacts(parent.info.run_id)) == {"report.html"}
    assert children.keys() == {run.name for run in runs}
    for run in runs:
        child = children[run.name]
        assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert child.data.params["encoder"] == run.config.encoder
        assert child.data.params["recipe.epochs"] == "5"
        assert child.data.tags["segcore.provenance.weights.sha256"] == "0" * 64
        assert child.info.status == "FINISHED" and child.info.end_time == int(1000 * (run.status.ended or 0))
        wanted = [(epoch.epoch, measurements(epoch)) for epoch in run.epochs()]
        for key in wanted[0][1]:
            assert tracker.history(child.info.run_id, key) == [(step, values[key]) for step, values in wanted]
        files = tracker.artifacts(child.info.run_id)
        assert files.keys() == {"config.json", "evaluation.json", "best.safetensors"}
        assert files["best.safetensors"] == run.best_weights.stat().st_size
    assert (done.runs, done.epochs, done.artifacts, done.refused) == (2, 10, 7, {})
    assert record.standing(study, where) == record.Standing(True, 2, 0)
    assert not record.behind(study, where)


def _lose(study: Study) -> None:
    for file in study.path.rglob("mirror.json"):
        file.unlink()


def _damage(study: Study) -> None:
    for file in study.path.rglob("mirror.json"):
        file.write_text("{ torn")


@pytest.mark.parametrize("accident", [lambda _study: None, _lose, _damage], ids=["kept", "lost", "damaged"])
def test_sent_again_nothing_is_doubled(
    accident: Callable[[Study], None], tracker: Tracker, where: Destination, store: RunStore
) -> None:
    factories.make_study(store, "twice", seeds=(0,), with_weights=True)
    study = store.study("twice")
    sent(study, where, store)
    before = there(tracker, where)
    assert len(before) == 3
    accident(study)
    again = sent(study, where, store)
    assert (again.epochs, again.artifacts, again.refused) == (0, 0, {})
    assert there(tracker, where) == before


def test_cut_off_after_epochs_were_taken(
    tracker: Tracker, where: Destination, store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server has written the epochs, but died before the tag that counts them: they come twice, and stand once."""
    run = factories.make_run(store, study="cut")
    server = Server(where)
    log = Server.log_epochs

    def without_tags(self: Server, run_id: str, contents: Any, start: int, stop: int, tags: Any) -> None:
        log(self, run_id, contents, start, stop, {})
        raise TrackingError("gone")

    with monkeypatch.context() as patched:
        patched.setattr(Server, "log_epochs", without_tags)
        with pytest.raises(TrackingError, match="gone"):
            send(store.study("cut"), server, store=store)
    (child,) = tracker.runs("run", where.experiment)
    assert len(tracker.history(child.info.run_id)) == 5 and "segcore.epochs" not in child.data.tags

    sent(store.study("cut"), where, store)
    (child,) = tracker.runs("run", where.experiment)
    assert tracker.history(child.info.run_id) == [(epoch.epoch, epoch.val_miou) for epoch in run.epochs()]


def test_every_state_is_told(tracker: Tracker, where: Destination, store: RunStore) -> None:
    runs = factories.make_mixed_study(store, "mixed")
    assert sent(store.study("mixed"), where, store).refused == {}
    children = {run.info.run_name: run for run in tracker.runs("run", where.experiment)}
    assert children.keys() == {run.name for state, run in runs.items() if state is not RunState.QUEUED}
    for state, run in runs.items():
        if state is not RunState.QUEUED:
            child = children[run.name]
            assert child.info.status == STATES[state]
            assert child.data.tags["segcore.state"] == state
            assert child.data.tags.get("segcore.message", "") == run.status.message
            assert len(tracker.history(child.info.run_id)) == len(run.epochs())
    (parent,) = tracker.runs("study", where.experiment)
    assert parent.info.status == "RUNNING" and tracker.artifacts(parent.info.run_id) == {}


def test_failed_run_that_goes_on_is_the_same(tracker: Tracker, where: Destination, store: RunStore) -> None:
    run = factories.make_run(store, study="again", state=RunState.FAILED, epochs=4)
    study = store.study("again")
    sent(study, where, store)
    (failed,) = tracker.runs("run", where.experiment)
    assert failed.info.status == "FAILED" and len(tracker.history(failed.info.run_id)) == 2
    for epoch in run.epochs()[:2]:
        run.append_epoch(replace(epoch, epoch=epoch.epoch + 2))
    factories.set_state(run, RunState.FINISHED, done=4)
    assert sent(study, where, store).epochs == 2
    (finished,) = tracker.runs("run", where.experiment)
    assert finished.info.run_id == failed.info.run_id and finished.info.status == "FINISHED"
    assert [step for step, _ in tracker.history(finished.info.run_id)] == [1, 2, 3, 4]


def test_run_that_began_anew_replaces_the_old_one(tracker: Tracker, where: Destination, store: RunStore) -> None:
    run = factories.make_run(store, study="anew")
    study = store.study("anew")
    sent(study, where, store)
    (old,) = tracker.runs("run", where.experiment)
    for epoch in run.epochs():
        run.append_epoch(replace(epoch, val_miou=epoch.val_miou / 2))
    sent(study, where, store)
    (new,) = tracker.runs("run", where.experiment)
    assert new.info.run_id != old.info.run_id
    assert tracker.history(new.info.run_id) == [(epoch.epoch, epoch.val_miou) for epoch in run.epochs()]
    assert tracker.client().get_run(old.info.run_id).info.lifecycle_stage == "deleted"


def test_what_somebody_deleted_there_is_made_again(tracker: Tracker, where: Destination, store: RunStore) -> None:
    factories.make_run(store, study="deleted")
    sent(store.study("deleted"), where, store)
    for kind in ("study", "run"):
        for run in tracker.runs(kind, where.experiment):
            tracker.client().delete_run(run.info.run_id)
    _lose(store.study("deleted"))
    sent(store.study("deleted"), where, store)
    assert [len(tracker.runs(kind, where.experiment)) for kind in ("study", "run")] == [1, 1]


def test_names_that_mean_harm(tracker: Tracker, where: Destination, store: RunStore) -> None:
    roof = factories.CLASSES[3].model_copy(update={"name": "roof'; DROP TABLE runs; --\n\x1b[31m\u202e" + "ü" * 30})
    classes = (*factories.CLASSES[:3], roof)
    source = factories.fake_dataset()
    config = source.config.model_copy(update={"classes": classes})
    run = factories.make_run(
        store,
        study="a..b-_c.0" + "x" * 70,
        dataset=factories.FakeDataset(config, source.fingerprint, source.split),
        state=RunState.FAILED,
        message="first line\nsecond `line` \x00 " + "y" * 9000,
    )
    run.write_provenance({"pack{age}s": {"a=b;c\n": "1' OR '1'='1", "deep": {"x" * 300: [1, "two"]}}, "none": None})
    study = store.study(run.study_name)
    assert sent(study, where, store).refused == {}
    assert sent(study, where, store).runs == 0
    (child,) = tracker.runs("run", where.experiment)
    assert child.info.run_name == run.name
    assert child.data.tags["segcore.provenance.pack_age_s.a_b_c_"] == "1' OR '1'='1"
    assert child.data.tags["segcore.message"].startswith("first line\nsecond `line` \\x00")
    (parent,) = tracker.runs("study", where.experiment)
    assert "\\x1b[31m\\u202e" in parent.data.tags["segcore.classes"]


def test_damaged_run_does_not_hold_up_the_others(tracker: Tracker, where: Destination, store: RunStore) -> None:
    good, bad = factories.make_study(store, "damaged", seeds=(0,))
    bad.evaluation_path().write_bytes(b"torn")
    done = sent(store.study("damaged"), where, store)
    assert done.runs == 1 and bad.name in done.refused and "is damaged" in done.refused[bad.name]
    assert record.standing(store.study("damaged"), where) == record.Standing(True, 1, 1)
    names = {run.info.run_name: run.info.status for run in tracker.runs("run", where.experiment)}
    assert names[good.name] == "FINISHED"


# A server that is away ------------------------------------------------------------------------------------


def test_server_down_while_it_trains_and_up_again(tracker: Tracker, where: Destination, store: RunStore) -> None:
    run = factories.make_run(store, study="down", state=RunState.RUNNING, epochs=6, done=2)
    study = store.study("down")
    record.want(study)
    sender = Sender(store.workspace, where)
    assert sender.send_all() == ""
    tracker.stop()
    for epoch in run.epochs()[:2]:
        run.append_epoch(replace(epoch, epoch=epoch.epoch + 2))
    assert "does not answer" in sender.send_all()
    assert record.standing(study, where) == record.Standing(True, 0, 1)
    for epoch in run.epochs()[:2]:
        run.append_epoch(replace(epoch, epoch=epoch.epoch + 4))
    factories.set_state(run, RunState.FINISHED, done=6)
    tracker.start()
    assert sender.send_all() == ""
    (child,) = tracker.runs("run", where.experiment)
    assert [step for step, _ in tracker.history(child.info.run_id)] == [1, 2, 3, 4, 5, 6]
    assert child.info.status == "FINISHED" and record.standing(study, where) == record.Standing(True, 1, 0)
    assert sender.send_all() == ""
    assert len(tracker.runs("run", where.experiment)) == 1


def test_background_leaves_alone_what_nobody_wanted(tracker: Tracker, where: Destination, store: RunStore) -> None:
    factories.make_run(store, study="old")
    assert Sender(store.workspace, where).send_all() == ""
    assert tracker.runs("study", where.experiment) == []


def test_command(tracker: Tracker, store: RunStore, capsys: pytest.CaptureFixture[str]) -> None:
    factories.make_run(store, study="one")
    factories.make_run(store, study="two")
    assert main(["mirror", "one", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["server"] == tracker.uri and found["problems"] == []
    assert [(row["study"], row["runs"], row["epochs"]) for row in found["studies"]] == [("one", 1, 5)]
    assert main(["mirror", "--all", "--json"]) == 0
    rows = {row["study"]: row["runs"] for row in json.loads(capsys.readouterr().out)["studies"]}
    assert rows == {"one": 0, "two": 1}
    assert main(["mirror", "--all"]) == 0
    assert "two" in capsys.readouterr().out


@pytest.mark.slow
def test_training_is_mirrored_by_itself(tracker: Tracker, where: Destination, store: RunStore, tmp_path: Any) -> None:
    """One tiny study through queue, scheduler, worker and sender, all of them real processes."""
    from segcore.config import Recipe, StudyConfig
    from segcore.launch.plan import launch_study

    factories.add_dataset(store.workspace, tmp_path / "source")
    recipe = Recipe(epochs=2, image_size=32, batch_size=4)
    config = StudyConfig(name="real", dataset="tiny", encoders=("resnet18",), weights="none", recipe=recipe)
    (run,) = launch_study(config, store.workspace)
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and (run.state.active or record.standing(store.study("real"), where).pending):
        time.sleep(0.5)
    assert run.state is RunState.FINISHED, run.log()
    assert record.standing(store.study("real"), where) == record.Standing(True, 1, 0)
    (child,) = tracker.runs("run", where.experiment)
    assert child.info.status == "FINISHED"
    assert tracker.history(child.info.run_id) == [(epoch.epoch, epoch.val_miou) for epoch in run.epochs()]
    assert {"best.safetensors", "evaluation.json"} <= tracker.artifacts(child.info.run_id).keys()


def test_run_that_is_gone_is_no_problem(tracker: Tracker, where: Destination, store: RunStore) -> None:
    run: Run = factories.make_run(store, study="gone")
    study = store.study("gone")
    sent(study, where, store)
    store.remove_run(run)
    assert sent(study, where, store).refused == {}
    (child,) = tracker.runs("run", where.experiment)
    assert child.info.status == "FINISHED"  # what was trained stays on the server
