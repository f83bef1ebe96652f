"""The same few validation images as a run predicted them after each epoch."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np
import streamlit as st

from segcore import figures
from segcore.config import ClassInfo
from segcore.data.classes import palette
from segcore.data.store import DatasetStore
from segcore.errors import ImageReadError, SegcoreError
from segcore.figures.theme import css
from segcore.runs import Run
from segcore.status import RunState
from segcore.ui import readers
from segcore.ui.components import escape
from segcore.ui.state import Key

_FOLLOWED = "training.preview_followed"


def draw(run: Run) -> None:
    """Draw image, mask and prediction of each previewed image, with a slider over the epochs."""
    found = run.previews()
    st.subheader("What it predicts", anchor=False)
    if not found:
        text = "The first pictures come after the first epoch." if run.state.active else "There are no pictures."
        st.caption(text)
        return
    epoch = _choose_epoch(run, sorted(found))
    shown: list[np.ndarray] = []
    with st.container(key="previews"):
        for number, path in enumerate(found[epoch]):
            name = path.stem.split("-", 1)[1]
            try:
                predicted = readers.preview(path, run.config)
            except ImageReadError:
                continue  # being written or just removed
            shown.append(predicted)
            known = _image_and_truth(run, name, predicted.shape[0])
            columns = st.columns(3)
            with columns[2]:
                st.image(
                    predicted,
                    caption=f"predicted after epoch {epoch}",
                    width="stretch",
                    alt=f"Prediction {number + 1} after epoch {epoch}",
                )
            if known is None:
                columns[0].caption(f"{escape(name)}: the image is not at hand any more.")
                continue
            columns[0].image(known[0], caption=escape(name), width="stretch", alt=f"Image {name}")
            columns[1].image(known[1], caption="mask (the truth)", width="stretch", alt=f"Mask of {name}")
            shown.append(known[1])
        if shown:
            st.html(legend(run.config.dataset.trained_classes, shown))


def _image_and_truth(run: Run, name: str, side: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Return a previewed image and its mask in colours, as squares where the network was shown squares, else in the
    image's own proportions; None where the dataset or its files are gone."""
    if run.config.recipe.geometry == "resize":
        return readers.image_and_truth(run, name, max(side, 256))
    try:
        dataset = DatasetStore().get(run.config.dataset.name)
        pair = dataset.pair(name)
        image = readers.image(pair.image, readers.PREVIEW_SIDE)
        truth = readers.labels(pair.mask, run.config.dataset, readers.PREVIEW_SIDE, reading=dataset.report.mask_reading)
    except SegcoreError:
        return None
    return image, figures.colorize(truth, palette(run.config.dataset.trained_classes))


NOT_LABELLED = (0, 0, 0)


def legend(classes: Sequence[ClassInfo], pictures: Sequence[np.ndarray]) -> str:
    """Return, as HTML, colour and name of the classes that occur in coloured label maps (HWC uint8)."""
    found = {tuple(color.tolist()) for picture in pictures for color in np.unique(picture.reshape(-1, 3), axis=0)}
    entries = [(info.color, info.name) for info in classes if info.color in found]
    if NOT_LABELLED in found and not any(info.color == NOT_LABELLED for info in classes):
        entries.append((NOT_LABELLED, "not labelled"))
    return "".join(
        '<span style="display:inline-block;margin:0 1rem 0.25rem 0;font-size:0.875rem">'
        f'<span style="display:inline-block;width:0.8em;height:0.8em;margin-right:0.4em;background:{css(color)};'
        f'border:1px solid rgba(128,128,128,0.75)"></span>{html.escape(name)}</span>'
        for color, name in entries
    )


def _choose_epoch(run: Run, epochs: list[int]) -> int:
    """Draw the slider over epochs; one that stands on the newest follows it."""
    state = st.session_state
    if len(epochs) == 1:
        return epochs[0]
    shown, newest = state.get(_FOLLOWED, (None, None))
    if shown != run.path or state.get(Key.PREVIEW_EPOCH) in (None, newest) or state[Key.PREVIEW_EPOCH] not in epochs:
        state[Key.PREVIEW_EPOCH] = epochs[-1]
    epoch = st.select_slider(
        "After epoch",
        epochs,
        key=Key.PREVIEW_EPOCH,
        help="The last epoch follows the training." if run.state is RunState.RUNNING else None,
    )
    state[_FOLLOWED] = (run.path, epochs[-1])
    return int(epoch)
