"""What networks say of an image, and how right they are: computed once, kept until weights or image change."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from segcore.config import IGNORE_INDEX
from segcore.data.readers import resize_labels
from segcore.errors import NotFoundError, SegcoreError
from segcore.evaluation.confusion import confusion_counts
from segcore.evaluation.metrics import Scores, scores
from segcore.models import catalog
from segcore.progress import Progress
from segcore.runs import Run
from segcore.ui import readers
from segcore.ui.components import progress_bar
from segcore.ui.predictions_pictures import Source, truth_at
from segcore.ui.viewer.packing import Packed, pack_labels, pack_shares, unpack

if TYPE_CHECKING:
    from segcore.inference.large import View
    from segcore.inference.predictor import Prediction, Predictor

ANSWER_SIDE = 2048
"""Longest side of what networks answer that are shown an image as a whole, resized: several times as many pixels as
they see, so that nothing they can tell is lost, in a tenth of the time that 6000 x 4000 would take."""
KEPT = 64
"""So many answers are kept, for all visitors together; packed, they have a megabyte or two each."""

_BY_ID: dict[str | type[Any], Callable[[Any], Any]] = {Packed: lambda packed: packed.id}


@dataclass(frozen=True)
class Answer:
    """What a network says of an image."""

    labels: Packed
    confidence: Packed
    entropy: Packed
    how: str = ""
    """How the image was shown to it, in words that go on after "Predicted "."""


def answer(run: Run, source: Source) -> Answer:
    """Return what the run's best weights say of an image, as the command line's `predict` has it looked at.

    As a whole, and then at `ANSWER_SIDE` at most; or in windows, at the size at which the image is shown, with a bar
    that can be cancelled.

    Raises:
        SegcoreError: the weights are gone, damaged or do not fit, or the image cannot be read.
    """
    weights = _stamp(run)
    key: Hashable = (weights, source.key)
    kept, lock = _kept()
    with lock:
        found = kept.get(key)
    if found is None:
        _stop_if_broken_off(key)
        found = _look(run, source, key, weights)
        with lock:
            kept[key] = found
            while len(kept) > KEPT:
                kept.pop(next(iter(kept)))
    return found


def _look(run: Run, source: Source, key: Hashable, weights: readers.Stamp) -> Answer:
    """Have a network look at an image."""
    predictor, lock = _load(weights)
    from segcore.inference import large  # imports torch

    width, height = source.size
    view = large.view_of(run.config, height, width, large.training_size(run))
    if view.how == "whole":
        with st.spinner("The network looks at the image …"):
            image = source.read(min(ANSWER_SIDE, source.view_side))
            with lock:  # one network is shared by all visitors
                found = predictor.predict(image, entropy=True)
    else:
        image = source.read()
        st.session_state[_BEGUN] = key
        try:
            with progress_bar(f"{catalog.title(run.config.encoder)} looks at the image, window by window") as progress:
                progress(0, 1)
                with lock:
                    found = _in_windows(predictor, image, view, progress)
        except SegcoreError:  # what failed was not cancelled
            st.session_state.pop(_BEGUN)
            raise
        st.session_state.pop(_BEGUN)
    assert found.entropy is not None
    labels, confidence, entropy = in_view(source, found.labels, found.confidence, found.entropy)
    return Answer(pack_labels(labels), pack_shares(confidence), pack_shares(entropy), view.text)


def _in_windows(predictor: Predictor, image: np.ndarray, view: View, progress: Progress) -> Prediction:
    from segcore.inference import large
    from segcore.inference.predictor import gathered
    from segcore.inference.rows import rows_of

    bands = large.predict(predictor, rows_of(image), view, progress)
    return gathered(bands, image.shape[:2], len(predictor.classes), entropy=True)


def in_view(source: Source, *maps: np.ndarray) -> list[np.ndarray]:
    """Shrink maps of an image, (H, W), that are larger than it is shown to that size; nothing is blended."""
    scale = source.view_side / max(source.size)
    width, height = (max(1, round(side * scale)) for side in source.size)
    return [resize_labels(values, width, height) if max(values.shape) > source.view_side else values for values in maps]


def loaded(run: Run) -> tuple[Predictor, threading.Lock]:
    """Return the run's network, shared by all visitors, and the lock to hold while it is used.

    Raises:
        SegcoreError: the weights are gone, damaged or do not fit.
    """
    return _load(_stamp(run))


def _stamp(run: Run) -> readers.Stamp:
    try:
        stat = run.best_weights.stat()
    except OSError as error:
        raise NotFoundError(f"Run {run.name} is gone or has lost its weights. Choose another one.") from error
    return str(run.best_weights), stat.st_mtime_ns, stat.st_size


_BEGUN = "predictions.begun"


@st.cache_resource
def _kept() -> tuple[dict[Hashable, Answer], threading.Lock]:
    """What has been answered. `st.cache_data` has no room for a bar that can be cancelled."""
    return {}, threading.Lock()


def _stop_if_broken_off(key: Hashable) -> None:
    """End the page here where this very prediction was begun and not ended, with a button to begin it again.

    That is what "Cancel" leaves behind. To begin again at once would make cancelling impossible.
    """
    state = st.session_state
    if state.get(_BEGUN) == key:
        st.info("The prediction was cancelled. Choose another image or network, or have this one looked at.")
        st.button("Predict this image", icon=":material/play_arrow:", on_click=lambda: state.pop(_BEGUN, None))
        st.stop()


@st.cache_resource(max_entries=6, show_spinner="Loading the network …")
def _load(weights: readers.Stamp) -> tuple[Predictor, threading.Lock]:
    from segcore.inference.predictor import Predictor  # imports torch: only once an image is to be predicted

    return Predictor.from_run(Path(weights[0]).parent), threading.Lock()


def score(labels: Packed, truth: Packed, classes: int) -> Scores:
    """Return the scores of a prediction in one image, at the prediction's size."""
    return scores(_counts(labels, truth, classes))


@st.cache_data(max_entries=1024, show_spinner=False, hash_funcs=_BY_ID)
def _counts(labels: Packed, truth: Packed, classes: int) -> np.ndarray:
    return confusion_counts(unpack(labels), truth_at(labels, truth), classes)


def shares(labels: Packed, classes: int) -> np.ndarray:
    """Return the share of each class of the labelled pixels: float64 (C,), 0-1; 0 where there are none."""
    pixels = _pixels(labels)[:classes]
    return np.asarray(pixels / max(1, pixels.sum()))


@st.cache_data(max_entries=1024, show_spinner=False, hash_funcs=_BY_ID)
def _pixels(labels: Packed) -> np.ndarray:
    return np.bincount(unpack(labels).ravel(), minlength=IGNORE_INDEX + 1)
