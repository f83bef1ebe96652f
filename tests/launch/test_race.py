"""The queue with a race in it: who may start, who waits at a rung, and who stops there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from segcore.errors import WorkspaceError
from segcore.evaluation import racing
from segcore.launch.race import settle_races
from segcore.runs import Run, Study
from segcore.status import RunState, Status
from segcore.store import RunStore
from tests.factories import RACE_SKILLS, RESNET18, make_race, make_run, reach_rung

WINNER, LOSER = "resnet34.tv_in1k", "vgg16.tv_in1k"
SEEDS = range(3)


def of(runs: list[Run], encoder: str) -> list[Run]:
    return [run for run in runs if run.config.encoder == encoder]


def settle(store: RunStore) -> list[str]:
    said: list[str] = []
    settle_races(store, said.append)
    return said


def finish(run: Run) -> None:
    run.write_status(replace(run.status, state=RunState.FINISHED, rung=None))


def test_all_runs_of_a_race_begin_with_the_first_rung(store: RunStore) -> None:
    runs = make_race(store, at_rung=False)
    assert {run.status.rung for run in runs} == {6}
    assert make_run(store, state=RunState.QUEUED).status.rung is None
    assert not any(run.status.standing for run in runs)
    assert settle(store) == []


def test_who_stands_at_a_rung_is_passed_over(store: RunStore) -> None:
    runs = make_race(store, at_rung=False)
    other = make_run(store, state=RunState.QUEUED)
    reach_rung(runs[0], 0.8)
    assert store.standing() == [runs[0]]
    assert store.waiting()[0] == runs[0]
    assert store.ready()
    assert [store.claim_next() for _ in range(10)] == [*runs[1:], other, None]
    assert not store.ready()
    assert settle(store) == []  # the others train
    assert runs[0].status.rung == 6


def test_the_race_waits_for_the_last(store: RunStore) -> None:
    runs = make_race(store)
    last = runs[-1]
    last.write_status(replace(last.status, epoch=5))
    assert settle(store) == []
    assert Study(last.path.parent).race() == []
    last.write_status(replace(last.status, epoch=6))
    assert len(settle(store)) == len(SEEDS)
    assert len(Study(last.path.parent).race()) == 1


@pytest.mark.parametrize("state", [RunState.FAILED, RunState.STOPPED, RunState.INTERRUPTED])
def test_who_has_ended_holds_nobody_up(store: RunStore, state: RunState) -> None:
    runs = make_race(store)
    lost = of(runs, RESNET18)[0]
    lost.write_status(replace(lost.status, state=state, epoch=3))
    assert settle(store)
    assert lost.state is state
    assert {run.status.rung for run in runs if run.state is RunState.QUEUED} == {15}


def test_who_is_clearly_behind_stops_and_the_others_go_on(store: RunStore) -> None:
    runs = make_race(store)
    places = {run: run.status.queued for run in runs}
    said = settle(store)
    for run in of(runs, LOSER):
        status = run.status
        assert (status.state, status.epoch, status.rung, status.eta) == (RunState.STOPPED, 6, None, None)
        assert status.ended is not None
        assert "clearly behind ResNet-34, by " in status.message
        assert "Resume it" in status.hint
        assert f"race/{run.name}: {status.message}" in said
    for run in [*of(runs, WINNER), *of(runs, RESNET18)]:
        status = run.status
        assert (status.state, status.rung, status.message) == (RunState.QUEUED, 15, "")
        assert status.queued == places[run]
    assert store.claim_next() == runs[0]


def test_two_go_on_from_the_first_rung_and_one_may_win_at_the_second(store: RunStore) -> None:
    skills = {WINNER: 0.9, RESNET18: 0.6, LOSER: 0.5}
    runs = make_race(store, skills=skills)
    settle(store)
    assert [run.state for run in of(runs, RESNET18)] == [RunState.QUEUED] * 3
    assert [run.state for run in of(runs, LOSER)] == [RunState.STOPPED] * 3
    for run in [*of(runs, WINNER), *of(runs, RESNET18)]:
        reach_rung(run, skills[run.config.encoder])
    settle(store)
    assert [run.state for run in of(runs, RESNET18)] == [RunState.STOPPED] * 3
    assert [(run.state, run.status.rung) for run in of(runs, WINNER)] == [(RunState.QUEUED, None)] * 3
    assert [out.contender for out in racing.outcome(Study(runs[0].path.parent))] == [LOSER, RESNET18]
    assert [out.epoch for out in racing.outcome(Study(runs[0].path.parent))] == [6, 15]


def test_equals_all_go_on(store: RunStore) -> None:
    runs = make_race(store, skills=dict.fromkeys(RACE_SKILLS, 0.8))
    settle(store)
    assert {(run.state, run.status.rung) for run in runs} == {(RunState.QUEUED, 15)}


def test_whoever_is_resumed_has_left_the_race(store: RunStore) -> None:
    runs = make_race(store)
    settle(store)
    (run, *_) = of(runs, LOSER)
    store.requeue(run)
    assert (run.state, run.status.rung) == (RunState.QUEUED, None)
    assert settle(store) == []
    assert run in (claimed := [store.claim_next() for _ in range(7)]) and claimed[-1] == run


def test_a_failed_run_that_is_retried_late_catches_up(store: RunStore) -> None:
    runs = make_race(store)
    lost = of(runs, RESNET18)[0]
    lost.write_status(replace(lost.status, state=RunState.FAILED, epoch=3))
    settle(store)
    others = [run for run in runs if run.state is RunState.QUEUED]
    for run in others:
        reach_rung(run, RACE_SKILLS[run.config.encoder])
    store.requeue(lost)
    assert lost.status.rung == 6
    assert settle(store) == []  # the others, at the second rung, wait for it
    assert store.claim_next() == lost
    reach_rung(lost, 0.79)
    settle(store)
    assert lost.status.rung == 15  # the first was decided without it
    assert {run.status.rung for run in others} == {15}
    reach_rung(lost, 0.79)
    settle(store)
    assert {run.status.rung for run in [lost, *others]} == {None}
    assert [entry["epoch"] for entry in Study(lost.path.parent).race()] == [6, 15]


def test_a_late_seed_of_what_is_out_stops_too(store: RunStore) -> None:
    runs = make_race(store)
    late = of(runs, LOSER)[0]
    late.write_status(replace(late.status, state=RunState.FAILED, epoch=3))
    settle(store)
    store.requeue(late)
    reach_rung(late, 0.5)
    settle(store)
    assert late.state is RunState.STOPPED
    assert "clearly behind" in late.status.message


def test_newcomers_race_until_the_first_decision(store: RunStore) -> None:
    runs = make_race(store)
    early = [run for run in make_race(store, seeds=[3], at_rung=False) if run not in runs]
    assert {run.status.rung for run in early} == {6}
    assert settle(store) == []
    for run in early:
        reach_rung(run, RACE_SKILLS[run.config.encoder])
    settle(store)
    late = make_race(store, seeds=[4], at_rung=False)
    assert len(late) == 3
    assert {run.status.rung for run in late} == {None}


def test_a_person_who_stops_a_waiting_racer_can_bring_it_back(store: RunStore) -> None:
    runs = make_race(store)
    run = of(runs, WINNER)[0]
    store.stop(run)
    assert run.state is RunState.STOPPED
    assert settle(store)
    store.requeue(run)
    assert run.status.standing
    settle(store)
    assert (run.state, run.status.rung) == (RunState.QUEUED, 15)


class Killed(BaseException):
    """The process is gone."""


@pytest.mark.parametrize("writes", range(10))
def test_what_a_kill_left_half_done_is_done_by_the_next(
    store: RunStore, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    """The process dies after so many of the ten things it writes: the decision and nine runs' states."""
    runs = make_race(store)
    left = writes
    write_status, write_race = Run.write_status, Study.write_race

    def die() -> None:
        nonlocal left
        if left == 0:
            raise Killed
        left -= 1

    monkeypatch.setattr(Run, "write_status", lambda run, status: (die(), write_status(run, status))[1])
    monkeypatch.setattr(Study, "write_race", lambda study, rungs: (die(), write_race(study, rungs))[1])
    with pytest.raises(Killed):
        settle(store)
    monkeypatch.setattr(Run, "write_status", write_status)
    monkeypatch.setattr(Study, "write_race", write_race)
    decided = Study(runs[0].path.parent).race()
    settle(store)
    assert [run.state for run in of(runs, LOSER)] == [RunState.STOPPED] * 3
    assert len({run.status.message for run in of(runs, LOSER)}) == 1
    going = [*of(runs, WINNER), *of(runs, RESNET18)]
    assert [(run.state, run.status.rung) for run in going] == [(RunState.QUEUED, 15)] * 6
    race = Study(runs[0].path.parent).race()
    assert len(race) == 1
    assert decided in ([], race)


