"""What concerns a whole study on the Training page: more seeds, more epochs, stopping, deleting, the trash."""

from __future__ import annotations

from functools import partial

import streamlit as st

from segcore.runs import Run, Study
from segcore.store import RunStore
from segcore.text import plural
from segcore.ui import more_seeds, train_longer
from segcore.ui.components import confirm, escape, size
from segcore.ui.queue_actions import stop
from segcore.ui.state import Key, Param, remember
from segcore.ui.training_runs import label
from segcore.ui.training_view import any_active


def manage(store: RunStore, study: Study, chosen: str | None) -> None:
    """Draw it outside of the live part, which would close a dialog."""
    runs = study.runs()
    more_seeds.draw(study)
    train_longer.draw(store, study, chosen)
    with st.expander("Stop or delete", icon=":material/delete:"), st.container(horizontal=True):
        if any_active(store, study) and st.button(
            "Stop all runs of this study", key=Key.STOP_STUDY, icon=":material/stop_circle:"
        ):
            # The last first: what waits must not start while the others are stopped.
            for run in reversed(runs):
                stop(store, run)
            st.rerun()
        shown = next((run for run in runs if run.name == chosen), None)
        if shown is not None and st.button(f"Delete {label(shown)}", key=Key.DELETE, icon=":material/delete:"):
            confirm(
                f"Delete {label(shown)} of study {study.name}?",
                "Its records, weights and pictures go to the trash, from where they can be taken back.",
                "Delete the run",
                partial(_delete_run, store, shown),
            )
        if st.button("Delete the whole study", key=Key.DELETE_STUDY, icon=":material/delete:"):
            confirm(
                f"Delete study {study.name} with {plural(len(runs), 'run')}?",
                "Everything in it goes to the trash, from where it can be taken back. If its test scores were opened, "
                "that stays known to studies with the same test images.",
                "Delete the study",
                partial(_delete_study, store, study),
            )


def _delete_run(store: RunStore, run: Run) -> None:
    store.remove_run(run)
    remember(Param.RUN, None)


def _delete_study(store: RunStore, study: Study) -> None:
    store.remove_study(study)
    remember(Param.RUN, None)
    remember(Param.STUDY, None)


def trash(store: RunStore) -> None:
    """Draw what is in the trash and the button that empties it."""
    entries, occupied = store.workspace.trash_size()
    if not entries:
        return
    amount = f"{plural(entries, 'entry', 'entries')}, {size(occupied)}"
    with st.expander(f"Trash: {amount}", icon=":material/delete_sweep:"):
        st.caption(f"To take something back, move it from {escape(store.workspace.trash)} to where it was.")
        if st.button("Empty the trash", key=Key.TRASH_EMPTY, icon=":material/delete_forever:"):
            confirm(
                f"Delete {amount} for good?",
                "What is in the trash cannot be taken back afterwards.",
                "Delete for good",
                store.workspace.empty_trash,
            )
