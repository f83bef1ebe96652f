"""One line on the Training page: whether its study is mirrored to a tracking server, and how far that is."""

from __future__ import annotations

import streamlit as st

from segcore.inherited import is_held
from segcore.launch import mirror
from segcore.runs import Study
from segcore.store import RunStore
from segcore.text import duration, plural
from segcore.tracking import record
from segcore.tracking.destination import Destination, destination, installed, missing
from segcore.tracking.record import Last, Standing
from segcore.tracking.sender import LONGEST_REST
from segcore.ui.components import ago, errors_shown, escape
from segcore.ui.state import Key


def draw(store: RunStore, study: Study) -> None:
    """Draw the line, with a button where something is left to send; nothing where no server is named."""
    where = destination()
    if where is None:
        return
    if not installed():
        st.caption(escape(missing()))
        return
    standing = record.standing(study, where)
    if not standing.sent and not standing.pending:
        return  # nothing has begun
    sending = is_held(store.workspace.mirror_lock)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(text(standing, where, record.last(store.workspace), sending=sending), width="content")
        if standing.pending and not (sending and standing.wanted):
            st.button(
                "Send now",
                key=Key.MIRROR_SEND,
                icon=":material/cloud_upload:",
                help="Sends in the background what the server lacks of this study, nothing twice.",
                on_click=_send,
                args=(store, study),
            )


def text(standing: Standing, where: Destination, last: Last | None, *, sending: bool) -> str:
    """Return the line: where to, how much is there, and what went wrong last if something is left."""
    runs = standing.sent + standing.pending
    said = f"MLflow at {escape(where.shown)}: {standing.sent} of {plural(runs, 'run')} sent"
    if not standing.pending:
        return f"{said}."
    if not standing.wanted:
        return f"{said}; this study is not mirrored by itself, as no server was named when it trained."
    said += f", {standing.pending} pending"
    if last is None or not last.error:
        return said + (", sending now." if sending else ".")
    again = f", tried again by itself within {duration(LONGEST_REST)}" if sending else ""
    return f"{said}{again}. Last attempt, {ago(last.time)}: {escape(last.error)}"


def _send(store: RunStore, study: Study) -> None:
    with errors_shown():
        mirror.start(store.workspace, study)
