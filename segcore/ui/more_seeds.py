"""More seeds for a study: one run says little, and the launch form makes a new study of every launch."""

from __future__ import annotations

from itertools import count

import streamlit as st

from segcore.config import StudyConfig
from segcore.errors import SegcoreError
from segcore.evaluation.studies import sound
from segcore.launch import plan
from segcore.progress import once_needed
from segcore.runs import Run, Study
from segcore.status import Where
from segcore.store import RunStore
from segcore.text import plural
from segcore.ui.components import escape, show_error
from segcore.ui.launch_form import LAUNCHING, recheck_bar
from segcore.ui.state import Key

MOST = 20


def configs(study: Study, seeds: int) -> list[StudyConfig]:
    """Return what brings every backbone of the study to `seeds` seeds, all else as in the study.

    One configuration for the pretrained backbones and one for those from scratch, where there are both. Seeds that
    the study has stay; the lowest free numbers join them.
    """
    runs = [run.config for run in sound(study.runs())[0]]
    numbers = sorted({run.seed for run in runs})
    free = (number for number in count() if number not in numbers)
    wanted = (*numbers, *(next(free) for _ in range(seeds - len(numbers))))
    return [
        StudyConfig(
            name=study.name,
            dataset=study.dataset.name,
            encoders=tuple(dict.fromkeys(run.encoder for run in runs if run.weights == weights)),
            weights=weights,
            decoder=study.decoder,
            seeds=wanted,
            folds=study.folds,
            racing=study.racing,
            recipe=study.recipe,
        )
        for weights in dict.fromkeys(run.weights for run in runs)
    ]


def where(study: Study) -> Where:
    """Return where new runs of the study train: where the one that was launched last does."""
    statuses = sorted(RunStore().statuses(study.runs()), key=lambda row: row[1].created)
    return statuses[-1][1].where if statuses else Where.HERE


def draw(study: Study) -> None:
    """Draw the form that launches the seeds a study lacks, and launch them when it is sent."""
    runs, _ = sound(study.runs())
    if runs:
        with st.expander("More seeds …", icon=":material/casino:"):
            _form(study, runs)


@st.dialog("More seeds")
def ask(study: Study, wanted: int) -> None:
    """Draw the same form in a dialog, with the number of seeds in all that would settle a question filled in."""
    runs, _ = sound(study.runs())
    if runs:
        _form(study, runs, wanted)


def _form(study: Study, runs: list[Run], wanted: int = 3) -> None:
    there = len({run.config.seed for run in runs})
    st.caption(
        f"The study has {plural(there, 'seed')}. The difference between seeds shows how sure a result is: "
        "with 3 or more, the charts can say so. New runs take backbones, recipe, decoder and weights of the study."
        + (f" Each seed trains every backbone on all {study.folds} folds." if study.folds else "")
        + (" They train on the cluster, as the last ones did." if where(study) is Where.CLUSTER else "")
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        seeds = st.number_input(
            "Seeds in all",
            min_value=there,
            max_value=max(MOST, there),
            value=min(max(wanted, there + 1), max(MOST, there)),
            key=Key.MORE_SEEDS.of(study.name),
            width=160,
        )
        pressed = st.button("Launch the missing runs", key=Key.MORE_SEEDS_LAUNCH, icon=":material/rocket_launch:")
    if pressed:
        _launch(study, int(seeds))


def _launch(study: Study, seeds: int) -> None:
    new: list[Run] = []
    there = where(study)
    try:
        with st.spinner(LAUNCHING[there]), once_needed(recheck_bar) as progress:
            for config in configs(study, seeds):
                new += plan.launch_study(config, progress=progress, where=there)
    except SegcoreError as error:
        show_error(error)
        return
    if not new:
        st.info("Every backbone of the study has these seeds already.", icon=":material/info:")
        return
    st.toast(f"{plural(len(new), 'run')} of study {escape(study.name)} in the queue", icon=":material/check:")
    st.rerun()
