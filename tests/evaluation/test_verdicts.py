"""Verdicts on runs with made-up counts: the three answers, what they say, and what would settle them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from segcore.evaluation.comparison import contenders
from segcore.evaluation.multiple import level
from segcore.evaluation.settle import Question, Settle, settle
from segcore.evaluation.statistics import Components, Estimate, corrected
from segcore.evaluation.verdicts import (
    Answer,
    Comparison,
    Verdict,
    Way,
    bootstrap_intervals,
    compare,
    decide,
    judge,
    points_text,
    sentence,
)
from segcore.runs import Evaluation, Run
from segcore.status import RunState
from segcore.store import RunStore
from tests.factories import LITE0, RESNET18, make_fold_study, make_mixed_study, make_run

VGG = "vgg16_bn.tv_in1k"
PIXELS = 100_000


def give(
    run: Run, right: np.ndarray, *, scenes: Sequence[str] | None = None, classes: Sequence[int] = (0, 1, 2)
) -> Run:
    """Let a run get these shares of each image's pixels right, of every class shown; the next class has the rest."""
    names = [f"image{at:03d}" for at in range(len(right))]
    counts = np.zeros((len(right), 3, 3), dtype=np.int64)
    for at, share in enumerate(right):
        for place, c in enumerate(classes):
            counts[at, c, c] = round(share * PIXELS)
            counts[at, c, classes[(place + 1) % len(classes)]] += PIXELS - counts[at, c, c]
    run.write_evaluation(Evaluation(names, list(scenes or names), counts, 5))
    return run


def study(
    store: RunStore,
    abilities: dict[str, float],
    *,
    seeds: Sequence[int] = (0, 1, 2, 3),
    images: int = 30,
    seed_noise: float = 0.002,
    image_noise: float = 0.01,
    scenes: Sequence[str] | None = None,
) -> list[Run]:
    """Finished runs that get about so much right, give or take the seed and the image."""
    rng = np.random.default_rng(11)
    common, runs = rng.normal(0, 0.03, images), []
    for encoder, ability in abilities.items():
        own = rng.normal(0, image_noise, images)
        for seed in seeds:
            right = ability + common + own + rng.normal(0, seed_noise) + rng.normal(0, 0.003, images)
            runs.append(give(make_run(store, encoder=encoder, seed=seed), right, scenes=scenes))
    return runs


def compared(runs: Sequence[Run], **options: object) -> Comparison:
    return compare(contenders(runs), **options)  # type: ignore[arg-type]


def only(comparison: Comparison) -> Verdict:
    (verdict,) = comparison.verdicts
    return verdict


# The three answers ---------------------------------------------------------------------------------


def test_better(store: RunStore) -> None:
    comparison = compared(study(store, {RESNET18: 0.80, LITE0: 0.85}))
    verdict = only(comparison)
    assert (verdict.first, verdict.second, verdict.answer) == (LITE0, RESNET18, Answer.BETTER)
    assert verdict.settle is None
    low, high = verdict.interval
    assert 0 < low < verdict.difference < high
    assert [s.label for s in comparison.standings] == [LITE0, RESNET18]
    assert comparison.letters == {LITE0: "a", RESNET18: "b"}
    assert comparison.verdict(RESNET18, LITE0) is verdict
    text = sentence(verdict, comparison)
    assert text == (
        f"{comparison.title(LITE0)} is better than ResNet-18, by {points_text(verdict.estimate)} (4 seeds, 30 images)."
    )


def test_the_difference_is_that_of_the_pooled_scores(store: RunStore) -> None:
    runs = study(store, {RESNET18: 0.80, LITE0: 0.85})
    comparison = compared(runs)
    means = {one.label: np.mean([c.score() for c in one.by_seed.values()]) for one in comparison.standings}
    assert only(comparison).difference == pytest.approx(means[LITE0] - means[RESNET18])
    for one in comparison.standings:
        assert one.estimate is not None
        assert one.estimate.mean == pytest.approx(means[one.label])
        assert one.minutes == pytest.approx(10 / 60)  # 5 epochs of 2 s


