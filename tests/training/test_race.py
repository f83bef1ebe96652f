"""Real workers in a race: what goes on is, bit for bit, what it would have been; what is behind has stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from segcore.config import Recipe, StudyConfig
from segcore.data.store import DatasetStore
from segcore.evaluation import racing
from segcore.launch.race import settle_races
from segcore.runqueue import RunQueue
from segcore.runs import Run, Study
from segcore.status import RunState, Status
from segcore.store import RunStore
from segcore.training import worker
from segcore.training.checkpoint import load_state
from tests.factories import add_dataset, reach_rung
from tests.training.conftest import ENCODER
from tests.training.test_worker import assert_same_results, train

EPOCHS = 6


def launch(store: RunStore, *, racing: bool = True, study: str = "race", seeds: tuple[int, ...] = (0, 1)) -> list[Run]:
    dataset = DatasetStore(store.workspace).get("tiny")
    assert dataset.split is not None
    recipe = Recipe(epochs=EPOCHS, image_size=32, batch_size=4, precision="fp32", memory_format="contiguous")
    config = StudyConfig(
        name=study, dataset="tiny", encoders=(ENCODER,), weights="none", seeds=seeds, racing=racing, recipe=recipe
    )
    return store.create_study(config, dataset.config, dataset.fingerprint, dataset.split)


@pytest.fixture
def tiny(store: RunStore, tmp_path: Path) -> RunStore:
    add_dataset(store.workspace, tmp_path / "source")
    return store


def test_a_raced_run_ends_as_one_that_never_waited(tiny: RunStore) -> None:
    raced = launch(tiny)
    for run in raced:
        assert train(run) == 0
        status = run.status
        assert (status.state, status.epoch, status.restarts) == (RunState.QUEUED, 2, 0)
        assert status.standing
        assert (status.phase, status.eta, status.ended, status.device) == ("", None, None, "cpu")
        assert "epoch 2" in status.message
        assert len(run.epochs()) == 2
    assert tiny.claim_next() is None
    settle_races(tiny, print)
    assert [run.status.rung for run in raced] == [None, None]  # nobody is left to race with
    while (claimed := tiny.claim_next()) is not None:
        assert train(claimed) == 0
    assert [run.state for run in raced] == [RunState.FINISHED] * 2
    whole = launch(tiny, racing=False, study="whole")
    for run, other in zip(raced, whole, strict=True):
        assert train(other) == 0
        assert_same_results(run, other)
    assert racing.outcome(Study(raced[0].path.parent)) == []


def test_killed_while_it_hands_itself_back(tiny: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its state is kept, its status is not: the next life says so at once, and learns nothing twice."""
    run, _ = launch(tiny)

    class Killed(BaseException):
        pass

    def die(*_: Any) -> bool:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(RunQueue, "hand_back", die)
        patch.setattr(worker.Worker, "tell", _mute(worker.Worker.tell))
        patch.setattr("segcore.training.journal.Journal.end", lambda *_: None)
        with pytest.raises(Killed):
            train(run)
    saved = load_state(run)[0]
    assert saved is not None and saved["epoch"] == 2
    run.write_status(Status.from_json({**run.status.to_json(), "state": "queued", "epoch": 1}))
    assert not run.status.standing
    assert tiny.claim_next() == run
    assert train(run) == 0
    assert run.status.standing
    assert run.status.epoch == 2
    after = load_state(run)[0]
    assert after is not None and after["step"] == saved["step"]


def _mute(tell: Any) -> Any:
    """Leave out the word of the last epoch."""

    def told(self: worker.Worker, **changes: Any) -> None:
        if changes.get("epoch") != 2:
            tell(self, **changes)

    return told


def test_asked_to_stop_while_it_hands_itself_back(tiny: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    run, _ = launch(tiny)
    hand_back = RunQueue.hand_back

    def ask_and_hand_back(self: RunQueue, run: Run, status: Status) -> bool:
        run.request_stop()
        return hand_back(self, run, status)

    monkeypatch.setattr(RunQueue, "hand_back", ask_and_hand_back)
    assert train(run) == 0
    assert (run.state, run.status.message) == (RunState.STOPPED, "Stopped after epoch 2.")
    assert not run.stop_requested()
    assert run.status.rung == 2


def test_whoever_is_out_and_resumed_trains_to_its_end(tiny: RunStore) -> None:
    """A person's word goes before the race's, and nothing that was learnt is lost."""
    runs = launch(tiny)
    for run in runs:
        assert train(run) == 0
    out = runs[0]
    out.write_status(Status.from_json({**out.status.to_json(), "state": "stopped", "rung": None}))
    tiny.requeue(out)
    assert train(out) == 0
    assert (out.state, out.status.epoch) == (RunState.FINISHED, EPOCHS)
    (other,) = launch(tiny, racing=False, study="whole", seeds=(0,))
    assert train(other) == 0
    assert_same_results(out, other)


def test_a_made_up_rung_can_be_trained_on_from(tiny: RunStore) -> None:
    """What the other tests make up of a run at its rung is what a worker leaves there, as far as the race reads it."""
    made_up, real = launch(tiny)
    assert train(real) == 0
    reach_rung(made_up, 0.5)
    for name in ("state", "epoch", "rung", "message", "phase", "eta"):
        assert getattr(made_up.status, name) == getattr(real.status, name), name
