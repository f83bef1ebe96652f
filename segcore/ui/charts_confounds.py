"""What else could explain a difference: a badge for each thing in which studies, or a study's runs, differ."""

from __future__ import annotations

import streamlit as st

from segcore.text import plural
from segcore.ui.charts_data import Shown
from segcore.ui.components import escape


def draw(shown: Shown) -> None:
    """Draw the badges, and folded away a sentence for each; say why studies are not paired."""
    found = shown.findings.confounds
    if shown.findings.unpaired:
        st.warning(
            f"{escape(shown.findings.unpaired)} Each study is judged for itself, and nothing is said of backbones of "
            "different studies.",
            icon=":material/link_off:",
        )
    if not found:
        return
    badges: dict[str, list[str]] = {}
    for confound in found:  # studies, and the runs of one of them, can differ in the same thing
        badges.setdefault(confound.title, []).append(confound.sentence)
    with st.container(horizontal=True, vertical_alignment="center"):
        for title, sentences in badges.items():
            st.badge(escape(title), icon=":material/warning:", color="orange", help=escape(" ".join(sentences)))
    where = "the studies or their runs" if len(shown.studies) > 1 else "the runs"
    things = plural(len(badges), "thing")
    with st.expander(f"{things} besides the backbone in which {where} differ", icon=":material/difference:"):
        st.markdown("\n".join(f"- {escape(confound.sentence)}" for confound in found))
