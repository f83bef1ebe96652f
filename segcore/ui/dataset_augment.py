"""What training shows a network of an image: prepared, cut and augmented as the recipe in the sidebar says."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import streamlit as st

from segcore import figures
from segcore.config import Recipe
from segcore.data.classes import palette
from segcore.data.dataset import Dataset
from segcore.data.prepared import decode, prepared_size
from segcore.ui import launch_recipe
from segcore.ui.components import escape
from segcore.ui.dataset_parts import parts
from segcore.ui.state import Key, Param, choose

DRAWS = 7
"""So many epochs are shown, beside the image as it is prepared."""
OPACITY = 0.45


def draw(dataset: Dataset) -> None:
    """Draw an image as a run is shown it in its first epochs, with the same mask changed in the same way.

    Raises:
        SegcoreError: the recipe in the sidebar does not hold, or the image's files are gone or were changed.
    """
    st.markdown(
        "Every epoch shows a network another version of each training image, changed together with its mask. Here is "
        "what the recipe in the sidebar makes of one image."
    )
    left, right = st.columns([3, 1])
    with left:
        name = choose(Param.IMAGE, "Image", list(parts(dataset).get("train", dataset.names)))
    assert name is not None
    recipe = _recipe(right)
    seed = st.session_state.setdefault(Key.AUGMENT_SEED, 0)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("Another seed", key=Key.AUGMENT_AGAIN, icon=":material/casino:", on_click=_again)
        masked = st.toggle("Mask over the image", True, key=Key.AUGMENT_MASK, persist_state="session")
    with st.spinner("Preparing the image …"):
        samples = _samples(str(dataset.path), dataset.fingerprint, name, recipe, seed)
    _told(recipe, seed)
    captions = [_first(recipe), *(f"epoch {epoch}" for epoch in range(1, len(samples)))]
    colors = palette(dataset.table.trained)
    _pictures([_picture(*sample, colors if masked else None) for sample in samples], captions, name)


def _recipe(place: st.delta_generator.DeltaGenerator) -> Recipe:
    """Return the sidebar's recipe at the size chosen here, which follows the sidebar's when that changes."""
    state, seen = st.session_state, "dataset.augment.seen"
    given = launch_recipe.recipe()
    if state.get(seen) != given.image_size or Key.AUGMENT_SIZE not in state:
        state[Key.AUGMENT_SIZE] = state[seen] = given.image_size
    low, high, step = launch_recipe.bounds("image_size")
    size = place.number_input(
        "Size (px)", low, high, step=step, key=Key.AUGMENT_SIZE, help=Recipe.help("image_size"), persist_state="session"
    )
    return Recipe(**{**given.to_json(), "image_size": int(size)})


def _again() -> None:
    st.session_state[Key.AUGMENT_SEED] += 1


def _told(recipe: Recipe, seed: int) -> None:
    """Say what is shown, and what the recipe leaves out."""
    what = (
        f"resized to {recipe.image_size} × {recipe.image_size} px"
        if recipe.geometry == "resize"
        else f"squares of {recipe.image_size} px cut out at its own scale, one of {recipe.crops_per_image} each epoch"
    )
    changed = (
        "and augmented. What a turn uncovers is black in the image and counts nowhere in the mask."
        if recipe.augmentation != "none"
        else "and not augmented, as the recipe says: every epoch shows the same."
        if recipe.geometry == "resize"
        else "and not augmented, as the recipe says."
    )
    st.caption(
        escape(f"The image is {what}, {changed} These are the very pictures that a run of seed {seed} is shown.")
    )


def _first(recipe: Recipe) -> str:
    return "prepared" if recipe.geometry == "resize" else "whole image"


@st.cache_data(max_entries=32, show_spinner=False)
def _samples(path: str, fingerprint: str, name: str, recipe: Recipe, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return an image with its labels as it is prepared, then as the first epochs of a run show it.

    `fingerprint` is the dataset's, so that nothing is kept of one that changed.
    """
    from segcore.data import augment  # takes seconds: albumentations imports torch where it is installed

    dataset = Dataset(path)
    assert dataset.fingerprint == fingerprint
    image, labels = decode(dataset, prepared_size(recipe), name)
    transform, index = augment.build_transform(recipe), dataset.names.index(name)
    crop = recipe.image_size if recipe.geometry == "crop" else None
    drawn = []
    for epoch in range(1, DRAWS + 1):
        parts = (seed, epoch, index) if crop is None else (seed, epoch, index, 0)
        drawn.append(augment.training_sample(transform, image, labels, parts, crop=crop))
    return [(image, labels), *drawn]


def _picture(image: np.ndarray, labels: np.ndarray, colors: np.ndarray | None) -> np.ndarray:
    return image if colors is None else figures.overlay(image, labels, colors, OPACITY)


def _pictures(shown: Sequence[np.ndarray], captions: Sequence[str], name: str) -> None:
    """Draw pictures in rows of four."""
    for start in range(0, len(shown), 4):
        for column, picture, caption in zip(
            st.columns(4), shown[start : start + 4], captions[start : start + 4], strict=False
        ):
            column.image(picture, caption=caption, width="stretch", alt=f"Image {name}, {caption}")
