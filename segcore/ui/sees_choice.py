"""Through what a visitor looks, and at which image: a trained run, or a backbone as it was published."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import streamlit as st

from segcore.data.store import DatasetStore
from segcore.errors import WeightsError
from segcore.models import catalog, weights
from segcore.runs import Run
from segcore.store import RunStore
from segcore.ui import predictions_answers, predictions_choice
from segcore.ui.architectures_choice import NONE_CHOSEN, try_describe
from segcore.ui.components import empty_state, escape, show_error
from segcore.ui.predictions_pictures import Source
from segcore.ui.state import Param, choose

if TYPE_CHECKING:
    from segcore.models.build import Segmenter
    from segcore.models.description import NetworkDescription
    from segcore.ui.architectures_choice import Chosen


@dataclass(frozen=True)
class Seer:
    """A network that looks at an image."""

    model: Segmenter
    lock: threading.Lock
    """To hold while it is used: all visitors share it."""
    network: NetworkDescription
    key: str
    """What it saw is kept under this."""
    run: Run | None
    """None for pretrained weights: their decoder has learnt nothing."""


@dataclass(frozen=True)
class Sight:
    """A network and the image that it looks at."""

    seer: Seer
    source: Source
    geometry: Literal["resize", "crop"]
    """How the network is given images, as in its recipe."""


def trained() -> Sight | None:
    """Let the visitor choose a run, and an image of its dataset or an own one; None until there are both."""
    store = RunStore()
    runs = predictions_choice.choose_runs(store, most=1)
    if not runs:
        with empty_state(
            "No trained network yet",
            "Launch a study in the sidebar or start the demo on the Overview page. Or look through pretrained weights "
            "of a backbone, above.",
            icon=":material/visibility:",
        ):
            st.page_link("pages/overview.py", label="Go to the demo", icon=":material/play_circle:")
        return None
    run = runs[0]
    st.caption("It has its own backbone, decoder and image size, whatever is chosen for the drawings above.")
    scene = predictions_choice.choose_scene(run, DatasetStore(store.workspace))
    recipe = run.config.recipe
    network = try_describe(run.config.encoder, run.config.decoder, recipe.image_size) if scene is not None else None
    if scene is None or network is None:
        return None
    predictor, lock = predictions_answers.loaded(run)
    key = f"{run.path}:{run.best_weights.stat().st_mtime_ns}"
    return Sight(Seer(predictor.model, lock, network, key, run), scene.source, recipe.geometry)


def pretrained(chosen: Chosen) -> Sight | None:
    """Take the chosen backbone with its published weights, where they are on this machine, and choose an image."""
    if not chosen.networks:
        st.info(NONE_CHOSEN)
        return None
    try:
        encoder = catalog.resolve(chosen.names[0], "pretrained")
        place = weights.locate(encoder, reachable=lambda: False)  # a look is no reason to download
    except WeightsError as error:
        show_error(error)
        return None
    st.caption(
        f"{escape(catalog.title(encoder))} with its published weights (`{encoder}`, {escape(place.detail)}). Its "
        "decoder has learnt nothing yet, so only the stages of the encoder are shown."
    )
    source = _choose_any_image()
    if source is None:
        return None
    model, lock = _load_pretrained(encoder, chosen.decoder, chosen.image_size)
    key = f"{encoder}:{chosen.decoder}:{chosen.image_size}"
    return Sight(Seer(model, lock, chosen.networks[0], key, None), source, "resize")


@st.cache_resource(max_entries=2, show_spinner="Loading the network …")
def _load_pretrained(encoder: str, decoder: str, image_size: int) -> tuple[Segmenter, threading.Lock]:
    from segcore.models.build import build  # imports torch

    return build(encoder, decoder=decoder, classes=2, image_size=image_size).eval(), threading.Lock()


def _choose_any_image() -> Source | None:
    """Choose an image of a dataset, but for the test images, which stay sealed; or hand one in."""
    datasets = {dataset.name: dataset for dataset in DatasetStore(RunStore().workspace).list()}
    if not datasets:
        scene = predictions_choice.uploaded()
        return scene.source if scene is not None else None
    left, right = st.columns(2)
    with left:
        name = choose(Param.DATASET, "Dataset", list(datasets))
    dataset = datasets[str(name)]
    sealed = set(dataset.split.test) if dataset.split else set()
    pairs = {pair.name: pair for pair in dataset.pairs if pair.name not in sealed}
    with right:
        image = choose(Param.IMAGE, "Image", sorted(pairs))
    return Source.of_file(pairs[image].image) if image is not None else None
