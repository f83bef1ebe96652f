"""What networks see: feature maps of any stage, what skip connections carry, and the evidence for a class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from segcore import figures
from segcore.data.classes import palette
from segcore.figures.featuremaps import evidence_image, heat_image
from segcore.models import catalog
from segcore.runs import Run
from segcore.ui import legend, predictions_answers, sees_choice
from segcore.ui.components import escape
from segcore.ui.sees_choice import Seer, Sight
from segcore.ui.state import Key, Param, choose

if TYPE_CHECKING:
    from segcore.inference.insight import Evidence, Look, Shown
    from segcore.ui.architectures_choice import Chosen

TRAINED, PRETRAINED = "A trained network", "Pretrained weights"
KEPT_CHANNELS = 32
"""So many of a stage's channels can be looked at."""
_PICTURE = 220
"""Width of a feature map on screen, in pixels."""


def draw(chosen: Chosen) -> None:
    """Draw what a network sees in an image."""
    through = st.segmented_control(
        "Look through",
        [TRAINED, PRETRAINED],
        default=TRAINED,
        required=True,
        key=Key.SEES_THROUGH,
        help="A network of one of your studies, or the backbone chosen above as it was published: trained on "
        "photographs of everyday things.",
    )
    sight = sees_choice.trained() if through == TRAINED else sees_choice.pretrained(chosen)
    if sight is None:
        return
    shown, seen = _seen(sight)
    seer = sight.seer
    _draw_answer(seer, shown, seen)
    stage = _choose_stage(seer)
    _draw_channels(seer, seen, stage)
    _draw_skips(seer, seen)
    if seer.run is not None:
        _draw_evidence(sight, seer.run, shown, seen, stage)


def _told_apart(sight: Sight) -> str:
    return f"{sight.seer.key}|{sight.source.key}"


@st.cache_resource(max_entries=6, show_spinner="The network looks at the image …", hash_funcs={Sight: _told_apart})
def _seen(sight: Sight) -> tuple[Shown, Look]:
    from segcore.inference.insight import look, show  # imports torch

    seer = sight.seer
    side = predictions_answers.ANSWER_SIDE if sight.geometry == "resize" else None
    shown = show(sight.source.read(side), seer.network.image_size, sight.geometry)
    with seer.lock:
        return shown, look(seer.model, seer.network, shown.pixels, top=KEPT_CHANNELS)


@st.cache_resource(max_entries=64, show_spinner="Tracing the evidence back …", hash_funcs={Sight: _told_apart})
def _evidence(sight: Sight, class_index: int, stage: int) -> Evidence:
    from segcore.inference.insight import class_evidence

    seer, (shown, _) = sight.seer, _seen(sight)
    with seer.lock:
        return class_evidence(seer.model, seer.network, shown.pixels, class_index, stage)


def _draw_answer(seer: Seer, shown: Shown, seen: Look) -> None:
    """Draw the image as the network is given it, and what it makes of it in the end."""
    size = seer.network.image_size
    pictures = [(f"The image as the network is given it: {size} × {size} pixels", shown.pixels)]
    classes = seer.run.config.dataset.trained_classes if seer.run is not None else ()
    if classes:
        colors = palette(classes)
        pictures.append(("What it answers", figures.colorize(seen.labels, colors)))
    for column, (caption, picture) in zip(st.columns(2), pictures, strict=False):
        column.image(picture, caption=caption, width="stretch", alt=caption)
    if classes:
        with st.expander("What the colours mean", icon=":material/palette:"):
            legend.draw(classes, seen.labels)
    if shown.cut:
        st.caption(
            "This network was trained on crops at native scale, and the image is larger than one: what you see here is "
            "its middle."
        )


def _choose_stage(seer: Seer) -> int:
    """Choose a stage by its title; those of the decoder only where it has learnt something."""
    stages = {
        seer.network.stage_title(index): index
        for index, stage in enumerate(seer.network.stages)
        if stage.kind == "encoder" or (stage.kind == "decoder" and seer.run is not None)
    }
    # Halfway down the encoder there is both something to see and something to recognise.
    halfway = min(stages, key=lambda title: abs(seer.network.stages[stages[title]].reduction - 8))
    # Titles alone: a browser goes on showing the label it has when another network's stage is called the same.
    title = choose(
        Param.STAGE,
        "Stage",
        list(stages),
        default=halfway,
        help="The stages of the drawing. Early ones answer to edges and colours, late ones to things.",
    )
    return stages[str(title)]


