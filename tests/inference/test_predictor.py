from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from segcore.data.prepared import prepare
from segcore.data.readers import read_image, to_square
from segcore.data.store import DatasetStore
from segcore.errors import ConfigError, NotFoundError
from segcore.inference.predictor import Predictor, relative_entropy
from segcore.inference.symmetry import SYMMETRIES
from segcore.store import RunStore
from tests.factories import CLASSES, make_run, write_dataset


@pytest.fixture
def predictor(store: RunStore) -> Predictor:
    run = make_run(store, encoder="mobilenetv3_small_050", weights="none", with_weights=True)
    return Predictor.from_run(run.path, device="cpu")


@pytest.mark.parametrize("shape", [(64, 64), (33, 70), (200, 100), (1, 1)])
def test_a_prediction_has_the_images_own_size(predictor: Predictor, shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    prediction = predictor.predict(image)
    assert (prediction.labels.shape, prediction.labels.dtype) == (shape, np.uint8)
    assert (prediction.confidence.shape, prediction.confidence.dtype) == (shape, np.float32)
    assert prediction.labels.max() < len(predictor.classes)
    assert 1 / len(predictor.classes) <= prediction.confidence.min() <= prediction.confidence.max() <= 1


@pytest.mark.parametrize("large_jpeg", [False, True])
def test_the_network_sees_what_it_was_trained_on(store: RunStore, tmp_path: Path, large_jpeg: bool) -> None:
    size = 512 if large_jpeg else 96  # decoders offer to reduce a large JPEG while they read it
    config = write_dataset(tmp_path / "source", size=size)
    for image in config.images.iterdir() if large_jpeg else ():
        Image.open(image).save(image.with_suffix(".jpg"), quality=90)
        image.unlink()
    dataset = DatasetStore(store.workspace).add(config)
    run = make_run(store, encoder="mobilenetv3_small_050", weights="none", with_weights=True, dataset=dataset)
    predictor = Predictor.from_run(run.path, device="cpu")
    seen: list[torch.Tensor] = []
    predictor.model.register_forward_pre_hook(lambda _module, args: seen.append(args[0]))
    prepared = prepare(dataset, run.config.recipe.image_size)
    name = prepared.names[0]
    predictor.predict(read_image(dataset.pair(name).image))
    difference = np.abs(seen[0][0].numpy().transpose(1, 2, 0).astype(int) - prepared.image(0))
    # A large JPEG is decoded at a fraction of its size when it is prepared.
    assert difference.mean() < 1 if large_jpeg else difference.max() == 0


@pytest.mark.parametrize("shape", [(70, 90), (200, 31), (20, 300), (64, 64), (1, 5)])
def test_rows_brought_back_in_bands_are_those_of_the_whole(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int]
) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    pixels = torch.from_numpy(to_square(image, 64).transpose(2, 0, 1).copy())[None]
    with torch.inference_mode():
        whole = F.interpolate(predictor.model(pixels).softmax(1), shape, mode="bilinear", align_corners=False)[0]
    monkeypatch.setattr("segcore.inference.enlarge._BAND_VALUES", 7 * shape[1] * len(predictor.classes))
    bands = list(predictor.bands(image))
    assert max(band.bottom - band.top for band in bands) <= 7 and bands[-1].bottom == shape[0]
    torch.testing.assert_close(torch.cat([band.probabilities for band in bands], 1), whole, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(predictor.predict(image).confidence, whole.max(0).values.numpy(), rtol=1e-5)


# Networks trained on crops -----------------------------------------------------------------------------


@pytest.fixture
def cropping(predictor: Predictor) -> Predictor:
    recipe = predictor.config.recipe.model_copy(update={"geometry": "crop"})
    return Predictor(predictor.model, predictor.config.model_copy(update={"recipe": recipe}), predictor.device)


@pytest.mark.parametrize("shape", [(64, 64), (150, 100), (30, 200), (1, 1)])
def test_a_network_of_crops_looks_at_native_scale(cropping: Predictor, shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    seen: list[torch.Tensor] = []
    cropping.model.register_forward_pre_hook(lambda _module, args: seen.append(args[0]))
    told: list[tuple[int, int]] = []
    prediction = cropping.predict(image, lambda done, total: told.append((done, total)))
    assert (prediction.labels.shape, prediction.labels.dtype) == (shape, np.uint8)
    assert (prediction.confidence.shape, prediction.confidence.dtype) == (shape, np.float32)
    windows = torch.cat(seen).numpy()
    assert windows.shape[2:] == (64, 64) and told[-1] == (len(windows), len(windows))
    height, width = min(64, shape[0]), min(64, shape[1])
    np.testing.assert_array_equal(windows[0, :, :height, :width].transpose(1, 2, 0), image[:height, :width])
    if shape == (64, 64):
        with torch.inference_mode():
            alone = cropping.model(torch.from_numpy(windows)).softmax(1)[0]
        np.testing.assert_allclose(prediction.confidence, alone.max(0).values.numpy(), rtol=1e-5)


# Views averaged, and what is given on request -----------------------------------------------------------


def test_what_is_asked_for_is_filled_in(predictor: Predictor) -> None:
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    plain, full = predictor.predict(image), predictor.predict(image, entropy=True, probabilities=True)
    assert plain.entropy is None and plain.probabilities is None
    assert full.probabilities is not None and full.entropy is not None
    assert (full.probabilities.shape, full.probabilities.dtype) == ((len(predictor.classes), 50, 70), np.float32)
    assert (full.entropy.shape, full.entropy.dtype) == ((50, 70), np.float32)
    np.testing.assert_allclose(full.probabilities.sum(0), 1, rtol=1e-5)
    np.testing.assert_array_equal(full.probabilities.argmax(0), plain.labels)
    np.testing.assert_array_equal(full.probabilities.max(0), plain.confidence)
    expected = -(full.probabilities * np.log(full.probabilities)).sum(0) / np.log(len(predictor.classes))
    np.testing.assert_allclose(full.entropy, expected, atol=1e-5)
    stacked = torch.cat([band.probabilities for band in predictor.bands(image)], 1)
    np.testing.assert_array_equal(full.probabilities, stacked.numpy())


def test_entropy_is_0_where_sure_and_1_where_undecided() -> None:
    sure = torch.zeros(5, 1, 1)
    sure[2] = 1
    assert relative_entropy(sure).item() == 0
    assert relative_entropy(torch.full((5, 1, 1), 0.2)).item() == pytest.approx(1)


@pytest.mark.parametrize("name", SYMMETRIES)
def test_a_symmetry_is_undone_and_unlike_all_others(name: str) -> None:
    square = torch.arange(16).reshape(1, 1, 4, 4)
    view = SYMMETRIES[name].apply(square)
    assert torch.equal(SYMMETRIES[name].undo(view), square)
    assert [other for other, symmetry in SYMMETRIES.items() if torch.equal(symmetry.apply(square), view)] == [name]


@pytest.mark.parametrize("crops", [False, True])
def test_views_are_averaged_pixel_by_pixel(predictor: Predictor, cropping: Predictor, crops: bool) -> None:
    used, image = (cropping if crops else predictor), np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)

    def turned(name: str) -> np.ndarray:
        """What the network says of one view, brought back by numpy."""
        turns, mirrored = SYMMETRIES[name].quarter_turns, SYMMETRIES[name].mirrored
        view = np.rot90(image, turns)
        view = np.ascontiguousarray(view[:, ::-1] if mirrored else view)
        found = used.predict(view, probabilities=True).probabilities
        assert found is not None
        return np.rot90(found[:, :, ::-1] if mirrored else found, -turns, (1, 2))

    for views in (True, ["identity", "mirror"], ["rot90"]):
        names = list(SYMMETRIES) if views is True else views
        got = used.predict(image, tta=views, probabilities=True).probabilities
        np.testing.assert_allclose(got, np.mean([turned(name) for name in names], axis=0), atol=2e-6)


def test_all_views_together_know_no_up(predictor: Predictor) -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    upright = predictor.predict(image, tta=True).confidence
    lying = predictor.predict(np.ascontiguousarray(np.rot90(image)), tta=True).confidence
    np.testing.assert_allclose(np.rot90(lying, -1), upright, atol=1e-6)
    assert np.abs(np.rot90(predictor.predict(np.ascontiguousarray(np.rot90(image))).confidence, -1) - upright).max() > 0


@pytest.mark.parametrize("views", [["upside"], [], ["mirror", "mirror"]])
def test_views_that_do_not_exist_are_refused(predictor: Predictor, views: list[str]) -> None:
    with pytest.raises(ConfigError, match="view"):
        predictor.predict(np.zeros((8, 8, 3), np.uint8), tta=views)


def test_predicting_changes_nothing(predictor: Predictor) -> None:
    image = np.full((40, 40, 3), 90, np.uint8)
    first, second = predictor.predict(image), predictor.predict(image)
    np.testing.assert_array_equal(first.confidence, second.confidence)
    assert not predictor.model.training


def test_classes_and_colours_travel_with_it(predictor: Predictor) -> None:
    assert [info.name for info in predictor.classes] == [info.name for info in CLASSES if not info.ignore]
    assert tuple(predictor.palette[1]) == (0, 102, 0)


@pytest.mark.parametrize(
    "image",
    [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 4), np.uint8), np.zeros((8, 8, 3)), np.zeros((0, 8, 3), np.uint8)],
)
def test_other_arrays_are_refused(predictor: Predictor, image: np.ndarray) -> None:
    with pytest.raises(ConfigError, match=r"expected an RGB image"):
        predictor.predict(image)


def test_a_folder_that_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="is no run"):
        Predictor.from_run(tmp_path)
