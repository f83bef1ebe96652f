"""Large images: read row by row, seen at the scale of training, and without seams where windows meet."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from segcore.errors import ConfigError
from segcore.inference import large
from segcore.inference.enlarge import enlarged
from segcore.inference.overlay import Overlay
from segcore.inference.predictor import Predictor
from segcore.inference.rows import Rows, resampled, rows_of
from segcore.inference.tiling import OVERLAP, Band, predict_bands, starts
from segcore.store import RunStore
from tests import factories

CPU = torch.device("cpu")
WINDOW = 64
Size = tuple[int, int]


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def scene(height: int, width: int) -> np.ndarray:
    """Noise of several scales, as photographs have it."""
    rng, total = np.random.default_rng(0), np.zeros((height, width, 3))
    for size in (4, 16, 64):
        total += cv2.resize(rng.normal(0, 40, (height // size + 1, width // size + 1, 3)), (width, height))
    return np.clip(total + 128, 0, 255).astype(np.uint8)


class Once:
    """A reader that refuses what no reader of strips could do well: going back far, or reading much at once."""

    def __init__(self, image: np.ndarray, most: int) -> None:
        self.image = image
        self.most = most
        self.read_rows = 0
        self.rows = Rows(*image.shape[:2], self.read)

    def read(self, top: int, bottom: int) -> np.ndarray:
        assert 0 <= top < bottom <= len(self.image) and bottom - top <= self.most
        assert top >= self.read_rows - 2
        self.read_rows = bottom
        part = self.image[top:bottom].transpose(2, 0, 1).copy()
        part.flags.writeable = False
        return part


def predictor_of(store: RunStore, geometry: str, **options: object) -> Predictor:
    run = factories.make_run(store, encoder="mobilenetv3_small_050", weights="none", with_weights=True, **options)  # type: ignore[arg-type]
    config = run.config.model_copy(update={"recipe": run.config.recipe.model_copy(update={"geometry": geometry})})
    return Predictor(Predictor.from_run(run.path, device="cpu").model, config, CPU)


@pytest.fixture
def cropping(store: RunStore) -> Predictor:
    return predictor_of(store, "crop")


@pytest.fixture
def resizing(store: RunStore) -> Predictor:
    return predictor_of(store, "resize")


def whole(bands: object) -> torch.Tensor:
    return torch.cat([band.probabilities for band in bands], 1)  # type: ignore[attr-defined]


# Row by row --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(150, 100), (64, 64), (40, 200), (300, 20)])
def test_rows_give_what_the_array_gives_bit_for_bit(cropping: Predictor, size: Size) -> None:
    image = noise(*size)
    reader = Once(image, most=4 * WINDOW)  # four windows at once
    view = large.view_of(cropping.config, *size, None)
    assert view.how == "native"
    found = whole(large.predict(cropping, reader.rows, view))
    assert reader.read_rows == size[0]
    assert torch.equal(found, whole(cropping.bands(image)))


@pytest.mark.parametrize("size", [(90, 70), (64, 64), (33, 200)])
def test_a_whole_image_read_by_rows_is_resized_as_in_training(
    resizing: Predictor, size: Size, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = noise(*size)
    view = large.view_of(resizing.config, *size, None)
    expected = whole(resizing.bands(image))
    assert torch.equal(whole(large.predict(resizing, rows_of(image), view)), expected)
    monkeypatch.setattr(large, "_AT_ONCE", 0)  # too large to be held: resized while it is read, but for rounding alike
    torch.testing.assert_close(whole(large.predict(resizing, rows_of(image), view)), expected, atol=0.02, rtol=0)


@pytest.mark.parametrize("chunks", [1, 7, 1000])
@pytest.mark.parametrize(("source", "target"), [((300, 200), (64, 90)), ((50, 40), (120, 41)), ((999, 31), (10, 31))])
def test_resampling_by_rows_is_resizing(source: Size, target: Size, chunks: int) -> None:
    image, (height, width) = noise(*source), target
    way = cv2.INTER_AREA if height <= source[0] and width <= source[1] else cv2.INTER_LINEAR
    expected = cv2.resize(image, (width, height), interpolation=way).astype(int)
    rows = resampled(rows_of(image), height, width)
    parts = [rows.read(top, min(top + chunks, height)) for top in range(0, height, chunks)]
    found = np.concatenate(parts, 1).transpose(1, 2, 0)
    assert np.abs(found - expected).max() <= 1
    np.testing.assert_array_equal(found, rows.read(0, height).transpose(1, 2, 0))


@pytest.mark.parametrize("cuts", [(), (1,), (10, 11, 40), tuple(range(1, 64))])
@pytest.mark.parametrize("size", [(200, 150), (64, 64), (20, 9)])
def test_bands_are_enlarged_as_the_whole(cuts: tuple[int, ...], size: Size, monkeypatch: pytest.MonkeyPatch) -> None:
    values = torch.rand(3, 64, 50)
    edges = (0, *cuts, 64)
    bands = [Band(top, bottom, values[:, top:bottom]) for top, bottom in pairwise(edges)]
    monkeypatch.setattr("segcore.inference.enlarge._BAND_VALUES", 30 * 3 * size[1])
    found = list(enlarged(bands, 64, *size))
    assert [band.top for band in found] == [0, *(band.bottom for band in found[:-1])]
    expected = F.interpolate(values[None], size, mode="bilinear", align_corners=False)[0]
    torch.testing.assert_close(whole(found), expected, rtol=1e-4, atol=1e-5)


# Scale -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "how"), [((100, 80), "whole"), ((200, 160), "whole"), ((201, 80), "windows"), ((90, 500), "windows")]
)
def test_much_larger_images_are_looked_at_in_windows(resizing: Predictor, size: Size, how: str) -> None:
    view = large.view_of(resizing.config, *size, (100, 80))
    assert view.how == how
    assert how in view.text and ("training images" in view.text) == (how == "windows")


def test_windows_are_shown_as_the_training_images_were(resizing: Predictor) -> None:
    """An image made of training images side by side: each window sees one of them as it was in training."""
    tile, seen = scene(96, 160), []
    mosaic = np.tile(tile, (3, 3, 1))
    resizing.model.register_forward_pre_hook(lambda _module, args: seen.append(args[0]))
    reader = Once(mosaic, most=256)
    view = large.view_of(resizing.config, *mosaic.shape[:2], (96, 160))
    found = whole(large.predict(resizing, reader.rows, view))
    assert found.shape == (3, *mosaic.shape[:2])
    torch.testing.assert_close(found.sum(0), torch.ones(mosaic.shape[:2]))
    expected = cv2.resize(tile, (64, 64), interpolation=cv2.INTER_AREA)
    first = torch.cat(seen)[0].numpy().transpose(1, 2, 0)
    assert np.abs(first.astype(int) - expected).max() <= 1
    assert torch.equal(found, whole(large.predict(resizing, rows_of(mosaic), view)))


def test_an_edge_shorter_than_the_training_images_is_stretched_as_theirs(resizing: Predictor) -> None:
    view = large.view_of(resizing.config, 50, 900, (100, 100))
    assert (view.how, view.window) == ("windows", (50, 100))
    found = whole(large.predict(resizing, rows_of(scene(50, 900)), view))
    assert found.shape == (3, 50, 900)


def test_the_size_of_the_training_images_is_found_where_the_dataset_is(store: RunStore, tmp_path: Path) -> None:
    dataset = factories.add_dataset(store.workspace, tmp_path / "source", size=80)
    run = factories.make_run(store, dataset=dataset)
    assert large.training_size(run) == (80, 80)
    gone = factories.make_run(store, study="other", dataset=factories.fake_dataset("gone"))
    assert large.training_size(gone) is None
    view = large.view_of(gone.config, 5000, 5000, None)
    assert view.how == "whole" and "'gone' is not here" in view.text


@pytest.mark.parametrize(
    ("geometry", "wanted", "said"), [("crop", "whole", "crops"), ("resize", "windows", "not here")]
)
def test_what_a_network_cannot_do_is_refused(store: RunStore, geometry: str, wanted: large.Wanted, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        large.view_of(predictor_of(store, geometry).config, 500, 500, None, wanted)


def test_an_image_too_wide_for_the_memory_is_refused_before_it_is_read(cropping: Predictor) -> None:
    def read(top: int, bottom: int) -> np.ndarray:
        pytest.fail("it was read")

    rows = Rows(10, 10**12, read)
    with pytest.raises(ConfigError, match="Cut it into narrower ones"):
        large.predict(cropping, rows, large.view_of(cropping.config, 10, 10**12, None))


def test_progress_can_cancel_and_counts_windows(cropping: Predictor) -> None:
    told: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        told.append((done, total))
        if done == 5:
            raise KeyboardInterrupt

    view = large.view_of(cropping.config, 300, 300, None)
    with pytest.raises(KeyboardInterrupt):
        list(large.predict(cropping, rows_of(noise(300, 300)), view, progress))
    assert told == [(done, 36) for done in range(1, 6)]


# Seams -------------------------------------------------------------------------------------------------


def seam_score(probabilities: torch.Tensor, window: int, overlap: float) -> float:
    """Mean absolute difference of neighbouring pixels across the borders of windows, divided by that elsewhere."""
    across, elsewhere = [], []
    for axis in (1, 2):
        length = probabilities.shape[axis]
        steps = probabilities.diff(dim=axis).abs().mean((0, 3 - axis))
        begins = starts(length, window, overlap)
        edges = {begin - 1 for begin in begins[1:]} | {begin + window - 1 for begin in begins[:-1]}
        for place, step in enumerate(steps.tolist()):
            (across if place in edges else elsewhere).append(step)
    return float(np.mean(across) / np.mean(elsewhere))


def test_there_is_no_seam_where_windows_meet(cropping: Predictor) -> None:
    """A real network, whose padding makes it answer otherwise near a window's border."""
    image = scene(384, 384)
    options = {"window": WINDOW, "batch_size": 8, "classes": 3, "device": CPU}
    image_rows = rows_of(image)

    def sharp(images: torch.Tensor) -> torch.Tensor:
        logits = cropping.model(images)
        return 5 * (logits - logits.mean((2, 3), keepdim=True)) / logits.std()  # random weights hardly decide

    blended = whole(predict_bands(sharp, image_rows, **options))  # type: ignore[arg-type]
    side_by_side = whole(predict_bands(sharp, image_rows, overlap=0.0, **options))  # type: ignore[arg-type]
    assert seam_score(side_by_side, WINDOW, 0.0) > 1.5
    assert 0.8 < seam_score(blended, WINDOW, OVERLAP) < 1.2


