"""The Predictions page: choosing run and image, pictures and scores, uploads good and bad, what may go wrong."""

from __future__ import annotations

import io
import json
import shutil
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import streamlit as st
from PIL import Image
from streamlit.testing.v1 import AppTest

from segcore.data.store import Dataset
from segcore.errors import ImageReadError, SegcoreError
from segcore.inference.predictor import Prediction, Predictor
from segcore.runs import Run
from segcore.status import RunState
from segcore.store import RunStore
from segcore.ui import legend, predictions_choice, predictions_view, previews, readers, uploads
from segcore.ui.state import Key
from tests import factories
from tests.app.conftest import OpenApp, texts

PAGE = "pages/predictions.py"


@pytest.fixture
def dataset(store: RunStore, tmp_path: Path) -> Dataset:
    return factories.add_dataset(store.workspace, tmp_path / "source")


@pytest.fixture
def run(store: RunStore, dataset: Dataset) -> Run:
    return factories.make_run(store, dataset=dataset, with_weights=True, encoder=factories.LITE0)


def captions(app: AppTest) -> list[str]:
    return [caption for image in app.get("image") for caption in image.captions]


def test_empty_page_leads_to_the_overview(open_app: OpenApp) -> None:
    app = open_app(PAGE)
    assert "No trained network yet" in texts(app)
    next(button for button in app.button if button.label == "Go to Overview").click().run()
    assert app.title[0].value != "Predictions"


def test_runs_without_weights_are_not_offered(store: RunStore, open_app: OpenApp) -> None:
    factories.make_mixed_study(store)
    app = open_app(PAGE)
    assert not app.exception
    assert "No trained network yet" in texts(app)


def test_image_mask_prediction_scores_and_legend(run: Run, open_app: OpenApp) -> None:
    app = open_app(PAGE)
    assert not app.exception
    assert captions(app)[:3] == ["Image", "Mask (the truth)", "Prediction"]
    assert any("Where it is wrong" in caption for caption in captions(app))
    assert {metric.label for metric in app.metric} == {"Pixel accuracy of this image", "mIoU of this image"}
    legend = app.dataframe[0].value
    assert set(legend["Class"]) == {info.name for info in run.config.dataset.trained_classes}
    assert legend["In the mask"].sum() == pytest.approx(100)
    assert legend["Predicted"].sum() == pytest.approx(100)
    assert Key.PREDICT_MASK in {button.key for button in app.get("download_button")}


def test_any_run_with_weights_is_offered(store: RunStore, run: Run, open_app: OpenApp) -> None:
    stopped = factories.make_run(store, dataset=None, study="other", seed=3, state=RunState.STOPPED)
    shutil.copy(run.best_weights, stopped.best_weights)
    app = open_app(PAGE, study="other")
    assert app.selectbox(key="choose.run").value == stopped.name
    assert "stopped" in app.selectbox(key="choose.run").options[0]


def test_url_holds_run_and_image_and_next_steps_on(run: Run, open_app: OpenApp) -> None:
    names = sorted(run.split.val)
    app = open_app(PAGE, study="study", run=run.name, image=names[1])
    assert app.selectbox(key="choose.image").value == names[1]
    app.button(key=Key.PREDICT_NEXT).click().run()
    assert app.selectbox(key="choose.image").value == names[0]  # after the last comes the first
    assert app.query_params["image"] in (names[0], [names[0]])
    app.button(key=Key.PREDICT_PREVIOUS).click().run()
    assert app.selectbox(key="choose.image").value == names[1]


def test_class_in_the_url_narrows_the_errors(run: Run, open_app: OpenApp) -> None:
    app = open_app(PAGE, study="study", run=run.name, **{"class": "roof"})
    assert app.selectbox(key="choose.class").value == "roof"
    assert "black neither is roof nor was taken for it" in captions(app)[-1]
    app.selectbox(key="choose.class").set_value("").run()
    assert "black was not labelled" in captions(app)[-1]
    assert "class" not in app.query_params


def test_training_images_carry_a_warning(run: Run, open_app: OpenApp) -> None:
    name = sorted(run.split.train)[0]
    app = open_app(PAGE, study="study", run=run.name, image=name)
    assert app.selectbox(key="choose.image").value == name
    assert "learnt from this very image" in texts(app)


