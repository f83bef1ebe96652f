"""The legend beside an image: colours and names of the classes, and how much of it each one has."""

from __future__ import annotations

import numpy as np
import streamlit as st

from segcore import figures
from segcore.config import ClassInfo
from segcore.text import percent
from segcore.ui.components import swatch


def rows(
    classes: tuple[ClassInfo, ...],
    predicted: np.ndarray | None,
    truth: np.ndarray | None,
    iou: np.ndarray | None = None,
) -> list[dict[str, str | float]]:
    """Return the legend, one row a class, the largest first.

    Args:
        classes: the trained classes.
        predicted: (H, W) predicted labels, or None. Without it, only classes in the mask are listed.
        truth: (H, W) true labels, 255 counting nowhere, or None.
        iou: (C,), NaN for a class in neither of both; None unless there are both.
    """
    shares = {
        title: {entry.label: entry.share for entry in figures.class_legend(classes, labels)}
        for title, labels in (("In the mask", truth), ("Predicted", predicted))
        if labels is not None
    }
    found: list[dict[str, str | float]] = []
    for label, info in enumerate(classes):
        if predicted is None and not any(label in share for share in shares.values()):
            continue
        row: dict[str, str | float] = {"Colour": swatch(info.color), "Class": info.name}
        for title, share in shares.items():
            row[title] = 100 * share.get(label, 0.0)
        if iou is not None:
            row["IoU"] = percent(float(iou[label])) if iou[label] == iou[label] else "not in this image"
        found.append(row)
    return sorted(found, key=lambda row: [float(row[title]) for title in shares], reverse=True)


def draw(
    classes: tuple[ClassInfo, ...],
    predicted: np.ndarray | None,
    truth: np.ndarray | None,
    iou: np.ndarray | None = None,
) -> None:
    """Draw the classes with colour, share of the pixels and, where there is a mask and a prediction, IoU."""
    share = st.column_config.NumberColumn(format="%.1f %%", help="Share of the labelled pixels.")
    st.dataframe(
        rows(classes, predicted, truth, iou),
        hide_index=True,
        width="stretch",
        height="content",
        column_config={
            "Colour": st.column_config.ImageColumn(width="small"),
            "In the mask": share,
            "Predicted": share,
            "IoU": st.column_config.TextColumn(
                help="Intersection over union: the pixels on which mask and prediction agree, as a share of all that "
                "either of them gives to the class."
            ),
        },
    )
