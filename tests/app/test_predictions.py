"""The Predictions page: choosing run and image, pictures and scores, uploads good and bad, what may go wrong."""

from __future__ import annotations

import io
import json
import os
import shutil
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import streamlit as st
from PIL import Image
from streamlit.testing.v1 import AppTest

from segcore.data.readers import read_image, read_mask, resize_labels
from segcore.data.store import Dataset
from segcore.errors import ImageReadError, SegcoreError
from segcore.evaluation.confusion import confusion_counts
from segcore.evaluation.metrics import scores
from segcore.inference import large
from segcore.inference.predictor import Predictor
from segcore.inference.rows import Rows, rows_of
from segcore.inference.tiling import Band
from segcore.runs import Run
from segcore.status import RunState
from segcore.store import RunStore
from segcore.text import UNKNOWN, percent
from segcore.ui import (
    predictions_answers,
    predictions_choice,
    predictions_pictures,
    predictions_view,
    previews,
    uploads,
)
from segcore.ui.predictions_pictures import Source
from segcore.ui.state import Key
from segcore.ui.viewer import packing
from segcore.ui.viewer.packing import Packed
from tests import factories
from tests.app.conftest import OpenApp, texts

PAGE = "pages/predictions.py"


@pytest.fixture
def dataset(store: RunStore, tmp_path: Path) -> Dataset:
    return factories.add_dataset(store.workspace, tmp_path / "source")


@pytest.fixture
def run(store: RunStore, dataset: Dataset) -> Run:
    return factories.make_run(store, dataset=dataset, with_weights=True, encoder=factories.LITE0)


def seen(app: AppTest) -> dict[str, Any] | None:
    """What the viewer on the page was sent, its maps unpacked; None where there is no viewer."""
    components = [element.proto for element in app.get("bidi_component")]
    sent = next((proto.bytes for proto in components if proto.component_name == "segcore_viewer"), None)
    if sent is None:
        return None
    start = 4 + int.from_bytes(sent[:4], "little")
    header: dict[str, Any] = json.loads(sent[4:start])

    def unpacked(place: dict[str, Any]) -> np.ndarray:
        data = sent[start + place["from"] :][: place["length"]]
        return packing.unpack(Packed(place["width"], place["height"], data, place["kind"]))

    runs = [
        {name: value if name == "title" else unpacked(value) for name, value in run.items()} for run in header["runs"]
    ]
    return {**header, "truth": header["truth"] and unpacked(header["truth"]), "runs": runs}


def names(scene: dict[str, Any], label: int) -> str:
    return str(scene["classes"][label]["name"])


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


def test_image_truth_prediction_and_certainty_reach_the_viewer(run: Run, dataset: Dataset, open_app: OpenApp) -> None:
    app = open_app(PAGE)
    assert not app.exception
    scene = seen(app)
    assert scene is not None
    pair = next(pair for pair in dataset.pairs if pair.name == scene["name"])
    (found,) = scene["runs"]
    expected = Predictor.from_run(run.path).predict(read_image(pair.image), entropy=True)
    assert expected.entropy is not None
    assert (found["labels"] == expected.labels).all()
    assert np.abs(found["confidence"] - 100 * expected.confidence).max() <= 0.5
    assert np.abs(found["entropy"] - 100 * expected.entropy).max() <= 0.5
    truth, _ = read_mask(pair.mask, dataset.table)
    assert (scene["truth"] == truth).all() and (truth == 255).any()
    assert (scene["photo"]["width"], scene["photo"]["height"], scene["photo"]["kind"]) == (64, 64, "image/png")
    assert Key.PREDICT_MASK in {button.key for button in app.get("download_button")}


def test_legend_tells_shares_and_iou_of_this_image(run: Run, open_app: OpenApp) -> None:
    scene = seen(open_app(PAGE))
    assert scene is not None
    table, classes = scene["table"], run.config.dataset.trained_classes
    assert table["columns"] == ["In the mask", "Predicted", "IoU"]
    assert {names(scene, row["label"]) for row in table["rows"]} == {info.name for info in classes}
    result = scores(confusion_counts(scene["runs"][0]["labels"], scene["truth"], len(classes)))
    for row in table["rows"]:
        shares = [
            np.mean(known[known != 255] == row["label"]) for known in (scene["truth"], scene["runs"][0]["labels"])
        ]
        assert row["cells"] == [percent(float(value)) for value in (*shares, result.iou[row["label"]])]
    assert [[title, cells[-1]] for title, cells in table["totals"]] == [
        ["mIoU of this image", percent(result.miou)],
        ["Pixel accuracy of this image", percent(result.pixel_accuracy)],
    ]


