"""Charts: the backbones of a study side by side."""

import streamlit as st

from segcore.store import RunStore
from segcore.ui import charts_view
from segcore.ui.components import empty_state, errors_shown, heading, live, say_if_gone
from segcore.ui.state import Param, choose

heading("Charts", "Which backbone is best here, and is it sure?")

store = RunStore()
studies = store.studies()
say_if_gone(Param.STUDY, "Study", [study.name for study in studies])
if not studies:
    with empty_state(
        "Nothing to compare yet",
        "A study trains several backbones on one dataset, all in the same way. Launch one with the form on the left, "
        "or start with the demo: it takes about two minutes.",
        icon=":material/query_stats:",
    ):
        st.page_link("pages/overview.py", label="Go to the demo", icon=":material/play_circle:")
else:
    name = choose(Param.STUDY, "Study", [study.name for study in studies], help="The newest stands first.")
    study = next(study for study in studies if study.name == name)
    with errors_shown():
        charts_view.describe(study)
        live(charts_view.draw, store, study.name, active=lambda: charts_view.any_active(store, study))
