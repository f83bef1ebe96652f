"""The sealed test on the Charts page: what it is for, the dialog that opens it, and how far its scoring is."""

from __future__ import annotations

import streamlit as st

from segcore.errors import SegcoreError
from segcore.evaluation import acquainted, confirmation, seal
from segcore.evaluation.scoring import Scoring
from segcore.evaluation.seal import Seal
from segcore.launch import scoring as process
from segcore.runs import Study
from segcore.store import RunStore
from segcore.text import duration, plural
from segcore.ui import charts_test_scores
from segcore.ui.components import errors_shown, escape, live, show_error
from segcore.ui.state import Key
from segcore.ui.training_runs import label


def draw(store: RunStore, study: Study) -> None:
    """Draw where the study's test part stands, and its scores once they were opened.

    To be called outside of the live part, which would close the dialog; what moves here moves by itself.
    """
    st.subheader("The sealed test", anchor=False)
    with errors_shown():
        state = seal.state(study)
        if state is Seal.NONE:
            _draw_none()
        elif state is Seal.SEALED:
            _draw_sealed(store, study)
        else:
            _draw_opened(store, study)


def _draw_none() -> None:
    st.markdown(
        "The split of this study has no test images: none were kept back for a last judgement, so the scores above are "
        "of the images that the choice is made on. To have some, divide the dataset anew with a test share (“Divide "
        "the images anew” on the Dataset page, or `dataset add --test-share`) and launch a new study."
    )
    st.page_link("pages/dataset.py", label="Go to the dataset", icon=":material/photo_library:")


def _draw_sealed(store: RunStore, study: Study) -> None:
    images = plural(len(study.split.test), "test image")
    st.markdown(
        f":material/lock: **{images} of this study are sealed.** No network of it has learnt from them, and nothing "
        "was chosen by them. Choose on the validation images first. Then open the test: it tells what the choice is "
        "worth on images that had no part in it."
    )
    met = acquainted.elsewhere(study, store)
    if met:
        lines = [escape(acquainted.sentence(entry)) for entry in met]
        st.warning("  \n".join(["**Other studies know these images:**", *lines]), icon=":material/visibility:")
    runs = seal.scorable(study)
    if not runs:
        st.caption("It can be opened once a run has finished.")
    _button(store, study, "Open the test scores …", disabled=not runs)


def _button(store: RunStore, study: Study, text: str, *, disabled: bool = False) -> None:
    if st.button(text, key=Key.CHARTS_TEST_OPEN, icon=":material/lock_open:", disabled=disabled):
        st.session_state.pop(_REFUSED, None)
        st.session_state.pop(_DONE, None)
        _ask(store, study)


# The dialog --------------------------------------------------------------------------------------------

_DONE, _REFUSED = "charts.test.done", "charts.test.refused"


@st.dialog("Open the test scores?")
def _ask(store: RunStore, study: Study) -> None:
    if st.session_state.pop(_DONE, False):
        st.rerun()
    again = seal.opened(study)
    st.markdown(
        f"{plural(len(seal.uncovered(study)), 'run')} of study {escape(study.name)} will be judged on "
        f"{plural(len(study.split.test), 'test image')}."
    )
    st.markdown(
        "**This cannot be taken back.** Once the test scores are known, choosing a backbone, a recipe or a number of "
        "epochs by them is not honest any more: the score of what was chosen would be too high."
    )
    st.markdown(
        "Written down and shown from then on: the time, the backbones with their validation scores and verdicts as "
        "they are now, which of them is ahead, the recipe, the states of all runs, and what was known of the test "
        "images."
    )
    if again:
        st.caption("Test scores of this study were opened before; that is written down with this opening.")
    unfinished = sum(status.state.active for _, status in store.statuses(study.runs()))
    if unfinished:
        st.warning(
            f"{plural(unfinished, 'run')} still to finish: their test scores will need an opening of their own.",
            icon=":material/hourglass_top:",
        )
    if _REFUSED in st.session_state:
        show_error(st.session_state[_REFUSED])
    with st.container(horizontal=True):
        st.button(
            "Open them",
            type="primary",
            key=Key.CONFIRM,
            icon=":material/lock_open:",
            on_click=_open,
            args=(store, study),
        )
        if st.button("Cancel", key=Key.CANCEL):
            st.rerun()


def _open(store: RunStore, study: Study) -> None:
    try:
        seal.open_test(study, store=store)
        process.start(study)
    except SegcoreError as error:
        st.session_state[_REFUSED] = error
    else:
        st.session_state[_DONE] = True


# Opened ------------------------------------------------------------------------------------------------


def _draw_opened(store: RunStore, study: Study) -> None:
    openings = seal.openings(study)
    images = plural(len(study.split.test), "test image")
    st.markdown(
        f":material/lock_open: **Opened on {charts_test_scores.moment(openings[0].time)}.** The choice was made on the "
        f"validation images; the scores on the {images} tell what it is worth. They are often a little lower: the "
        "epoch of each run, too, was chosen on the validation images."
    )
    said = study.scoring.read(Scoring)
    if said is not None and said.state == "running":
        live(draw_progress, store, study.name, active=lambda: study.scoring.running())
    else:
        _draw_left(study, said)
    found = confirmation.confirm(study)
    late = seal.late(study)
    if found.any_scored:
        charts_test_scores.draw_scores(study, found, late)
    charts_test_scores.draw_late(study, late)
    if said is None or said.state != "running":
        new = seal.uncovered(study)
        if new:
            st.markdown(
                f"{plural(len(new), 'run')} finished or trained on since; their test scores are sealed: "
                f"{escape(', '.join(label(run) for run in new))}."
            )
            _button(store, study, "Open these, too …")
    for number, opening in enumerate(openings):
        charts_test_scores.draw_record(study, opening, number, len(openings))


def draw_progress(store: RunStore, name: str) -> None:
    """Draw how far the scoring is; the part that is drawn again and again."""
    study = store.study(name)
    said = study.scoring.read(Scoring)
    if said is None or said.state != "running":
        return
    left = f" · {duration(said.seconds_left)} left" if said.seconds_left is not None else ""
    at = f" · {escape(said.run)}" if said.run else ""
    phase = f" · {escape(said.phase)}" if said.phase else f" · image {said.image} of {said.images}"
    st.progress(said.share, text=f"Predicting the test images · {said.done} of {said.runs} runs{at}{phase}{left}")
    if study.scoring.asked_to_stop():
        st.caption("It ends after this image; what is scored stays.")
    else:
        st.button("Cancel", key=Key.CHARTS_TEST_CANCEL, icon=":material/close:", on_click=study.scoring.ask_to_stop)


def _draw_left(study: Study, said: Scoring | None) -> None:
    """Say which opened runs have no scores and why, and offer to go on."""
    left = seal.to_score(study)
    if not left:
        return
    refused = said.refused if said is not None else {}
    lines = [f"{escape(label(run))}: {escape(refused[run.name])}" for run in left if run.name in refused]
    ended = {"cancelled": "It was cancelled.", "interrupted": "Its process died.", "failed": "It failed."}
    why = ended.get(said.state, "") if said is not None else ""
    message = escape(said.message) if said is not None else ""
    text = " ".join(filter(None, [f"**{plural(len(left), 'run')} without test scores yet.**", why, message]))
    st.warning("  \n".join([text, *lines]), icon=":material/hourglass_top:")
    if st.button("Predict the test images", key=Key.CHARTS_TEST_GO_ON, icon=":material/play_arrow:"):
        with errors_shown():
            process.start(study)
            st.rerun()
