"""The charts of the catalog tab: what architectures cost, and what yours reached for it."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from segcore import figures
from segcore.evaluation.comparison import ResultRow
from segcore.figures.atlas import Dot, atlas_scatter
from segcore.models import catalog
from segcore.models.atlas import Atlas
from segcore.runs import Study
from segcore.text import plural
from segcore.ui.catalog_filters import Part, Row
from segcore.ui.catalog_table import reached
from segcore.ui.components import escape
from segcore.ui.state import Key

COST, ACCURACY = "Parameters × MACs", "Cost against your accuracy"


def draw(
    shown: Sequence[Row],
    part: Part,
    selected: Sequence[Row],
    study: Study | None,
    results: Sequence[ResultRow],
    atlas: Atlas,
) -> None:
    view = st.segmented_control(
        "Chart", [COST, ACCURACY], default=COST, required=True, key=Key.CATALOG_VIEW, persist_state="session"
    )
    if view == ACCURACY:
        _draw_accuracy(shown, part, study, results, atlas)
        return
    dots = [dot for row in shown if (dot := dot_of(row, part)) is not None]
    if shown and not dots:
        st.caption("There is nothing to draw before multiply-adds at this size are known.")
        return
    st.plotly_chart(
        atlas_scatter(dots, chosen=[row.entry.architecture for row in selected], what=part),
        key=f"catalog.scatter:{part}",
        config={"displaylogo": False},
        alt=f"Multiply-adds against parameters of {plural(len(dots), 'architecture')}",
    )
    if dots:
        st.caption(
            "Both axes are logarithmic. Backbones that the launch form offers by name have their colour, all others "
            "are grey; ticked rows have a ring. Drag to look closer, double-click to see all."
        )


def dot_of(row: Row, part: Part) -> Dot | None:
    """Return the architecture as a point of the chart; None where its costs are not known."""
    parameters, macs = row.parameters(part), row.macs(part)
    if not parameters or not macs:
        return None
    entry = row.entry
    known = catalog.find(entry.architecture)
    details = [f"{entry.year}" if entry.year else "", *(f"mIoU {reached(result)}" for result in row.results)]
    licences = dict.fromkeys(found.license or "licence not stated" for found in entry.weights)
    details.append(f"weights: {', '.join(licences)}" if licences else "no pretrained weights")
    return Dot(
        entry.architecture,
        known.title if known is not None else entry.architecture,
        entry.family,
        known.color if known is not None else None,
        parameters,
        macs,
        tuple(filter(None, details)),
    )


def _draw_accuracy(
    shown: Sequence[Row], part: Part, study: Study | None, results: Sequence[ResultRow], atlas: Atlas
) -> None:
    """Draw what the study's backbones reached against what they cost in this decoder at this size."""
    if study is None or not results:
        what = f"Study {escape(study.name)} has" if study is not None else "There is"
        st.info(
            f"{what} no finished run yet. Once backbones are trained, this chart sets their accuracy against cost.",
            icon=":material/model_training:",
        )
        return
    cost = st.segmented_control(
        "Accuracy against",
        ["macs", "parameters"],
        format_func=lambda name: "MACs" if name == "macs" else "Parameters",
        default="macs",
        required=True,
        key=Key.CATALOG_COST,
        persist_state="session",
    )
    points = costed(shown, part)
    st.plotly_chart(
        figures.cost_scatter(points, cost, y_title="Validation mIoU"),
        key=f"catalog.accuracy:{study.name}:{part}:{cost}",
        config={"displaylogo": False},
        alt=f"Validation mIoU against {cost} of {plural(len(points), 'backbone')}",
    )
    st.caption(escape(" ".join(_accuracy_notes(study, len(points), len(results), atlas))))


def costed(shown: Sequence[Row], part: Part) -> list[ResultRow]:
    """Return the rows' results with the catalog's costs in place of the study's own; those without are left out."""
    return [
        ResultRow(**{**result, "parameters": parameters, "macs": macs})
        for row in shown
        if (parameters := row.parameters(part)) is not None and (macs := row.macs(part)) is not None
        for result in row.results
    ]


def _accuracy_notes(study: Study, drawn: int, trained: int, atlas: Atlas) -> list[str]:
    found = ["Upright: 95 % interval over seeds and images. The dotted steps join those that no other beats in both."]
    size = study.recipe.image_size
    if (study.decoder, size) != (atlas.decoder, atlas.image_size):
        decoder = catalog.DECODERS[study.decoder].title if study.decoder in catalog.DECODERS else study.decoder
        found.append(
            f"Study {study.name} was trained with {decoder} at {size} px; the costs are those in "
            f"{catalog.DECODERS[atlas.decoder].title} at {atlas.image_size} px."
        )
    if drawn < trained:
        found.append(
            f"{trained - drawn} of its {plural(trained, 'backbone')} are not drawn: not probed, or filtered out."
        )
    return found
