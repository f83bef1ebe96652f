"""Charts: the backbones of a study side by side."""

import streamlit as st

from segcore.store import RunStore
from segcore.ui import charts_answer, charts_test, charts_view
from segcore.ui.components import empty_state, errors_shown, heading, live, say_if_gone
from segcore.ui.state import Param, choose, choose_several

heading("Charts", "Which backbone is best here, and is it sure?")

store = RunStore()
studies = store.studies()
names = [study.name for study in studies]
say_if_gone(Param.STUDY, "Study", names)
if not studies:
    with empty_state(
        "Nothing to compare yet",
        "A study trains several backbones on one dataset, all in the same way. Launch one with the form on the left, "
        "or start with the demo: it takes about two minutes.",
        icon=":material/query_stats:",
    ):
        st.page_link("pages/overview.py", label="Go to the demo", icon=":material/play_circle:")
else:
    left, right = st.columns(2)
    with left:
        name = choose(Param.STUDY, "Study", names, help="The newest stands first.")
    with right:
        others = choose_several(
            Param.WITH,
            "Compare with",
            [other for other in names if other != name],
            help="Other studies, shown together with this one. What they differ in besides their backbones is said.",
        )
    study = next(study for study in studies if study.name == name)
    shown = [study, *(other for other in studies if other.name in others)]
    with errors_shown():
        charts_view.describe(study)
        live(
            charts_view.draw,
            store,
            [one.name for one in shown],
            active=lambda: charts_view.any_active(store, shown),
        )
        charts_test.draw(store, study)
        charts_view.download_report(store, study)
    charts_answer.ask_for_seeds(study)
