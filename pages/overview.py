"""Overview: what this is, three steps, the demo, and a glance at the studies there are."""

import streamlit as st

from segcore.store import RunStore
from segcore.ui import overview_view
from segcore.ui.components import errors_shown, heading, live
from segcore.ui.readers import active_studies

heading(
    "Which backbone should segment your aerial images?",
    "Segmentation gives every pixel of an image a class: roof, road, tree. The network that does it consists of a "
    "**backbone**, which sees, and a **decoder**, which draws. There are hundreds of backbones; which one is best for "
    "your images and your machine, and how sure can you be? Train several under equal conditions and compare.",
)

overview_view.steps()
overview_view.demo()

store = RunStore()
st.subheader("Studies", anchor=False)
with errors_shown():
    live(overview_view.studies, store, active=active_studies)
