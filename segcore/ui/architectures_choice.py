"""Which networks the architectures screen is about: the choice of backbones, and their description."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

from segcore.errors import ModelError
from segcore.models import catalog
from segcore.ui.components import show_error
from segcore.ui.state import Key, Param, remember, remembered

if TYPE_CHECKING:
    from segcore.models.description import NetworkDescription

SIZES = (64, 128, 224, 256, 384, 512, 768, 1024)
CLASSES = 12
"""Networks are described for this many classes; it changes nothing but the last, tiny layer."""
SAME = "The same network as the first: other weights do not change what it is made of."
NONE_CHOSEN = "Choose a backbone above that works in this decoder at this size, to see what it is made of."


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
    names: tuple[str, ...]
    """What was asked for, one for each network; where it was typed so, with a tag of weights."""
    decoder: str
    image_size: int
