"""Where the runs of the launch form train: this machine, or the cluster that is known; and what is free there.

Ray is never imported here: the scheduler asks the cluster while it has runs there, else a process of its own does.
"""

from __future__ import annotations

import time
from pathlib import Path

import streamlit as st

from segcore.errors import SegcoreError
from segcore.launch import cluster
from segcore.launch.cluster import News
from segcore.status import Where
from segcore.store import RunStore
from segcore.ui.components import IDLE_SECONDS, escape, field_error, live
from segcore.ui.state import Key
from segcore.workspace import Workspace

NAMES = {Where.HERE: "This machine", Where.CLUSTER: "Cluster"}
ASK_SECONDS = 60.0
"""How often an open page has the cluster asked while nobody else does: Ray takes some seconds to import."""
HELP = (
    "On the cluster each run is a job: Ray finds a node for it, and starts it again elsewhere if the node is lost. The "
    "nodes must see this workspace and the images under the same paths; that is tried before anything is queued."
)
HOW_TO_NAME_ONE = "To train on a Ray cluster, start the app with RAY_ADDRESS set to the address of its head, such as http://head:8265."


def known() -> str:
    """Return the address of the cluster that runs could be launched onto; "" where none is known."""
    return cluster.address() or RunStore().queue_settings().cluster


def chosen() -> Where:
    """Return where the form says that its runs train."""
    wanted = st.session_state.get(Key.LAUNCH_WHERE) == NAMES[Where.CLUSTER]
    return Where.CLUSTER if wanted and known() and cluster.missing() is None else Where.HERE


def news() -> News | None:
    """Return what the cluster that is known last said; None where it was never asked."""
    found = cluster.news(Workspace())
    return found if found is not None and found.address == known() else None


def draw(error: SegcoreError | None) -> None:
    """Draw the choice, where there is one, and what the cluster says if it is chosen."""
    if not known():
        return
    missing = cluster.missing()
    key = Key.LAUNCH_WHERE
    st.session_state.setdefault(key, NAMES[Where.HERE])
    if missing is not None:
        st.session_state[key] = NAMES[Where.HERE]
    st.segmented_control(
        "Where",
        list(NAMES.values()),
        key=key,
        help=HELP,
        required=True,
        width="stretch",
        disabled=missing is not None,
        persist_state="session",
    )
    if missing is not None:
        st.caption(escape(missing))
    elif chosen() is Where.CLUSTER:
        # The first answer draws the whole form anew, as what it says of the runs depends on the nodes.
        live(_news, active=lambda: news() is None, idle_seconds=IDLE_SECONDS)
    field_error(error, "where")


def hint() -> None:
    """Say how to name a cluster, where none is known."""
    if not known():
        missing = cluster.missing()
        st.caption(escape(HOW_TO_NAME_ONE + (f" {missing}" if missing else "")))


def _news() -> None:
    """Say what is free, or that the cluster does not answer; the body of a fragment that repeats itself."""
    where, found = known(), news()
    if found is None or time.time() - found.asked > ASK_SECONDS:
        _ask(str(Workspace().root))
    if found is None:
        st.caption(f":material/hourglass_top: Asking {escape(where)} what is free …")
    elif found.answers:
        st.caption(f":material/dns: {escape(found.text)}", help=escape(found.address))
    else:
        why = f"  \n:small[{escape(found.problem)}]" if found.problem else ""
        st.warning(f"{escape(found.text)} Runs on this machine go on.{why}", icon=":material/cloud_off:")


@st.cache_data(ttl=ASK_SECONDS, max_entries=4, show_spinner=False)
def _ask(root: str) -> None:
    """Have the cluster asked, once for all who look."""
    cluster.ask(Workspace(Path(root)))
