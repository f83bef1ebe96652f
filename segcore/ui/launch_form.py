"""The launch form: what to compare, how to train it, how long that takes here.

Help texts and bounds come from the fields of the configurations. An error is shown beside the field it is
about, for as long as the form stays as it was when it arose.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import streamlit as st
from annotated_types import Ge, Gt, Le, MultipleOf

from segcore.config import RECIPES, Recipe, StudyConfig
from segcore.data.store import DatasetStore
from segcore.errors import ConfigError, SegcoreError
from segcore.launch import plan
from segcore.launch.estimate import estimate
from segcore.models import catalog
from segcore.runs import Run
from segcore.store import RunStore
from segcore.ui import readers
from segcore.ui.components import duration, errors_shown, escape, field_error, plural
from segcore.ui.state import Key, Param, remember, remembered
from segcore.workspace import Workspace

FIRST_CHOICE = ("resnet18", "efficientnet_b0")
"""Chosen when the form is first drawn: small, well known and of different families."""

PRETRAINED, SCRATCH = "Pretrained", "From scratch"

RECIPE_KEYS: dict[str, Key] = {
    "epochs": Key.LAUNCH_EPOCHS,
    "image_size": Key.LAUNCH_IMAGE_SIZE,
    "batch_size": Key.LAUNCH_BATCH_SIZE,
    "optimizer": Key.LAUNCH_OPTIMIZER,
    "learning_rate": Key.LAUNCH_LEARNING_RATE,
    "encoder_lr_factor": Key.LAUNCH_ENCODER_LR,
    "weight_decay": Key.LAUNCH_WEIGHT_DECAY,
    "schedule": Key.LAUNCH_SCHEDULE,
    "warmup": Key.LAUNCH_WARMUP,
    "loss": Key.LAUNCH_LOSS,
    "augmentation": Key.LAUNCH_AUGMENTATION,
}
"""Field of the recipe -> its widget."""

RECIPE_TITLES = {"default": "Default", "notebook": "As in the notebook"}


@dataclass(frozen=True)
class Failure:
    """An error of the form, and what the form held when it arose."""

    values: tuple[Any, ...]
    error: SegcoreError


def draw() -> list[Run]:
    """Draw the form; return the new runs when Launch was just pressed and went well, else none."""
    datasets = readers.dataset_names()
    _set_defaults(datasets)
    error = _current_error()
    if not datasets:
        st.caption("No dataset yet. The Overview makes one for you, the Dataset page takes your own.")
    st.selectbox(
        "Dataset",
        datasets,
        key=Key.LAUNCH_DATASET,
        help=StudyConfig.help("dataset"),
        disabled=not datasets,
        placeholder="none yet",
        on_change=_remember_dataset,
    )
    field_error(error, "dataset", "split")
    _backbones(error)
    st.selectbox(
        "Decoder",
        list(catalog.DECODERS),
        format_func=lambda name: catalog.DECODERS[name].title,
        key=Key.LAUNCH_DECODER,
        help=StudyConfig.help("decoder"),
    )
    field_error(error, "decoder")
    st.segmented_control(
        "Start from",
        [PRETRAINED, SCRATCH],
        key=Key.LAUNCH_WEIGHTS,
        help=WEIGHTS_HELP,
        required=True,
        width="stretch",
    )
    field_error(error, "weights")
    left, right = st.columns(2)
    with left:
        _number("epochs")
    with right:
        _number("image_size")
    field_error(error, "epochs", "image_size")
    st.number_input("Seeds", 1, 20, step=1, key=Key.LAUNCH_SEEDS, help=StudyConfig.help("seeds"))
    field_error(error, "seeds")
    st.text_input("Study name", key=Key.LAUNCH_NAME, max_chars=80, help=StudyConfig.help("name"))
    field_error(error, "name")
    _more_options(error)
    _estimate()
    pressed = st.button(
        "Launch",
        type="primary",
        icon=":material/rocket_launch:",
        width="stretch",
        key=Key.LAUNCH,
        disabled=not datasets,
    )
    if error is not None and (error.field is None or error.field.split(".")[0] not in _SHOWN_BESIDE):
        st.error(escape(error))
    return _launch() if pressed else []


WEIGHTS_HELP = (
    "Pretrained weights know edges, textures and shapes from ImageNet photographs and usually learn a small "
    "dataset better and faster. From scratch starts from random numbers and needs no download. Whether the "
    "weights are on this machine or can be fetched is found out when you press Launch."
)

_SHOWN_BESIDE = {"dataset", "split", "encoders", "decoder", "weights", "seeds", "name", "recipe", *RECIPE_KEYS}


def _set_defaults(datasets: list[str]) -> None:
    """Give every widget its value before it is first drawn, and the study a name that is still free."""
    state = st.session_state
    state.setdefault(Key.LAUNCH_DECODER, "unet")
    state.setdefault(Key.LAUNCH_WEIGHTS, PRETRAINED)
    state.setdefault(Key.LAUNCH_SEEDS, 1)
    if Key.LAUNCH_RECIPE not in state:
        state[Key.LAUNCH_RECIPE] = "default"
        _apply_recipe()
        _choose_backbones(FIRST_CHOICE)
    if state.get(Key.LAUNCH_DATASET) not in datasets:
        wanted = remembered(Param.DATASET)
        state[Key.LAUNCH_DATASET] = wanted if wanted in datasets else next(iter(datasets), None)
    suggested = readers.free_study_name(state[Key.LAUNCH_DATASET] or "study")
    if state.get(Key.LAUNCH_NAME, "") in ("", state.get(_SUGGESTED)):
        state[Key.LAUNCH_NAME] = suggested
        state[_SUGGESTED] = suggested


_SUGGESTED = "launch.suggested"


def _remember_dataset() -> None:
    remember(Param.DATASET, st.session_state[Key.LAUNCH_DATASET])


def _apply_recipe() -> None:
    """Fill the recipe's fields with those of the chosen recipe."""
    recipe = Recipe.named(st.session_state[Key.LAUNCH_RECIPE])
    for field, key in RECIPE_KEYS.items():
        st.session_state[key] = getattr(recipe, field)


