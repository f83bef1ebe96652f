"""The drawing of the architectures screen: one network or two, coloured by a cost, a stage opened on a click."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, get_args

import streamlit as st

from segcore import figures
from segcore.figures.drawing import SHADES, Shade, draw_networks, stage_svg
from segcore.text import percent, scaled
from segcore.ui import network_drawing
from segcore.ui.architectures_choice import NONE_CHOSEN
from segcore.ui.components import escape, size
from segcore.ui.state import Key

if TYPE_CHECKING:
    from segcore.models.description import NetworkDescription
    from segcore.ui.architectures_choice import Chosen

Identity = tuple[str, str, int]
"""What tells a network from another: encoder, decoder, image size."""


def draw(chosen: Chosen) -> None:
    """Draw the chosen networks, and below them the stage that was clicked."""
    if not chosen.networks:
        st.info(NONE_CHOSEN)
        return
    shade: Shade = (
        st.segmented_control(
            "Colour by",
            get_args(Shade),
            format_func=lambda name: SHADES[name],
            default="macs",
            required=True,
            key=Key.NETWORK_SHADE,
            help="What the colours of the boxes show. Activation memory is what a training step keeps of each image "
            "for the backward pass; it decides how many images fit on a GPU.",
            persist_state="session",
        )
        or "macs"
    )
    for found in chosen.networks:
        st.markdown(totals(found))
    sheet = draw_networks(chosen.networks, shade)
    opened = _opened(chosen.networks)
    name = _file_name(*(part for found in chosen.networks for part in (found.encoder_name, found.decoder_name)))
    network_drawing.show(
        sheet.panels,
        legends=sheet.legends,
        whole=sheet.whole,
        file=f"{name}.png",
        key="architectures.drawing",
        opened=opened,
        on_stage=lambda network, stage: _toggle(chosen.networks, network, stage),
    )
    _download(sheet.whole, f"{name}.svg", "drawing")
    if opened is None:
        st.caption("Click a stage, or press Enter on it, to see the blocks that it is made of.")
    else:
        _draw_stage(chosen.networks[opened[0]], opened[1])
    if shade != "activations":
        _draw_parts(chosen.networks, shade)


def totals(found: NetworkDescription) -> str:
    """Return a line, in Markdown, about the whole of a network."""
    return (
        f"**{escape(found.title)}** at {found.image_size} × {found.image_size}: {scaled(found.parameters)} parameters, "
        f"{scaled(found.macs)} multiply-adds ({percent(found.decoder_share, 0)} in decoder and head), "
        f"{size(found.activations)} of activations"
    )


def _identity(found: NetworkDescription) -> Identity:
    return found.encoder_name, found.decoder_name, found.image_size


def _opened(networks: Sequence[NetworkDescription]) -> tuple[int, int] | None:
    """Which network's which stage is open; none any more once another network was chosen."""
    kept = st.session_state.get(Key.NETWORK_STAGE)
    identities = [_identity(found) for found in networks]
    if kept is None or kept[0] not in identities or kept[1] >= len(networks[identities.index(kept[0])].stages):
        st.session_state.pop(Key.NETWORK_STAGE, None)
        return None
    return identities.index(kept[0]), kept[1]


def _toggle(networks: Sequence[NetworkDescription], network: int, stage: int) -> None:
    """Open a stage, or close it if it is open."""
    if not (0 <= network < len(networks) and 0 <= stage < len(networks[network].stages)):
        return
    wanted = (_identity(networks[network]), stage)
    if st.session_state.get(Key.NETWORK_STAGE) == wanted:
        st.session_state.pop(Key.NETWORK_STAGE)
    else:
        st.session_state[Key.NETWORK_STAGE] = wanted


def _close() -> None:
    """Close the open stage."""
    st.session_state.pop(Key.NETWORK_STAGE, None)


def _draw_stage(found: NetworkDescription, index: int) -> None:
    """Draw one stage opened into its blocks."""
    name = _file_name(found.encoder_name, found.decoder_name, found.stage_title(index))
    with st.container(border=True):
        whole = stage_svg(found, index)
        network_drawing.show(
            [stage_svg(found, index, paper=False)],
            whole=whole,
            file=f"{name}.png",
            key="architectures.stage",
        )
        with st.container(horizontal=True):
            _download(whole, f"{name}.svg", "stage")
            st.button("Close", key=Key.NETWORK_STAGE_CLOSE, icon=":material/close:", on_click=_close)


def _download(svg: str, file: str, what: str) -> None:
    """Draw the button that takes a drawing away."""
    st.download_button(
        "Download as SVG",
        svg,
        file_name=file,
        mime="image/svg+xml",
        key=Key.NETWORK_SVG.of(what),
        icon=":material/download:",
        on_click="ignore",
    )


def _file_name(*parts: str) -> str:
    """Return a name that every file system takes."""
    return re.sub(r"[^a-z0-9_.]+", "-", "-".join(dict.fromkeys(parts)).lower()).strip("-.") or "network"


def _draw_parts(networks: Sequence[NetworkDescription], shade: Any) -> None:
    """Draw how the cost divides into encoder, decoder and head."""
    parts = {
        found.title: {part: getattr(getattr(found, part), shade) for part in ("encoder", "decoder", "head")}
        for found in networks
    }
    st.plotly_chart(
        figures.cost_bars(parts, shade),
        key=f"architectures.{shade}",
        config={"displayModeBar": False},
        alt=f"{SHADES[shade]} of encoder, decoder and head as stacked bars",
    )
