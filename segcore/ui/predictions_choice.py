"""The upper part of the predictions screen: which networks, and which image they are shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from segcore.data.splits import Split
from segcore.data.store import Dataset, DatasetStore
from segcore.errors import DatasetError, NotFoundError, WorkspaceError
from segcore.evaluation import seal
from segcore.models import catalog
from segcore.runs import Run, Study
from segcore.status import RunState
from segcore.store import RunStore
from segcore.text import percent, plural
from segcore.ui.components import STATES, escape, say_if_gone
from segcore.ui.predictions_pictures import Mask, Source
from segcore.ui.state import Key, Param, choose, choose_several, remember, remembered
from segcore.ui.uploads import MAX_MEGABYTES, SUFFIXES

MOST_RUNS = 4
"""So many networks are shown side by side."""

VALIDATION, TRAINING, UPLOAD = "Validation images", "Training images", "My own image"


@dataclass(frozen=True)
class Scene:
    """An image to look at."""

    name: str
    source: Source
    """Where it is in full."""
    mask: Mask | None = None
    """The truth; None where nobody drew one."""
    seen_in_training: bool = False
    names: Sequence[str] = ()
    """The images one can step through, this one among them."""


def usable(study: Study) -> list[Run]:
    """Runs of a study that have a network to predict with: finished ones and any with best weights so far."""
    return [run for run in study.runs() if run.best_weights.is_file()]


def one_of(runs: Sequence[Run], key: Key) -> Run:
    """Return the network that a panel is about: the one that is looked at, or the chosen one of several."""
    if len(runs) == 1:
        return runs[0]
    by_path = {str(run.path): run for run in runs}
    return by_path[st.selectbox("Network", list(by_path), key=key, format_func=lambda path: run_title(by_path[path]))]


def run_title(run: Run) -> str:
    """Return a run as a person tells it from others: backbone, seed, fold, score and, unless finished, its state."""
    row = run.summary()
    start = "" if row["weights"] == "pretrained" else " from scratch"
    state = "" if row["state"] == RunState.FINISHED else f", {STATES[RunState(row['state'])][0]}"
    return f"{catalog.title(row['encoder'])}{start} · {run.config.repetition} · mIoU {percent(row['val_miou'])}{state}"


def choose_runs(store: RunStore, *, most: int = MOST_RUNS) -> list[Run]:
    """Let the visitor choose a study and up to `most` of its runs that have weights; none where no run has any."""
    runs = {study.name: usable(study) for study in store.studies()}
    names = list(runs)
    runs = {name: found for name, found in runs.items() if found}
    if not runs:
        return []
    wanted = remembered(Param.RUN)
    left, right = st.columns([2, 3])
    say_if_gone(Param.STUDY, "Study", names)
    with left:
        study = choose(Param.STUDY, "Study", list(runs))
    assert study is not None
    found = {run.name: run for run in runs[study]}
    titles = {name: _title_or_name(run) for name, run in found.items()}
    best = max(found.values(), key=_score)
    with right:
        name = choose(
            Param.RUN,
            "Network",
            list(found),
            default=best.name,
            format_func=lambda run: titles.get(run, run),
            help="The weights after the epoch with the best validation mIoU. First chosen: the best of the study.",
        )
    if wanted and wanted not in found and wanted in {run.name for run in store.study(study).runs()}:
        st.info(f"Run {escape(wanted)} has no weights to predict with (yet), so another one is shown.")
    assert name is not None
    others = [other for other in found if other != name]
    if most == 1 or not others:
        return [found[name]]
    beside = choose_several(
        Param.RUNS,
        "Networks beside it",
        others,
        most=most - 1,
        format_func=lambda run: titles.get(run, run),
        help=f"Of the same study, {most} in all: their masks stand side by side, with one zoom for all.",
    )
    return [found[name], *(found[other] for other in beside)]


def _title_or_name(run: Run) -> str:
    try:
        return run_title(run)
    except WorkspaceError:
        return run.name


def _score(run: Run) -> float:
    try:
        return float(run.summary()["val_miou"] or 0.0)
    except WorkspaceError:
        return -1.0


def choose_scene(run: Run, workspace_datasets: DatasetStore) -> Scene | None:
    """Let the visitor choose an image of the run's dataset or hand one in; None until there is one."""
    dataset, split = _dataset_of(run, workspace_datasets)
    sources = [VALIDATION, TRAINING, UPLOAD] if dataset else [UPLOAD]
    _set_source(sources, split)
    source = st.segmented_control("Image from", sources, key=Key.PREDICT_SOURCE, required=True, persist_state="session")
    if source == UPLOAD or dataset is None:
        return uploaded()
    pairs = {pair.name: pair for pair in dataset.pairs}
    names = [name for name in (split.val if source == VALIDATION else split.train) if name in pairs]
    if not names:
        st.info("None of these images is left in the dataset. Choose others above, or upload one.")
        return None
    name = _step_through(sorted(names))
    if split.test:
        opened = seal.opened(Study(run.path.parent))
        why = "their scores stand on the Charts page" if opened else "they stay sealed for the final judgement"
        st.caption(f"{plural(len(split.test), 'test image')} not offered: {why}.")
    mask = Mask(pairs[name].mask, run.config.dataset, dataset.report.mask_reading)
    training = source == TRAINING
    return Scene(name, Source.of_file(pairs[name].image), mask, seen_in_training=training, names=sorted(names))