# Backbones -------------------------------------------------------------------------------------------


def _families() -> dict[str, list[str]]:
    """Family -> its backbones in the catalog, small to large."""
    families: dict[str, list[str]] = {}
    for name, backbone in sorted(catalog.BACKBONES.items(), key=lambda item: item[1].parameters):
        families.setdefault(backbone.family, []).append(name)
    return {family: families[family] for family in catalog.FAMILIES if family in families}


def _choose_backbones(names: tuple[str, ...]) -> None:
    for family, members in _families().items():
        st.session_state[Key.LAUNCH_BACKBONES.of(family)] = [name for name in members if name in names]


def _chosen_backbones() -> tuple[str, ...]:
    """The pressed ones, family by family, then those typed."""
    state = st.session_state
    pressed = [name for family in _families() for name in state.get(Key.LAUNCH_BACKBONES.of(family)) or ()]
    typed = [name for name in re.split(r"[\s,;]+", state.get(Key.LAUNCH_OTHER) or "") if name]
    return tuple(dict.fromkeys([*pressed, *typed]))


def _backbones(error: SegcoreError | None) -> None:
    chosen = _chosen_backbones()
    st.markdown(":small[Backbones]", help=StudyConfig.help("encoders"))
    label = plural(len(chosen), "backbone") + " chosen" if chosen else "Choose backbones"
    with st.popover(label, icon=":material/account_tree:", width="stretch"):
        for family, members in _families().items():
            st.pills(
                catalog.FAMILIES[family].title,
                members,
                selection_mode="multi",
                format_func=_backbone_label,
                key=Key.LAUNCH_BACKBONES.of(family),
            )
    with st.container(horizontal=True, gap="small"):
        st.button(
            "The original six",
            key=Key.LAUNCH_ORIGINAL_SIX,
            on_click=_choose_backbones,
            args=(tuple(catalog.ORIGINAL_SIX),),
            help="The six backbones of the notebook this project grew out of: "
            + ", ".join(catalog.BACKBONES[name].title for name in catalog.ORIGINAL_SIX),
        )
        st.button("Clear", key=Key.LAUNCH_CLEAR, on_click=_choose_backbones, args=((),))
    if chosen:
        st.caption(escape(", ".join(_title(name) for name in chosen)))
    st.text_input(
        "Other backbones",
        key=Key.LAUNCH_OTHER,
        placeholder="timm names, e.g. resnet26",
        help="Any backbone of the timm library by its name, several with commas. Whether it fits into the "
        "decoder is checked when you press Launch.",
    )
    field_error(error, "encoders")


def _backbone_label(name: str) -> str:
    backbone = catalog.BACKBONES[name]
    return f"{backbone.title} · {backbone.parameters / 1e6:.0f} M"


def _title(name: str) -> str:
    backbone = catalog.find(name)
    return backbone.title if backbone else name


# The recipe ------------------------------------------------------------------------------------------


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


def _number(field: str) -> None:
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
    )


