"""The app: page settings, navigation and the launch sidebar. Start it with `streamlit run streamlit_app.py`."""

import streamlit as st

from segcore.ui import components, sidebar

st.set_page_config(page_title="segcore", page_icon=":material/satellite_alt:", layout="wide")

page = st.navigation(
    [
        st.Page("pages/overview.py", title="Overview", icon=":material/home:", default=True),
        st.Page("pages/dataset.py", title="Dataset", icon=":material/photo_library:"),
        st.Page("pages/training.py", title="Training", icon=":material/model_training:"),
        st.Page("pages/charts.py", title="Charts", icon=":material/query_stats:"),
        st.Page("pages/architectures.py", title="Architectures", icon=":material/account_tree:"),
        st.Page("pages/predictions.py", title="Predictions", icon=":material/layers:"),
    ],
    expanded=True,
)
with st.sidebar:
    sidebar.draw(page.title)
with components.errors_shown():
    page.run()
