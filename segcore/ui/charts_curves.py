"""How the backbones learnt: curves of all, and of one family."""

from __future__ import annotations

import streamlit as st

from segcore import figures
from segcore.evaluation import comparison
from segcore.evaluation.comparison import Contender
from segcore.text import percent
from segcore.ui import live_chart
from segcore.ui.charts_data import Shown
from segcore.ui.state import Key

FIELDS = {
    "val_pixel_accuracy": (
        "Validation accuracy",
        "Share of the pixels of the validation images that got the right class. These images are never learnt from.",
    ),
    "train_pixel_accuracy": (
        "Training accuracy",
        "The same share on the images that are learnt from. Far above the validation accuracy it means that a "
        "network learns its images by heart.",
    ),
    "val_miou": (
        "Validation mIoU",
        "Overlap of prediction and mask (intersection over union), averaged over the classes, so that a rare class "
        "counts as much as a frequent one. The epoch where it is highest gives the network that is kept.",
    ),
}
ALL = "All backbones"
EPOCHS, MINUTES = "By epoch", "By minute"


def draw(shown: Shown) -> None:
    """Draw the curves of all backbones or of a family, by epoch or by minute."""
    with st.container(horizontal=True):
        members, whose = _choose_family(shown.drawn)
        along = st.segmented_control(
            "Along",
            [EPOCHS, MINUTES],
            default=EPOCHS,
            key=Key.CHARTS_ALONG,
            required=True,
            persist_state="session",
            help="By minute shows what a cheaper backbone reaches while a dearer one still trains.",
        )
    by_minute = along == MINUTES
    for field, (title, text) in FIELDS.items():
        live_chart.draw(
            figures.accuracy_curves(
                members,
                field,
                majority=shown.majority if field.endswith("pixel_accuracy") else None,
                show_runs=shown.show_runs,
                by="minute" if by_minute else "epoch",
                title=f"{title}: {whose}",
            ),
            key=f"charts.{field}:{shown.key}:{whose}{':minutes' * by_minute}",  # zoom belongs to what is drawn
            alt=f"{title} by {'minute' if by_minute else 'epoch'}: {whose}",
        )
        st.caption(text)
    st.caption(
        "A band is the 95 % interval of the mean over seeds; n counts the runs behind a line. Runs that failed or "
        "ended early are left out where there are others."
    )
    if shown.majority is not None:
        st.caption(
            f"The dashed line at {percent(shown.majority)} is the accuracy of always answering the most frequent "
            "class. A network at that line has learnt nothing."
        )


def _choose_family(found: list[Contender]) -> tuple[list[Contender], str]:
    """Let the visitor choose a family; return its contenders and its name."""
    families = comparison.by_family(found)
    if len(families) < 2:
        return found, ALL.lower()
    options = [ALL, *families]
    if st.session_state.get(Key.CHARTS_FAMILY) not in options:  # another study
        st.session_state[Key.CHARTS_FAMILY] = ALL
    name = st.pills(
        "Family",
        options,
        key=Key.CHARTS_FAMILY,
        required=True,
        persist_state="session",
        help="Backbones of one family are built alike and differ mostly in size.",
    )
    if name not in families:
        return found, ALL.lower()
    return families[str(name)], str(name)