def _choice(field: str) -> None:
    options = list(Recipe.model_fields[field].annotation.__args__)  # type: ignore[union-attr]
    st.selectbox(
        FIELD_LABELS[field],
        options,
        format_func=lambda value: CHOICE_LABELS.get(value, value),
        key=RECIPE_KEYS[field],
        help=Recipe.help(field),
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
}


def _more_options(error: SegcoreError | None) -> None:
    folded = RECIPE_KEYS.keys() - {"epochs", "image_size"}
    wrong = error is not None and error.field is not None and error.field.split(".")[-1] in folded
    with st.expander("More options", expanded=wrong):
        st.selectbox(
            "Recipe",
            list(RECIPES),
            format_func=lambda name: RECIPE_TITLES.get(name, name),
            key=Key.LAUNCH_RECIPE,
            on_change=_apply_recipe,
            help="Fills in all settings of training at once: good defaults for a few hundred images, or those "
            "of the notebook this project grew out of, to repeat its comparison.",
        )
        field_error(error, "recipe")
        for field in RECIPE_KEYS:
            if field not in folded:
                continue
            if Recipe.model_fields[field].annotation in (int, float):
                _number(field)
            else:
                _choice(field)
            field_error(error, field)


# Estimate and launch ---------------------------------------------------------------------------------


def _recipe() -> Recipe:
    values = {field: st.session_state[key] for field, key in RECIPE_KEYS.items()}
    return Recipe.named(st.session_state[Key.LAUNCH_RECIPE], **values)


def study_config() -> StudyConfig:
    """Return what the form asks for.

    Raises:
        ConfigError: a field holds what its setting does not allow.
    """
    state = st.session_state
    encoders = _chosen_backbones()
    if not encoders:
        raise ConfigError("Choose at least one backbone to train.", field="encoders")
    if not state[Key.LAUNCH_DATASET]:
        raise ConfigError("There is no dataset yet. Add one on the Dataset page.", field="dataset")
    return StudyConfig(
        name=state[Key.LAUNCH_NAME].strip(),
        dataset=state[Key.LAUNCH_DATASET],
        encoders=encoders,
        weights="pretrained" if state[Key.LAUNCH_WEIGHTS] == PRETRAINED else "none",
        decoder=state[Key.LAUNCH_DECODER],
        seeds=tuple(range(state[Key.LAUNCH_SEEDS])),
        recipe=_recipe(),
    )


def _estimate() -> None:
    """Say how many runs this makes and how long they take here; silent while the form is not valid."""
    try:
        config = study_config()
    except ConfigError:
        return
    runs = len(config.encoders) * len(config.seeds)
    # A backbone that the catalog lacks could be costed only by building it: too slow for every keystroke.
    known = tuple(name for name in config.encoders if catalog.find(name))
    expected = None
    if known:
        with errors_shown():
            split = DatasetStore().get(config.dataset).split
            if split is not None:
                expected = estimate(config.model_copy(update={"encoders": known}), split, RunStore())
    if expected is None:
        st.markdown(f"{plural(runs, 'run')}, time not known yet")
        return
    without = ", ".join(name for name in config.encoders if name not in known)
    st.markdown(
        f"{plural(runs, 'run')}, about **{duration(expected.seconds)}**"
        + (f" without {escape(without)}" if without else "")
        + ("" if expected.measured else " (a rough guess)"),
        help=f"On this machine, one run after another: {expected.basis}.",
    )


def _values() -> tuple[Any, ...]:
    """All the form holds, to tell whether it changed."""
    keys = [key for key in Key if key.startswith("launch.") and key not in (Key.LAUNCH, Key.LAUNCH_ERROR)]
    values = [str(st.session_state.get(key)) for key in keys if key not in (Key.LAUNCH_ORIGINAL_SIX, Key.LAUNCH_CLEAR)]
    return (*values, *_chosen_backbones())


def _current_error() -> SegcoreError | None:
    failure: Failure | None = st.session_state.get(Key.LAUNCH_ERROR)
    return failure.error if failure is not None and failure.values == _values() else None


def _launch() -> list[Run]:
    """Launch what the form asks for; on an error keep it and draw the form again with it."""
    st.session_state.pop(Key.LAUNCH_ERROR, None)
    try:
        config = study_config()
        with st.spinner("Looking for the weights and queueing the runs …"):
            runs = plan.launch_study(config, Workspace())
        if not runs:
            raise ConfigError(
                f"Study {config.name} has all these runs already. Ask for more seeds or other backbones, or "
                "choose another name.",
                field="name",
            )
    except SegcoreError as error:
        st.session_state[Key.LAUNCH_ERROR] = Failure(_values(), error)
        st.rerun()
    return runs