def test_there_is_no_seam_in_windows_of_the_training_images_size(resizing: Predictor) -> None:
    image = scene(480, 480)
    view = large.view_of(resizing.config, 480, 480, (96, 96))
    found = whole(large.predict(resizing, rows_of(image), view))
    assert 0.8 < seam_score(found, 96, OVERLAP) < 1.2


# Overlays ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("most", [4096, 50])
def test_an_overlay_shows_image_and_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr("segcore.inference.overlay.MAX_SIDE", most)
    image = np.full((120, 200, 3), 100, np.uint8)
    labels = np.zeros((120, 200), np.uint8)
    labels[:, 100:], labels[60:] = 1, 255
    palette = np.zeros((256, 3), np.uint8)
    palette[0], palette[1] = (200, 0, 0), (0, 200, 0)
    overlay = Overlay(120, 200)
    for top in range(0, 120, 7):
        overlay.add(top, labels[top : top + 7])
    overlay.save(tmp_path / "overlay.jpg", rows_of(image), palette)
    drawn = cv2.imread(str(tmp_path / "overlay.jpg"))[..., ::-1]
    assert drawn.shape == ((120, 200, 3) if most > 200 else (30, 50, 3))
    height, width = drawn.shape[:2]
    for row, column, color in ((0.2, 0.2, (150, 50, 50)), (0.2, 0.8, (50, 150, 50)), (0.8, 0.5, (100, 100, 100))):
        assert np.abs(drawn[int(row * height), int(column * width)].astype(int) - color).max() < 15