def test_equivalent_goes_before_better(store: RunStore) -> None:
    # Three tenths of a point, and sure: real, and too small to matter.
    quiet = {"seed_noise": 1e-5, "image_noise": 1e-4}
    comparison = compared(study(store, {RESNET18: 0.800, LITE0: 0.802}, **quiet))
    verdict = only(comparison)
    assert verdict.p_adjusted < 0.05
    assert verdict.answer is Answer.EQUIVALENT
    assert comparison.letters == {LITE0: "a", RESNET18: "a"}
    assert "are equivalent: they differ by 0." in sentence(verdict, comparison)
    assert "within the margin of 1 (4 seeds, 30 images)" in sentence(verdict, comparison)
    # With a narrower margin it is what it is.
    assert only(compared(comparison_runs(comparison), margin=0.001)).answer is Answer.BETTER


def comparison_runs(comparison: Comparison) -> list[Run]:
    return [run for one in comparison.standings for run in one.contender.runs]


def test_cannot_tell_and_seeds_would_settle_it(store: RunStore) -> None:
    comparison = compared(study(store, {RESNET18: 0.80, LITE0: 0.815}, seed_noise=0.02))
    verdict = only(comparison)
    assert verdict.answer is Answer.CANNOT_TELL
    assert verdict.settle is not None
    assert verdict.settle.way is Way.SEEDS
    assert verdict.settle.seeds is not None
    assert verdict.settle.seeds >= 1
    assert verdict.settle.hours == pytest.approx(verdict.settle.seeds * 20 / 3600)  # two runs of 10 s a seed
    text = sentence(verdict, comparison)
    assert text.startswith("Cannot tell yet whether ")
    assert f"About {verdict.settle.seeds} more seed" in text
    assert comparison.letters == {LITE0: "a", RESNET18: "a"}


def test_cannot_tell_and_images_would_settle_it(store: RunStore) -> None:
    comparison = compared(study(store, {RESNET18: 0.80, LITE0: 0.815}, images=12, image_noise=0.08, seed_noise=0.001))
    found = only(comparison).settle
    assert found is not None
    assert (found.way, found.seeds) == (Way.IMAGES, None)
    assert found.images == found.groups
    assert "No number of seeds can settle it: about" in sentence(only(comparison), comparison)


def test_two_adjusted_p_values_give_the_answer() -> None:
    assert decide(0.01, 0.01) is Answer.EQUIVALENT
    assert decide(0.049, 0.051) is Answer.BETTER
    assert decide(0.051, math.nan) is Answer.CANNOT_TELL
    assert decide(math.nan, math.nan) is Answer.CANNOT_TELL


def test_many_pairs_are_adjusted(store: RunStore) -> None:
    comparison = compared(study(store, {RESNET18: 0.80, LITE0: 0.804, VGG: 0.85}))
    p = sorted(v.p for v in comparison.verdicts)
    adjusted = sorted(v.p_adjusted for v in comparison.verdicts)
    assert adjusted[0] == pytest.approx(3 * p[0])
    assert adjusted[2] == pytest.approx(max(p[2], 2 * p[1], 3 * p[0]))
    assert comparison.letters[VGG] == "a"
    assert comparison.letters[RESNET18] == comparison.letters[LITE0] == "b"


def test_one_noisy_backbone_makes_no_other_surer(store: RunStore) -> None:
    # The spread of seeds is never below the average over the study.
    calm = study(store, {RESNET18: 0.80, LITE0: 0.81}, seed_noise=1e-4, image_noise=1e-3)
    alone = only(compared(calm))
    assert alone.answer is Answer.BETTER
    wild = [give(make_run(store, encoder=VGG, seed=s), np.full(30, 0.8 + 0.04 * (s - 1.5))) for s in range(4)]
    together = compared([*calm, *wild]).verdict(RESNET18, LITE0)
    assert together is not None
    assert together.estimate.error > 5 * alone.estimate.error


# What is missing -----------------------------------------------------------------------------------


