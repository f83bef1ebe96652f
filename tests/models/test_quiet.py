"""Waiting for an idle machine, on a made-up clock."""

from __future__ import annotations

from types import SimpleNamespace

import psutil
import pytest

from segcore.models import quiet
from segcore.models.quiet import LOOK_SECONDS, Others, quietly


class Machine:
    """Two processors whose load by others is `loads[0]`, then `loads[1]`, and so on after each second."""

    def __init__(self, loads: list[float]) -> None:
        self.now, self.idle, self.own, self.loads = 0.0, 100.0, 0.0, loads

    def run(self, seconds: float, own: float = 0.0) -> None:
        """Let time pass in which this process takes `own` processors."""
        for _ in range(round(seconds * 10)):
            load = self.loads[min(int(self.now + 1e-9), len(self.loads) - 1)]
            self.idle += 0.1 * max(0.0, 2 - 2 * load - own)
            self.own += 0.1 * own
            self.now += 0.1


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine([0.0])
    monkeypatch.setattr(psutil, "cpu_times", lambda: SimpleNamespace(idle=made.idle))
    monkeypatch.setattr(psutil, "cpu_count", lambda: 2)
    clock = SimpleNamespace(
        perf_counter=lambda: made.now, monotonic=lambda: made.now, process_time=lambda: made.own, sleep=made.run
    )
    monkeypatch.setattr(quiet, "time", clock)
    return made


def test_the_share_of_others_is_what_is_neither_idle_nor_ours(machine: Machine) -> None:
    machine.loads = [0.25]
    others = Others()
    machine.run(2, own=1.2)
    assert others.share() == pytest.approx(0.25)
    machine.idle = 0.0  # a system that tells nothing
    assert Others().share() is None


def test_an_idle_machine_is_measured_after_one_look(machine: Machine) -> None:
    assert quietly(lambda: machine.run(1, own=2) or "cost", patience=20, wait=machine.run) == ("cost", pytest.approx(0))
    assert machine.now == pytest.approx(LOOK_SECONDS + 1)


def test_measuring_waits_until_others_have_done(machine: Machine) -> None:
    machine.loads = [0.5, 0.5, 0.5, 0.0]
    began: list[float] = []
    _, share = quietly(lambda: began.append(machine.now) or machine.run(1), patience=20, wait=machine.run)
    assert began == [pytest.approx(3 + LOOK_SECONDS)] and share == pytest.approx(0)


def test_a_disturbed_measurement_is_repeated(machine: Machine) -> None:
    machine.loads = [0.0, 0.5, 0.5, 0.0]
    results = iter("abc")
    found, share = quietly(lambda: machine.run(1) or next(results), patience=20, wait=machine.run)
    assert (found, share) == ("b", pytest.approx(0))


def test_patience_ends_and_it_is_said(machine: Machine) -> None:
    machine.loads = [0.5]
    _, share = quietly(lambda: machine.run(1), patience=4, wait=machine.run)
    assert share == pytest.approx(0.5) and machine.now <= 4 + 1 + 1e-6
    before = machine.now
    quietly(lambda: machine.run(1), patience=0, wait=lambda _: pytest.fail("waited without patience"))
    assert machine.now == pytest.approx(before + 1)
