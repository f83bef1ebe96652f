"""The parts of the Overview: three steps, the demo button, the studies at a glance."""

from __future__ import annotations

import streamlit as st

from segcore.data.store import DatasetStore
from segcore.errors import SegcoreError
from segcore.launch.demo import demo_study
from segcore.launch.plan import launch_study
from segcore.models import catalog
from segcore.progress import once_needed
from segcore.runs import Study
from segcore.status import RunState
from segcore.store import RunStore
from segcore.text import percent, plural
from segcore.ui import alarms, readers
from segcore.ui.components import ago, errors_shown, escape, progress_bar, progress_share
from segcore.ui.launch_form import recheck_bar
from segcore.ui.state import Key, Param, remember

STUDIES_SHOWN = 8

STEPS = (
    (
        "1. Bring a dataset",
        "Aerial images and, for each, a mask that says what every pixel is. A few hundred are enough.",
        (("pages/dataset.py", "Dataset"),),
    ),
    (
        "2. Launch a study",
        "Choose backbones in the sidebar and press Launch. They train in the background, one after another, "
        "even when this page is closed.",
        (("pages/training.py", "Training"),),
    ),
    (
        "3. Compare and look",
        "See whose masks are right more often and at what cost, how the networks are built, and the masks themselves.",
        (
            ("pages/charts.py", "Charts"),
            ("pages/architectures.py", "Architectures"),
            ("pages/predictions.py", "Predictions"),
        ),
    ),
)


def steps() -> None:
    """Draw the three steps, each with links to where it is done."""
    for column, (title, text, links) in zip(st.columns(3), STEPS, strict=True):
        with column.container(border=True, height="stretch"):
            st.markdown(f"**{title}**")
            st.markdown(text)
            with st.container(horizontal=True):
                for page, name in links:
                    st.page_link(page, label=name, icon=":material/arrow_forward:")


def demo() -> None:
    """Draw the button that makes the demo dataset and launches a study on it."""
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown(
            "**Nothing at hand?** The demo draws 120 synthetic aerial images and trains three small backbones on "
            "them from scratch. It takes about two minutes on two processor cores.",
            width="stretch",
        )
        pressed = st.button("Run the demo study", type="primary", key=Key.DEMO, icon=":material/play_circle:")
    if pressed:
        with errors_shown():
            store = DatasetStore()
            if demo_study().dataset not in readers.dataset_names():
                with progress_bar("Making the demo dataset") as progress:
                    store.demo(progress)
                remember(Param.DATASET, demo_study().dataset)
            with st.spinner("Queueing the runs …"), once_needed(recheck_bar) as progress:
                launch_study(demo_study(), progress=progress)  # queues nothing that is there already
            st.switch_page("pages/training.py", query_params={Param.STUDY.value: demo_study().name})


def studies(store: RunStore) -> None:
    """Draw the newest studies: how far they are and who leads."""
    found = store.studies()
    if not found:
        st.caption("None yet. The first one appears here.")
    for study in found[:STUDIES_SHOWN]:
        with errors_shown():
            _glance(store, study)
    if len(found) > STUDIES_SHOWN:
        st.caption(f"and {plural(len(found) - STUDIES_SHOWN, 'older study', 'older studies')}, on the Charts page")


def _glance(store: RunStore, study: Study) -> None:
    rows = store.statuses(study.runs())
    finished = sum(status.state is RunState.FINISHED for _, status in rows)
    active = sum(status.state.active for _, status in rows)
    failed = sum(status.state in (RunState.FAILED, RunState.INTERRUPTED) for _, status in rows)
    with st.container(border=True, gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.markdown(f"**{escape(study.name)}** on {escape(study.dataset.name)}, {ago(study.created)}")
            with st.container(horizontal=True, width="content"):
                for page, name in (("pages/training.py", "Training"), ("pages/charts.py", "Charts")):
                    st.page_link(page, label=name, query_params={Param.STUDY.value: study.name})
        text = f"{finished} of {plural(len(rows), 'run')} finished"
        if failed:
            text += f", {failed} ended early"
        collapsed = sum(bool(alarms.collapse_of(run, status)) for run, status in rows)
        if collapsed:
            text += f", {collapsed} answer{'s' if collapsed == 1 else ''} one class only"
        leader = _leader(study)
        st.caption(text + (f". {leader}" if leader else "."))
        if active:
            epochs = study.recipe.epochs
            st.progress(sum(progress_share(status, epochs) for _, status in rows) / len(rows))


def _leader(study: Study) -> str:
    """Say which run reached the highest mean IoU so far; one run is not a verdict, so it is called a run."""
    best: tuple[float, str] | None = None
    for run in study.runs():
        try:
            scores = [record.val_miou for record in run.epochs() if record.val_miou == record.val_miou]
            if scores and (best is None or max(scores) > best[0]):
                best = max(scores), catalog.title(run.config.encoder)
        except SegcoreError:
            continue
    return f"Best run so far: {escape(best[1])}, mean IoU {percent(best[0])} on the validation images" if best else ""