def _draw_channels(seer: Seer, seen: Look, stage: int) -> None:
    """Draw the most active channels of a stage."""
    maps, of = seen.stages[stage], seer.network.stages[stage]
    st.subheader(f"The most active channels of {seer.network.stage_title(stage)}", anchor=False)
    count = st.slider(
        "Channels shown",
        min_value=min(4, len(maps.channels) - 1),
        max_value=len(maps.channels),
        value=min(12, len(maps.channels)),
        key=Key.SEES_CHANNELS,
        help=f"The stage has {len(maps.activity):,}; up to {KEPT_CHANNELS} can be shown.",
    )
    st.caption(
        f"It hands on {of.channels:,} channels of {of.height} × {of.width}. Each picture is one: bright where its "
        "value is large. Most active means the largest absolute value on average over the image, which is the number "
        "below each picture. Every picture has a scale of its own."
    )
    _draw_gallery(
        [
            (f"channel {channel} · {maps.activity[channel]:.2g}", values)
            for channel, values in zip(maps.channels[:count], maps.maps, strict=False)
        ]
    )


def _draw_gallery(pictures: Sequence[tuple[str, np.ndarray]]) -> None:
    """Draw captioned maps in rows as long as the page is wide."""
    with st.container(horizontal=True):
        for caption, values in pictures:
            st.image(heat_image(values, _PICTURE), caption=caption, width=_PICTURE, alt=caption)


def _draw_skips(seer: Seer, seen: Look) -> None:
    """Draw what goes across from encoder to decoder, from fine to coarse."""
    network = seer.network
    carried: dict[int, list[str]] = {}
    for edge in sorted(network.edges, key=lambda edge: edge.source):
        if edge.skip:
            carried.setdefault(edge.source, []).append(network.stage_title(edge.target))
    st.subheader("What each skip connection carries", anchor=False)
    if not carried:
        decoder = catalog.DECODERS[network.decoder_name].title
        st.caption(f"{decoder} has none: its decoder reads the deepest stage alone.")
        return
    st.caption(
        "From fine to coarse: how strong the features are at each place, averaged over all channels. The decoder takes "
        "from here where edges run."
    )
    _draw_gallery(
        [
            (
                f"{network.stage_title(source)} → {', '.join(targets)} · {network.stages[source].channels:,} channels",
                seen.stages[source].strength,
            )
            for source, targets in carried.items()
        ]
    )


def _draw_evidence(sight: Sight, run: Run, shown: Shown, seen: Look, stage: int) -> None:
    """Draw where the evidence for a class lies."""
    classes = run.config.dataset.trained_classes
    pixels = np.bincount(seen.labels.ravel(), minlength=len(classes))
    order = sorted(range(len(classes)), key=lambda index: -int(pixels[index]))
    st.subheader("What speaks for a class", anchor=False)
    left, right = st.columns(2)
    with left:
        name = choose(
            Param.CLASS,
            "Class",
            [classes[index].name for index in order],
            help="Those that the network finds most in this image stand first.",
        )
        opacity = st.slider("Opacity of the evidence", 0, 100, 70, step=5, format="%d %%", key=Key.SEES_OPACITY)
    index = next(place for place, info in enumerate(classes) if info.name == name)
    evidence = _evidence(sight, index, stage)
    title = sight.seer.network.stage_title(stage)
    with left:
        where = "the pixels it takes for it" if pixels[index] else "all pixels, as it finds none of it here"
        st.caption(
            f"Bright where {title} holds what raises the score of {escape(name)} over {where}: Grad-CAM, the channels "
            "weighted by the gradient of that score (arXiv:2002.11434). It shows what the network goes by, which need "
            "not be what makes it right."
        )
        if evidence.strongest <= 0:
            st.info(f"Nothing in {title} speaks for {escape(name)} here.")
    with right:
        st.image(
            evidence_image(shown.pixels, evidence.heat, opacity / 100),
            caption=f"Evidence for {name} in {title}",
            width="stretch",
            alt=f"Heat map of the evidence for {name}",
        )
