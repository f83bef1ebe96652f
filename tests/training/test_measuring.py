"""Measuring a trained network's speed once more, and the commands for it."""

from __future__ import annotations

import json

import pytest
import torch

from segcore.__main__ import main
from segcore.errors import ExistsError, NotFoundError
from segcore.runs import Run, Study
from segcore.status import RunState
from segcore.store import RunStore
from segcore.training import measuring, provenance
from segcore.training.measuring import measure_again
from tests import factories


@pytest.fixture
def run(store: RunStore) -> Run:
    return factories.make_run(store, encoder="resnet18", weights="none", epochs=1, with_weights=True)


@pytest.fixture(autouse=True)
def busy(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Others' share of the machine in the measurements to come, the first at the end; idle after those."""
    shares: list[float] = []

    def measured(measure: object, **_options: object) -> tuple[object, float]:
        return measure(), shares.pop() if shares else 0.0  # type: ignore[operator]

    monkeypatch.setattr(provenance, "quietly", measured)
    return shares


def test_a_run_is_measured_again_as_it_was_trained(run: Run, busy: list[float]) -> None:
    before, threads = run.cost(), torch.get_num_threads()
    run.write_cost({**before, "idle": False, "threads": 1})
    Study(run.path.parent).write_execution({"precision": "fp32", "memory_format": "channels_last", "reason": "."})
    busy.append(0.3)
    measured = measure_again(run)
    assert (measured["busy"], measured["idle"], measured["memory_format"]) == (0.3, False, "channels_last")
    assert measured["threads"] == 1 and torch.get_num_threads() == threads
    cost = run.cost()
    assert {**cost, **measured} == cost and cost["latency_p50_ms"] != before["latency_p50_ms"]
    assert cost["parameters"] == before["parameters"] and cost["peak_memory_mb"] == before["peak_memory_mb"]


def test_what_cannot_be_measured_says_why(run: Run, store: RunStore) -> None:
    with run.worker_lock().acquire(), pytest.raises(ExistsError, match="is training"):
        measure_again(run)
    with pytest.raises(NotFoundError, match="no weights yet"):
        measure_again(
            factories.make_run(store, encoder="resnet18", weights="none", seed=1, epochs=1, state=RunState.QUEUED)
        )


def test_commands_measure_one_run_or_those_of_a_study_that_need_it(
    run: Run, store: RunStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    others = [
        factories.make_run(store, encoder="resnet18", weights="none", seed=1, epochs=1),
        factories.make_run(store, encoder="resnet18", weights="none", seed=2, epochs=1, state=RunState.STOPPED),
    ]
    asked: list[str] = []

    def measure(run: Run) -> dict[str, object]:
        asked.append(run.name)
        new = {"latency_p50_ms": 1.0, "latency_p95_ms": 2.0, "throughput": 5.0, "idle": True, "busy": 0.0}
        run.write_cost({**run.cost(), **new})
        return new

    monkeypatch.setattr(measuring, "measure_again", measure)
    run.write_cost({**run.cost(), "idle": False})
    assert main(["study", "measure", "study", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["run"], row["latency_p95_ms"], row["idle"]) == (run.name, 2.0, True)
    assert main(["study", "measure", "study"]) == 0
    assert "nothing is to be done" in capsys.readouterr().err
    assert main(["study", "measure", "study", "--all"]) == 0
    assert main(["run", "measure", f"study/{others[1].name}"]) == 0
    assert asked == [run.name, run.name, others[0].name, others[1].name]
    assert "2.0 ms" in capsys.readouterr().out
