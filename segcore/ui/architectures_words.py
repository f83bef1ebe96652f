"""The architectures screen in words: what the chosen backbones and decoder are, all others, and a primer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import streamlit as st

from segcore.models import catalog
from segcore.models.primer import NETWORKS, PRIMER
from segcore.models.words import (
    CLASSES,
    IMAGE_SIZE,
    REFERENCE,
    REFERENCES,
    Words,
    backbone_numbers,
    fill,
    network_numbers,
)
from segcore.store import RunStore
from segcore.text import plural
from segcore.ui.components import escape
from segcore.ui.state import Key

if TYPE_CHECKING:
    from segcore.models.catalog import Decoder, Family
    from segcore.models.description import NetworkDescription
    from segcore.ui.architectures_choice import Chosen

COLUMN = 430
"""Width of a text in pixels: a line that the eye does not lose, and two of them fit beside the sidebar."""
TAGS_SHOWN = PAPERS_SHOWN = 6


def draw(chosen: Chosen) -> None:
    """Draw what the chosen parts are, then all others to read about; the primer first, open while it may help."""
    _primer()
    families: dict[str, list[str]] = {}
    for network in chosen.networks:
        found = catalog.family(network.encoder_name)
        families.setdefault(found.name if found else "", []).append(network.encoder_name)
    for name, encoders in families.items():
        if name:
            _family(catalog.FAMILIES[name], list(dict.fromkeys(encoders)))
        else:
            for encoder in dict.fromkeys(encoders):
                _stranger(encoder)
    _decoder(catalog.DECODERS[chosen.decoder])
    _browse()
    st.caption(
        "Parameters of a backbone are those that a decoder uses, without the classifier. Multiply-adds and memory are "
        f"for one image of {IMAGE_SIZE} × {IMAGE_SIZE} pixels and {CLASSES} classes, whatever size is chosen above; "
        "memory is what training keeps of each image in single precision. All are read off the networks themselves."
    )


def _primer() -> None:
    """Draw the primer, unfolded as long as the workspace has no study."""
    with st.expander(
        "New to segmentation? Backbone, decoder and the rest in two minutes",
        icon=":material/school:",
        expanded=not RunStore().studies(),
    ):
        numbers = _primer_numbers()
        _in_columns([(title, fill(text, numbers)) for title, text in PRIMER])


def _family(family: Family, encoders: list[str]) -> None:
    """Draw what a family is, for those of its members that were chosen; none while browsing."""
    titles = " and ".join(escape(catalog.title(encoder)) for encoder in encoders)
    st.subheader(f"{escape(family.title)}, the family of {titles}" if titles else escape(family.title), anchor=False)
    _words(family.words, backbone_numbers())
    lines = [_paper(family)]
    members = [row for row in catalog.BACKBONES.values() if row.family == family.name]
    chosen = [found for encoder in encoders if (found := catalog.find(encoder.partition(".")[0])) is not None]
    for row in chosen or members:
        lines.append(f"Pretrained weights: `{row.encoder}`, licence {escape(row.license)}.")
    st.markdown("  \n".join(lines))


def _decoder(decoder: Decoder) -> None:
    """Draw what a decoder is."""
    st.subheader(f"{escape(decoder.title)}, the decoder", anchor=False)
    _words(decoder.words, decoder_numbers(decoder.name))
    st.markdown(_paper(decoder))


def _stranger(encoder: str) -> None:
    """Draw what is known of a backbone that is not in the catalog: what timm says of it."""
    from segcore.models.origin import origin  # imports timm

    found = origin(encoder)
    st.subheader(escape(encoder), anchor=False)
    year = f" ({found.year})" if found.year else ""
    st.markdown(
        f"This backbone is not in the catalog. timm keeps it in the module `{found.module}`; it belongs to the family "
        f"{escape(found.family)}{year}, of which there are {'these' if found.kin else 'no'} words of ours."
    )
    if found.kin is not None:
        _words(found.kin.words, backbone_numbers())
        st.markdown(_paper(found.kin))
    elif found.papers:
        count, shown = len(found.papers), found.papers[:PAPERS_SHOWN]
        which = "" if count == 1 else ", not all of them about this backbone"
        first = f"; the first {PAPERS_SHOWN}" if count > PAPERS_SHOWN else ""
        lines = "\n".join(f"- [{escape(title)}]({url})" for title, url in shown)
        st.markdown(f"The module names {plural(count, 'paper')}{which}{first}:\n\n{lines}")
    if found.weights:
        tags = ", ".join(
            f"`{tag}` ({escape(license or 'licence not stated')})" for tag, license in found.weights[:TAGS_SHOWN]
        )
        more = len(found.weights) - TAGS_SHOWN
        st.markdown(f"Pretrained weights by tag: {tags}{f' and {more} more' if more > 0 else ''}.")
    else:
        st.markdown("No pretrained weights are published for it: it can only be trained from scratch.")


def _browse() -> None:
    """Draw one family or decoder of all there are, chosen by name."""
    st.subheader("Read about the others", anchor=False)
    entries: dict[str, Family | Decoder] = {
        **{f"Backbone · {entry.title} ({entry.year})": entry for entry in catalog.FAMILIES.values()},
        **{f"Decoder · {entry.title} ({entry.year})": entry for entry in catalog.DECODERS.values()},
    }
    name = st.selectbox(
        "Family of backbones or decoder",
        list(entries),
        index=None,
        key=Key.NETWORK_READ,
        placeholder="Choose one to read about",
        persist_state="session",
    )
    if name is None:
        return
    entry = entries[name]
    if isinstance(entry, catalog.Family):
        _family(entry, [])
    else:
        _decoder(entry)


def _words(words: Words, numbers: Mapping[str, str]) -> None:
    """Draw the four answers."""
    _in_columns([(question, fill(text, numbers)) for question, text in words.asked()])


def _in_columns(texts: list[tuple[str, str]]) -> None:
    """Draw titled texts beside each other as far as there is room."""
    with st.container(horizontal=True, gap="medium"):
        for title, text in texts:
            with st.container(width=COLUMN, gap="xsmall"):
                st.markdown(f"**{escape(title)}**  \n{escape(text)}")


def _paper(entry: Family | Decoder) -> str:
    return f"Paper: [{escape(entry.paper)}]({entry.url}) ({entry.year})."


@st.cache_data(max_entries=64, show_spinner="Measuring the decoder …")
def decoder_numbers(name: str) -> dict[str, str]:
    """Return the numbers that the words about a decoder ask for, read off its reference network and the U-Net."""
    beside = _network(REFERENCE, "unet")
    own = _network(REFERENCES.get(name, REFERENCE), name)
    return {**network_numbers("own", own, beside), **network_numbers("unet", beside, beside)}


@st.cache_data(max_entries=1, show_spinner="Measuring networks …")
def _primer_numbers() -> dict[str, str]:
    beside = _network(REFERENCE, "unet")
    numbers = {"size": f"{IMAGE_SIZE} × {IMAGE_SIZE}"}
    for name in NETWORKS:
        numbers |= network_numbers(name, _network(name, "unet"), beside)
    return numbers


def _network(encoder: str, decoder: str) -> NetworkDescription:
    from segcore.models import summary  # imports torch

    return summary.describe(encoder, decoder=decoder, image_size=IMAGE_SIZE, classes=CLASSES)
