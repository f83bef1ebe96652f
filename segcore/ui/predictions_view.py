"""The lower part of the predictions screen: the viewer with its legend, how good the predictions are, the masks."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import partial

import numpy as np
import streamlit as st
from PIL import Image

from segcore import figures
from segcore.config import ClassInfo
from segcore.data.classes import palette
from segcore.evaluation.metrics import Scores
from segcore.models import catalog
from segcore.runs import Run
from segcore.text import UNKNOWN, percent
from segcore.ui import predictions_answers as answers
from segcore.ui import predictions_pictures as pictures
from segcore.ui import viewer
from segcore.ui.components import escape
from segcore.ui.predictions_answers import Answer
from segcore.ui.predictions_choice import Scene, step
from segcore.ui.predictions_pick import place_in
from segcore.ui.state import Key, Param, remember, remembered
from segcore.ui.viewer.packing import Packed, unpack


def draw(runs: Sequence[Run], scene: Scene) -> None:
    """Draw what networks of one study see in an image: the viewer, its legend, scores and the masks to download.

    Raises:
        SegcoreError: weights or image are gone, damaged or do not fit.
    """
    with st.container():  # what comes and goes while networks look stands in here, so that the viewer keeps its place
        photo = pictures.photo(scene.source)
        truth = pictures.truth(scene.mask, photo.width, photo.height) if scene.mask else None
        found = [answers.answer(run, scene.source) for run in runs]
    classes = runs[0].config.dataset.trained_classes
    titles = told_apart(runs)
    results = [answers.score(one.labels, truth, len(classes)) if truth else None for one in found]
    viewer.show(
        scene.name,
        photo,
        truth,
        [viewer.Seen(text, one.labels, one.confidence, one.entropy) for text, one in zip(titles, found, strict=True)],
        classes,
        table(classes, truth, titles, found, results),
        key=Key.PREDICT_VIEWER,
        only=_class_in_sight(classes),
        place=place_in(scene.name),
        on_step=(lambda by: step(scene.names, by)) if len(scene.names) > 1 else None,
        on_only=lambda name: remember(Param.CLASS, name),
    )
    draw_notes(runs, titles, scene, found[0], scored=truth is not None)
    draw_downloads(runs, titles, scene, found)


def told_apart(runs: Sequence[Run]) -> list[str]:
    """Return what networks that stand side by side are called, in few words, as columns are narrow.

    That is the backbone, and of start, seed and fold what not all of them share: "ResNet-18 · seed 0".
    """
    configs = [run.config for run in runs]
    starts = len({config.weights for config in configs}) > 1
    repetitions = len({config.repetition for config in configs}) > 1
    return [
        catalog.title(config.encoder)
        + (" from scratch" if starts and config.weights != "pretrained" else "")
        + (f" · {config.repetition}" if repetitions else "")
        for config in configs
    ]


def _class_in_sight(classes: Sequence[ClassInfo]) -> str | None:
    """Return the class that the address names, if there is one of that name."""
    name = remembered(Param.CLASS)
    known = name if name in {info.name for info in classes} else None
    remember(Param.CLASS, known)
    return known


def table(
    classes: Sequence[ClassInfo],
    truth: Packed | None,
    titles: Sequence[str],
    found: Sequence[Answer],
    results: Sequence[Scores | None],
) -> viewer.Table:
    """Return what stands beside the classes: shares and, where there is a mask, IoU; the largest class first."""
    in_mask = answers.shares(truth, len(classes)) if truth else None
    predicted = [answers.shares(one.labels, len(classes)) for one in found]
    scored = [result for result in results if result is not None]
    columns = ["In the mask"] if truth else []
    if len(found) == 1 or not scored:
        columns += ["Predicted"] if len(found) == 1 else [f"Predicted by {text}" for text in titles]
    columns += ["IoU"] if len(scored) == 1 else [f"IoU of {text}" for text in titles[: len(scored)]]

    def cells(label: int) -> list[str]:
        shares = ([in_mask] if in_mask is not None else []) + (predicted if len(found) == 1 or not scored else [])
        return [percent(share[label]) for share in shares] + [percent(result.iou[label]) for result in scored]

    def total(text: str, values: Sequence[float]) -> tuple[str, list[str]]:
        blank = [""] * (len(columns) - len(values))
        return text, blank + [percent(value) for value in values]

    order = sorted(
        range(len(classes)), key=lambda label: [-share[label] for share in (in_mask, *predicted) if share is not None]
    )
    totals = [
        total("mIoU of this image", [result.miou for result in scored]),
        total("Pixel accuracy of this image", [result.pixel_accuracy for result in scored]),
    ]
    absent = any(np.isnan(result.iou).any() for result in scored)
    return viewer.Table(
        columns,
        [(label, cells(label)) for label in order],
        totals if scored else (),
        f"{UNKNOWN} stands for a class in neither mask nor prediction: it has no IoU." if absent else "",
    )


def draw_notes(runs: Sequence[Run], titles: Sequence[str], scene: Scene, found: Answer, *, scored: bool) -> None:
    """Say at which size the networks answered, and how little one image says about them."""
    width, height = scene.source.size
    size = f"{found.labels.width:,} × {found.labels.height:,}"
    answered = "" if found.labels.width == width else f", answered at {size}"
    notes = [f"The image has {width:,} × {height:,} pixels. Predicted {found.how}{answered}."]
    if scored:
        reached = ", ".join(
            f"{title} {percent(run.summary()['val_miou'])}" for title, run in zip(titles, runs, strict=True)
        )
        notes.append(
            f"Scored on this image alone, at {size} pixels. mIoU over all validation images together: {reached}. "
            "A single image says little about a network."
        )
    st.caption(escape(" ".join(notes)))


def draw_downloads(runs: Sequence[Run], titles: Sequence[str], scene: Scene, found: Sequence[Answer]) -> None:
    """Draw a button for each predicted mask; it is painted when it is asked for."""
    classes = runs[0].config.dataset.trained_classes
    with st.container(horizontal=True):
        for number, (run, title, one) in enumerate(zip(runs, titles, found, strict=True)):
            of = f" of {title}" if len(runs) > 1 else ""
            st.download_button(
                f"Download the predicted mask{escape(of)} (PNG)",
                partial(_mask, one, classes),
                file_name=f"{scene.name}-{run.name}.png",
                mime="image/png",
                key=Key.PREDICT_MASK.of(run.name) if number else Key.PREDICT_MASK,
                icon=":material/download:",
                on_click="ignore",
                help=f"{one.labels.width:,} × {one.labels.height:,} pixels in the colours of the class table. The "
                "command line's predict writes full size.",
            )


def _mask(found: Answer, classes: Sequence[ClassInfo]) -> bytes:
    """Return a predicted mask in class colours as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(figures.colorize(unpack(found.labels), palette(classes))).save(buffer, format="PNG")
    return buffer.getvalue()
