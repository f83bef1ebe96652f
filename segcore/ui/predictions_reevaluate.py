"""A part of the predictions screen: having a trained network judged on other images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from segcore.data.dataset import Dataset
from segcore.data.store import DatasetStore
from segcore.errors import ConfigError, SegcoreError
from segcore.evaluation import reevaluation
from segcore.evaluation.classmap import by_decisions, match
from segcore.evaluation.reevaluating import Reevaluating
from segcore.evaluation.reevaluation import JUDGED, Judged
from segcore.launch import reevaluation as process
from segcore.runs import Run
from segcore.text import duration, plural
from segcore.ui import predictions_choice
from segcore.ui import predictions_reevaluated as results
from segcore.ui.components import errors_shown, escape, live, show_error
from segcore.ui.predictions_reevaluated import PARTS
from segcore.ui.state import Key
from segcore.workspace import Workspace

NONE = ""
"""In place of a class of the dataset: it lacks that one."""

_COLUMNS = 3
"""So many classes stand beside each other."""


def draw(runs: Sequence[Run]) -> None:
    """Draw what judges a network on any dataset, and what it scored so far; nothing is read while that is closed."""
    panel = st.expander("Judge it on other images", icon=":material/rule:", key=Key.EVALUATE_PANEL, on_change="rerun")
    if not panel.open:
        return
    with panel, errors_shown():
        run = predictions_choice.one_of(runs, Key.EVALUATE_RUN)
        said = run.reevaluating.read(Reevaluating)
        if said is not None and said.state == "running":
            live(draw_progress, run, active=lambda: run.reevaluating.running())
        else:
            _draw_ended(said)
            _draw_form(run)
        results.draw(run, said.key if said is not None and said.state == "finished" else "")


def draw_progress(run: Run) -> None:
    """Draw how far it is; the part that is drawn again and again."""
    said = run.reevaluating.read(Reevaluating)
    if said is None or said.state != "running":
        return
    left = f" · {duration(said.seconds_left)} left" if said.seconds_left is not None else ""
    at = escape(said.phase) if said.phase else f"image {said.image:,} of {said.images:,}"
    st.progress(said.share, text=f"Judging on {escape(said.dataset)} · {at}{left}")
    if run.reevaluating.asked_to_stop():
        st.caption("It ends after the images it is at.")
    else:
        st.button("Cancel", key=Key.EVALUATE_CANCEL, icon=":material/close:", on_click=run.reevaluating.ask_to_stop)


def _draw_ended(said: Reevaluating | None) -> None:
    """Say why the last one left no result."""
    if said is None:
        return
    what = f"on {escape(said.dataset)}"
    if said.state == "failed":
        st.error(f"It could not be judged {what}: {escape(said.message)}", icon=":material/error:")
    elif said.state == "interrupted":
        st.warning(f"The process that judged it {what} died. Begin again.", icon=":material/power_off:")
    elif said.state == "cancelled":
        st.caption(f"Judging it {what} was cancelled; nothing is left of it.")


# What is to be judged ----------------------------------------------------------------------------------


def _draw_form(run: Run) -> None:
    """Draw the choice of images, what the classes mean, what is to be known before, and the button."""
    datasets = {dataset.name: dataset for dataset in DatasetStore(Workspace(run.path.parents[2])).list()}
    if not datasets:
        st.info("There is no dataset here to judge it on. Add one on the Dataset page.")
        return
    names, own = sorted(datasets), run.config.dataset.name
    name = st.selectbox(
        "Dataset",
        names,
        index=names.index(own) if own in names else 0,
        key=Key.EVALUATE_DATASET.of(str(run.path)),
        format_func=lambda name: f"{name} (its own)" if name == own else name,
    )
    dataset = datasets[name]
    part = _choose_part(run, dataset)
    given = _map_classes(run, dataset)
    try:
        plan = reevaluation.plan(run, dataset, part, given)
    except ConfigError as error:
        if error.field != "map":
            raise
        st.warning(
            "The network and this dataset have no class in common yet. Say above which classes mean the same.",
            icon=":material/join_inner:",
        )
        return
    except SegcoreError as error:
        show_error(error)
        return
    results.draw_left_out(plan.classes.unanswered, plan.classes.unasked)
    results.draw_met(plan.met, len(plan.names))
    text = f"Judge on {plural(len(plan.names), 'image')}"
    if st.button(text, key=Key.EVALUATE, type="primary", icon=":material/rule:"):
        process.start(run, name, part, given)
        st.rerun()


def _choose_part(run: Run, dataset: Dataset) -> Judged:
    split = run.split if reevaluation.is_own(run, dataset) else dataset.split
    counts: dict[Judged, int] = {"all": len(dataset.names)}
    if split is not None:
        counts = {"train": len(split.train), "val": len(split.val), "test": len(split.test), **counts}
    parts = [part for part in JUDGED if counts.get(part)]
    part: Judged = st.segmented_control(
        "Images",
        parts,
        default="val" if "val" in parts else "all",
        key=Key.EVALUATE_PART.of(f"{run.path}:{dataset.name}"),
        required=True,
        format_func=lambda part: f"{PARTS[part]} ({counts[part]:,})",
        help="Parts of the split that the network was trained on where the dataset is its own, else of the dataset's.",
    )
    return part


def _map_classes(run: Run, dataset: Dataset) -> dict[str, str | None]:
    """Let the visitor say what the network's classes mean, and return what differs from their names."""
    ours, theirs = ([info.name for info in one.trained_classes] for one in (run.config.dataset, dataset.config))
    meaning = _meaning(run, dataset)
    matched = sum(name is not None for name in meaning.values())
    text = f"{matched} of {plural(len(ours), 'class', 'classes')} of the network found in the dataset"
    whole = matched == len(ours) == len(theirs)
    place = f"{run.path}:{dataset.name}"
    if not st.toggle(f"Say what the classes mean ({text})", value=not whole, key=Key.EVALUATE_MAP.of(place)):
        return {}
    chosen: dict[str, str | None] = {}
    st.caption("Below each class of the network: the dataset's class that it means. Several may mean the same.")
    for number, name in enumerate(ours):
        if number % _COLUMNS == 0:
            columns = st.columns(_COLUMNS, vertical_alignment="bottom")
        default = meaning[name]
        meant = columns[number % _COLUMNS].selectbox(
            escape(name),
            [NONE, *theirs],
            index=0 if default is None else 1 + theirs.index(default),
            key=Key.EVALUATE_CLASS.of(f"{place}:{name}"),
            format_func=lambda value: value or "none",
        )
        if (meant or None) != default:
            chosen[name] = meant or None
    return chosen


def _meaning(run: Run, dataset: Dataset) -> Mapping[str, str | None]:
    """Return what each class of the network means where nobody says otherwise."""
    ours, theirs = ([info.name for info in one.trained_classes] for one in (run.config.dataset, dataset.config))
    try:
        found = match(ours, theirs, by_decisions(run.config.dataset, dataset.config))
    except ConfigError:  # nothing in common
        return dict.fromkeys(ours)
    return {name: None if to is None else theirs[to] for name, to in zip(ours, found.to, strict=True)}
