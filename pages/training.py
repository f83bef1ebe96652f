"""Training: every run of a study as it goes, live."""

import streamlit as st

from segcore.store import RunStore
from segcore.ui import training_manage, training_runs, training_view
from segcore.ui.components import empty_state, errors_shown, heading, live, say_if_gone
from segcore.ui.state import Param, choose

heading("Training", "Is it learning, how far is it, and when will it be done?")

store = RunStore()
studies = store.studies()
say_if_gone(Param.STUDY, "Study", [study.name for study in studies])
if not studies:
    with empty_state(
        "Nothing was launched yet",
        "A study trains several backbones on one dataset. "
        "Launch one with the form on the left, or start with the demo.",
        icon=":material/model_training:",
    ):
        st.page_link("pages/overview.py", label="Go to the demo", icon=":material/play_circle:")
else:
    left, right = st.columns([2, 3])
    with left:
        name = choose(Param.STUDY, "Study", [study.name for study in studies], help="The newest stands first.")
    study = next(study for study in studies if study.name == name)
    with errors_shown():
        runs = study.runs()
        with right:
            chosen = choose(
                Param.RUN,
                "Run",
                [run.name for run in runs],
                default=training_view.most_interesting(store, runs),
                format_func=training_runs.labels(runs).__getitem__,
                help="One backbone with one seed.",
            )
        live(training_view.draw, store, study.name, chosen, active=lambda: training_view.any_active(store, study))
        training_manage.manage(store, study, chosen)

training_manage.trash(store)