def test_one_seed_tells_nothing_about_seeds(store: RunStore) -> None:
    comparison = compared(study(store, {RESNET18: 0.6, LITE0: 0.9}, seeds=(3,)))
    verdict = only(comparison)
    assert verdict.answer is Answer.CANNOT_TELL
    assert verdict.estimate.scope == "images"
    assert math.isnan(verdict.p)
    assert verdict.interval[0] > 0
    assert verdict.settle is not None
    assert (verdict.settle.way, verdict.settle.seeds) == (Way.SEEDS, 2)
    assert "One seed tells nothing about other seeds: the interval is over images only." in sentence(
        verdict, comparison
    )


def test_two_seeds_are_said_to_be_few(store: RunStore) -> None:
    comparison = compared(study(store, {RESNET18: 0.6, LITE0: 0.9}, seeds=(0, 1)))
    assert only(comparison).answer is Answer.BETTER
    assert "Two seeds tell little about how much seeds differ" in sentence(only(comparison), comparison)


def test_one_scene_tells_nothing_about_scenes(store: RunStore) -> None:
    comparison = compared(study(store, {RESNET18: 0.6, LITE0: 0.9}, scenes=["tile"] * 30))
    verdict = only(comparison)
    assert (verdict.answer, verdict.estimate.scope) == (Answer.CANNOT_TELL, "seeds")
    assert verdict.settle == Settle(Way.SCENES)
    text = sentence(verdict, comparison)
    assert "(4 seeds, 30 images in 1 scene). All images are of one scene" in text
    assert "It takes validation images of other scenes" in text


def test_images_of_one_scene_count_together(store: RunStore) -> None:
    scenes = [f"scene{at // 5}" for at in range(30)]
    comparison = compared(study(store, {RESNET18: 0.6, LITE0: 0.9}, scenes=scenes))
    verdict = only(comparison)
    assert (verdict.estimate.groups, verdict.images) == (6, 30)
    assert "(4 seeds, 30 images in 6 scenes)" in sentence(verdict, comparison)


def test_unequal_seeds_are_paired_over_the_common_ones(store: RunStore) -> None:
    runs = study(store, {RESNET18: 0.80, LITE0: 0.85})
    fewer = [run for run in runs if not (run.config.encoder == LITE0 and run.config.seed == 3)]
    comparison = compared(fewer)
    verdict = only(comparison)
    assert verdict.seeds == (0, 1, 2)
    assert verdict.notes == ("Paired over the common seeds; seed 3 of ResNet-18 left out.",)
    assert sentence(verdict, comparison).endswith(verdict.notes[0])
    first = {s.label: s for s in comparison.standings}
    means = [np.mean([first[label].by_seed[seed].score() for seed in (0, 1, 2)]) for label in (LITE0, RESNET18)]
    assert verdict.difference == pytest.approx(means[0] - means[1])


def test_the_order_over_common_seeds_is_what_counts(store: RunStore) -> None:
    level_images = np.full(30, 0.8) + np.random.default_rng(0).normal(0, 0.01, 30)
    runs = [give(make_run(store, encoder=RESNET18, seed=s), level_images + at / 1000) for at, s in enumerate((0, 1))]
    runs += [
        give(make_run(store, encoder=LITE0, seed=s), level_images - 0.01 + at / 1000) for at, s in enumerate((0, 1))
    ]
    runs.append(give(make_run(store, encoder=LITE0, seed=2), level_images + 0.15))
    comparison = compared(runs)
    verdict = only(comparison)
    assert [s.label for s in comparison.standings] == [LITE0, RESNET18]
    assert (verdict.first, verdict.second) == (RESNET18, LITE0)
    assert verdict.difference > 0
    intervals = bootstrap_intervals(comparison, resamples=300)[frozenset((LITE0, RESNET18))]
    assert intervals[0] > 0  # the sign is the verdict's


def test_no_common_seed(store: RunStore) -> None:
    runs = study(store, {RESNET18: 0.8, LITE0: 0.9})
    apart = [r for r in runs if (r.config.encoder == LITE0) == (r.config.seed < 2)]
    comparison = compared(apart)
    verdict = only(comparison)
    assert verdict.answer is Answer.CANNOT_TELL
    assert math.isnan(verdict.difference)
    assert verdict.settle is not None
    assert (verdict.settle.way, verdict.settle.seeds) == (Way.SEEDS, 1)
    assert sentence(verdict, comparison).endswith("apart. They have no finished seed in common.")
    assert bootstrap_intervals(comparison) == {}


