"""The launch form: what to compare, how to train it, where, and how long that takes here.

Help texts and bounds come from the fields of the configurations. An error is shown beside the field it is
about, for as long as the form stays as it was when it arose.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import streamlit as st

from segcore.config import StudyConfig
from segcore.errors import ConfigError, SegcoreError
from segcore.launch import plan
from segcore.models import catalog
from segcore.progress import Progress, once_needed
from segcore.runs import Run
from segcore.status import Where
from segcore.ui import launch_backbones, launch_expected, launch_recipe, launch_where, readers
from segcore.ui.components import escape, field_error, progress_bar
from segcore.ui.state import Key, Param, remember, upcoming
from segcore.workspace import Workspace

PRETRAINED, SCRATCH = "Pretrained", "From scratch"


@dataclass(frozen=True)
class Failure:
    """An error of the form, and what the form held when it arose."""

    values: tuple[Any, ...]
    error: SegcoreError


def draw() -> list[Run]:
    """Draw the form; return the new runs when Launch was just pressed and went well, else none.

    Every widget persists: a change of page can cut short the drawing of the one before, and Streamlit then forgets
    the widgets it had not come to.
    """
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
        persist_state="session",
    )
    field_error(error, "dataset", "split")
    launch_backbones.draw(error)
    st.selectbox(
        "Decoder",
        list(catalog.DECODERS),
        format_func=lambda name: catalog.DECODERS[name].title,
        key=Key.LAUNCH_DECODER,
        help=StudyConfig.help("decoder"),
        persist_state="session",
    )
    field_error(error, "decoder")
    st.segmented_control(
        "Start from",
        [PRETRAINED, SCRATCH],
        key=Key.LAUNCH_WEIGHTS,
        help=WEIGHTS_HELP,
        required=True,
        width="stretch",
        persist_state="session",
    )
    field_error(error, "weights")
    left, right = st.columns(2)
    with left:
        launch_recipe.number("epochs")
    with right:
        launch_recipe.number("image_size")
    field_error(error, "epochs", "image_size")
    st.number_input(
        "Seeds", 1, 20, step=1, key=Key.LAUNCH_SEEDS, help=StudyConfig.help("seeds"), persist_state="session"
    )
    field_error(error, "seeds")
    st.text_input(
        "Study name", key=Key.LAUNCH_NAME, max_chars=80, help=StudyConfig.help("name"), persist_state="session"
    )
    field_error(error, "name")
    launch_recipe.more_options(error)
    launch_where.draw(error)
    _expected(error)
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

LAUNCHING = {
    Where.HERE: "Looking for the weights and queueing the runs …",
    Where.CLUSTER: "Asking the nodes of the cluster whether they can train; the first time that takes up to a minute …",
}

_SHOWN_BESIDE = {
    "dataset",
    "split",
    "encoders",
    "decoder",
    "weights",
    "seeds",
    "folds",
    "racing",
    "name",
    "recipe",
    "where",
    *launch_recipe.RECIPE_KEYS,
}


def _set_defaults(datasets: list[str]) -> None:
    """Give every widget its value before it is first drawn, and the study a name that is still free."""
    state = st.session_state
    state.setdefault(Key.LAUNCH_DECODER, "unet")
    state.setdefault(Key.LAUNCH_WEIGHTS, PRETRAINED)
    state.setdefault(Key.LAUNCH_SEEDS, 1)
    state.setdefault(Key.LAUNCH_FOLDS, 0)
    state.setdefault(Key.LAUNCH_RACING, False)
    state.setdefault(Key.LAUNCH_RECIPE, "default")
    launch_recipe.fill_gaps()
    launch_backbones.begin()
    wanted = upcoming(Param.DATASET)
    if wanted in datasets and wanted != state.get(_FOLLOWED):
        # Added or chosen on the Dataset page; or in this form, which remembers its choice there.
        state[Key.LAUNCH_DATASET] = state[_FOLLOWED] = wanted
    elif state.get(Key.LAUNCH_DATASET) not in datasets:
        state[Key.LAUNCH_DATASET] = next(iter(datasets), None)
    suggested = readers.free_study_name(state[Key.LAUNCH_DATASET] or "study")
    if state.get(Key.LAUNCH_NAME, "") in ("", state.get(_SUGGESTED)):
        state[Key.LAUNCH_NAME] = suggested
        state[_SUGGESTED] = suggested


_SUGGESTED = "launch.suggested"
_FOLLOWED = "launch.followed"


def _remember_dataset() -> None:
    remember(Param.DATASET, st.session_state[Key.LAUNCH_DATASET])


# Launch ----------------------------------------------------------------------------------------------


def study_config() -> StudyConfig:
    """Return what the form asks for.

    Raises:
        ConfigError: a field holds what its setting does not allow.
    """
    state = st.session_state
    encoders = launch_backbones.chosen()
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
        folds=state[Key.LAUNCH_FOLDS],
        racing=state[Key.LAUNCH_RACING],
        recipe=launch_recipe.recipe(),
    )


def _expected(error: SegcoreError | None) -> None:
    """Say what the launch means; silent while the form is not valid, and on what `error` says beside its field."""
    try:
        config = study_config()
    except ConfigError:
        return
    if launch_where.chosen() is Where.CLUSTER:
        launch_expected.on_cluster(config, launch_where.news())
    else:
        launch_expected.draw(config, refused=error is not None and error.field == "batch_size")


def _values() -> tuple[Any, ...]:
    """All the form holds, to tell whether it changed."""
    keys = [key for key in Key if key.startswith("launch.") and key not in (Key.LAUNCH, Key.LAUNCH_ERROR)]
    values = [str(st.session_state.get(key)) for key in keys if key not in (Key.LAUNCH_ORIGINAL_SIX, Key.LAUNCH_CLEAR)]
    return (*values, *launch_backbones.chosen())


def _current_error() -> SegcoreError | None:
    failure: Failure | None = st.session_state.get(Key.LAUNCH_ERROR)
    return failure.error if failure is not None and failure.values == _values() else None


def recheck_bar() -> AbstractContextManager[Progress]:
    """The bar of a launch whose dataset has changed and is checked first."""
    return progress_bar("The dataset's files have changed; checking them")


def _launch() -> list[Run]:
    """Launch what the form asks for; on an error keep it and draw the form again with it."""
    st.session_state.pop(Key.LAUNCH_ERROR, None)
    try:
        config = study_config()
        where = launch_where.chosen()
        with st.spinner(LAUNCHING[where]), once_needed(recheck_bar) as progress:
            runs = plan.launch_study(config, Workspace(), progress=progress, where=where)
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
