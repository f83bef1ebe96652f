"""The collapse alarm on screen: a network that answers one class everywhere."""

from __future__ import annotations

import streamlit as st

from segcore.errors import WorkspaceError
from segcore.evaluation.collapse import Collapse, advice, collapsed, describe
from segcore.runs import Run
from segcore.status import Status
from segcore.ui.components import escape


def collapse_of(run: Run, status: Status) -> Collapse | None:
    """Return the collapse in which the run's records end; None where there is none, or they cannot be read."""
    try:
        return collapsed(run.epochs(), majority=status.majority_baseline)
    except WorkspaceError:
        return None


def answered(run: Run, collapse: Collapse) -> str:
    """Return the name of the class that a collapsed network answers."""
    classes = run.config.dataset.trained_classes
    return (
        classes[collapse.class_index].name if collapse.class_index < len(classes) else f"class {collapse.class_index}"
    )


def flag(run: Run, status: Status) -> str:
    """Return in three words that a run has collapsed, for a table: "answers only grass"; "" for a sound run."""
    collapse = collapse_of(run, status)
    return f"answers only {answered(run, collapse)}" if collapse else ""


def draw(run: Run, status: Status) -> None:
    """Draw the alarm if the run has collapsed: what happened, beside the majority-class line, and what to try."""
    collapse = collapse_of(run, status)
    if collapse is None:
        return
    config = run.config
    first = describe(collapse, answered(run, collapse), status.majority_baseline)
    # The schedule may still pull it out, so that stopping is a choice and not the advice.
    wait = "It may still recover; if it does not in a few epochs, stop it. " if status.state.active else ""
    st.error(
        f"**{escape(first)}**  \n{escape(wait + advice(config.recipe, config.weights))}",
        icon=":material/crisis_alert:",
    )