def test_contenders_judged_on_other_images_are_not_compared(store: RunStore) -> None:
    runs = study(store, {RESNET18: 0.8, LITE0: 0.9})
    runs += [give(make_run(store, encoder=VGG, seed=s), np.full(20, 0.7)) for s in range(4)]
    comparison = compared(runs)
    verdict = comparison.verdict(VGG, LITE0)
    assert verdict is not None
    assert verdict.answer is Answer.CANNOT_TELL
    assert verdict.settle is None
    assert sentence(verdict, comparison).endswith("apart. They were not judged on the same images.")
    known = comparison.verdict(RESNET18, LITE0)
    assert known is not None
    assert known.answer is Answer.BETTER
    assert known.p_adjusted == known.p  # the only test there is
    assert set(bootstrap_intervals(comparison, resamples=50)) == {frozenset((RESNET18, LITE0))}


def test_seeds_judged_on_other_images_have_no_mean(store: RunStore) -> None:
    runs = [give(make_run(store, seed=s), np.full(10 + s, 0.7)) for s in range(2)]
    comparison = compared(runs)
    assert comparison.standings == []
    assert [s.label for s in comparison.pending] == [RESNET18]


def test_failed_runs_are_counted_and_left_out(store: RunStore) -> None:
    make_mixed_study(store, encoder=RESNET18)
    comparison = compared(store.runs("mixed"))
    (standing,) = comparison.standings
    assert len(standing.by_seed) == 1
    assert standing.left_out == {"running": 1, "queued": 1, "failed": 1, "stopped": 1, "interrupted": 1}
    nothing = compared([make_run(store, study="other", state=RunState.FAILED)])
    assert (nothing.standings, nothing.verdicts, nothing.letters) == ([], [], {})
    assert nothing.pending[0].left_out == {"failed": 1}
    assert compare([]).verdicts == []


def test_a_collapsed_seed_is_named(store: RunStore) -> None:
    runs = study(store, {RESNET18: 0.8, LITE0: 0.9})
    fallen = next(r for r in runs if (r.config.encoder, r.config.seed) == (RESNET18, 2))
    for record in fallen.epochs():
        fallen.append_epoch(replace(record, top_class=0, top_share=1.0, val_pixel_accuracy=0.45))
    comparison = compared(runs)
    assert "Seed 2 of ResNet-18 collapsed: one class is answered everywhere." in only(comparison).notes


# Classes -------------------------------------------------------------------------------------------


def test_a_single_class_can_be_compared(store: RunStore) -> None:
    comparison = compared(study(store, {RESNET18: 0.80, LITE0: 0.85}), score=1)
    cells = comparison.standings[0].by_seed[0]
    assert cells.score(1) == pytest.approx(cells.matrix[1, 1] / (cells.matrix[1].sum() + cells.matrix[0, 1]))
    assert only(comparison).answer is Answer.BETTER


def test_a_class_that_no_mask_shows_has_no_score(store: RunStore) -> None:
    runs = [
        give(make_run(store, encoder=e, seed=s), np.full(20, 0.8 + s / 100), classes=(0, 1))
        for e in (RESNET18, LITE0)
        for s in range(2)
    ]
    # One network answers it somewhere: that makes it no class to compare.
    cells = runs[0].evaluation()
    assert cells is not None
    cells.counts[0, 0, 2] += 5
    runs[0].write_evaluation(cells)
    comparison = compared(runs, score=2)
    assert (comparison.standings, comparison.verdicts) == ([], [])
    assert len(comparison.pending) == 2
    assert len(compared(runs).standings) == 2


def test_a_class_of_one_scene_is_one_scene(store: RunStore) -> None:
    runs = study(store, {RESNET18: 0.6, LITE0: 0.9})
    for run in runs:
        evaluation = run.evaluation()
        assert evaluation is not None
        evaluation.counts[1:, 2, :] = 0
        run.write_evaluation(evaluation)
    comparison = compared(runs, score=2)
    assert only(comparison).estimate.scope == "seeds"
    assert only(comparison).settle == Settle(Way.SCENES)
    assert "All images that show the class are of one scene" in sentence(only(comparison), comparison)


