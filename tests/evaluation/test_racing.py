"""Who is clearly behind: worked out by hand for tables of two seeds and two groups of images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from segcore.errors import ConfigError, WorkspaceError
from segcore.evaluation import behind, racing
from segcore.evaluation.cells import Cells
from segcore.evaluation.statistics import Estimate
from segcore.launch.race import settle_races
from segcore.runs import Study
from segcore.status import RunState
from segcore.store import RunStore
from tests.factories import make_race, make_run


@pytest.mark.parametrize(
    ("epochs", "expected"),
    [(5, ()), (6, (2,)), (8, (2, 4)), (10, (2, 5)), (12, (2, 6)), (20, (4, 10)), (30, (6, 15)), (100, (20, 50))],
)
def test_rungs(epochs: int, expected: tuple[int, ...]) -> None:
    assert racing.rungs(epochs) == expected
    assert all(racing.rungs(n)[-1] < n for n in range(6, 200))


def test_the_next_rung() -> None:
    assert [racing.next_rung(30, after) for after in (0, 5, 6, 14, 15, 29)] == [6, 6, 15, 15, None, None]
    assert racing.next_rung(4) is None


@pytest.mark.parametrize(("seeds", "epochs", "word"), [((0,), 30, "2 seeds, not 1"), ((0, 1), 5, "6 epochs, not 5")])
def test_what_cannot_be_a_race(seeds: Sequence[int], epochs: int, word: str) -> None:
    with pytest.raises(ConfigError, match=word) as caught:
        racing.check(seeds, epochs)
    assert caught.value.field == "racing"
    racing.check((0, 1), 6)


def cells(*percents: float, groups: Sequence[str] = ("a", "b")) -> Cells:
    """One class, a hundred pixels a group: the table of its mean IoU holds these percents."""
    hits = np.array(percents, dtype=np.int64)[:, None]
    whole = np.full_like(hits, 100)
    return Cells(tuple(groups), (3,) * len(groups), hits, whole, whole[:, 0], np.diag([int(hits.sum())]))


LEADER = {0: cells(80, 80), 1: cells(80, 80)}
BEHIND = {0: cells(70, 68), 1: cells(68, 66)}
"""Behind by 10 and 12, 12 and 14 points: mean 12, standard error sqrt(0.0002), 2 degrees of freedom."""


def stopped(found: Mapping[str, Mapping[int, Cells]], slack: float, keep: int = 1) -> list[str]:
    return [one.contender for one in behind.judge(found, slack=slack, keep=keep)[1] if one.stops]


def test_stops_where_the_interval_lies_beyond_the_slack() -> None:
    leader, (one,) = behind.judge({"behind": BEHIND, "leader": LEADER}, slack=0.05)
    assert leader == "leader"
    assert (one.contender, one.images, one.stops) == ("behind", 6, True)
    assert one.estimate.mean == pytest.approx(0.12)
    assert one.estimate.error == pytest.approx(math.sqrt(0.0002))
    assert one.estimate.freedom == pytest.approx(2)
    # Student's t with 2 degrees of freedom: p = 1 - t / sqrt(2 + t^2), here of (0.12 - 0.05) / 0.01414.
    assert one.p == pytest.approx(1 - 4.9497 / math.sqrt(2 + 4.9497**2), abs=1e-5)
    assert stopped({"leader": LEADER, "behind": BEHIND}, 0.07) == []  # p = 0.071
    # As far beyond on the other side: surely behind by less than the slack, which is no reason to stop.
    assert stopped({"leader": LEADER, "behind": BEHIND}, 0.19) == []


def test_several_that_are_judged_at_once_must_be_further_behind() -> None:
    """Three contenders tell more surely how much seeds differ: 2 degrees of freedom, and 4/3 of the variance."""
    found = {"leader": LEADER, "one": BEHIND, "two": BEHIND}
    squares = {"seeds": (2 * 2 * 4e-4 / 3, 2), "groups": (4e-4, 1)}
    total = sum(square for square, _ in squares.values())
    freedom = total**2 / sum(square**2 / known for square, known in squares.values())
    p = 2 * stats.t.sf((0.12 - 0.05) / math.sqrt(total / 4), freedom)
    judged = behind.judge(found, slack=0.05)[1]
    assert [one.estimate.freedom for one in judged] == pytest.approx([freedom] * 2)
    assert [one.p for one in judged] == pytest.approx([2 * p] * 2)
    # Alone each would stop; of two the limit is half of 5 %.
    slack = 0.06
    assert 0.025 < 2 * stats.t.sf((0.12 - slack) / math.sqrt(total / 4), freedom) < 0.05
    assert stopped(found, slack) == []
    assert stopped(found, 0.03) == ["one", "two"]


def test_so_many_go_on_whatever_the_interval_says() -> None:
    far = {seed: cells(20, 20) for seed in (0, 1)}
    found = {"far": far, "leader": LEADER, "behind": BEHIND}
    assert stopped(found, 0.02, keep=2) == ["far"]
    assert stopped(found, 0.02, keep=1) == ["behind", "far"]
    assert stopped({"far": far, "leader": LEADER}, 0.0, keep=2) == []


def test_too_little_to_tell_stops_nobody() -> None:
    far = cells(10, 10)
    assert stopped({"leader": {0: LEADER[0]}, "far": {0: far}}, 0.0) == []  # one seed
    assert stopped({"leader": LEADER, "far": {1: far, 7: far}}, 0.0) == []  # one seed in common
    one_group = {seed: cells(80, groups=["a"]) for seed in (0, 1)}
    assert stopped({"leader": one_group, "far": {s: cells(10, groups=["a"]) for s in (0, 1)}}, 0.0) == []
    others = {seed: cells(10, 10, groups=["a", "c"]) for seed in (0, 1)}
    assert stopped({"leader": LEADER, "far": others}, 0.0) == []
    mixed = {0: cells(90, 90), 1: cells(90, 90, groups=["a", "c"])}
    assert behind.judge({"mixed": mixed, "far": dict.fromkeys((0, 1), far)}, slack=0.0) == ("mixed", [])
    assert behind.judge({}, slack=0.0) == (None, [])
    nothing = Cells(("a", "b"), (3, 3), *(np.zeros((2, 1), np.int64),) * 2, np.zeros(2, np.int64), np.zeros((1, 1)))
    assert behind.judge({"empty": {0: nothing, 1: nothing}}, slack=0.0) == (None, [])
    assert behind.judge({"leader": LEADER, "empty": {0: nothing, 1: nothing}}, slack=0.0) == ("leader", [])


def test_the_slack_falls_with_what_is_left() -> None:
    assert behind.slack(6, 30) == pytest.approx(0.04)
    assert behind.slack(15, 30) == pytest.approx(0.025)


def test_folds_are_judged_seed_by_seed(store: RunStore) -> None:
    from tests.factories import make_fold_study

    runs = make_fold_study(store, seeds=(0, 1))
    found = behind.gather(runs)
    assert {name: sorted(by_seed) for name, by_seed in found.items()} == {r.config.contender: [0, 1] for r in runs}
    assert all(len(one.groups) == 4 for by_seed in found.values() for one in by_seed.values())  # scenes of both folds
    one = next(run for run in runs if run.config.seed == 1 and run.config.fold == 0)
    one.evaluation_path().unlink()
    assert sorted(behind.gather(runs)[one.config.contender]) == [0]
    one.evaluation_path().write_bytes(b"damaged")
    assert sorted(behind.gather(runs)[one.config.contender]) == [0]


def test_the_outcome_says_what_stopped_and_why(store: RunStore) -> None:
    runs = make_race(store)
    study = Study(runs[0].path.parent)
    assert racing.outcome(study) == []
    settle_races(store, print)
    (out,) = racing.outcome(study)
    assert (out.contender, out.title, out.leader) == ("vgg16.tv_in1k", "VGG-16", "resnet34.tv_in1k")
    assert (out.epoch, out.epochs, out.images) == (6, 30, 40)
    assert out.runs == tuple(f"vgg16.tv_in1k-seed{seed}" for seed in range(3))
    low, high = out.interval
    assert low < out.difference < high < -0.3
    assert out.sentence.startswith("Stopped at epoch 6 of 30: clearly behind ResNet-34, by ")
    assert out.sentence.endswith(" points (3 seeds, 40 images in 20 scenes).")
    assert "stopped at epoch 6 of 30: clearly behind (-" in out.short
    for name in out.runs:  # a person lets them go on to their end
        run = store.run("race", name)
        run.write_status(replace(run.status, state=RunState.FINISHED))
    assert racing.outcome(study) == []


def test_words_of_a_difference() -> None:
    out = racing.RacedOut(
        "vgg16.tv_in1k (scratch)", "V", "l", "L", 6, 30, Estimate(-0.123, 0.02, 60, 3, 8, "seeds and images"), 8, ()
    )
    assert out.short == "stopped at epoch 6 of 30: clearly behind (-12.3 ± 4.0 points)"
    assert out.sentence == "Stopped at epoch 6 of 30: clearly behind L, by 12.3 ± 4.0 points (3 seeds, 8 images)."


def test_what_was_written_of_a_race_can_be_damaged(store: RunStore) -> None:
    run = make_run(store)
    study = Study(run.path.parent)
    assert racing.outcome(study) == []
    study.write_race([{"epoch": 6, "judged": [{"stops": True}]}])
    with pytest.raises(WorkspaceError, match="of a race cannot be read"):
        racing.outcome(study)
