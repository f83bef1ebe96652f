"""How many runs train at once: a choice on the processor, one each on GPUs."""

from __future__ import annotations

import streamlit as st

from segcore.runqueue import QueueSettings, cores
from segcore.store import RunStore
from segcore.text import plural
from segcore.ui import readers
from segcore.ui.components import errors_shown
from segcore.ui.state import Key


def draw(store: RunStore, settings: QueueSettings) -> None:
    """Draw the choice, folded away, with what it means."""
    gpus = readers.gpu_count()
    if gpus:
        st.caption(f"One run trains on each GPU; this machine has {plural(gpus, 'GPU')}.")
        return
    most = cores()
    if most < 2:
        return
    # Another widget for each value: when a drawing is cut short, Streamlit forgets the widgets it had not come to,
    # and one with a fixed key then came back with 1, which reached the queue as if somebody had typed it.
    key = Key.QUEUE_SLOTS.of(str(settings.slots))
    with st.expander(f"Runs at the same time: {settings.slots}", icon=":material/splitscreen:"):
        st.number_input(
            "Runs at the same time",
            1,
            most,
            value=settings.slots,
            step=1,
            key=key,
            label_visibility="collapsed",
            on_change=_set_slots,
            args=(store, key),
        )
        st.caption(slots_text(settings.slots, most))


def _set_slots(store: RunStore, key: str) -> None:
    with errors_shown():
        store.set_queue(slots=int(st.session_state[key]))


def slots_text(slots: int, most: int) -> str:
    """Return what a number of slots means on this machine."""
    if slots == 1:
        now = "One run after another, each with the whole processor."
    else:
        now = f"Up to {slots} runs at once, each with {plural(most // slots, 'processor core')}."
    return (
        f"{now} More at once helps small networks on small images, which cannot keep all cores busy; a single run "
        "then takes longer, and the memory that the runs need adds up. It holds for runs that start from now on."
    )
