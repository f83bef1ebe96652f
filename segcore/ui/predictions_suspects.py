"""Label suspects on the predictions screen: where several networks agree against the mask, as a list to go through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from segcore.config import ClassInfo
from segcore.data.dataset import Dataset
from segcore.evaluation import ranking, ranking_suspects
from segcore.evaluation.ranking_suspects import Suspect
from segcore.inference.suspects import Network, Search, one_of_each
from segcore.runs import Run
from segcore.text import percent, plural
from segcore.ui import predictions_pick
from segcore.ui.components import name_unreadable, progress_bar
from segcore.ui.predictions_answers import loaded
from segcore.ui.predictions_choice import MOST_RUNS, run_title
from segcore.ui.predictions_pick import Picture
from segcore.ui.state import Key, Param, choose_several
from segcore.ui.tables import csv_text

if TYPE_CHECKING:
    from segcore.inference.predictor import Prediction

MOST_ROWS = 500
"""So many places are listed; the CSV file has all of them."""


def draw(shown: Sequence[Run], counted: Sequence[Run], dataset: Dataset) -> None:
    """Draw the choice of networks, the images by counts alone, and, once they were looked at, the places.

    Raises:
        SegcoreError: weights or counts are damaged, or nothing can be written.
    """
    able = {run.name: run for run in counted if run.best_weights.is_file()}
    if len(able) < 2:
        st.caption(
            "Label suspects are errors that networks share: two networks with weights are needed, and this study has "
            f"{len(able)} so far."
        )
        return
    runs = _choose_networks(shown, able)
    st.caption(
        "Where all of these networks say the same class and the mask another one, the mask may be wrong. That is a "
        "suspicion, no verdict: a scene that is hard for one network is often hard for all, in the same way. Look "
        "before you change a label. Only validation images are looked at, as networks learn the wrong labels of those "
        "they are trained on."
    )
    if len(runs) < 2:
        st.info("Choose one more network: an error of one alone says nothing about the mask.")
        return
    reached = ", ".join(percent(run.summary()["val_miou"]) for run in runs)
    st.caption(
        f"The weaker the networks, the more of this is their own mistake. These reach a validation mIoU of {reached}."
    )
    search = Search(tuple(runs), dataset)
    if not search.images:
        st.info("These networks have no validation image in common. Choose networks of the same fold.")
        return
    classes = runs[0].config.dataset.trained_classes
    _draw_search(search)
    found = search.found()
    if found:
        _draw_places(search, found, classes)
    else:
        _draw_by_counts(runs, dataset, classes)


def _choose_networks(shown: Sequence[Run], able: dict[str, Run]) -> list[Run]:
    """Let the visitor choose who has to agree; first those on the page, then one of each other backbone."""
    begin = [run for run in shown if run.name in able]
    chosen = choose_several(
        Param.AGREE,
        "Networks that must agree",
        list(able),
        most=MOST_RUNS,
        default=[run.name for run in one_of_each(able.values(), begin)],
        format_func=lambda name: run_title(able[name]) if name in able else name,
        help="Different backbones make different mistakes, so their agreement says more than that of seeds of one.",
    )
    return [able[name] for name in chosen]


def _draw_search(search: Search) -> None:
    """Draw the button that has the networks look at all images, and do it; what is done stays when it is cancelled."""
    done, total = len(search.found()), len(search.images)
    if done == total:
        return
    label = f"Look at the other {total - done:,} images" if done else f"Look at all {plural(total, 'validation image')}"
    with st.container(horizontal=True, vertical_alignment="center"):
        asked = st.button(label, key=Key.FIND_SEARCH, icon=":material/troubleshoot:", type="primary")
        st.caption(
            f"{done:,} of {total:,} images are done."
            if done
            else "Counts tell how many pixels may be shared, not where. The networks then look at each image."
        )
    if not asked:
        return
    with progress_bar("The networks look at the images") as progress:
        unread = search.go_on(progress, _network)
    name_unreadable(unread, "image")
    if not unread:
        st.rerun()


def _network(run: Run) -> Network:
    predictor, lock = loaded(run)

    def predict(image: np.ndarray) -> Prediction:
        with lock:  # one network is shared by all visitors
            return predictor.predict(image)

    return predict


def _draw_by_counts(runs: Sequence[Run], dataset: Dataset, classes: Sequence[ClassInfo]) -> None:
    """Draw the images by the largest error that the networks may share, as far as counts tell."""
    found = ranking.shared_errors([judged for run in runs if (judged := run.evaluation()) is not None])
    st.caption(
        "Ordered roughly, by counts: so much of the labelled pixels all networks may take for the same wrong class, at "
        "most. Open an image to see in “Who is right” what they share."
    )
    images = [
        Picture(
            error.image,
            f"≤ {percent(error.share)}",
            f"{classes[error.true].name} → {classes[error.taken].name}: {error.at_least:,} to {error.at_most:,} pixels",
        )
        for error in found
    ]
    clicked = predictions_pick.draw(images, dataset, "Images, the largest possible shared error first")
    if clicked is not None:
        predictions_pick.show(clicked, runs)


def _draw_places(search: Search, found: dict[str, list[Suspect]], classes: Sequence[ClassInfo]) -> None:
    """Draw the images with suspect places, the list of all places, and the file to take away."""
    images = sorted((places for places in found.values() if places), key=lambda places: -places[0].weight)
    listed = sorted((place for places in images for place in places), key=lambda place: -place.weight)
    if not listed:
        st.success(f"In none of {plural(len(found), 'image')} do these networks agree against the mask anywhere.")
        return
    st.caption(
        f"{plural(len(listed), 'place')} in {len(images):,} of {plural(len(found), 'image')}, ordered by share of the "
        "image times confidence of the least sure network (which is often surer than right). Strips narrower than a "
        "hundredth of the image, 3 pixels at least, are left out, as edges are hardly ever drawn to the pixel."
    )
    pictures = [Picture(places[0].image, percent(sum(place.share for place in places)), _told(places[0], classes))
                for places in images]  # fmt: skip
    clicked = predictions_pick.draw(pictures, search.dataset, "Images with suspect labels, the weightiest first")
    _draw_list(search, listed, classes)
    if clicked is not None:
        predictions_pick.show(clicked, search.runs, found[clicked][0].box)


def _told(place: Suspect, classes: Sequence[ClassInfo]) -> str:
    return f"Mask: {classes[place.true].name}, networks: {classes[place.taken].name} ({percent(place.share)})"


def _draw_list(search: Search, listed: Sequence[Suspect], classes: Sequence[ClassInfo]) -> None:
    rows = [
        {
            "Image": place.image,
            "Mask says": classes[place.true].name,
            "Networks say": classes[place.taken].name,
            "Share": 100 * place.share,
            "Confidence": 100 * place.confidence,
        }
        for place in listed[:MOST_ROWS]
    ]
    event = st.dataframe(
        rows,
        key=Key.FIND_PLACES,
        on_select="rerun",
        selection_mode="single-row",
        height=min(300, 36 * len(rows) + 40),
        column_config={
            "Share": st.column_config.NumberColumn(format="%.2f %%", help="Of the image's labelled pixels."),
            "Confidence": st.column_config.NumberColumn(format="%.0f %%", help="Of the least sure network, the mean."),
        },
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.download_button(
            "Download the list (CSV)",
            lambda: csv_text(ranking_suspects.table(listed, classes)),
            file_name=f"label-suspects-{search.runs[0].study_name}.csv",
            mime="text/csv",
            key=Key.FIND_CSV,
            icon=":material/download:",
            on_click="ignore",
        )
        st.caption("Select a row to see the place in the viewer.")
    chosen = [row for row in event.selection.rows if row < len(rows)]
    taken = [search.path.name, *chosen]
    if taken == st.session_state.get(_TAKEN_ROW):  # taken already: it must not undo a later choice
        return
    st.session_state[_TAKEN_ROW] = taken
    if chosen:
        place = listed[chosen[0]]
        predictions_pick.show(place.image, search.runs, place.box)


_TAKEN_ROW = "predictions.find.places.taken"
