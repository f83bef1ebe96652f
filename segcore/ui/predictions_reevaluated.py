"""A part of the predictions screen: what a trained network scored on other images, as a table and class by class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import streamlit as st

from segcore.evaluation import reevaluation
from segcore.evaluation.metrics import scores
from segcore.evaluation.overlap import Met
from segcore.evaluation.reevaluation import Judged, Reevaluation
from segcore.runs import Run
from segcore.text import UNKNOWN, percent
from segcore.ui.components import ago, confirm, escape, name_unreadable, swatch
from segcore.ui.state import Key

PARTS: dict[Judged, str] = {"train": "Training", "val": "Validation", "test": "Test", "all": "All"}
"""What people call what can be judged."""


def draw(run: Run, newest: str) -> None:
    """Draw all that the network scored on other images as a table, and one of them class by class."""
    results, damaged = reevaluation.read_all(run)
    name_unreadable(damaged, "re-evaluation")
    if not results:
        return
    notes = {result.key: reevaluation.outdated(run, result) for result in results}
    st.dataframe(
        [*_own_row(run), *(_row(result, outdated=bool(notes[result.key])) for result in results)],
        hide_index=True,
        width="stretch",
        height="content",
        column_config={
            "Classes": st.column_config.TextColumn(
                help="Of the dataset's classes those that the network knows. Scores are over these alone: mIoU over "
                "other classes does not compare."
            ),
            "mIoU": st.column_config.NumberColumn(format="%.1f %%", help="Mean IoU of these classes."),
            "Accuracy": st.column_config.NumberColumn(
                format="%.1f %%", help="Pixel accuracy, over the pixels of these classes."
            ),
            "Trained on": st.column_config.TextColumn(help="So many of the images the network has learnt from."),
        },
    )
    by_key = {result.key: result for result in results}
    _show_newest(run, newest, by_key)
    key = st.selectbox(
        "Class by class",
        list(by_key),
        key=Key.EVALUATE_SHOWN.of(str(run.path)),
        format_func=lambda key: _title(by_key[key]),
    )
    shown = by_key[key]
    if notes[key]:
        st.warning(f"Outdated: {escape('; '.join(notes[key]))}.", icon=":material/history:")
    st.dataframe(
        _class_rows(shown),
        hide_index=True,
        width="stretch",
        height="content",
        column_config={
            "Colour": st.column_config.ImageColumn(width="small"),
            **{name: st.column_config.NumberColumn(format="%.1f %%") for name in ("IoU", "Share")},
            "Found": st.column_config.NumberColumn(
                format="%.1f %%", help="Share of the pixels of this class that were predicted as it: its accuracy."
            ),
        },
    )
    draw_left_out(shown.classes.unanswered, shown.classes.unasked)
    draw_met(shown.met, len(shown.names))
    st.caption(escape(_origin(shown)))
    if st.button("Remove this result", key=Key.EVALUATE_REMOVE, icon=":material/delete:"):
        confirm(
            f"Remove what {run.name} scored on {_title(shown)}?",
            "It goes to the trash. The network and its other scores stay as they are.",
            "Remove the result",
            partial(reevaluation.remove, run, shown.key),
        )


def _show_newest(run: Run, newest: str, results: Mapping[str, Reevaluation]) -> None:
    """Choose what has just come out, once; and let go of a choice that is there no more."""
    state, chosen = st.session_state, Key.EVALUATE_SHOWN.of(str(run.path))
    seen = f"seen.{chosen}"
    if newest in results and state.get(seen) != (newest, results[newest].time):
        state[chosen] = newest
        state[seen] = newest, results[newest].time
    elif state.get(chosen) not in results:
        state.pop(chosen, None)


def _own_row(run: Run) -> list[dict[str, Any]]:
    """Return the scores that the run has from its training, to compare with."""
    own = run.evaluation()
    if own is None:
        return []
    found = scores(own.counts)
    classes = len(own.counts[0])
    row = {"Dataset": run.config.dataset.name, "Images": f"{PARTS['val']} ({len(own.names):,})"}
    row["Classes"] = f"{classes} of {classes}"
    return [{**row, **_numbers(found.miou, found.pixel_accuracy), "Trained on": "0", "When": "in training"}]


def _row(result: Reevaluation, *, outdated: bool) -> dict[str, Any]:
    trained = UNKNOWN if result.met.unknown else f"{len(result.met.trained):,}"
    return {
        "Dataset": result.dataset,
        "Images": f"{PARTS[result.part]} ({len(result.names):,})",
        "Classes": f"{len(result.classes.common)} of {len(result.classes.dataset)}",
        **_numbers(result.scores.miou, result.scores.pixel_accuracy),
        "Trained on": trained,
        "When": f"{ago(result.time)}{', outdated' if outdated else ''}",
    }


def _numbers(miou: float, accuracy: float) -> dict[str, float]:
    return {"mIoU": 100 * miou, "Accuracy": 100 * accuracy}


def _title(result: Reevaluation) -> str:
    return f"{result.dataset} · {PARTS[result.part].lower()} · mIoU {percent(result.scores.miou)} · {ago(result.time)}"


def _class_rows(result: Reevaluation) -> list[dict[str, Any]]:
    """Return the common classes as rows, the most frequent first."""
    total = max(1, result.scores.labelled_pixels)
    rows = [
        {
            "Colour": swatch(result.table[label].color),
            "Class": row["name"],
            "Predicted as": ", ".join(row["means"]) or UNKNOWN,
            "IoU": 100 * row["iou"],
            "Found": 100 * row["accuracy"],
            "Share": 100 * row["pixels"] / total,
        }
        for label, row in zip(result.classes.common, result.class_rows(), strict=True)
    ]
    return sorted(rows, key=lambda row: row["Share"], reverse=True)


def _origin(result: Reevaluation) -> str:
    """Say what the result is of, for who wants to make it again."""
    commit = f" at {result.commit[:10]}" if result.commit else ""
    return (
        f"Weights of epoch {result.epoch} · dataset {result.dataset_fingerprint} · split {result.split or UNKNOWN} · "
        f"segcore {result.version}{commit} · {result.device} · kept as {result.key}"
    )


def draw_left_out(unanswered: Sequence[str], unasked: Sequence[str]) -> None:
    """Say which classes one side lacks, and what comes of it."""
    lines = []
    if unanswered:
        lines.append(f"Unknown to the network, so their pixels count nowhere: {escape(', '.join(unanswered))}.")
    if unasked:
        lines.append(f"Not in the dataset, so predicting them is wrong: {escape(', '.join(unasked))}.")
    if lines:
        st.caption("  \n".join(lines))


def draw_met(met: Met, images: int) -> None:
    """Draw what the network has met of the images."""
    with st.container(horizontal=True):  # badges do not wrap
        for part, color in ((Met(met.trained), "orange"), (Met((), met.validated), "gray")):
            if known := reevaluation.acquaintance(part, images):
                st.badge(known, color=color, icon=":material/school:")  # type: ignore[arg-type]
    if met.unknown:
        st.caption(escape(met.unknown))