def test_test_images_stay_sealed(store: RunStore, dataset: Dataset, open_app: OpenApp) -> None:
    split = dataset.make_split(val=0.25, test=0.25, seed=0)
    assert split.test
    sealed = factories.make_run(store, dataset=dataset, with_weights=True, encoder=factories.LITE0)
    app = open_app(PAGE, study="study", run=sealed.name, image=split.test[0])
    assert not app.exception
    assert app.selectbox(key="choose.image").value in split.val
    assert set(app.selectbox(key="choose.image").options) == set(split.val)
    assert "stay sealed" in texts(app)


def test_damaged_weights_are_a_message(run: Run, open_app: OpenApp) -> None:
    run.best_weights.write_bytes(run.best_weights.read_bytes()[:2000])
    app = open_app(PAGE)
    assert not app.exception
    assert app.error


@pytest.mark.usefixtures("run")
def test_dataset_that_is_gone_leaves_uploads(dataset: Dataset, open_app: OpenApp) -> None:
    shutil.rmtree(dataset.path)
    app = open_app(PAGE)
    assert not app.exception
    assert "no longer here" in texts(app)
    assert not captions(app)


@pytest.mark.usefixtures("run")
def test_image_file_that_is_gone_is_a_message(dataset: Dataset, open_app: OpenApp) -> None:
    for pair in dataset.pairs:
        pair.image.unlink()
    app = open_app(PAGE)
    assert not app.exception
    assert app.error


@pytest.mark.usefixtures("run")
def test_upload_is_predicted_without_scores(open_app: OpenApp) -> None:
    app = open_app(PAGE)
    app.button_group(key=Key.PREDICT_SOURCE).set_value(predictions_choice.UPLOAD).run()
    app.file_uploader(key=Key.PREDICT_UPLOAD).set_value(("field.png", picture(80, 50), "image/png")).run()
    assert not app.exception
    assert captions(app)[:2] == ["Image", "Prediction"]
    assert not app.metric
    assert "IoU" not in app.dataframe[0].value.columns


def test_predictions_are_kept_until_weights_or_image_change(run: Run) -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    labels = predictions_view.predict(run, image, b"")
    assert labels.shape == (40, 60)
    assert labels.dtype == np.uint8
    run.best_weights.unlink()
    with pytest.raises(SegcoreError, match="lost its weights"):
        predictions_view.predict(run, image, b"")


# Networks trained on crops --------------------------------------------------------------------------


@pytest.fixture
def cropping(run: Run) -> Run:
    """The run as if it had been trained on crops of 64 pixels, and one of its images larger than the screen."""
    config = json.loads(run.config.model_dump_json())
    config["recipe"]["geometry"] = "crop"
    (run.path / "config.json").write_text(json.dumps(config))
    return Run(run.path)


@pytest.mark.usefixtures("cropping")
def test_a_network_of_crops_looks_at_the_whole_file(
    open_app: OpenApp, monkeypatch: pytest.MonkeyPatch, dataset: Dataset
) -> None:
    monkeypatch.setattr(readers, "SCREEN_SIDE", 32)
    shown: list[tuple[int, ...]] = []
    whole = Predictor.predict
    monkeypatch.setattr(
        Predictor, "predict", lambda self, image, *rest: (shown.append(image.shape), whole(self, image, *rest))[1]
    )
    predictions_view._kept().clear()
    app = open_app(PAGE)
    assert not app.exception
    assert shown == [(64, 64, 3)], "the file, not the picture on screen"
    assert "64 × 64 pixels in overlapping windows of 64 × 64" in texts(app)
    app.run()
    assert len(shown) == 1, "kept"


