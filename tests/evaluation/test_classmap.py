"""Classes of a network and of a dataset: matched by name or by hand, and what is scored of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segcore.config import ClassInfo, DatasetConfig
from segcore.decisions import Decision, Exchange, Ignore, Merge, Rename
from segcore.errors import ConfigError, WorkspaceError
from segcore.evaluation.classmap import ClassMap, by_decisions, match, parse
from segcore.evaluation.metrics import scores

NETWORK = ("paved-area", "grass", "tree", "dog")
DATASET = ("Vegetation", "Paved Area", "water")


def test_names_are_matched_but_for_case_blanks_and_lines() -> None:
    found = match(("Paved_area", "GRASS", "sea"), ("grass", "paved area", "water"))
    assert found.to == (1, 0, None)
    assert (found.common, found.unanswered, found.unasked) == ((0, 1), ("water",), ("sea",))


def test_an_exact_name_goes_before_one_alike_and_two_alike_are_nobodys() -> None:
    assert match(("Grass",), ("grass", "Grass")).to == (1,)
    assert match(("GRASS", "roof"), ("grass", "Grass", "roof")).to == (None, 2)


def test_several_classes_of_the_network_may_mean_one_of_the_dataset() -> None:
    found = match(NETWORK, DATASET, parse(["vegetation=grass", "vegetation=TREE"], NETWORK, DATASET))
    assert found.to == (1, 0, 0, None)
    assert found.meaning(0) == ("grass", "tree")
    assert (found.unanswered, found.unasked) == (("water",), ("dog",))


def test_what_is_said_goes_before_names() -> None:
    assert match(("grass", "roof"), ("grass", "roof"), {"grass": "roof", "roof": None}).to == (1, None)
    assert parse(["grass="], ("grass", "roof"), ("grass", "roof")) == {"grass": None}
    assert parse(["=grass"], ("grass", "roof"), ("grass", "roof")) == {"grass": None}


def dataset(*decisions: Decision) -> DatasetConfig:
    rows = tuple(
        ClassInfo(name=name, color=(value, 0, 0)) for value, name in enumerate(("grass", "tree", "roof", "water"))
    )
    return DatasetConfig(name="city", images=Path("i"), masks=Path("m"), classes=rows, decisions=decisions)


@pytest.mark.parametrize(
    ("since", "meaning"),
    [
        ([], {"green": None, "roof": "roof", "water": "water"}),
        ([Exchange(names=("roof", "water"))], {"green": None, "roof": "water", "water": "roof"}),
        (
            [Merge(names=("grass", "tree", "roof"), into="land"), Ignore(names=("water",))],
            {"green": "land", "roof": "land", "water": None},
        ),
        (
            [Ignore(names=("water", "tree")), Rename(name="water", to="sea"), Rename(name="roof", to="water")],
            {"green": "grass", "roof": "water", "water": None},
        ),
    ],
)
def test_what_was_decided_since_is_followed_and_goes_before_names(
    since: list[Decision], meaning: dict[str, str | None]
) -> None:
    launched, now = dataset(Merge(names=("grass", "tree"), into="green")), dataset(*since)
    ours, theirs = ([info.name for info in one.trained_classes] for one in (launched, now))
    found = match(ours, theirs, by_decisions(launched, now))
    assert {name: None if to is None else theirs[to] for name, to in zip(ours, found.to, strict=True)} == meaning


def test_decisions_about_another_table_tell_nothing() -> None:
    other = dataset().model_copy(update={"classes": dataset().classes[:3]})
    assert by_decisions(dataset(), other) == by_decisions(other, dataset()) == {}


def test_leaving_a_class_out_leaves_out_what_was_merged_into_it() -> None:
    decided = by_decisions(dataset(), now := dataset(Merge(names=("grass", "tree"), into="green")))
    ours, theirs = ([info.name for info in one.trained_classes] for one in (dataset(), now))
    assert parse(["green="], ours, theirs, decided) == {"grass": None, "tree": None}
    assert parse(["roof=tree", "green="], ours, theirs, decided) == {"grass": None, "tree": "roof"}


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["vegetation"], "no pair of classes"),
        (["="], "no pair of classes"),
        (["forest=tree"], "The dataset has no class 'forest'"),
        (["water=gras"], "The network has no class 'gras'; it has .* Did you mean grass"),
        (["water=grass", "vegetation=grass"], "would mean 'water' and 'vegetation'"),
    ],
)
def test_what_cannot_be_mapped_is_said(words: list[str], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason) as caught:
        parse(words, NETWORK, DATASET)
    assert caught.value.field == "map"


def test_nothing_in_common_is_an_error_that_shows_the_way() -> None:
    with pytest.raises(ConfigError, match=r"no class in common: the network knows a, b; .* c.*--map 'c=a'"):
        match(("a", "b"), ("c",))


def test_the_same_classes_are_scored_as_ever() -> None:
    counts = np.random.default_rng(0).integers(0, 50, (3, 4, 4))
    found, wanted = match(NETWORK, NETWORK).scores(counts), scores(counts)
    assert (found.miou, found.pixel_accuracy, found.mean_dice) == (wanted.miou, wanted.pixel_accuracy, wanted.mean_dice)
    np.testing.assert_array_equal(found.iou, wanted.iou)
    assert found.frequency_weighted_iou == wanted.frequency_weighted_iou


def test_unknown_pixels_count_nowhere_and_foreign_answers_are_wrong() -> None:
    """By hand: vegetation has 10 pixels, 6 found as grass or tree, 1 taken for a dog, 3 for paving."""
    counts = np.zeros((2, 3, 4), dtype=np.int64)  # [image, true label of the dataset, label of the network]
    counts[0, 0] = [3, 4, 0, 1]
    counts[1, 0] = [0, 0, 2, 0]
    counts[1, 1] = [5, 0, 1, 0]
    counts[1, 2] = [7, 7, 7, 7]  # water, which the network does not know
    classes = match(NETWORK, DATASET, {"grass": "Vegetation", "tree": "Vegetation"})
    np.testing.assert_array_equal(classes.common_counts(counts).sum(0), [[6, 3, 1], [1, 5, 0], [0, 0, 0]])
    found = classes.scores(counts)
    assert found.pixel_accuracy == pytest.approx(11 / 16)
    np.testing.assert_allclose(found.iou, [6 / 11, 5 / 9])
    np.testing.assert_allclose(found.accuracy, [6 / 10, 5 / 6])
    assert found.miou == pytest.approx((6 / 11 + 5 / 9) / 2)
    assert found.mean_dice == pytest.approx((12 / 17 + 10 / 14) / 2)
    assert found.frequency_weighted_iou == pytest.approx((10 * 6 / 11 + 6 * 5 / 9) / 16)
    np.testing.assert_array_equal(found.class_pixels, [10, 6])


def test_json_gives_the_same_map_and_refuses_another() -> None:
    found = match(("a", "b"), ("b",))
    assert ClassMap.from_json(found.to_json()) == found
    for damage in ({"to": [0]}, {"to": [0, 5]}, {"network": None}):
        with pytest.raises(WorkspaceError):
            ClassMap.from_json({**found.to_json(), **damage})