def _set_source(sources: list[str], split: Split) -> None:
    """Begin with the validation images, unless the URL names another one.

    What an earlier page showed says nothing: who looked through the training images there wants to see
    here what the network makes of images it has not learnt from.
    """
    state, in_url = st.session_state, st.query_params.get(Param.IMAGE)
    linked = Key.PREDICT_SOURCE not in state or in_url != state.get(f"seen.{Param.IMAGE}")
    if linked and TRAINING in sources and in_url in split.train:
        state[Key.PREDICT_SOURCE] = TRAINING
    elif linked and VALIDATION in sources and in_url in split.val:
        state[Key.PREDICT_SOURCE] = VALIDATION
    elif state.get(Key.PREDICT_SOURCE) not in sources:
        state[Key.PREDICT_SOURCE] = sources[0]


def _dataset_of(run: Run, datasets: DatasetStore) -> tuple[Dataset | None, Split]:
    """Return the run's dataset, None where it is gone, and the split the run was trained on."""
    split = run.split
    name = run.config.dataset.name
    try:
        dataset = datasets.get(name)
    except (NotFoundError, DatasetError):
        st.info(f"Dataset {escape(name)} is no longer here, so only images of your own can be shown to this network.")
        return None, split
    if dataset.fingerprint != run.config.dataset_fingerprint:
        st.warning(
            f"Dataset {escape(name)} has changed since this network was trained on it. Scores here may differ from "
            "those of the run.",
            icon=":material/warning:",
        )
    return dataset, split


def step(names: Sequence[str], by: int) -> None:
    """Make the image so many places behind the chosen one the choice; after the last comes the first."""
    current = remembered(Param.IMAGE)
    place = names.index(current) if current in names else 0
    remember(Param.IMAGE, names[(place + by) % len(names)])


def _step_through(names: list[str]) -> str:
    """Draw the image's select box between a back and a forward button, and return the chosen name."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = choose(Param.IMAGE, f"Image ({len(names):,} to choose from)", names)
        for title, key, by, icon, side in (
            ("Previous", Key.PREDICT_PREVIOUS, -1, ":material/arrow_back:", "left"),
            ("Next", Key.PREDICT_NEXT, 1, ":material/arrow_forward:", "right"),
        ):
            st.button(title, icon=icon, icon_position=side, key=key, on_click=step, args=(names, by))  # type: ignore[arg-type]
    assert name is not None
    return name


def uploaded() -> Scene | None:
    """Let the visitor hand in an image; None until there is one."""
    file = st.file_uploader(
        "An image taken from above: PNG, JPEG, WebP or TIFF",
        type=list(SUFFIXES),
        key=Key.PREDICT_UPLOAD,
        max_upload_size=MAX_MEGABYTES,
        help="It is shown to the network and kept nowhere.",
    )
    if file is None:
        return None
    return Scene(file.name, Source(Path(file.name), data=file.getvalue()))