# Folds ---------------------------------------------------------------------------------------------


def test_folds_are_joined_and_tested_beside(store: RunStore) -> None:
    runs = make_fold_study(store, folds=2, seeds=(0, 1, 2))
    comparison = compared(runs)
    verdict = only(comparison)
    assert verdict.seeds == (0, 1, 2)
    standing = comparison.standings[0]
    assert len(standing.by_fold) == 6
    assert standing.folds == 2
    assert standing.minutes == pytest.approx(2 * 10 / 60)
    assert verdict.images == len({name for run in runs for name in (run.evaluation() or pytest.fail()).names})
    # Of each fold the mean over seeds; the other fold was trained on: n_test / n_train = 1.
    first, second = (next(s for s in comparison.standings if s.label == x) for x in (verdict.first, verdict.second))
    by_fold = [
        np.mean([first.by_fold[s, fold].score() - second.by_fold[s, fold].score() for s in range(3)]) for fold in (0, 1)
    ]
    expected = corrected([float(value) for value in by_fold], 1.0)
    assert verdict.folds is not None
    assert verdict.folds.mean == pytest.approx(expected.mean)
    assert verdict.folds.error == pytest.approx(expected.error)
    given = only(compared(runs, test_share=0.25)).folds
    assert given is not None
    assert given.error == pytest.approx(expected.error * math.sqrt(0.75 / 1.5))


def test_a_seed_that_lacks_a_fold_is_left_out(store: RunStore) -> None:
    runs = make_fold_study(store, folds=2, seeds=(0, 1, 2))
    missing = next(r for r in runs if (r.config.encoder, r.config.seed, r.config.fold) == (LITE0, 1, 0))
    missing.evaluation_path().unlink()
    comparison = compared(runs)
    verdict = only(comparison)
    assert verdict.seeds == (0, 2)
    assert "Paired over the common seeds; seed 1 of ResNet-18 left out." in verdict.notes


def test_without_folds_there_is_no_test_over_folds(store: RunStore) -> None:
    assert only(compared(study(store, {RESNET18: 0.8, LITE0: 0.9}), test_share=0.25)).folds is None


# Bad input -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("margin", [0, -0.01, math.nan])
def test_a_margin_above_zero_is_asked_for(margin: float) -> None:
    with pytest.raises(ValueError, match="margin of equivalence is"):
        compare([], margin=margin)


def test_labels_must_differ(store: RunStore) -> None:
    (one,) = contenders(study(store, {RESNET18: 0.8}))
    with pytest.raises(ValueError, match=f"several are called {RESNET18}"):
        compare([one, one])


def test_contenders_of_two_studies_are_told_apart(store: RunStore) -> None:
    runs = [
        give(make_run(store, study=name, seed=s), np.linspace(ability, ability + 0.1, 20) + s / 500)
        for name, ability in (("one", 0.7), ("two", 0.8))
        for s in range(3)
    ]
    comparison = compared(runs)
    assert only(comparison).answer is Answer.BETTER
    assert (only(comparison).first, only(comparison).second) == (f"{RESNET18} · two", f"{RESNET18} · one")
    assert judge(comparison.standings)[0].answer is Answer.BETTER


# Settling ------------------------------------------------------------------------------------------


def question(difference: float, seed: float, group: float, rest: float, *, margin: float = 0.01) -> Question:
    """Standard deviations, in points, of one seed, one group and one cell."""
    return Question(difference, Components(*((x / 100) ** 2 for x in (seed, group, rest))), margin, 0.05, 0.05)


def test_the_least_number_of_seeds_by_hand() -> None:
    # Seeds alone vary, by 1 point; the difference is 1.5. With n seeds its error is 1 / sqrt(n), its freedom n - 1.
    asked = question(0.015, 1, 0, 0)
    found = asked.more_seeds(3, 10**6)
    assert found is not None
    total = 3 + found[0]
    assert found[1] is Answer.BETTER

    def enough(n: int) -> bool:
        (answer,) = asked.answers(np.array([n]), np.array([10**6]))
        return answer is Answer.BETTER

    assert enough(total)
    assert not enough(total - 1)
    # t(0.975) + t(0.8): 6 seeds have (2.571 + 0.920) / sqrt(6) = 1.425 < 1.5, 5 have (2.776 + 0.941) / sqrt(5) = 1.662.
    assert total == 6


