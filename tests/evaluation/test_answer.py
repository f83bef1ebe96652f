"""The answer in words: who leads, whether it is sure, and what would settle it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from segcore.evaluation.answer import Said, answer, basis, names, score_text
from segcore.evaluation.findings import gather
from segcore.evaluation.settle import Answer, Settle, Way
from segcore.store import RunStore
from tests import factories

A, B, C = "resnet18.tv_in1k", "resnet34.tv_in1k", "vgg16.tv_in1k"


def said(
    store: RunStore,
    skills: Mapping[str, float],
    *,
    seeds: int = 5,
    margin: float = 0.01,
    majority: float | None = None,
    wild: Mapping[str, float] | None = None,
) -> Said:
    """The answer to a study of backbones of that skill."""
    factories.make_contest(store, skills=skills, seeds=range(seeds), wild=wild or {})
    findings = gather([store.study("contest")], margin=margin)
    return answer(findings, findings.comparisons[0], majority=majority)


def test_a_clear_winner_is_the_best_and_that_is_sure(store: RunStore) -> None:
    found = said(store, {A: 0.9, C: 0.7})
    assert found.headline == "ResNet-18 is the best here, and that is sure."
    assert found.sentences[1].startswith("It is better than VGG-16 (by ")
    assert found.more_seeds is None


def test_equals_are_equivalent_and_the_fastest_is_named(store: RunStore) -> None:
    found = said(store, {A: 0.86, B: 0.8602, C: 0.7}, margin=0.02)
    first, second = ("ResNet-18", "ResNet-34") if found.headline.startswith("ResNet-18") else ("ResNet-34", "ResNet-18")
    assert found.headline == f"{first} is equivalent to {second}, and better than all others; that is sure."
    assert f"It is equivalent to {second}: whatever the difference is, it is less than 2 points." in found.sentences
    assert found.sentences[-1] == "Of these 2, ResNet-18 is the fastest: 8.0 ms an image."


def test_an_open_question_says_what_would_settle_it(store: RunStore) -> None:
    found = said(store, {A: 0.865, B: 0.857}, seeds=3, wild={A: 0.008, B: 0.008})
    assert found.headline == "ResNet-18 is ahead, and it is not sure yet that it is the best."
    assert found.more_seeds is not None
    (sentence,) = [text for text in found.sentences if "would settle" in text]
    assert sentence.startswith(f"About {found.more_seeds} more seed")
    assert sentence.endswith(" of training in all.")


def test_one_seed_is_not_sure_whatever_the_difference(store: RunStore) -> None:
    found = said(store, {A: 0.9, C: 0.5}, seeds=1)
    assert found.headline == "ResNet-18 is ahead, and it is not sure yet that it is the best."
    assert "There is one seed each, which says nothing about other seeds: its interval is over images only." in (
        found.sentences
    )
    assert found.more_seeds == 2
    assert any(text.startswith("About 2 more seeds of each backbone may settle that, ") for text in found.sentences)


def test_images_that_settle_it_with_more_seeds_are_named_with_them(store: RunStore) -> None:
    factories.make_contest(store, skills={A: 0.86, B: 0.8598}, seeds=range(3))
    findings = gather([store.study("contest")])
    (comparison,) = findings.comparisons
    wanted = Settle(Way.IMAGES, seeds=7, images=40, groups=20)
    verdict = replace(comparison.verdicts[0], answer=Answer.CANNOT_TELL, settle=wanted)
    found = answer(findings, replace(comparison, verdicts=[verdict]), majority=None)
    assert any(
        text.endswith("takes about 40 more validation images and 7 more seeds of each.") for text in found.sentences
    )


def test_one_seed_of_one_backbone_is_named(store: RunStore) -> None:
    factories.make_contest(store, skills={C: 0.7}, seeds=[0])
    found = said(store, {A: 0.9}, seeds=3)
    assert any(text.startswith("There is one seed of VGG-16, which") for text in found.sentences)


def test_many_losers_are_counted(store: RunStore) -> None:
    losers = {C: 0.5, B: 0.7, "vgg19.tv_in1k": 0.4, factories.LITE0: 0.3}
    found = said(store, {A: 0.9, **losers}, seeds=3)
    assert found.sentences[1].startswith("It is better than all others, the nearest of them being ResNet-34 (by ")


def test_a_lonely_backbone_has_nobody_to_be_compared_with(store: RunStore) -> None:
    found = said(store, {A: 0.9}, seeds=2)
    assert "only backbone with a result" in found.headline


def test_a_winner_at_the_majority_line_has_learnt_nothing(store: RunStore) -> None:
    assert said(store, {A: 0.5, C: 0.4}, seeds=2, majority=0.99).sentences[-1].startswith("But its pixel accuracy")


def test_what_else_could_explain_it_is_named(store: RunStore) -> None:
    for name, skills, epochs in (("one", {A: 0.9}, 5), ("two", {C: 0.7}, 9)):
        factories.make_contest(store, name, skills=skills, seeds=range(3), epochs=epochs)
    findings = gather([store.study("one"), store.study("two")])
    found = answer(findings, findings.comparisons[0])
    assert found.headline.startswith("ResNet-18 · one is the best here")
    assert found.sentences[-1] == (
        "But not all of them were made alike: a difference may come from the number of epochs as well."
    )


def test_an_empty_study_has_no_answer_yet(store: RunStore) -> None:
    factories.make_run(store, state=factories.RunState.QUEUED)
    findings = gather([store.study("study")])
    assert "No run has finished yet" in answer(findings, findings.comparisons[0]).headline


def test_a_mean_is_said_with_what_it_rests_on(store: RunStore) -> None:
    factories.make_contest(store, seeds=range(2))
    (first, *_) = gather([store.study("contest")]).standings
    assert basis(first) == "2 seeds, 40 images in 20 scenes"
    assert score_text(first).endswith(" %") and " ± " in score_text(first)


@pytest.mark.parametrize(
    ("titles", "expected"), [(["A"], "A"), (["A", "B"], "A and B"), (["A", "B", "C"], "A, B and C")]
)
def test_lists_as_people_say_them(titles: list[str], expected: str) -> None:
    assert names(titles) == expected