def test_networks_of_a_study_stand_side_by_side(store: RunStore, run: Run, dataset: Dataset, open_app: OpenApp) -> None:
    others = [factories.make_run(store, dataset=dataset, encoder=factories.LITE0, seed=seed) for seed in range(1, 6)]
    for seed, other in enumerate(others):
        shutil.copy(run.best_weights, other.best_weights)
        os.utime(other.best_weights, (seed, seed))
    asked = ",".join(other.name for other in others)
    app = open_app(PAGE, study="study", run=run.name, runs=asked)
    assert not app.exception
    scene = seen(app)
    assert scene is not None
    titles = [f"EfficientNet-Lite0 · seed {seed}" for seed in range(predictions_choice.MOST_RUNS)]
    assert [one["title"] for one in scene["runs"]] == titles
    assert scene["table"]["columns"] == ["In the mask", *(f"IoU of {title}" for title in titles)]
    assert all(len(row["cells"]) == 5 for row in scene["table"]["rows"])
    assert all((one["labels"] == scene["runs"][0]["labels"]).all() for one in scene["runs"])
    assert app.query_params["runs"] in (",".join(asked.split(",")[:3]), [",".join(asked.split(",")[:3])])
    assert len({button.key for button in app.get("download_button")} - {None}) >= predictions_choice.MOST_RUNS


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


def test_class_in_the_url_is_the_one_in_sight(run: Run, open_app: OpenApp) -> None:
    app = open_app(PAGE, study="study", run=run.name, **{"class": "roof"})
    scene = seen(app)
    assert scene is not None and scene["only"] == "roof"
    app = open_app(PAGE, study="study", run=run.name, **{"class": "no such class"})
    scene = seen(app)
    assert scene is not None and scene["only"] is None
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
    assert seen(app) is None


@pytest.mark.usefixtures("run")
def test_image_file_that_is_gone_is_a_message(dataset: Dataset, open_app: OpenApp) -> None:
    for pair in dataset.pairs:
        pair.image.unlink()
    app = open_app(PAGE)
    assert not app.exception
    assert app.error
    assert app.button(key=Key.EXPORT), "what needs no image is there all the same"


@pytest.mark.usefixtures("run")
def test_upload_is_predicted_without_scores(open_app: OpenApp) -> None:
    app = open_app(PAGE)
    app.button_group(key=Key.PREDICT_SOURCE).set_value(predictions_choice.UPLOAD).run()
    app.file_uploader(key=Key.PREDICT_UPLOAD).set_value(("field.png", picture(80, 50), "image/png")).run()
    assert not app.exception
    scene = seen(app)
    assert scene is not None and scene["truth"] is None and not scene["steps"]
    assert scene["runs"][0]["labels"].shape == (50, 80)
    assert scene["table"]["columns"] == ["Predicted"] and not scene["table"]["totals"]


