"""The legend beside a mask: colours and names of its classes, and how much of it each one has."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import streamlit as st

from segcore import figures
from segcore.config import ClassInfo
from segcore.ui.components import swatch


def rows(classes: Sequence[ClassInfo], labels: np.ndarray) -> list[dict[str, str | float]]:
    """Return the legend, one row for each class in the mask, the largest first.

    Args:
        classes: the trained classes.
        labels: (H, W) uint8, 255 counting nowhere.
    """
    return [
        {
            "Colour": swatch(classes[entry.label].color),
            "Class": entry.name,
            "In the mask": 100 * entry.share,
        }
        for entry in figures.class_legend(classes, labels)
    ]


def draw(classes: Sequence[ClassInfo], labels: np.ndarray) -> None:
    """Draw the classes of a mask with colour and share of its labelled pixels."""
    st.dataframe(
        rows(classes, labels),
        hide_index=True,
        width="stretch",
        height="content",
        column_config={
            "Colour": st.column_config.ImageColumn(width="small"),
            "In the mask": st.column_config.NumberColumn(format="%.1f %%", help="Share of the labelled pixels."),
        },
    )
