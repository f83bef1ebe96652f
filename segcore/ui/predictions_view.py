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
from segcore.errors import NotFoundError
from segcore.evaluation.metrics import Scores
from segcore.runs import Run
from segcore.text import percent
from segcore.ui import readers

if TYPE_CHECKING:
    from segcore.inference.predictor import Predictor


def predict(run: Run, image: np.ndarray) -> np.ndarray:
    """Return the labels (H, W) uint8 that the run's best weights give `image` (HWC uint8).

    Raises:
        SegcoreError: the weights are gone, damaged or do not fit.
    """
    try:
        stat = run.best_weights.stat()
    except OSError as error:
        raise NotFoundError(f"Run {run.name} is gone or has lost its weights. Choose another one.") from error
    return _predict((str(run.best_weights), stat.st_mtime_ns, stat.st_size), image)


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


def draw_errors(labels: np.ndarray, truth: np.ndarray) -> None:
    """Draw where prediction and mask differ."""
    st.image(
        figures.error_map(labels, truth),
        caption="Where it is wrong: orange. Blue is right, black was not labelled",
        width="stretch",
        alt="Map of the wrongly predicted pixels",
    )
