"""The catalog tab: every architecture of timm that works in the chosen decoder at the chosen size, with its costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import streamlit as st

from segcore.evaluation.comparison import ResultRow
from segcore.evaluation.studies import sound
from segcore.evaluation.trained import trained
from segcore.models import catalog
from segcore.models.atlas import Atlas, Contents, versions
from segcore.runs import Study
from segcore.store import RunStore
from segcore.text import plural
from segcore.ui import catalog_charts, catalog_filters, catalog_probing, catalog_table, launch_backbones
from segcore.ui.architectures_choice import Chosen
from segcore.ui.catalog_filters import Row
from segcore.ui.components import escape, name_unreadable
from segcore.ui.state import Key, Param, choose
from segcore.ui.tables import csv_text
from segcore.workspace import Workspace


def draw(chosen: Chosen) -> None:
    """Draw how many architectures work, the filters, the chart, the table and the reasons of the others."""
    atlas = Atlas(Workspace(), chosen.decoder, chosen.image_size)
    contents = atlas.read()
    if contents.entries:
        made_with = ", ".join(f"{name} {number}" for name, number in versions().items())
        st.markdown(headline(atlas, contents), help=f"Probed with {made_with}; other versions are probed anew.")
    catalog_probing.draw(atlas, contents)
    if not contents.entries:
        st.markdown(
            f"Until then, the {len(catalog.BACKBONES)} backbones that the launch form offers by name, with what is "
            "known of them without probing:"
        )
    study, results = _results()
    entries = list(contents.entries.values()) or catalog_filters.curated(atlas)
    found = catalog_filters.rows(entries, results, atlas)
    shown, part = catalog_filters.draw(found)
    picture = st.container()  # above the table, whose ticks it shows
    selected = catalog_table.draw(shown, part, study)
    _draw_actions(shown, selected, atlas)
    with picture:
        catalog_charts.draw(shown, part, selected, study, results, atlas)
    _draw_reasons(contents)


def headline(atlas: Atlas, contents: Contents) -> str:
    """Return how many architectures work, in a line of Markdown."""
    works = sum(entry.works for entry in contents.entries.values())
    where = f"{catalog.DECODERS[atlas.decoder].title} at {atlas.image_size} px"
    if contents.complete:
        return f"**{works:,} of {len(contents.entries):,} architectures work in {where}.**"
    return f"**{works:,} of the {len(contents.entries):,} architectures probed so far work in {where}.**"


def _results() -> tuple[Study | None, list[ResultRow]]:
    """Draw the choice of the study whose scores are shown, and return it with what its backbones reached."""
    store = RunStore()
    studies = {study.name: study for study in store.studies()}
    with st.container(width=460):
        name = choose(
            Param.STUDY,
            "With the accuracy reached in study",
            list(studies),
            help="Scores of several studies do not compare: data, recipe and size may differ. So it is one at a time.",
        )
    if name is None:
        return None, []
    runs, damaged = sound(studies[name].runs(), "val")
    name_unreadable(damaged)
    return studies[name], trained(runs)


# What can be done with it ------------------------------------------------------------------------------


def _draw_actions(shown: Sequence[Row], selected: Sequence[Row], atlas: Atlas) -> None:
    working = [row for row in selected if row.entry.works]
    names = tuple(row.entry.architecture for row in working)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            f"Add {plural(len(names), 'backbone')} to the next study" if names else "Add to the next study",
            key=Key.CATALOG_ADD,
            type="primary" if names else "secondary",
            icon=":material/playlist_add:",
            disabled=not names,
            on_click=_add,
            args=(names,),
            help="Puts the ticked rows into the launch form of the sidebar, beside what is chosen there.",
        )
        st.download_button(
            "Download as CSV",
            lambda: csv_text(catalog_table.csv_rows(shown)),
            file_name=f"catalog-{atlas.decoder}-{atlas.image_size}.csv",
            mime="text/csv",
            key=Key.CATALOG_CSV,
            icon=":material/download:",
            on_click="ignore",
            disabled=not shown,
        )
    for note in notes(selected, atlas):
        st.caption(escape(note))


def _add(names: tuple[str, ...]) -> None:
    launch_backbones.add(names)
    st.toast(f"{plural(len(names), 'backbone')} added to the launch form.", icon=":material/check:")


def notes(selected: Sequence[Row], atlas: Atlas) -> list[str]:
    """Return what is to be known before the selected rows are trained."""
    found = []
    left_out = [row.entry.architecture for row in selected if not row.entry.works]
    if left_out:
        found.append(f"Left out, as they do not work here: {', '.join(left_out)}.")
    bare = [row.entry.architecture for row in selected if row.entry.works and not row.entry.weights]
    if bare:
        found.append(f"Without published weights, so only to be started from scratch: {', '.join(bare)}.")
    decoder, size = (st.session_state.get(key) for key in (Key.LAUNCH_DECODER, Key.LAUNCH_IMAGE_SIZE))
    if selected and decoder in catalog.DECODERS and (decoder, size) != (atlas.decoder, atlas.image_size):
        found.append(
            f"The launch form is set to {catalog.DECODERS[decoder].title} at {size} px; these costs are those in "
            f"{catalog.DECODERS[atlas.decoder].title} at {atlas.image_size} px. Whether a backbone works there is "
            "checked when you press Launch."
        )
    return found


# The others --------------------------------------------------------------------------------------------


def _draw_reasons(contents: Contents) -> None:
    """Draw why architectures do not work: counted by reason, and each with its own."""
    others = [entry for entry in contents.entries.values() if not entry.works]
    if not others:
        return
    counts = Counter(entry.reason for entry in others)
    with st.expander(f"Why {len(others):,} architectures do not work", icon=":material/block:"):
        st.dataframe(
            [
                {
                    "Why": reason,
                    "Architectures": count,
                    "For example": ", ".join([e.architecture for e in others if e.reason == reason][:4]),
                }
                for reason, count in counts.most_common()
            ],
            hide_index=True,
            width="stretch",
            height="content",
            key="catalog.reasons",
            column_config={"Why": st.column_config.TextColumn(width=560), "Architectures": {"width": 100}},
        )
        st.dataframe(
            [
                {"Backbone": entry.architecture, "Family": entry.family, "Why": catalog_table.why(entry)}
                for entry in others
            ],
            hide_index=True,
            width="stretch",
            height=320,
            key="catalog.each",
        )
