"""Folds, racing and the recipe in the launch form; help texts and bounds come from the fields of the configurations."""

from __future__ import annotations

from typing import Any

import streamlit as st
from annotated_types import Ge, Gt, Le, MultipleOf

from segcore.config import RECIPES, Recipe, StudyConfig
from segcore.errors import SegcoreError
from segcore.evaluation import racing
from segcore.ui import launch_where
from segcore.ui.components import field_error
from segcore.ui.state import Key

RECIPE_KEYS: dict[str, Key] = {
    "epochs": Key.LAUNCH_EPOCHS,
    "image_size": Key.LAUNCH_IMAGE_SIZE,
    "geometry": Key.LAUNCH_GEOMETRY,
    "crops_per_image": Key.LAUNCH_CROPS,
    "batch_size": Key.LAUNCH_BATCH_SIZE,
    "optimizer": Key.LAUNCH_OPTIMIZER,
    "learning_rate": Key.LAUNCH_LEARNING_RATE,
    "encoder_lr_factor": Key.LAUNCH_ENCODER_LR,
    "weight_decay": Key.LAUNCH_WEIGHT_DECAY,
    "schedule": Key.LAUNCH_SCHEDULE,
    "warmup": Key.LAUNCH_WARMUP,
    "loss": Key.LAUNCH_LOSS,
    "augmentation": Key.LAUNCH_AUGMENTATION,
    "precision": Key.LAUNCH_PRECISION,
    "memory_format": Key.LAUNCH_MEMORY_FORMAT,
    "gpus_per_run": Key.LAUNCH_GPUS,
}
"""Field of the recipe -> its widget."""

RECIPE_TITLES = {"default": "Default", "notebook": "As in the notebook"}


def apply() -> None:
    """Fill the recipe's fields with those of the chosen recipe."""
    recipe = Recipe.named(st.session_state[Key.LAUNCH_RECIPE])
    for field, key in RECIPE_KEYS.items():
        st.session_state[key] = getattr(recipe, field)


def fill_gaps() -> None:
    """Fill the fields that have no value: at the start, and after a drawing that was cut short before them."""
    recipe = Recipe.named(st.session_state[Key.LAUNCH_RECIPE])
    for field, key in RECIPE_KEYS.items():
        st.session_state.setdefault(key, getattr(recipe, field))


def recipe() -> Recipe:
    """Return the recipe that the form holds.

    Raises:
        ConfigError: a value that its setting does not allow.
    """
    values = {field: st.session_state[key] for field, key in RECIPE_KEYS.items()}
    return Recipe.named(st.session_state[Key.LAUNCH_RECIPE], **values)


def bounds(field: str) -> tuple[Any, Any, Any]:
    """Return (lowest, highest, step) of a number in the recipe, as its field says; None where it does not.

    A bound that is itself not allowed ("greater than 0") is moved a little inside.
    """
    low = high = step = None
    for rule in Recipe.model_fields[field].metadata:
        if isinstance(rule, Ge):
            low = rule.ge
        elif isinstance(rule, Gt):
            low = rule.gt + 1e-6  # type: ignore[operator]
        elif isinstance(rule, Le):
            high = rule.le
        elif isinstance(rule, MultipleOf):
            step = rule.multiple_of
    return low, high, step


def number(field: str) -> None:
    """Draw the widget of a number in the recipe."""
    low, high, step = bounds(field)
    whole = Recipe.model_fields[field].annotation is int
    kind = int if whole else float
    st.number_input(
        FIELD_LABELS[field],
        min_value=kind(low),
        max_value=kind(high),
        step=kind(step) if step else (1 if whole else None),
        format=None if whole else "%g",
        key=RECIPE_KEYS[field],
        help=Recipe.help(field),
        persist_state="session",
    )


def _choice(field: str) -> None:
    options = list(Recipe.model_fields[field].annotation.__args__)  # type: ignore[union-attr]
    st.selectbox(
        FIELD_LABELS[field],
        options,
        format_func=lambda value: CHOICE_LABELS.get(value, value),
        key=RECIPE_KEYS[field],
        help=Recipe.help(field),
        persist_state="session",
    )


