"""The lower part of the predictions screen: what the network sees, how good that is, and the legend."""

from __future__ import annotations

import hashlib
import io
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st
from PIL import Image

from segcore import figures
from segcore.config import ClassInfo
from segcore.data.readers import image_size, read_image, resize_labels
from segcore.errors import NotFoundError
from segcore.evaluation.metrics import Scores
from segcore.runs import Run
from segcore.text import percent
from segcore.ui import readers
from segcore.ui.components import escape, progress_bar
from segcore.ui.state import Param, choose

if TYPE_CHECKING:
    from segcore.inference.predictor import Predictor


ALL = ""
"""In place of a class: all of them. Not in the URL."""

Source = readers.Stamp | bytes
"""An image file, or what an uploaded one holds."""


def predict(run: Run, image: np.ndarray, source: Source) -> np.ndarray:
    """Return the labels (H, W) uint8 that the run's best weights give `image` (HWC uint8).

    A network trained on crops is given `source` instead, of which `image` is the picture on screen: it knows things
    at their native scale only. Its labels are shrunk to the size of `image`.

    Raises:
        SegcoreError: the weights are gone, damaged or do not fit.
    """
    try:
        stat = run.best_weights.stat()
    except OSError as error:
        raise NotFoundError(f"Run {run.name} is gone or has lost its weights. Choose another one.") from error
    weights = (str(run.best_weights), stat.st_mtime_ns, stat.st_size)
    if run.config.recipe.geometry == "crop":
        height, width = image.shape[:2]
        return _predict_in_full(weights, source, width, height)
    return _predict(weights, image)


def _predict_in_full(weights: readers.Stamp, source: Source, width: int, height: int) -> np.ndarray:
    """Return the labels that a network gives an image at its native scale, shrunk to `width` x `height`.

    Kept like what `st.cache_data` keeps, which has no room for a bar that can be cancelled.
    """
    told = source if isinstance(source, tuple) else hashlib.sha256(source).hexdigest()
    key, kept, state = (weights, told, width, height), _kept(), st.session_state
    if key not in kept:
        _stop_if_broken_off(key)
        predictor, lock = _load(weights)
        image = read_image(Path(source[0])) if isinstance(source, tuple) else read_image(Path("upload"), data=source)
        state[_BEGUN] = key
        with progress_bar("The network looks at the image, window by window") as progress:
            progress(0, 1)
            with lock:  # one network is shared by all visitors
                labels = predictor.predict(image, progress).labels
        state.pop(_BEGUN)
        kept[key] = resize_labels(labels, width, height)
        while len(kept) > 64:
            kept.pop(next(iter(kept)), None)
    return kept[key]


_BEGUN = "predictions.begun"


@st.cache_resource
def _kept() -> dict[tuple[object, ...], np.ndarray]:
    return {}


def _stop_if_broken_off(key: tuple[object, ...]) -> None:
    """End the page here where this very prediction was begun and not ended, with a button to begin it again.

    That is what "Cancel" leaves behind. To begin again at once would make cancelling impossible.
    """
    state = st.session_state
    if state.get(_BEGUN) == key:
        st.info("The prediction was cancelled. Choose another image or network, or have this one looked at.")
        st.button("Predict this image", icon=":material/play_arrow:", on_click=lambda: state.pop(_BEGUN, None))
        st.stop()


def draw_scale_note(run: Run, image: np.ndarray, source: Source) -> None:
    """Say of a network trained on crops what it was shown, and that the screen shows less."""
    recipe = run.config.recipe
    if recipe.geometry != "crop":
        return
    width, height = image_size(Path(source[0])) if isinstance(source, tuple) else image_size(Path(), data=source)
    shown_height, shown_width = image.shape[:2]
    shrunk = f", shown here at {shown_width} × {shown_height}" if (shown_width, shown_height) != (width, height) else ""
    st.caption(
        f"This network was trained on crops: it looked at all {width} × {height} pixels in overlapping windows of "
        f"{recipe.image_size} × {recipe.image_size}{shrunk}."
    )


def _digest(image: np.ndarray) -> str:
    # Streamlit's own hash of a large array looks at a sample of it.
    return hashlib.sha256(repr(image.shape).encode() + image.tobytes()).hexdigest()


@st.cache_data(max_entries=64, show_spinner="The network looks at the image …", hash_funcs={np.ndarray: _digest})
def _predict(weights: readers.Stamp, image: np.ndarray) -> np.ndarray:
    predictor, lock = _load(weights)
    with lock:  # one network is shared by all visitors
        return predictor.predict(image).labels


@st.cache_resource(max_entries=3, show_spinner="Loading the network …")
def _load(weights: readers.Stamp) -> tuple[Predictor, threading.Lock]:
    from segcore.inference.predictor import Predictor  # imports torch: only once an image is to be predicted

    return Predictor.from_run(Path(weights[0]).parent), threading.Lock()


def png(image: np.ndarray) -> bytes:
    """Return an image (HWC uint8) as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG")
    return buffer.getvalue()


def draw_scores(run: Run, result: Scores, image: np.ndarray) -> None:
    """Draw how good the prediction of this one image is, beside the run's score over all validation images."""
    height, width = image.shape[:2]
    overall = run.summary()["val_miou"]
    with st.container(horizontal=True):
        st.metric(
            "Pixel accuracy of this image",
            percent(result.pixel_accuracy),
            help="Share of the labelled pixels that got the right class.",
            width="content",
        )
        st.metric(
            "mIoU of this image",
            percent(result.miou),
            help="Overlap of prediction and mask (intersection over union), averaged over the classes in this image.",
            width="content",
        )
    st.caption(
        f"Scored on this image alone, at {width} × {height} pixels. Over all validation images together this network "
        f"reaches an mIoU of {percent(overall)}; a single image says little about a network."
    )


def draw_errors(labels: np.ndarray, truth: np.ndarray, classes: tuple[ClassInfo, ...]) -> None:
    """Draw where prediction and mask differ, in all or for one class, which the URL may name."""
    names = [info.name for info in classes]
    chosen = choose(Param.CLASS, "Errors of", [ALL, *names], format_func=lambda name: name or "All classes")
    only = names.index(chosen) if chosen in names else None
    outside = "black was not labelled" if only is None else f"black neither is {chosen} nor was taken for it"
    st.image(
        figures.error_map(labels, truth, only=only),
        caption=f"Where it is wrong: orange. Blue is right, {escape(outside)}",
        width="stretch",
        alt="Map of the wrongly predicted pixels",
    )
