"""The part of the catalog tab that fills it: what is not probed yet, how far the probing is, starting and ending it."""

from __future__ import annotations

import streamlit as st

from segcore.launch import probing
from segcore.launch.probing import Probing
from segcore.models import catalog
from segcore.models.atlas import Atlas, Contents
from segcore.text import duration
from segcore.ui.components import empty_state, errors_shown, escape, live
from segcore.ui.state import Key
from segcore.workspace import Workspace

ABOUT_MINUTES = (10, 30)
"""What all of timm takes: 27 minutes were measured in U-Net at 256 px behind other work that kept all cores busy, and
half a second an architecture without it."""


def draw(atlas: Atlas, contents: Contents) -> None:
    """Draw how far the probing is, or what is missing and the button that mends it; nothing once all is known."""
    found = probing.desk(atlas.workspace).read(Probing)
    if found is not None and found.state == "running":
        live(draw_progress, atlas.workspace, active=lambda: probing.desk(atlas.workspace).running())
        if (found.decoder, found.image_size) != (atlas.decoder, atlas.image_size) and not contents.complete:
            st.caption(f"{_where(atlas.decoder, atlas.image_size)} can be probed once that is done.")
    elif not contents.entries:
        with empty_state(
            f"Nothing is probed yet for {_where(atlas.decoder, atlas.image_size)}",
            "Every architecture of timm is built in this decoder and sent one image, as shapes without values: no "
            f"weights, no download. That takes {how_long(atlas)} on one core, in the background and behind everything "
            "else; what is found is kept, and can be looked at meanwhile.",
            icon=":material/travel_explore:",
        ):
            _offer(atlas, "Probe all architectures")
    elif not contents.complete:
        _draw_left(atlas, contents, found)


def _draw_left(atlas: Atlas, contents: Contents, found: Probing | None) -> None:
    """Say why the probing ended early, and offer to go on."""
    mine = found is not None and (found.decoder, found.image_size) == (atlas.decoder, atlas.image_size)
    ended = {"interrupted": "Its process died.", "cancelled": "It was cancelled."}
    why = (found.message or ended.get(found.state, "")) if found is not None and mine else ""
    left = f"{contents.total - len(contents.entries):,} architectures are" if contents.total else "The others are"
    text = f"**{left} not probed yet.** {escape(why)}"
    st.warning(text.strip(), icon=":material/hourglass_top:")
    _offer(atlas, "Go on where it stopped")


def _offer(atlas: Atlas, label: str) -> None:
    if st.button(label, key=Key.CATALOG_PROBE, type="primary", icon=":material/play_arrow:"):
        with errors_shown():
            probing.start(atlas)
            st.rerun()


def draw_progress(workspace: Workspace) -> None:
    """Draw how far the probing is; the part that is drawn again and again."""
    found = probing.desk(workspace).read(Probing)
    if found is None or found.state != "running":
        return
    where = _where(found.decoder, found.image_size)
    if not found.total:
        st.progress(0.0, text=f"Probing architectures in {where} · loading the libraries")
    else:
        left = f" · about {duration(found.seconds_left)} left" if found.seconds_left is not None else ""
        at = f" · {escape(found.architecture)}" if found.architecture else ""
        st.progress(found.share, text=f"Probing architectures in {where} · {found.done:,} of {found.total:,}{at}{left}")
    if probing.desk(workspace).asked_to_stop():
        st.caption("It ends in a moment; what was found stays.")
        return
    with st.container(horizontal=True):
        st.button("Cancel", key=Key.CATALOG_CANCEL, icon=":material/close:", on_click=_stop, args=(workspace,))
        if st.button("Show what was found so far", key=Key.CATALOG_REFRESH, icon=":material/refresh:"):
            st.rerun()


def _stop(workspace: Workspace) -> None:
    with errors_shown():
        probing.desk(workspace).ask_to_stop()


def how_long(atlas: Atlas) -> str:
    """Return how long probing all takes: as long as it took here in another decoder or size, else a range."""
    took = [sum(entry.seconds for entry in known.entries.values()) for known in atlas.siblings() if known.complete]
    if took:
        return f"about {duration(sum(took) / len(took))}"
    low, high = ABOUT_MINUTES
    return f"{low} to {high} minutes"


def _where(decoder: str, image_size: int) -> str:
    return f"{catalog.DECODERS[decoder].title} at {image_size} px"