def test_a_disk_that_is_full_is_tried_again(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = make_race(store)

    def full(_study: Study, _rungs: object) -> None:
        raise WorkspaceError("The disk is full.")

    with monkeypatch.context() as patch:
        patch.setattr(Study, "write_race", full)
        with pytest.raises(WorkspaceError, match="full"):
            settle(store)
    assert {(run.state, run.status.rung) for run in runs} == {(RunState.QUEUED, 6)}
    assert len(settle(store)) == 3


def test_a_damaged_race_lets_all_go_on(store: RunStore) -> None:
    runs = make_race(store)
    Study(runs[0].path.parent).write_race([{"epoch": 6, "judged": [{"stops": True}]}])
    (said,) = settle(store)
    assert "train on without racing" in said
    assert {(run.state, run.status.rung) for run in runs} == {(RunState.QUEUED, None)}


def test_counts_that_are_damaged_stop_nobody(store: RunStore) -> None:
    runs = make_race(store)
    for run in runs:
        run.evaluation_path().write_bytes(b"damaged")
    settle(store)
    assert {(run.state, run.status.rung) for run in runs} == {(RunState.QUEUED, 15)}
    (entry,) = Study(runs[0].path.parent).race()
    assert (entry["leader"], entry["judged"]) == (None, [])


def test_a_run_without_its_configuration_holds_nobody_up(store: RunStore) -> None:
    runs = make_race(store)
    broken, behind = of(runs, WINNER)[0], of(runs, LOSER)
    (broken.path / "config.json").write_text("{}")
    settle(store)
    assert (broken.state, broken.status.rung) == (RunState.QUEUED, None)
    assert {run.state for run in behind} == {RunState.STOPPED}


def test_handing_back_heeds_a_request_to_stop(store: RunStore) -> None:
    run = make_race(store, at_rung=False)[0]
    status = replace(run.status, state=RunState.RUNNING, epoch=6, eta=12.0, phase="training", restarts=1)
    run.write_status(status)
    run.request_stop()
    assert not store.hand_back(run, status)
    run.clear_request()
    assert store.hand_back(run, status)
    now = run.status
    assert (now.state, now.epoch, now.eta, now.phase, now.restarts) == (RunState.QUEUED, 6, None, "", 1)
    assert now.message == "It waits at epoch 6 for the other runs of its race."


def test_a_status_of_an_earlier_version_has_no_rung(tmp_path: Path) -> None:
    value = Status(RunState.QUEUED, 1.0, 1.0).to_json()
    del value["rung"]
    assert Status.from_json(value).rung is None
