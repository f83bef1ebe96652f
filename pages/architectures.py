"""Architectures: what one or two networks are made of, what they cost, what they see, and all there are."""

import streamlit as st

from segcore.models import catalog
from segcore.ui import architectures_choice as choice
from segcore.ui import components
from segcore.ui.architectures_view import draw_tabs
from segcore.ui.state import Key, Param, choose

components.heading("Architectures", "What is inside a backbone, and what does it cost?")

first_place, second_place = st.columns(2)
with first_place:
    first = choice.choose_backbone(
        Param.BACKBONE,
        Key.NETWORK_BACKBONE,
        "Backbone",
        default=next(iter(catalog.BACKBONES)),
        help="The part that turns an image into features. Choose one, or type the name of any timm model.",
    )
with second_place:
    second = choice.choose_backbone(
        Param.AGAINST,
        Key.NETWORK_AGAINST,
        "Compare with",
        default=None,
        help="A second backbone to stand beside the first. Leave it empty to look at one.",
    )
left, right = st.columns(2)
with left:
    decoder = choose(
        Param.DECODER,
        "Decoder",
        list(catalog.DECODERS),
        default="unet",
        format_func=lambda name: catalog.DECODERS[name].title,
        help="The part that turns the backbone's features into a mask.",
    )
with right:
    size = st.selectbox(
        "Image size in pixels",
        choice.SIZES,
        index=choice.SIZES.index(256),
        key=Key.NETWORK_SIZE,
        help="Side of the square image. The cost grows with its area; the number of parameters does not.",
        persist_state="session",
    )

names, networks = [], []
for name, place in ((first, first_place), (second, second_place)):
    if name:
        with place:
            found = choice.try_describe(name, decoder or "unet", size)
            if found is not None and found in networks:
                st.caption(choice.SAME)
            elif found is not None:
                names.append(name)
                networks.append(found)
draw_tabs(choice.Chosen(tuple(networks), tuple(names), decoder or "unet", size))