def test_answers_are_kept_until_weights_or_image_change(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    whole = Predictor.predict
    monkeypatch.setattr(Predictor, "predict", lambda *args, **told: (asked.append(1), whole(*args, **told))[1])
    first, second = (Source(Path("upload.png"), data=picture(60, 40, mode=mode)) for mode in ("RGB", "L"))
    found = predictions_answers.answer(run, first)
    assert (found.labels.width, found.labels.height) == (60, 40)
    assert predictions_answers.answer(run, Source(Path("again.png"), data=first.data)) is found
    assert len(asked) == 1
    predictions_answers.answer(run, second)
    assert len(asked) == 2
    os.utime(run.best_weights, (1, 1))
    predictions_answers.answer(run, first)
    assert len(asked) == 3
    run.best_weights.unlink()
    with pytest.raises(SegcoreError, match="lost its weights"):
        predictions_answers.answer(run, first)


def test_large_images_are_shown_in_full_and_answered_smaller(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictions_answers, "ANSWER_SIDE", 64)
    source = Source(Path("upload.png"), data=picture(120, 40))
    photo = predictions_pictures.photo(source)
    assert (photo.width, photo.height) == (120, 40)
    labels = predictions_answers.answer(run, source).labels
    assert (labels.width, labels.height) == (64, 21)
    monkeypatch.setattr(predictions_pictures, "VIEW_PIXELS", 1_200)
    reduced = predictions_pictures.photo(Source(Path("upload.png"), data=picture(120, 40, mode="L")))
    assert (reduced.width, reduced.height) == (60, 20)


# Networks trained on crops --------------------------------------------------------------------------


@pytest.fixture
def cropping(run: Run) -> Run:
    """The run as if it had been trained on crops of 64 pixels, and one of its images larger than the screen."""
    config = json.loads(run.config.model_dump_json())
    config["recipe"]["geometry"] = "crop"
    (run.path / "config.json").write_text(json.dumps(config))
    return Run(run.path)


@pytest.mark.usefixtures("cropping")
def test_a_network_of_crops_looks_at_the_whole_file(open_app: OpenApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictions_pictures, "VIEW_PIXELS", 32 * 32)
    monkeypatch.setattr(predictions_answers, "ANSWER_SIDE", 16)
    shown: list[tuple[int, ...]] = []
    windows = large.predict

    def watched(predictor: Predictor, rows: Rows, *rest: Any) -> Iterator[Band]:
        shown.append((rows.height, rows.width))
        return windows(predictor, rows, *rest)

    monkeypatch.setattr(large, "predict", watched)
    app = open_app(PAGE)
    assert not app.exception
    assert shown == [(64, 64)], "the file, not the picture on screen"
    assert "64 × 64 pixels. Predicted at native scale in windows of 64 × 64 pixels, answered at 32 × 32" in texts(
        app
    ).replace("\\", "")
    scene = seen(app)
    assert scene is not None and scene["runs"][0]["labels"].shape == (32, 32)
    app.run()
    assert len(shown) == 1, "kept"


def test_a_much_larger_image_is_looked_at_in_windows_as_the_command_line_does(run: Run) -> None:
    image = np.random.default_rng(0).integers(0, 256, (150, 260, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG")
    found = predictions_answers.answer(run, Source(Path("mosaic.png"), data=buffer.getvalue()))
    assert found.how.startswith("in windows of 64 × 64 pixels, the size of the training images")
    predictor, view = Predictor.from_run(run.path), large.view_of(run.config, 150, 260, (64, 64))
    bands = large.predict(predictor, rows_of(image), view)
    expected = np.concatenate([band.probabilities.argmax(0).numpy() for band in bands])
    assert (packing.unpack(found.labels) == expected).all()
    assert not np.array_equal(expected, predictor.predict(image).labels)


def test_maps_of_a_large_image_are_shrunk_like_its_mask() -> None:
    labels = np.random.default_rng(0).integers(0, 200, (90, 130), dtype=np.uint8)
    shares = (labels / 200).astype(np.float32)
    source = Source(Path("x.png"), data=picture(130, 90))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(predictions_pictures, "VIEW_PIXELS", 1_000)
        shrunk, smaller = predictions_answers.in_view(source, labels, shares)
        photo = predictions_pictures.photo(source)
    assert shrunk.shape == (photo.height, photo.width)
    assert (shrunk == resize_labels(labels, photo.width, photo.height)).all()
    assert np.allclose(smaller, shrunk / 200)


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
    windows = large.predict

    def cancelled_once(*args: Any) -> Iterator[Band]:
        asked.append(1)
        if len(asked) == 1:
            st.stop()  # how Streamlit ends a page, too, when its Cancel button is pressed
        return windows(*args)

    monkeypatch.setattr(large, "predict", cancelled_once)
    app = open_app(PAGE)
    assert len(asked) == 1 and seen(app) is None
    app.run()
    assert len(asked) == 1 and "was cancelled" in texts(app)
    next(button for button in app.button if button.label == "Predict this image").click().run()
    assert not app.exception
    assert len(asked) == 2 and seen(app) is not None


def test_absent_class_has_no_iou_and_the_note_says_so() -> None:
    classes = factories.CLASSES[1:]
    labels = packing.pack_labels(np.array([[0, 0], [0, 1]], dtype=np.uint8))
    truth = packing.pack_labels(np.array([[0, 0], [1, 255]], dtype=np.uint8))
    result = predictions_answers.score(labels, truth, len(classes))
    answer = predictions_answers.Answer(labels, labels, labels)
    table = predictions_view.table(classes, truth, ["A"], [answer], [result])
    assert table.rows == [
        (0, ["66.7 %", "75.0 %", "66.7 %"]),
        (1, ["33.3 %", "25.0 %", "0.0 %"]),
        (2, ["0.0 %", "0.0 %", UNKNOWN]),
    ]
    assert table.note.startswith(UNKNOWN)


def test_stepping_goes_round(open_app: OpenApp, run: Run) -> None:
    """What the keys of the viewer do, which only a browser can press (tests/e2e/test_viewer.py)."""
    app = open_app(PAGE, study="study", run=run.name, image=sorted(run.split.val)[-1])
    scene = seen(app)
    assert scene is not None and scene["steps"]
    app.button(key=Key.PREDICT_NEXT).click().run()
    after = seen(app)
    assert after is not None and after["name"] == sorted(run.split.val)[0]


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
    assert seen(app) is not None