def test_an_equivalence_takes_seeds_too() -> None:
    # A difference of 0.2, margin 1: (t(0.95) + t(0.8)) / sqrt(n) < 0.8; with 12 seeds (1.796 + 0.876) / 3.464 = 0.771,
    # with 11 (1.812 + 0.879) / 3.317 = 0.811.
    assert question(0.002, 1, 0, 0).more_seeds(3, 10**6) == (9, Answer.EQUIVALENT)


def test_where_no_seeds_help_images_do() -> None:
    estimate = Estimate(0.015, 0.01, 10.0, 5, 20, "seeds and images")
    found = settle(estimate, question(0.015, 0.01, 4.5, 0.5), images=60, hours_a_seed=2.0)
    assert found.way is Way.IMAGES
    assert found.groups is not None
    assert found.images == 3 * found.groups  # as many to a scene as now
    assert found.hours is None
    # (2.0 + 0.85) x 4.5 / sqrt(20 + n) = 1.5 at n = 53, or a little more for the rest.
    assert 50 <= found.groups <= 60


def test_where_neither_alone_helps_both_do() -> None:
    estimate = Estimate(0.012, 0.01, 2.0, 2, 10, "seeds and images")
    found = settle(estimate, question(0.012, 1.5, 5, 1), images=10, hours_a_seed=0.5)
    assert found.way is Way.IMAGES
    assert found.seeds is not None
    assert found.hours == pytest.approx(0.5 * found.seeds)
    assert f"Neither seeds nor images alone can settle it: about {found.seeds} more seeds of each" in found.sentence()


def test_a_difference_at_the_margin_is_settled_by_neither() -> None:
    # Too small to be seen as a difference within reason, and as large as what counts as none.
    estimate = Estimate(0.0001, 0.01, 2.0, 3, 10, "seeds and images")
    found = settle(estimate, question(0.0001, 5, 5, 5, margin=0.0001), images=10, hours_a_seed=None)
    assert found == Settle(Way.NOTHING)
    assert found.sentence().startswith("Neither more seeds nor more images would settle it")


def test_more_tests_ask_for_more_seeds() -> None:
    assert level(10, 4) == pytest.approx(0.05 / 6)
    assert level(0, 0) == pytest.approx(0.05)
    alone = question(0.015, 1, 0, 0)
    among = replace(alone, alpha=level(15, 0)).more_seeds(3, 10**6)
    first = alone.more_seeds(3, 10**6)
    assert among is not None
    assert first is not None
    assert among[0] > first[0]


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (
            Settle(Way.SEEDS, 5, 3.0, leads_to=Answer.BETTER),
            "About 5 more seeds of each (about 3 h of training) would settle it, "
            "the likely answer then being “better”.",
        ),
        (Settle(Way.SEEDS, 1), "About 1 more seed of each may settle it."),
        (
            Settle(Way.IMAGES, images=120, groups=12),
            "No number of seeds can settle it: about 120 more validation images in 12 more scenes would.",
        ),
        (
            Settle(Way.IMAGES, images=12, groups=12),
            "No number of seeds can settle it: about 12 more validation images would.",
        ),
    ],
)
def test_what_would_settle_it_in_words(found: Settle, text: str) -> None:
    assert found.sentence() == text


# Digits --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mean", "error", "text"),
    [(0.0321, 0.005, "3.2 ± 1.1"), (0.2, 0.06, "20 ± 13"), (0.00321, 0.0001, "0.32 ± 0.02"), (0.03, math.nan, "3.0"),
     (0.51, 0.6, "51 ± >100")],
)  # fmt: skip
def test_points_have_the_digits_that_their_interval_bears(mean: float, error: float, text: str) -> None:
    assert points_text(Estimate(mean, error, 10.0, 3, 9, "seeds and images")) == f"{text} points"
