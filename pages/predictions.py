"""Predictions: image, truth and what trained networks see, side by side with one zoom for all."""

import streamlit as st

from segcore.data.store import DatasetStore
from segcore.store import RunStore
from segcore.ui import (
    components,
    predictions_choice,
    predictions_export,
    predictions_find,
    predictions_reevaluate,
    predictions_view,
)

components.heading("Predictions", "What does a trained network see in an image, and where is it wrong?")

store = RunStore()
runs = predictions_choice.choose_runs(store)
if not runs:
    with components.empty_state(
        "No trained network yet",
        "Predictions are made by the backbones of a study, from their first trained epoch on. Launch one in the "
        "sidebar, or start the demo on the Overview page.",
        icon=":material/layers:",
    ):
        if st.button("Go to Overview", type="primary", icon=":material/home:"):
            st.switch_page("pages/overview.py")
    st.stop()

predictions_find.draw(runs, DatasetStore(store.workspace))
with components.errors_shown():  # what is below needs no image
    scene = predictions_choice.choose_scene(runs[0], DatasetStore(store.workspace))
    if scene is not None:
        if scene.seen_in_training:
            st.badge("The network learnt from this very image: expect it to look better than it is", color="orange",
                     icon=":material/school:")  # fmt: skip
        predictions_view.draw(runs, scene)
predictions_reevaluate.draw(runs)
predictions_export.draw(runs)
