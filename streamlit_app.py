"""The app. Start it with `streamlit run streamlit_app.py`."""

from segcore.ui import shell

shell.run()
