"""The architectures screen: what a backbone inside a decoder is made of and what that costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import streamlit as st

from segcore import figures
from segcore.figures.network import network_figure
from segcore.text import percent
from segcore.ui import architectures_catalog, architectures_tables, architectures_words
from segcore.ui.architectures_choice import Chosen as Chosen
from segcore.ui.components import errors_shown, escape
from segcore.ui.state import Key, open_tab
from segcore.ui.tables import csv_text

if TYPE_CHECKING:
    from segcore.models.description import NetworkDescription


def draw_tabs(chosen: Chosen) -> None:
    """Draw the open tab alone: what is not looked at costs nothing."""
    name, tab = open_tab(Key.NETWORK_TAB, list(TABS))
    with tab, errors_shown():
        TABS[name](chosen)


def draw_drawing(chosen: Chosen) -> None:
    """Draw costs and pictures of the chosen networks."""
    if not chosen.networks:
        st.info("Choose a backbone above to see what it is made of.")
        return
    draw_costs([(found.title, found) for found in chosen.networks])
    columns = st.columns(len(chosen.networks))
    for place, (column, found) in enumerate(zip(columns, chosen.networks, strict=True)):
        with column:
            draw_network(found.title, found, place)


QUANTITIES: tuple[Literal["parameters", "macs"], ...] = ("parameters", "macs")


def draw_costs(networks: Sequence[tuple[str, NetworkDescription]]) -> None:
    """Draw parameters and multiply-adds of all networks, split into encoder, decoder and head."""
    for quantity in QUANTITIES:
        parts = {
            title: {part: getattr(getattr(found, part), quantity) for part in ("encoder", "decoder", "head")}
            for title, found in networks
        }
        st.plotly_chart(
            figures.cost_bars(parts, quantity),
            key=f"architectures.{quantity}",
            config={"displayModeBar": False},
            alt=f"{quantity} of encoder, decoder and head as stacked bars",
        )


def draw_network(title: str, found: NetworkDescription, place: int) -> None:
    """Draw one network: picture, stages, layers."""
    st.subheader(escape(title), anchor=False)
    st.markdown(
        f"**{found.parameters / 1e6:,.2f} million** parameters, **{found.macs / 1e9:,.2f} billion** multiply-adds for "
        f"an image of {found.image_size} × {found.image_size} pixels; "
        f"{percent(found.decoder_share, 0)} of these in decoder and head."
    )
    st.plotly_chart(
        network_figure(found.stages),
        key=f"architectures.picture:{place}",
        config={"displayModeBar": False},
        alt=f"The stages of {title} as boxes: encoder going down on the left, decoder coming up on the right",
    )
    st.markdown("**Stages**, in the order an image passes through them")
    st.dataframe(
        [
            {
                "Stage": found.stage_title(place_in_order),
                "Size": f"{stage.height} × {stage.width}",
                "Channels": stage.channels,
                "Parameters": stage.parameters,
                "Multiply-adds": stage.macs / 1e6,
                "Built of": stage.built_of,
                "Module": stage.name,
            }
            for place_in_order, stage in enumerate(found.stages)
        ],
        hide_index=True,
        width="stretch",
        height="content",
        column_config={
            "Module": st.column_config.TextColumn(help="What timm or smp calls the piece in which the stage ends."),
            "Size": st.column_config.TextColumn(help="Height × width of what the stage hands on, in pixels."),
            "Channels": st.column_config.NumberColumn(help="How many maps of that size."),
            "Parameters": st.column_config.NumberColumn(format="localized", help="Numbers that training adjusts."),
            "Multiply-adds": st.column_config.NumberColumn(
                "Multiply-adds (M)", format="%.1f", help="Millions of multiplications with addition for one image."
            ),
        },
    )
    draw_layers(found, place)


def draw_layers(found: NetworkDescription, place: int) -> None:
    """Draw the folded list of all layers, with a search field and a download."""
    with st.expander(f"All {len(found.layers):,} layers", icon=":material/list:"):
        search = st.text_input(
            "Find layers by name, kind or part",
            key=Key.NETWORK_SEARCH.of(str(place)),
            placeholder="for example conv, layer3 or decoder",
        )
        wanted = search.strip().lower()
        layers = [layer for layer in found.layers if wanted in f"{layer.part} {layer.name} {layer.type}".lower()]
        rows = [
            {
                "Part": layer.part,
                "Layer": layer.name,
                "Kind": layer.type,
                "Output": " × ".join(map(str, layer.output_shape)),
                "Parameters": layer.parameters,
                "Multiply-adds": layer.macs,
            }
            for layer in layers
        ]
        st.caption(
            f"{len(layers):,} of {len(found.layers):,} layers, "
            f"{sum(layer.parameters for layer in layers):,} parameters. Output is channels × height × width."
        )
        st.dataframe(rows, hide_index=True, width="stretch", height=360)
        st.download_button(
            "Download as CSV",
            csv_text(rows),
            file_name=f"layers-{found.encoder_name}-{found.decoder_name}.csv",
            mime="text/csv",
            key=Key.NETWORK_CSV.of(str(place)),
            icon=":material/download:",
            on_click="ignore",
        )


TABS: dict[str, Callable[[Chosen], None]] = {
    "Drawing": draw_drawing,
    "Tables": architectures_tables.draw,
    "In words": architectures_words.draw,
    "Catalog": architectures_catalog.draw,
}
"""What each tab of the page draws."""
