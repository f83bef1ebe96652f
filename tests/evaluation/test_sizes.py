"""Objects by size: which pixels belong to a small one, how many of them are found."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import ndimage, stats

from segcore.evaluation import sizes
from segcore.evaluation.comparison import contenders
from segcore.evaluation.confusion import confusion_counts
from segcore.evaluation.sizes import BINS, SIDES, TITLES, SizeMaps, recall_by_size, size_counts, size_map
from segcore.runs import Evaluation, Run
from segcore.status import RunState
from segcore.store import RunStore
from tests.factories import LITE0, RESNET18, make_run


def noise(seed: int, shape: tuple[int, int] = (120, 90)) -> np.ndarray:
    """Labels of four classes and ignored pixels in blobs of all sizes."""
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(size=(5, *shape)), (0, 3, 3))
    return np.array([0, 1, 2, 3, 255], np.uint8)[smooth.argmax(0)]


def slowly(truth: np.ndarray) -> np.ndarray:
    """The size map by another road: scipy's regions, one by one."""
    found = np.zeros(truth.shape, np.uint8)
    for label in set(truth.ravel().tolist()) - {255}:
        regions, count = ndimage.label(truth == label, structure=np.ones((3, 3)))
        for region in range(1, count + 1):
            here = regions == region
            found[here] = sum(math.sqrt(here.sum()) >= side for side in SIDES)
    return found


def test_sizes_of_objects_by_hand() -> None:
    truth = np.full((100, 100), 255, np.uint8)
    truth[:7, :9] = 0  # 63 pixels: a side of 7.94
    truth[:8, 20:28] = 0  # 64 pixels: a side of 8
    truth[20:30, 0:2] = 1
    truth[30:40, 2:6] = 1  # touches the one above at a corner: 60 pixels together
    truth[30:94, 30:94] = 0  # 4096 pixels: a side of 64
    found = size_map(truth)
    assert found.dtype == np.uint8
    assert [found[0, 0], found[0, 20], found[25, 0], found[35, 3], found[50, 50]] == [0, 1, 0, 0, 4]
    assert not found[truth == 255].any()
    assert TITLES == ("< 8", "8-16", "16-32", "32-64", "≥ 64") and len(TITLES) == BINS


@pytest.mark.parametrize("rows", [120, 50, 7, 1])
def test_size_maps_are_those_of_scipy_in_strips_of_any_height(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizes, "STRIP_PIXELS", rows * 90)
    for seed in range(3):
        np.testing.assert_array_equal(size_map(noise(seed)), slowly(noise(seed)))


def test_an_object_across_several_strips_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    # A U whose arms meet in the last strip alone, and a diagonal line that crosses every seam at a corner.
    truth = np.full((40, 60), 255, np.uint8)
    truth[:, 0:2] = truth[:, 8:10] = truth[38:, 0:10] = 3  # 80 + 80 + 12 pixels
    truth[np.arange(40), 15 + np.arange(40)] = 1
    whole = size_map(truth)
    assert set(whole[truth == 3].tolist()) == {1} and set(whole[truth == 1].tolist()) == {0}
    monkeypatch.setattr(sizes, "STRIP_PIXELS", 60)
    np.testing.assert_array_equal(size_map(truth), whole)


def test_bins_add_up_to_the_confusion_counts() -> None:
    truth, predicted = noise(1), np.where(noise(2) == 255, 0, noise(2))
    counted, confusion = size_counts(predicted, truth, 5), confusion_counts(predicted, truth, 5)
    assert counted.shape == (5, BINS, 2) and counted.dtype == np.int64
    np.testing.assert_array_equal(counted[..., 0].sum(axis=1), confusion.sum(axis=1))
    np.testing.assert_array_equal(counted[..., 1].sum(axis=1), np.diagonal(confusion))
    assert not counted[4].any()  # a class that is in no mask
    with pytest.raises(ValueError, match=r"\(1, 2\).*\(2, 1\)"):
        size_counts(np.zeros((1, 2)), np.zeros((2, 1)), 2)


def test_maps_are_found_once_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    maps, truth = SizeMaps(4), noise(0)
    first, pixels = maps.of(3, truth)
    np.testing.assert_array_equal(pixels, size_counts(truth, truth, 4)[..., 0])
    monkeypatch.setattr(sizes, "size_map", lambda _truth: pytest.fail("searched twice"))
    again, same = maps.of(3, truth)
    np.testing.assert_array_equal(again, first)
    np.testing.assert_array_equal(first, slowly(truth))
    assert same is pixels and pixels.sum() == (truth != 255).sum()
    again[:] = 0  # who asked may write into it
    np.testing.assert_array_equal(maps.of(3, truth)[0], first)


def counted(run: Run, found: list[tuple[int, int]]) -> None:
    """Give a run counts by size: class 0 has `found` (pixels, hits) in its first bins, class 1 ten pixels, all found.

    They are spread over two images.
    """
    evaluation = run.evaluation()
    assert evaluation is not None
    values = np.zeros((2, 3, BINS, 2), np.int64)
    for at, (pixels, hits) in enumerate(found):
        values[0, 0, at] = pixels - 1, hits
        values[1, 0, at] = 1, 0
    values[0, 1, 0] = 10, 10
    run.write_evaluation(Evaluation(evaluation.names, evaluation.groups, evaluation.counts, evaluation.epoch, values))


def test_recall_over_seeds_by_hand(store: RunStore) -> None:
    runs = [make_run(store, seed=seed) for seed in (0, 1)]
    counted(runs[0], [(100, 40), (50, 50)])
    counted(runs[1], [(100, 60), (50, 40)])
    old = make_run(store, encoder=LITE0)  # of a version that did not count
    unfinished = make_run(store, seed=2, state=RunState.STOPPED)
    counted(unfinished, [(100, 0), (50, 0)])
    found = recall_by_size(contenders([*runs, old, unfinished]), class_index=0)
    assert list(found) == [RESNET18]
    small, larger, none = found[RESNET18][:3]
    assert (small.title, small.n, small.pixels) == ("< 8", 2, 100)
    assert small.mean == pytest.approx(0.5)
    assert (small.low, small.high) == pytest.approx(stats.t.interval(0.95, 1, 0.5, 0.1))
    assert (larger.mean, larger.pixels) == (pytest.approx(0.9), 50)
    assert math.isnan(none.mean) and none.n == 0 and none.pixels == 0
    pooled = recall_by_size(contenders(runs))[RESNET18][0]
    assert pooled.mean == pytest.approx((50 / 110 + 70 / 110) / 2) and pooled.pixels == 110
    assert recall_by_size([]) == {}
