from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from segcore.data.prepared import prepare
from segcore.data.readers import read_image
from segcore.data.store import DatasetStore
from segcore.errors import ConfigError, NotFoundError
from segcore.inference.predictor import Predictor
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
    np.testing.assert_array_equal(seen[0][0].numpy().transpose(1, 2, 0), prepared.images[0])


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
