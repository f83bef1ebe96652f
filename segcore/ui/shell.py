"""What stands around every page: page settings, navigation, the sidebar.

Until `st.navigation` is called for the first time in the life of a server, Streamlit takes the scripts in `pages/`
for pages by themselves and runs the one that the URL names without `streamlit_app.py`: the first visitor
of a bookmarked page would get it without sidebar. `ensure`, which every page calls through its heading,
then draws the shell, with the page in it, from within.
"""

from __future__ import annotations

from contextvars import ContextVar

import streamlit as st
from PIL import Image

from segcore.ui import components, sidebar

_inside: ContextVar[bool] = ContextVar("inside the shell", default=False)


def run() -> None:
    """Draw the shell and the page that the URL names."""
    st.set_page_config(page_title="segcore", page_icon=_icon(), layout="wide")
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
    with st.sidebar, components.errors_shown():
        sidebar.draw(page.title)
    token = _inside.set(True)
    try:
        with components.errors_shown():
            page.run()
    finally:
        _inside.reset(token)


def _icon() -> Image.Image:
    """The app's mark: four fields of a map. Drawn here, as Streamlit would fetch a named icon from the network."""
    icon = Image.new("RGB", (32, 32), (11, 107, 120))
    for color, box in (
        ((102, 160, 60), (17, 0, 32, 14)),
        ((150, 92, 50), (0, 17, 14, 32)),
        ((220, 224, 226), (17, 17, 32, 32)),
    ):
        icon.paste(color, box)
    return icon


def ensure() -> None:
    """Return if the page is drawn in the shell; else draw the shell, with the page in it, and end this run."""
    if not _inside.get():
        run()
        st.stop()
