"""The architectures screen: what a backbone inside a decoder is made of and what that costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import streamlit as st

from segcore import figures
from segcore.errors import ModelError
from segcore.figures.network import network_figure
from segcore.models import catalog
from segcore.text import percent
from segcore.ui.components import errors_shown, escape, show_error
from segcore.ui.state import Key, Param, open_tab, remember, remembered
from segcore.ui.tables import csv_text

if TYPE_CHECKING:
    from segcore.models.description import NetworkDescription

SIZES = (64, 128, 224, 256, 384, 512, 768, 1024)
CLASSES = 12
"""Networks are described for this many classes; it changes nothing but the last, tiny layer."""


def choose_backbone(param: Param, key: Key, label: str, *, default: str | None, help: str) -> str | None:
    """Draw a select box of the catalog's backbones by family that also takes any timm name typed in."""
    names = list(catalog.BACKBONES)
    state, seen = st.session_state, f"seen.{param}"
    in_url = st.query_params.get(param)
    if key not in state:
        state[key] = remembered(param) or default
    elif in_url and in_url != state.get(seen):
        state[key] = in_url
    chosen = state[key]
    value = st.selectbox(
        label,
        names if chosen is None or chosen in names else [*names, chosen],
        key=key,
        index=None,
        format_func=backbone_label,
        placeholder="Choose one, or type a timm name",
        accept_new_options=True,
        help=help,
    )
    remember(param, value)
    state[seen] = value
    return value


def backbone_label(name: str) -> str:
    """Return "ResNet · ResNet-18" for a backbone of the catalog, else the name itself."""
    backbone = catalog.BACKBONES.get(name)
    if backbone is None:
        return name
    return f"{catalog.FAMILIES[backbone.family].title} · {backbone.title}"


def try_describe(name: str, decoder: str, image_size: int) -> NetworkDescription | None:
    """Return what `name` is made of, or show why it cannot be said and return None."""
    try:
        return _describe(name.strip(), decoder, image_size)
    except ModelError as error:
        show_error(error)
        return None


@st.cache_data(max_entries=64, show_spinner="Taking the network apart …")
def _describe(name: str, decoder: str, image_size: int) -> NetworkDescription:
    from segcore.models import summary  # imports torch

    return summary.describe(catalog.resolve(name, "none"), decoder=decoder, image_size=image_size, classes=CLASSES)


@dataclass(frozen=True)
class Chosen:
    """What the page is about: one network or two side by side; none where the choice cannot be built."""

    networks: tuple[NetworkDescription, ...]
    decoder: str
    image_size: int


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
            draw_network(found.encoder_name, found.title, found, place)
    draw_decoder(chosen.decoder)


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


def draw_network(name: str, title: str, found: NetworkDescription, place: int) -> None:
    """Draw one network: picture, stages, layers, and what its family is."""
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
    draw_family(name)


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


def draw_family(name: str) -> None:
    """Draw, in plain words, what the backbone's family is, with paper and licence of the weights."""
    backbone = catalog.find(name)
    if backbone is None:
        st.caption("This backbone is not in the catalog: see timm's documentation for its paper and its licence.")
        return
    family = catalog.FAMILIES[backbone.family]
    st.markdown(f"**What {escape(family.title)} is.** {escape(family.text)}")
    st.markdown(
        f"Paper: [{escape(family.paper)}]({family.url}) ({family.year}).  \n"
        f"Pretrained weights: `{backbone.encoder}`, licence {escape(backbone.license)}."
    )


def draw_decoder(name: str) -> None:
    """Draw, in plain words, what the decoder does and how it works with a backbone."""
    decoder = catalog.DECODERS[name]
    st.markdown(f"**What {escape(decoder.title)} is.** {escape(decoder.text)}")
    st.markdown(f"Paper: [{escape(decoder.paper)}]({decoder.url}).")


TABS: dict[str, Callable[[Chosen], None]] = {
    "Drawing": draw_drawing,
}
"""What each tab of the page draws."""
