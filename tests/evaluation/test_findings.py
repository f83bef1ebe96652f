"""What studies say together: paired where they may be, side by side where not; the document and its keys."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from segcore.cli.output import plain
from segcore.data.splits import Split
from segcore.errors import ConfigError
from segcore.evaluation.document import document
from segcore.evaluation.findings import class_estimates, gather, score_of, score_title
from segcore.runs import Evaluation, Run, Study
from segcore.status import RunState
from segcore.store import RunStore
from tests import factories

CONTENDER_KEYS = {
    *("label", "title", "study", "encoder", "weights", "mean", "interval", "scope", "sd", "sd_interval", "n", "seeds"),
    *("images", "groups", "letters", "classes", "costs", "states", "left_out", "collapsed", "raced_out"),
}
PAIR_KEYS = {
    *("first", "second", "verdict", "difference", "interval", "p", "p_adjusted", "p_equivalent"),
    *("p_equivalent_adjusted", "seeds", "images", "settle", "seeds_needed", "hours_needed", "images_needed"),
    *("groups_needed", "leads_to", "bootstrap_interval", "folds", "sentence", "notes"),
}
TOP_KEYS = {"studies", "score", "part", "margin", "unpaired", "contenders", "pairs", "costs", "confounds", "damaged"}


def counted(run: Run, *hits: int) -> None:
    """Give a run four images of 100 pixels of class 0 and 100 of class 1, in a scene each; `hits` of each are right."""
    counts = np.zeros((len(hits), 3, 3), dtype=np.int64)
    for image, right in enumerate(hits):
        counts[image, 0, :2] = right, 100 - right
        counts[image, 1, :2] = 100 - right, right
    names = [f"image{image}" for image in range(len(hits))]
    run.write_evaluation(Evaluation(names, names, counts, 5))


def study(store: RunStore, name: str, **options: Any) -> Study:
    factories.make_study(store, name, **options)
    return store.study(name)


def test_one_study_has_one_comparison_and_no_reason(store: RunStore) -> None:
    found = gather([study(store, "a")])
    assert found.unpaired == "" and len(found.comparisons) == 1
    assert [s.label for s in found.standings] == [s.label for s in found.comparisons[0].standings]
    assert set(found.rows) == {factories.RESNET18, factories.LITE0}


def test_studies_of_the_same_images_are_paired(store: RunStore) -> None:
    found = gather([study(store, "a"), study(store, "b", epochs=9)])
    assert found.unpaired == ""
    (comparison,) = found.comparisons
    assert len(comparison.verdicts) == 6  # of 4 contenders
    assert [c.name for c in found.confounds] == ["epochs"]
    assert {s.label.split(" · ")[1] for s in found.standings} == {"a", "b"}


def test_studies_of_another_split_stand_side_by_side(store: RunStore) -> None:
    source = factories.fake_dataset()
    other = replace(source, split=Split(source.split.train[:4], source.split.val + source.split.train[4:]))
    found = gather([study(store, "a", dataset=source), study(store, "b", dataset=other)])
    assert found.unpaired.startswith("They are not paired image by image. The split differs:")
    assert len(found.comparisons) == 2
    document_ = document(found)
    studies = {row["label"]: row["study"] for row in document_["contenders"]}
    assert len(studies) == 4
    assert [studies[p["first"]] == studies[p["second"]] for p in document_["pairs"]] == [True, True]
    means = [row["mean"] for row in document_["contenders"]]
    assert means == sorted(means, reverse=True)


def test_score_by_name(store: RunStore) -> None:
    one = study(store, "a")
    assert score_of("miou", one) == "miou" and score_of("pixel_accuracy", one) == "pixel_accuracy"
    assert score_of("roof", one) == 2
    assert score_title("roof") == "IoU of roof"
    with pytest.raises(ConfigError, match=r"'rof' is no score of study a.*Did you mean roof") as caught:
        score_of("rof", one)
    assert caught.value.field == "score"


@pytest.mark.parametrize("margin", [0.0, -0.01, 1.0, math.nan])
def test_margin_is_a_share_between_0_and_1(store: RunStore, margin: float) -> None:
    with pytest.raises(ConfigError, match="margin") as caught:
        gather([study(store, "a")], margin=margin)
    assert caught.value.field == "margin"


def test_each_study_once_and_at_least_one(store: RunStore) -> None:
    one = study(store, "a")
    with pytest.raises(ConfigError, match="once, not a, a"):
        gather([one, one])
    with pytest.raises(ConfigError, match="not none"):
        gather([])


def test_document_has_its_keys_and_is_json(store: RunStore) -> None:
    found = document(gather([study(store, "a")]), bootstrap=True)
    assert set(found) == TOP_KEYS
    assert all(set(row) == CONTENDER_KEYS for row in found["contenders"])
    assert all(set(row) == PAIR_KEYS for row in found["pairs"])
    assert set(found["costs"]) == {factories.RESNET18, factories.LITE0}
    assert found["costs"][factories.RESNET18]["latency_ms"] > 0
    assert not {"label", "miou", "color", "states"} & found["costs"][factories.RESNET18].keys()
    json.dumps(plain(found), allow_nan=False)


def test_numbers_of_the_document(store: RunStore) -> None:
    """Two seeds of each, 90 and 92 against 60 and 62 of 100 right in each of 4 images: no image differs."""
    runs = factories.make_study(store, "a")
    for run in runs:
        right = (90 if run.config.encoder == factories.RESNET18 else 60) + 2 * run.config.seed
        counted(run, right, right, right, right)
    found = document(gather([store.study("a")]))
    first, second = found["contenders"]
    iou = {right: right / (200 - right) for right in (90, 92, 60, 62)}
    assert first["label"] == factories.RESNET18
    assert first["mean"] == pytest.approx((iou[90] + iou[92]) / 2)
    assert second["mean"] == pytest.approx((iou[60] + iou[62]) / 2)
    assert (first["n"], first["seeds"], first["images"], first["groups"]) == (2, [0, 1], 4, 4)
    assert first["sd"] == pytest.approx((iou[92] - iou[90]) / math.sqrt(2))
    # The third class is in neither masks nor predictions.
    assert first["classes"]["roof"] == {"mean": None, "interval": None}
    assert first["classes"]["paved-area"]["mean"] == pytest.approx(first["mean"])
    low, high = first["classes"]["paved-area"]["interval"]
    assert low < first["mean"] < high
    (pair,) = found["pairs"]
    assert pair["difference"] == pytest.approx(first["mean"] - second["mean"])
    assert pair["seeds"] == [0, 1] and pair["images"] == 4
    assert pair["folds"] is None and pair["bootstrap_interval"] is None


def test_one_seed_is_over_images_alone(store: RunStore) -> None:
    runs = factories.make_study(store, "a", seeds=(0,))
    for at, run in enumerate(runs):
        counted(run, 80 - 10 * at, 85, 90, 70)
    found = document(gather([store.study("a")]))
    assert [row["scope"] for row in found["contenders"]] == ["images", "images"]
    assert math.isnan(found["contenders"][0]["sd"])
    (pair,) = found["pairs"]
    assert pair["verdict"] == "cannot tell" and pair["settle"] == "seeds" and pair["seeds_needed"] == 2


def test_what_has_not_finished_is_counted_and_has_no_numbers(store: RunStore) -> None:
    factories.make_mixed_study(store, "a")
    factories.make_run(store, study="a", encoder=factories.LITE0, state=RunState.FAILED)
    found = document(gather([store.study("a")]))
    known, unknown = found["contenders"]
    assert known["left_out"] == {"running": 1, "queued": 1, "failed": 1, "stopped": 1, "interrupted": 1}
    assert unknown["mean"] is None and unknown["interval"] is None and unknown["n"] == 0
    assert unknown["classes"]["roof"] == {"mean": None, "interval": None}
    assert unknown["states"] == {"failed": 1}
    assert found["pairs"] == []


def test_class_estimates_leave_out_seeds_without_the_class(store: RunStore) -> None:
    runs = factories.make_study(store, "a", encoders=(factories.RESNET18,))
    counted(runs[0], 90, 90)
    counts = np.zeros((2, 3, 3), dtype=np.int64)
    counts[:, 0, 0] = 100  # no pixel of class 1, and none taken for it
    runs[1].write_evaluation(Evaluation(["image0", "image1"], ["image0", "image1"], counts, 5))
    (standing,) = gather([store.study("a")]).standings
    first, second, third = class_estimates(standing, 3)
    assert first is not None and second is not None and third is None
    assert second.seeds == 1 and second.mean == pytest.approx(90 / 110)
    assert first.mean == pytest.approx((90 / 110 + 1) / 2)


def test_a_class_that_no_mask_shows_has_no_estimate_though_it_is_answered(store: RunStore) -> None:
    (run, *_) = factories.make_study(store, "a", encoders=(factories.RESNET18,), seeds=(0,))
    counts = np.zeros((2, 3, 3), dtype=np.int64)
    counts[:, 0, 0], counts[:, 0, 1] = 90, 10  # class 1 is answered where class 0 is
    run.write_evaluation(Evaluation(["image0", "image1"], ["image0", "image1"], counts, 5))
    (standing,) = gather([store.study("a")]).standings
    first, second, third = class_estimates(standing, 3)
    assert first is not None and first.mean == pytest.approx(0.9)
    assert second is None and third is None


def test_what_a_race_stopped_is_known_by_its_label(store: RunStore) -> None:
    for name in ("a", "b"):
        factories.make_study(store, name, encoders=(factories.RESNET18,))
        factories.make_run(store, study=name, encoder=factories.LITE0, state=RunState.STOPPED)
    row = {"contender": factories.LITE0, "behind": 0.12, "error": 0.01, "freedom": 4.0, "seeds": 2, "groups": 8}
    row |= {"images": 8, "stops": True, "runs": [f"{factories.LITE0}-seed0"]}
    store.study("a").write_race([{"epoch": 2, "epochs": 5, "leader": factories.RESNET18, "judged": [row]}])
    alone = gather([store.study("a")])
    assert set(alone.raced) == {factories.LITE0}
    both = document(gather([store.study("a"), store.study("b")]))
    told = {contender["label"]: contender["raced_out"] for contender in both["contenders"]}
    assert told[f"{factories.LITE0} · b"] is None
    assert told[f"{factories.LITE0} · a"].startswith("Stopped at epoch 2 of 5: clearly behind ResNet-18, by 12")


@pytest.mark.parametrize("file", ["status.json", "config.json", "cost.json", "evaluation.npz"])
def test_a_run_that_cannot_be_read_is_left_out_and_named(store: RunStore, file: str) -> None:
    *_, broken = factories.make_study(store, "a", seeds=(0, 1, 2))
    (broken.path / file).write_bytes(b"{")
    found = gather([store.study("a")])
    assert {s.label: list(s.by_seed) for s in found.standings} == {
        factories.RESNET18: [0, 1, 2],
        factories.LITE0: [0, 1],
    }
    assert broken not in found.runs and len(found.runs) == 5
    (said,) = document(found)["damaged"]
    assert f"{broken.name}/{file}" in said
