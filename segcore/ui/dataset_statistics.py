"""Numbers about the classes of a dataset: parts of the split, imbalance, what stands together, sizes, weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from segcore import figures
from segcore.data import content
from segcore.data.dataset import Dataset
from segcore.text import UNKNOWN, percent, scaled
from segcore.ui.components import errors_shown, escape, progress_bar, swatch
from segcore.ui.dataset_parts import PARTS, SHARES, SWATCH, class_column, parts
from segcore.ui.state import Key


def draw(dataset: Dataset) -> None:
    """Draw the table of shares and weights, and what stands together; sizes of things on a press, as masks are read."""
    st.subheader("Numbers", anchor=False)
    pixels = content.pixel_table(dataset.facts)
    ratio = content.imbalance(pixels)
    if ratio == ratio:
        st.markdown(f"The most frequent class has **{scaled(ratio)}** pixels for each one of the rarest that occurs.")
    weighting = st.selectbox(
        "Suggested weights in a loss", list(content.WEIGHTINGS), key=Key.CLASSES_WEIGHTING, persist_state="session"
    )
    st.caption(
        escape(f"{content.WEIGHTINGS[weighting]} For a training of your own: the recipes here weigh all classes alike.")
    )
    sizes = _sizes(dataset)
    st.dataframe(
        _rows(dataset, pixels, content.class_weights(pixels, weighting), sizes),
        hide_index=True,
        column_config={
            "color": SWATCH,
            "class": class_column(info.name for info in dataset.table.trained),
            "images": st.column_config.NumberColumn("Shown in", help="So many images show the class."),
            "weight": st.column_config.TextColumn("Weight", alignment="right"),
            "things": st.column_config.NumberColumn("Things", help="Connected areas in the masks that were measured."),
            "sizes": st.column_config.TextColumn(
                "Pixels each", help="A quarter of the things are smaller than the first number, half, three quarters."
            ),
            **SHARES,
        },
        key="dataset.table",
    )
    st.caption("Percentages are shares of the labelled pixels: of all images, and of those in each part of the split.")
    ignored = [info.name for info in dataset.table.classes if info.ignore]
    if ignored:
        st.caption(f"Ignored: {escape(', '.join(ignored))}. Their pixels count nowhere.")
    st.markdown("**Which classes stand together**")
    st.plotly_chart(
        figures.co_occurrence_map(dataset.table.trained, content.co_occurrence(pixels)),
        key="dataset.together",
        config={"displaylogo": False},
    )


def _sizes(dataset: Dataset) -> content.ObjectSizes | None:
    """Return how large the things of each class are, once a visitor asked for it."""
    state, kept = st.session_state, f"dataset.sizes:{dataset.path}:{dataset.fingerprint}"
    if kept not in state:
        if not st.button(
            "Measure the sizes of things",
            key=Key.CLASSES_SIZES,
            icon=":material/straighten:",
            help="Reads up to 200 masks and measures the connected areas of each class.",
        ):
            return None
        with errors_shown(), progress_bar("Measuring things in the masks") as progress:
            state[kept] = content.object_sizes(dataset, progress)
            st.rerun()  # without the button
    found: content.ObjectSizes | None = state.get(kept)
    return found


def _rows(
    dataset: Dataset, pixels: np.ndarray, weights: np.ndarray, sizes: content.ObjectSizes | None
) -> list[dict[str, Any]]:
    places = {name: place for place, name in enumerate(dataset.names)}
    totals = {"all images": pixels.sum(axis=0)}
    for part, names in parts(dataset).items():
        totals[PARTS[part].lower()] = pixels[[places[name] for name in names if name in places]].sum(axis=0)
    rows = []
    for label, info in enumerate(dataset.table.trained):
        row: dict[str, Any] = {
            "color": swatch(info.color),
            "class": info.name,
            "images": int((pixels[:, label] > 0).sum()),
        }
        for part, total in totals.items():
            row[part] = percent(float(total[label] / total.sum()) or None if total.sum() else None, 2)
        row["weight"] = UNKNOWN if np.isnan(weights[label]) else f"{weights[label]:.3g}"
        if sizes is not None:
            low, middle, high = sizes.quartiles[label]
            row["things"] = sizes.counts[label]
            row["sizes"] = UNKNOWN if middle != middle else f"{low:,.0f} · {middle:,.0f} · {high:,.0f}"
        rows.append(row)
    return rows