def test_previews_of_crops_keep_the_images_proportions(cropping: Run) -> None:
    pair = next(path for path in cropping.config.dataset.images.iterdir())
    for folder in (pair.parent, cropping.config.dataset.masks):
        with Image.open(folder / pair.name) as image:
            image.resize((500, 250), Image.Resampling.NEAREST).save(folder / pair.name)
    found = previews._image_and_truth(cropping, pair.stem, 32)
    assert found is not None
    assert [picture.shape for picture in found] == [(192, 384, 3)] * 2
    squares = cropping.config.model_copy(
        update={"recipe": cropping.config.recipe.model_copy(update={"geometry": "resize"})}
    )
    (cropping.path / "config.json").write_text(squares.model_dump_json())
    found = previews._image_and_truth(Run(cropping.path), pair.stem, 32)
    assert found is not None and found[0].shape == (256, 256, 3)


@pytest.mark.usefixtures("cropping")
def test_a_cancelled_prediction_waits_to_be_asked_again(open_app: OpenApp, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    whole = Predictor.predict

    def cancelled_once(self: Predictor, *args: Any) -> Prediction:
        asked.append(1)
        if len(asked) == 1:
            st.stop()  # how Streamlit ends a page, too, when its Cancel button is pressed
        return whole(self, *args)

    monkeypatch.setattr(Predictor, "predict", cancelled_once)
    predictions_view._kept().clear()
    app = open_app(PAGE)
    assert len(asked) == 1 and not captions(app)
    app.run()
    assert len(asked) == 1 and "was cancelled" in texts(app)
    next(button for button in app.button if button.label == "Predict this image").click().run()
    assert not app.exception
    assert len(asked) == 2 and "Prediction" in captions(app)


def test_absent_class_is_said_to_be_absent() -> None:
    classes = factories.CLASSES[1:]
    labels = np.array([[0, 0], [0, 1]], dtype=np.uint8)
    truth = np.array([[0, 0], [1, 255]], dtype=np.uint8)
    rows = legend.rows(classes, labels, truth, np.array([0.5, 0.0, np.nan]))
    assert [row["Class"] for row in rows] == ["paved-area", "grass", "roof"]
    assert rows[0]["In the mask"] == pytest.approx(200 / 3)
    assert rows[0]["Predicted"] == pytest.approx(75)
    assert [row["IoU"] for row in rows] == ["50.0 %", "0.0 %", "not in this image"]


# Uploads -------------------------------------------------------------------------------------------


def picture(width: int, height: int, kind: str = "PNG", mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (width, height), 120).save(buffer, format=kind)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_upload_of_every_kind_is_read(kind: str, mode: str) -> None:
    image = uploads.read_upload(picture(300, 100, kind, mode), "a picture", max_side=150)
    assert image.shape == (50, 150, 3)
    assert image.dtype == np.uint8


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header claims any size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("width", "height"), [(8_000, 8_000), (12_000, 12_000), (60_000, 60_000)])
def test_decompression_bomb_is_refused_before_it_unfolds(width: int, height: int) -> None:
    with pytest.raises(ImageReadError, match=r"million.*Upload a smaller version"):
        uploads.read_upload(bomb(width, height), "bomb.png", max_side=100)


@pytest.mark.parametrize(
    "data",
    [b"", b"not an image", b"<svg onload=alert(1)>", picture(9, 9, "BMP"), picture(9, 9, "GIF", "P")],
    ids=["empty", "text", "svg", "bmp", "gif"],
)
def test_upload_of_another_kind_is_refused(data: bytes) -> None:
    with pytest.raises(ImageReadError, match="Upload an image of one of these kinds"):
        uploads.read_upload(data, "upload", max_side=100)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_truncated_upload_is_refused(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, format=kind)
    whole = buffer.getvalue()
    with pytest.raises(ImageReadError, match=r"damaged|can be read"):
        uploads.read_upload(whole[: len(whole) // 2], "cut.img", max_side=100)


def test_upload_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MAX_MEGABYTES", 0)
    with pytest.raises(ImageReadError, match="MB"):
        uploads.read_upload(picture(9, 9), "large.png", max_side=100)


@pytest.mark.usefixtures("run")
@pytest.mark.parametrize("name", ["foo bar", "..", "../../etc", "a" * 300, "<b>"])
def test_odd_run_in_the_url_is_passed_over(name: str, open_app: OpenApp) -> None:
    app = open_app(PAGE, run=name)
    assert not app.exception
    assert not app.error
    assert captions(app)