FIELD_LABELS = {
    "epochs": "Epochs",
    "image_size": "Image size (px)",
    "batch_size": "Batch size",
    "optimizer": "Optimiser",
    "learning_rate": "Learning rate",
    "encoder_lr_factor": "Learning rate of a pretrained backbone (share)",
    "weight_decay": "Weight decay",
    "schedule": "Schedule",
    "warmup": "Warm-up (share)",
    "loss": "Loss",
    "augmentation": "Augmentation",
    "geometry": "What the network sees",
    "crops_per_image": "Crops per image",
    "precision": "Precision",
    "memory_format": "Memory order",
    "gpus_per_run": "GPUs per run",
}

CHOICE_LABELS = {
    "adamw": "AdamW",
    "adam": "Adam",
    "cosine": "Cosine",
    "constant": "Constant",
    "ce+dice": "Cross-entropy + Dice",
    "ce": "Cross-entropy",
    "standard": "Standard",
    "none": "None",
    "resize": "Whole images, resized",
    "crop": "Random crops, not resized",
    "auto": "Fastest (measured)",
    "fp32": "32 bits (fp32)",
    "bf16": "16 bits (bf16)",
    "fp16": "16 bits (fp16)",
    "contiguous": "Channel by channel",
    "channels_last": "Pixel by pixel",
}


MOST_FOLDS = 10
"""Beyond these nobody goes on screen; the command line takes more."""


def _folds(error: SegcoreError | None) -> None:
    """Draw the number of folds, and what it costs."""
    folds = st.selectbox(
        "Folds",
        [0, *range(2, MOST_FOLDS + 1)],
        format_func=lambda k: f"{k} folds" if k else "None: the dataset's own split",
        key=Key.LAUNCH_FOLDS,
        help=StudyConfig.help("folds"),
        persist_state="session",
    )
    k = str(folds) if folds else "k"
    st.caption(f"{k} folds cost {k} times the training; every image but the test images is judged once.")
    field_error(error, "folds")


def _racing(error: SegcoreError | None) -> None:
    """Draw whether the backbones race, and what that means."""
    st.checkbox("Race", key=Key.LAUNCH_RACING, help=StudyConfig.help("racing"), persist_state="session")
    shares = " and ".join(f"{share:.0%}".replace("%", " %") for share in racing.SHARES)
    st.caption(
        f"All runs wait for one another at {shares} of the epochs; backbones that are clearly behind there stop. "
        f"Takes {racing.LEAST_SEEDS} seeds and {racing.SHORTEST} epochs at least."
    )
    field_error(error, "racing")


def more_options(error: SegcoreError | None) -> None:
    """Draw, folded away, folds, racing, the choice of recipe and all settings but epochs and image size."""
    folded = RECIPE_KEYS.keys() - {"epochs", "image_size"}
    inside = {"folds", "racing", "recipe", *folded}
    wrong = error is not None and error.field is not None and error.field.split(".")[-1] in inside
    with st.expander("More options", expanded=wrong):
        _folds(error)
        _racing(error)
        st.selectbox(
            "Recipe",
            list(RECIPES),
            format_func=lambda name: RECIPE_TITLES.get(name, name),
            key=Key.LAUNCH_RECIPE,
            on_change=apply,
            persist_state="session",
            help="Fills in all settings of training at once: good defaults for a few hundred images, or those "
            "of the notebook this project grew out of, to repeat its comparison.",
        )
        field_error(error, "recipe")
        crops = st.session_state[Key.LAUNCH_GEOMETRY] == "crop"
        for field in RECIPE_KEYS:
            if field not in folded or (field == "crops_per_image" and not crops):
                continue
            if field == "gpus_per_run" and not launch_where.known() and st.session_state[Key.LAUNCH_GPUS] == 1:
                continue  # only a cluster has a choice
            if Recipe.model_fields[field].annotation in (int, float):
                number(field)
            else:
                _choice(field)
            field_error(error, field)
        launch_where.hint()
