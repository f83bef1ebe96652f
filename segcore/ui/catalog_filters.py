"""The rows of the catalog tab, and the filters above them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import streamlit as st

from segcore.evaluation.comparison import ResultRow
from segcore.models import catalog
from segcore.models.atlas import Atlas, Entry, Published
from segcore.models.weights import default_directories
from segcore.models.weights_here import here
from segcore.ui.state import Key

Part = Literal["network", "encoder"]
PARTS: dict[Part, str] = {"network": "Whole network", "encoder": "Backbone alone"}
WORKS, HERE, COMMERCIAL, TRAINED = "working", "weights here", "commercial use", "trained"
ONLY = {
    WORKS: "Those that can be trained in this decoder at this size.",
    HERE: "Those with pretrained weights in a local folder or the Hub's cache on this machine.",
    COMMERCIAL: "Those with weights whose licence surely allows commercial use; others may, read their licence.",
    TRAINED: "Those with a result in the study chosen below.",
}
"""What one can keep to, and what that means."""


@dataclass(frozen=True)
class Row:
    """One architecture with what this workspace knows of it."""

    entry: Entry
    here: tuple[str, ...]
    """Its pretrained encoders whose weights are on this machine."""
    results: tuple[ResultRow, ...]
    """What it reached in a study: one with pretrained weights, one from scratch."""

    def parameters(self, part: Part) -> int | None:
        """Parameters of the whole network or of the encoder alone; None where not known."""
        return self.entry.parameters if part == "network" else self.entry.encoder_parameters

    def macs(self, part: Part) -> int | None:
        """Multiply-adds for one image, likewise."""
        return self.entry.macs if part == "network" else self.entry.encoder_macs


def rows(entries: Iterable[Entry], results: Sequence[ResultRow], atlas: Atlas) -> list[Row]:
    """Put entries, weights on this machine and results together."""
    entries = list(entries)
    repositories = {name: where for entry in entries for name, where in entry.encoders.items()}
    present = here(repositories, default_directories(atlas.workspace))
    by_architecture: dict[str, list[ResultRow]] = {}
    for result in results:
        by_architecture.setdefault(result["encoder"].partition(".")[0], []).append(result)
    return [
        Row(
            entry,
            tuple(name for name in entry.encoders if name in present),
            tuple(by_architecture.get(entry.architecture, ())),
        )
        for entry in entries
    ]


def curated(atlas: Atlas) -> list[Entry]:
    """Return the backbones offered by name as far as they are known without probing."""
    unet = atlas.decoder == "unet"
    return [
        Entry(
            backbone.name,
            module="",
            weights=(Published(backbone.tag, backbone.license, f"timm/{backbone.encoder}"),),
            parameters=backbone.unet_parameters if unet else None,
            encoder_parameters=backbone.parameters,
            macs=backbone.unet_macs if unet and atlas.image_size == 256 else None,
        )
        for backbone in catalog.BACKBONES.values()
    ]


def draw(found: Sequence[Row]) -> tuple[list[Row], Part]:
    """Draw the filters; return the rows that pass them, small ones first, and which part's costs are looked at."""
    families = Counter(row.entry.family for row in found)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        search = st.text_input(
            "Name",
            key=Key.CATALOG_SEARCH,
            placeholder="for example convnext or in22k",
            help="Part of the name of the architecture, of its family or of its weights.",
            persist_state="session",
            width=210,
        )
        chosen = st.multiselect(
            "Family",
            sorted(families, key=str.lower),
            key=Key.CATALOG_FAMILY,
            format_func=lambda name: f"{name} ({families[name]})",
            placeholder="all",
            persist_state="session",
            width=235,
        )
        most_parameters = _limit("Parameters up to (million)", Key.CATALOG_PARAMETERS)
        most_macs = _limit("MACs up to (billion)", Key.CATALOG_MACS)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        only = st.pills(
            "Only",
            list(ONLY),
            selection_mode="multi",
            default=[WORKS],
            key=Key.CATALOG_ONLY,
            help="  \n".join(f"**{name}**: {text}" for name, text in ONLY.items()),
            persist_state="session",
        )
        part = st.segmented_control(
            "Costs of",
            list(PARTS),
            format_func=lambda name: PARTS[name],
            default="network",
            required=True,
            key=Key.CATALOG_PART,
            help="What a backbone costs by itself misleads: in a U-Net the decoder may cost several times as much.",
            persist_state="session",
        )
    wanted = Wanted(search.strip().lower(), tuple(chosen), most_parameters, most_macs, tuple(only), part)
    kept = [row for row in found if wanted.takes(row)]
    if not any(row.parameters(part) for row in kept):
        part = "encoder"  # of what was never probed in a decoder, the backbone alone may be known
    return sorted(kept, key=lambda row: (row.parameters(part) or math.inf, row.entry.architecture)), part


def _limit(label: str, key: Key) -> float | None:
    value: float | None = st.number_input(
        label, min_value=0.0, value=None, key=key, placeholder="no limit", persist_state="session", width=190
    )
    return value


@dataclass(frozen=True)
class Wanted:
    """What the filters ask for."""

    search: str = ""
    """In lower case."""
    families: tuple[str, ...] = ()
    """Any, where none is named."""
    most_parameters: float | None = None
    """In millions."""
    most_macs: float | None = None
    """In billions."""
    only: tuple[str, ...] = ()
    """Keys of `ONLY`."""
    part: Part = "network"

    def takes(self, row: Row) -> bool:
        """Whether a row passes."""
        entry = row.entry
        names = " ".join([entry.architecture, entry.family, *entry.encoders]).lower()
        parameters, macs = row.parameters(self.part), row.macs(self.part)
        return (
            self.search in names
            and (not self.families or entry.family in self.families)
            and (self.most_parameters is None or (parameters is not None and parameters <= 1e6 * self.most_parameters))
            and (self.most_macs is None or (macs is not None and macs <= 1e9 * self.most_macs))
            and (WORKS not in self.only or entry.works)
            and (HERE not in self.only or bool(row.here))
            and (COMMERCIAL not in self.only or entry.commercial is True)
            and (TRAINED not in self.only or bool(row.results))
        )
