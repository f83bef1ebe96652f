"""The same few validation images as each backbone predicts them, as pictures inside of the page."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image

from segcore import figures
from segcore.data.classes import palette
from segcore.data.dataset import Dataset
from segcore.data.launched import as_launched
from segcore.data.readers import read_image, read_mask, resize_labels
from segcore.data.store import DatasetStore
from segcore.errors import SegcoreError
from segcore.evaluation.comparison import best_epoch
from segcore.evaluation.findings import Findings
from segcore.evaluation.report.markup import Html, joined, paragraph, swatch, tag
from segcore.evaluation.report.page import Page
from segcore.evaluation.verdicts import Standing
from segcore.runs import Run, Study, statuses
from segcore.status import RunState
from segcore.workspace import Workspace

SIDE = 224
"""Longest side of a picture in pixels."""
MOST_IMAGES = 3


def add_previews(page: Page, findings: Findings, workspace: Workspace) -> None:
    """Add image, truth and the prediction of each contender, for the first images that the runs previewed."""
    study = findings.studies[0]
    chosen = [(standing, found) for standing in findings.standings if (found := _chosen(standing)) is not None]
    names = list(dict.fromkeys(name for _, (_, _, files) in chosen for name in files))[:MOST_IMAGES]
    if not names:
        return
    dataset = _dataset(study, workspace)
    colors = palette(study.dataset.trained_classes)
    maps: list[np.ndarray] = []
    blocks: list[Html] = []
    for name in names:
        pictures = _source(dataset, name, study, colors, maps) if dataset else []
        for standing, (run, epoch, files) in chosen:
            labels = _labels(files[name]) if name in files else None
            if labels is not None:
                maps.append(labels)
                said = f"{standing.title}, seed {run.config.seed}, epoch {epoch}"
                pictures.append(_figure(_png(figures.colorize(labels, colors)), said))
        blocks += [tag("h3", name), tag("div", *pictures, class_="pictures")]
    unseen = "" if dataset else "The dataset is not at hand any more, or has changed: image and truth are not shown. "
    page.add(
        "previews",
        "What they predict",
        paragraph(
            f"{unseen}Predictions after the epoch whose weights are kept, or the nearest that there is a picture of; "
            "one seed of each backbone.",
            class_="caption",
        ),
        _legend(study, maps),
        *blocks,
    )


def _chosen(standing: Standing) -> tuple[Run, int, dict[str, Path]] | None:
    """Return the first finished run that has previews, the epoch nearest to its best one, and its files by image."""
    for run, status in statuses(standing.contender.runs):
        found = run.previews() if status.state is RunState.FINISHED else {}
        best = best_epoch(run)
        if found and best is not None:
            epoch = min(found, key=lambda epoch: abs(epoch - best.epoch))
            return run, epoch, {file.stem.split("-", 1)[1]: file for file in found[epoch]}
    return None


def _dataset(study: Study, workspace: Workspace) -> Dataset | None:
    """Return the dataset as the study had it; None where it is gone or has changed."""
    try:
        dataset = DatasetStore(workspace).get(study.dataset.name)
        return as_launched(dataset, study.dataset, study.shared["dataset_fingerprint"])
    except SegcoreError:
        return None


def _source(dataset: Dataset, name: str, study: Study, colors: np.ndarray, maps: list[np.ndarray]) -> list[Html]:
    """Return image and truth, in the proportions that the network saw."""
    try:
        pair = dataset.pair(name)
        image = read_image(pair.image, max_side=SIDE)
        truth, _ = read_mask(pair.mask, dataset.table, reading=dataset.report.mask_reading)
    except SegcoreError:
        return []
    if study.recipe.geometry == "resize":
        image = np.asarray(Image.fromarray(image).resize((SIDE, SIDE)))
    truth = resize_labels(truth, image.shape[1], image.shape[0])
    maps.append(truth)
    return [_figure(_jpeg(image), "image"), _figure(_png(figures.colorize(truth, colors)), "mask (the truth)")]


def _labels(path: Path) -> np.ndarray | None:
    """Return a previewed label map, (H, W) uint8, made smaller; None where it cannot be read."""
    try:
        with Image.open(path) as picture:
            labels = np.asarray(picture)
    except (OSError, ValueError):
        return None
    if labels.ndim != 2 or labels.dtype != np.uint8:
        return None
    scale = min(1.0, SIDE / max(labels.shape))
    height, width = labels.shape
    return resize_labels(labels, max(1, round(width * scale)), max(1, round(height * scale)))


def _figure(source: str, caption: str) -> Html:
    return tag("figure", Html(f'<img src="{source}" alt="">'), tag("figcaption", caption))


def _png(rgb: np.ndarray) -> str:
    picture = Image.fromarray(rgb)
    return _data("png", picture.quantize(256) if len(np.unique(rgb.reshape(-1, 3), axis=0)) <= 256 else picture)


def _jpeg(rgb: np.ndarray) -> str:
    return _data("jpeg", Image.fromarray(rgb))


def _data(kind: str, picture: Image.Image) -> str:
    written = io.BytesIO()
    picture.save(written, format=kind)
    return f"data:image/{kind};base64,{base64.b64encode(written.getvalue()).decode()}"


def _legend(study: Study, maps: list[np.ndarray]) -> Html:
    entries = figures.class_legend(study.dataset.trained_classes, *maps)
    spans = [tag("span", swatch(entry.color), entry.name, class_="entry") for entry in entries]
    return tag("p", joined(spans, " "), class_="legend")
