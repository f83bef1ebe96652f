"""The table of the catalog tab, on screen and as a file."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import streamlit as st

from segcore.evaluation.comparison import ResultRow
from segcore.models.atlas import Entry
from segcore.runs import Study
from segcore.text import plural
from segcore.ui.catalog_filters import Part, Row
from segcore.ui.state import Key


def draw(shown: Sequence[Row], part: Part, study: Study | None) -> list[Row]:
    """Draw the table and return the rows that are selected in it."""
    st.caption(
        f"{plural(len(shown), 'architecture')}. Click a heading to sort, tick rows to add them to the next study."
    )
    if not shown:
        st.info("No architecture fits these filters.", icon=":material/filter_alt_off:")
        return []
    state: Any = st.dataframe(
        [table_row(row, part) for row in shown],
        hide_index=True,
        width="stretch",
        height=min(420, 38 + 35 * len(shown)),
        # Ticks are remembered by place: another list of rows is another table.
        key=Key.CATALOG_TABLE.of(_digest([row.entry.architecture for row in shown])),
        on_select="rerun",
        selection_mode="multi-row",
        placeholder="",
        column_config=_columns(part, study),
        column_order=[name for name in table_row(shown[0], part) if _is_told(name, shown)],
    )
    return [shown[place] for place in state["selection"]["rows"] if place < len(shown)]


def table_row(row: Row, part: Part) -> dict[str, Any]:
    """Return a row of the table as people read it."""
    entry = row.entry
    parameters, macs = row.parameters(part), row.macs(part)
    return {
        "Backbone": entry.architecture,
        "Family": entry.family,
        "Year": entry.year,
        "Parameters": None if parameters is None else parameters / 1e6,
        "MACs": None if macs is None else macs / 1e9,
        "mIoU": max((100 * result["miou"] for result in row.results if result["miou"] is not None), default=None),
        "Reached": "; ".join(reached(result) for result in row.results),
        "Here": "yes" if row.here else "",
        "Licence": ", ".join(dict.fromkeys(found.license or "not stated" for found in entry.weights)),
        "Weights": ", ".join(found.tag for found in entry.weights),
        "Channels": " · ".join(str(channels) for channels, _ in entry.features),
        "From": f"1/{entry.features[0][1]}" if entry.features else "",
        "Why it does not work": why(entry),
    }


def why(entry: Entry) -> str:
    """Return why an architecture does not work, without saying again which one and in what."""
    rest = entry.why_not.partition(" do not go together")[2].lstrip(": ")
    return f"{rest[0].upper()}{rest[1:]}" if rest else entry.why_not


def reached(result: ResultRow) -> str:
    """Return what a contender reached: "78.3 ± 0.9 % (n = 5)", and whether from scratch."""
    return result["miou_text"] + (" from scratch" if result["weights"] == "none" else "")


def _is_told(column: str, shown: Sequence[Row]) -> bool:
    """Whether a column that is mostly empty has anything to say here."""
    if column == "Why it does not work":
        return any(not row.entry.works for row in shown)
    if column in ("mIoU", "Reached"):
        return any(row.results for row in shown)
    return not (column in ("Channels", "From") and all(not row.entry.features for row in shown))


def _columns(part: Part, study: Study | None) -> dict[str, Any]:
    whose = "the backbone alone" if part == "encoder" else "the whole network"
    of = f" in study {study.name}" if study is not None else ""
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    return {
        "Backbone": text(width=210, help="timm's name: it can be typed wherever a backbone is asked for.", pinned=True),
        "Family": text(width=150, help="Curated, or read off the module of timm and the name."),
        "Year": number(format="%d", help="When the paper came out that timm names for it; empty where it names none."),
        "Parameters": number("Parameters (M)", format="%.2f", help=f"Millions, of {whose}."),
        "MACs": number("MACs (G)", format="%.2f", help=f"Billions for one image of this size, of {whose}."),
        "mIoU": number("mIoU (%)", format="%.1f", help=f"Mean validation mIoU{of}; the best where there are two."),
        "Reached": text(width=170, help=f"Mean ± 95 % interval over seeds and images{of}, and n seeds."),
        "Weights": text(
            "Pretrained weights", help="timm's tags, its default first: on what and how they were trained."
        ),
        "Licence": text(
            width=110, help="Of the weights, as timm states it. cc-by-nc and the like rule out commercial use."
        ),
        "Here": text("Weights here", help="In a local folder or the Hub's cache."),
        "Channels": text(help="Of the features handed to the decoder, fine to coarse."),
        "From": text("Finest", help="Resolution of the finest features, as a share of the image's."),
        "Why it does not work": text(width="large"),
    }


def _digest(names: Sequence[str]) -> str:
    return hashlib.sha256(" ".join(names).encode()).hexdigest()[:12]


def csv_rows(shown: Sequence[Row]) -> list[dict[str, object]]:
    """Return the table with plain numbers; lists with blanks between."""
    return [
        {
            "architecture": row.entry.architecture,
            "family": row.entry.family,
            "year": row.entry.year,
            "works": row.entry.works,
            "encoder_parameters": row.entry.encoder_parameters,
            "parameters": row.entry.parameters,
            "encoder_macs": row.entry.encoder_macs,
            "macs": row.entry.macs,
            "channels": " ".join(str(channels) for channels, _ in row.entry.features),
            "reductions": " ".join(str(reduction) for _, reduction in row.entry.features),
            "weights": " ".join(found.tag for found in row.entry.weights),
            "licences": " ".join(dict.fromkeys(found.license or "not-stated" for found in row.entry.weights)),
            "weights_here": " ".join(row.here),
            "miou": "; ".join(reached(result) for result in row.results),
            "why_not": row.entry.why_not,
        }
        for row in shown
    ]
