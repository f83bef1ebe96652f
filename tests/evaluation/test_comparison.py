"""Contenders, their intervals and the final table, on made-up runs."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from segcore.evaluation.comparison import (
    best_epoch,
    by_family,
    contenders,
    curve,
    finished_by_seed,
    format_percent,
    majority_of,
    mean_interval,
    result_table,
)
from segcore.records import EpochRecord
from segcore.runqueue import queue_lock
from segcore.runs import Evaluation, Run
from segcore.status import RunState
from segcore.store import RunStore
from tests.factories import LITE0, RESNET18, make_mixed_study, make_run, make_study


def record(epoch: int, miou: float, accuracy: float = 0.5) -> EpochRecord:
    return EpochRecord(epoch, 1.0, accuracy, miou, 1.0, accuracy, miou, 1e-3, 10.0, 1.0, False)


def run_with(store: RunStore, mious: list[float], *, seed: int = 0, encoder: str = RESNET18, **options: object) -> Run:
    """A run whose epochs have these validation mIoUs, and accuracies 0.1 above."""
    run = make_run(store, seed=seed, encoder=encoder, done=0, **options)  # type: ignore[arg-type]
    for epoch, miou in enumerate(mious, start=1):
        run.append_epoch(record(epoch, miou, miou + 0.1))
    return run


def test_interval_is_students_t() -> None:
    values = [0.78, 0.81, 0.76, 0.80]
    interval = mean_interval(values)
    low, high = stats.t.interval(0.95, 3, loc=sum(values) / 4, scale=stats.sem(values))
    assert (interval.low, interval.high) == pytest.approx((low, high))
    assert interval.mean == pytest.approx(0.7875)
    assert interval.n == 4
    assert interval.sd == pytest.approx(stats.tstd(values))
    assert mean_interval(values, confidence=0.8).half_width < interval.half_width


def test_interval_of_two_values_by_hand() -> None:
    # sd of 0.4 and 0.6 is 0.2 / sqrt(2), its standard error 0.1; t(0.975, 1) = tan(0.475 pi) = 12.706
    interval = mean_interval([0.4, 0.6])
    assert interval.half_width == pytest.approx(0.1 * math.tan(0.475 * math.pi))


def test_one_value_has_no_interval_and_none_no_mean() -> None:
    one = mean_interval([0.5])
    assert (one.mean, one.n) == (0.5, 1)
    assert math.isnan(one.low) and math.isnan(one.high) and math.isnan(one.sd)
    none = mean_interval([])
    assert none.n == 0 and math.isnan(none.mean)


def test_nan_values_are_not_counted() -> None:
    assert mean_interval([0.5, math.nan, 0.7]) == mean_interval([0.5, 0.7])


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([], "–"),
        ([0.7834], "78.3 % (n = 1)"),
        ([0.78, 0.78], "78.0 ± 0.0 % (n = 2)"),
        ([0.7, 0.8], "75 ± 64 % (n = 2)"),
        ([0.776, 0.776, 0.79, 0.79, 0.783], "78.3 ± 0.9 % (n = 5)"),
        ([0.7801, 0.7802, 0.7803], "78.02 ± 0.02 % (n = 3)"),
    ],
)
def test_percent_has_no_more_digits_than_its_interval(values: list[float], text: str) -> None:
    assert format_percent(mean_interval(values)) == text


def test_contenders_gather_the_seeds_of_a_backbone(store: RunStore) -> None:
    runs = make_study(store, encoders=[RESNET18, LITE0], seeds=[0, 1, 2], done=0)
    found = contenders(runs)
    assert [(c.label, c.encoder, len(c.runs)) for c in found] == [(RESNET18, RESNET18, 3), (LITE0, LITE0, 3)]
    assert {run.config.seed for run in found[0].runs} == {0, 1, 2}
    assert found[0].title == "ResNet-18"


def test_scratch_and_pretrained_are_two_contenders(store: RunStore) -> None:
    runs = [make_run(store, done=0), make_run(store, encoder="resnet18", weights="none", done=0)]
    found = contenders(runs)
    assert [c.label for c in found] == [RESNET18, "resnet18 (scratch)"]
    assert [c.title for c in found] == ["ResNet-18", "ResNet-18 (scratch)"]
    assert found[0].color == found[1].color


def test_the_same_backbone_in_two_studies_stays_apart(store: RunStore) -> None:
    found = contenders([make_run(store, study=name, done=0) for name in ("a", "b")])
    assert [c.label for c in found] == [f"{RESNET18} · a", f"{RESNET18} · b"]
    assert [c.title for c in found] == ["ResNet-18 · a", "ResNet-18 · b"]


def test_vanished_runs_are_left_out(store: RunStore) -> None:
    runs = make_study(store, seeds=[0, 1], encoders=[RESNET18])
    shutil.rmtree(runs[0].path)
    assert [c.runs for c in contenders(runs)] == [[runs[1]]]
    assert [row["n"] for row in result_table(runs)] == [1]


def test_families_keep_their_members_together(store: RunStore) -> None:
    encoders = [RESNET18, "vgg16.tv_in1k", "resnet34.tv_in1k"]
    families = by_family(contenders(make_study(store, encoders=encoders, seeds=[0], done=0)))
    assert [[c.encoder for c in members] for members in families.values()] == [
        [RESNET18, "resnet34.tv_in1k"],
        ["vgg16.tv_in1k"],
    ]


def test_curve_averages_the_epochs_that_all_begun_runs_have(store: RunStore) -> None:
    runs = [
        run_with(store, [0.2, 0.4, 0.6], seed=0),
        run_with(store, [0.4, 0.5], seed=1),
        run_with(store, [], seed=2),
    ]
    line = curve(runs, "val_miou")
    assert line.epochs == [1, 2]
    assert line.mean == pytest.approx([0.3, 0.45])
    assert line.n == 2
    assert (line.low[1], line.high[1]) == pytest.approx(stats.t.interval(0.95, 1, 0.45, 0.05))
    assert curve(runs[:1], "val_pixel_accuracy").mean == pytest.approx([0.3, 0.5, 0.7])
    assert math.isnan(curve(runs[:1], "val_miou").low[0])


def test_curve_of_nothing_and_of_an_unknown_field() -> None:
    assert curve([], "val_miou").epochs == []
    with pytest.raises(ValueError, match=r"no field 'val_iou'.*val_miou"):
        curve([], "val_iou")


def test_best_epoch_is_the_first_with_the_highest_validation_miou(store: RunStore) -> None:
    run = run_with(store, [0.2, math.nan, 0.5, 0.5, 0.4])
    best = best_epoch(run)
    assert best is not None and best.epoch == 3
    assert best_epoch(run_with(store, [], seed=1)) is None


def test_table_row_by_hand(store: RunStore) -> None:
    runs = [run_with(store, [0.2, 0.6, 0.5], seed=0), run_with(store, [0.7, 0.3], seed=1)]
    for run, seconds in zip(runs, (90.0, 150.0), strict=True):
        with queue_lock(store.workspace):
            run.write_status(replace(run.status, seconds=seconds, majority_baseline=0.38))
    for run, latency in zip(runs, (10.0, 14.0), strict=True):
        run.write_cost(
            {
                "parameters": 14,
                "parameters_encoder": 10,
                "parameters_decoder": 3,
                "parameters_head": 1,
                "macs": 5,
                "macs_encoder": 2,
                "latency_p50_ms": latency,
                "latency_p95_ms": latency + 1,
                "throughput": 1000 / latency,
                "peak_memory_mb": 50 * latency,
                "idle": True,
                "device": "cpu",
            }
        )
    (row,) = result_table(runs)
    low, high = stats.t.interval(0.95, 1, 0.65, 0.05)
    assert row["miou"] == pytest.approx(0.65)
    assert (row["miou_low"], row["miou_high"]) == pytest.approx((low, high))
    assert row["miou_text"] == "65 ± 64 % (n = 2)"
    # Accuracy of the epochs that were chosen by mIoU, not the best accuracy of any epoch.
    assert row["pixel_accuracy"] == pytest.approx(0.75)
    assert (row["n"], row["seeds"], row["best_epoch"]) == (2, [0, 1], [2, 1])
    assert row["minutes"] == pytest.approx((3 + 2) / 2 / 60)  # an epoch of these runs takes a second
    assert (row["parameters"], row["macs"], row["latency_ms"], row["device"]) == (14, 5, 12.0, "cpu")
    assert (row["parameters_encoder"], row["parameters_decoder"], row["parameters_head"]) == (10, 3, 1)
    assert (row["macs_encoder"], row["macs_decoder"]) == (2, None)
    assert (row["latency_p95_ms"], row["peak_memory_mb"]) == (13.0, 600.0)
    assert (row["peak_memory_low"], row["peak_memory_high"]) == (500.0, 700.0)
    assert row["throughput"] == pytest.approx((100 + 1000 / 14) / 2)
    assert (row["throughput_low"], row["throughput_high"]) == (pytest.approx(1000 / 14), 100)
    # The best epochs are the second of the first run and the first of the second.
    assert row["minutes_to_best"] == pytest.approx((2 + 1) / 2 / 60)
    low, high = stats.t.interval(0.95, 1, 2.5 / 60, 0.5 / 60)
    assert (row["minutes_low"], row["minutes_high"]) == (pytest.approx(low), pytest.approx(high))
    assert row["idle"] is True
    assert row["majority_baseline"] == 0.38


@pytest.mark.parametrize(
    ("measured", "idle"),
    [([True, True], True), ([True, False], False), ([None, False], False), ([True, None], None), ([], None)],
)
def test_one_measurement_on_a_busy_machine_marks_the_row(
    store: RunStore, measured: list[bool | None], idle: bool | None
) -> None:
    runs = [run_with(store, [0.5], seed=seed) for seed in range(max(1, len(measured)))]
    runs[0].write_cost({})
    for run, value in zip(runs, measured, strict=False):
        run.write_cost({"latency_p50_ms": 1.0, **({} if value is None else {"idle": value})})
    assert result_table(runs)[0]["idle"] is idle


def fold_run(store: RunStore, seed: int, fold: int, counts: list[list[int]], **options: object) -> Run:
    """A run on one of two folds, whose only group of images has these counts of two classes."""
    run = make_run(store, seed=seed, study=f"made-{seed}-{fold}", epochs=2, **options)  # type: ignore[arg-type]
    run.write_config(run.config.model_copy(update={"study": "s", "fold": fold, "folds": 2}))
    run.write_evaluation(Evaluation(["a"], [f"scene{fold}"], np.array([counts]), 2))
    return run


def test_folds_are_pooled_before_seeds_are_averaged(store: RunStore) -> None:
    runs = [
        fold_run(store, 0, 0, [[6, 2], [0, 0]]),
        fold_run(store, 0, 1, [[0, 0], [4, 8]]),
        fold_run(store, 1, 0, [[8, 0], [0, 0]]),
        fold_run(store, 1, 1, [[0, 0], [0, 12]]),
        fold_run(store, 2, 0, [[0, 8], [0, 0]]),  # its other fold is missing
        fold_run(store, 2, 1, [[0, 0], [0, 12]], state=RunState.FAILED),
    ]
    (row,) = result_table(runs)
    # Seed 0 over both folds: class 0 has 6 of 6 + 2 + 4 pixels, class 1 has 8 of 8 + 4 + 2; 14 of 20 are right.
    by_hand = [(6 / 12 + 8 / 14) / 2, 1.0]
    assert row["miou"] == pytest.approx(sum(by_hand) / 2)
    assert row["pixel_accuracy"] == pytest.approx((14 / 20 + 1) / 2)
    assert (row["n"], row["seeds"]) == (2, [0, 1])
    assert row["miou_low"] == pytest.approx(stats.t.interval(0.95, 1, sum(by_hand) / 2, stats.sem(by_hand))[0])
    assert row["states"] == {"finished": 5, "failed": 1}
    assert len(row["best_epoch"]) == 4
    assert row["minutes"] == pytest.approx(2 * 2 / 60)  # of one run: two epochs of two seconds
    assert [len(found) for found in finished_by_seed(runs).values()] == [2, 2]
    with queue_lock(store.workspace):
        for fold, run in enumerate(runs):
            run.write_status(replace(run.status, majority_baseline=0.5 + 0.1 * (fold % 2)))
    assert result_table(runs)[0]["majority_baseline"] == pytest.approx(12 / 20), "of all folds together"


def test_table_counts_what_is_not_finished_and_leaves_it_out(store: RunStore) -> None:
    runs = make_mixed_study(store)
    (row,) = result_table(runs.values())
    assert row["n"] == 1
    assert row["states"] == {str(state): 1 for state in runs}
    finished = best_epoch(runs[RunState.FINISHED])
    assert finished is not None and row["miou"] == finished.val_miou
    assert row["miou_low"] is None
    assert row["miou_text"].endswith("(n = 1)")


def test_table_puts_the_highest_mean_first_and_those_without_result_last(store: RunStore) -> None:
    runs = [
        make_run(store, encoder="vgg16.tv_in1k", state=RunState.FAILED),
        run_with(store, [0.5], encoder=RESNET18),
        run_with(store, [0.7], encoder=LITE0),
    ]
    rows = result_table(runs)
    assert [row["encoder"] for row in rows] == [LITE0, RESNET18, "vgg16.tv_in1k"]
    assert rows[2]["miou"] is None and rows[2]["miou_text"] == "–"
    # Plain JSON: no NaN that other readers would choke on.
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows


def test_majority_of_runs_that_disagree_is_unknown(store: RunStore) -> None:
    runs = make_study(store, encoders=[RESNET18], seeds=[0, 1])
    assert majority_of(runs) == 0.45
    with queue_lock(store.workspace):
        runs[0].write_status(replace(runs[0].status, majority_baseline=0.2))
    assert majority_of(runs) is None
    assert majority_of([]) is None
