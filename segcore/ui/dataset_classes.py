"""The classes of a dataset: how much of each there is, and renaming, recolouring, merging and ignoring them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import streamlit as st

from segcore import figures
from segcore.config import DatasetConfig
from segcore.data.dataset import Dataset
from segcore.decisions import ClassInfo, Decision, Ignore, Merge, Recolor, Rename, Use, in_order, replay
from segcore.errors import ConfigError
from segcore.text import UNKNOWN, percent, plural
from segcore.ui import dataset_statistics
from segcore.ui.components import escape, show_error, swatch
from segcore.ui.dataset_decisions import decide, history
from segcore.ui.dataset_parts import SWATCH, class_column
from segcore.ui.state import Key

Row = Mapping[str, Any]
"""A class as it was edited: "name", "color" ("#rrggbb"), "used"."""


def draw(dataset: Dataset) -> None:
    """Draw the chart, the table that can be edited with what would result, what was decided, and statistics."""
    report, trained = dataset.report, dataset.table.trained
    pixels = [int(count) for count in report.class_pixels]
    if sum(pixels):
        top = max(range(len(trained)), key=pixels.__getitem__)
        st.markdown(
            f"Always answering **{escape(trained[top].name)}** would already be right on "
            f"**{percent(pixels[top] / sum(pixels))}** of the labelled pixels: a network must beat that."
        )
    st.plotly_chart(
        figures.class_share_bars(trained, pixels, images=[int(count) for count in report.class_images]),
        key="dataset.classes",
        config={"displaylogo": False},
    )
    _edit(dataset)
    history(dataset)
    dataset_statistics.draw(dataset)


# Editing ---------------------------------------------------------------------------------------------


def _edit(dataset: Dataset) -> None:
    st.subheader("Change the classes", anchor=False)
    st.caption("Classes that are given the same name become one. Masks stay as they are; everything can be undone.")
    classes = dataset.table.classes
    names = [info.name for info in classes]
    counts = _counts(dataset)
    total = sum(counts.values())
    edited = st.data_editor(
        [
            {
                "swatch": swatch(info.color),
                "class": info.name,
                "name": info.name,
                "used": not info.ignore,
                "color": _hex(info.color),
                "share": percent(counts[info.name] / total, 2) if total and info.name in counts else UNKNOWN,
            }
            for info in classes
        ],
        hide_index=True,
        disabled=["swatch", "class", "share"],
        column_config={
            "swatch": SWATCH,
            "class": class_column(names),
            "name": class_column(names, "Call it", required=True, max_chars=80),
            "used": st.column_config.CheckboxColumn("Learnt", help=ClassInfo.help("ignore")),
            "color": st.column_config.TextColumn("Colour", required=True, validate="^#[0-9a-fA-F]{6}$"),
            "share": st.column_config.TextColumn("Share", help="Of the labelled pixels.", alignment="right"),
        },
        # What is decided changes the table below the visitor's edits: another key drops them.
        key=Key.CLASSES_TABLE.of(f"{dataset.name}:{dataset.fingerprint}:{len(dataset.config.decisions)}"),
    )
    try:
        decisions = decisions_of(dataset.config, edited)
    except ConfigError as error:
        show_error(error)
        return
    if decisions:
        _preview(dataset, decisions, counts)
    if st.button(
        f"Apply {plural(len(decisions), 'change')}" if decisions else "Apply",
        key=Key.CLASSES_APPLY,
        type="primary",
        disabled=not decisions,
        icon=":material/check:",
    ):
        decide(dataset, *decisions)


def decisions_of(config: DatasetConfig, rows: Sequence[Row]) -> list[Decision]:
    """Return the decisions that make of the classes of a dataset what a person wrote into the table.

    Args:
        config: the dataset's.
        rows: as they were edited, one for each class in the order of `config.meaning.classes`.

    Raises:
        ConfigError: a name or colour that cannot be, or two classes that would be alike.
    """
    classes = config.meaning.classes
    members: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        name = str(row["name"] or "").strip()
        if not name:
            raise ConfigError(f"Class {classes[number].name!r} has no name any more. Give it one.", field="classes")
        members.setdefault(name, []).append(number)
    found = _names(config, members)
    after = {info.name: info for info in replay(config.classes, (*config.decisions, *found)).classes}
    for name, numbers in members.items():
        changed = [rows[number]["color"] for number in numbers if rows[number]["color"] != _hex(classes[number].color)]
        if changed and _rgb(changed[0]) != after[name].color:
            found.append(Recolor(name=name, color=_rgb(changed[0])))
    used = {name: any(rows[number]["used"] for number in numbers) for name, numbers in members.items()}
    for kind, names in (
        (Ignore, tuple(name for name, wanted in used.items() if not wanted and not after[name].ignore)),
        (Use, tuple(name for name, wanted in used.items() if wanted and after[name].ignore)),
    ):
        if names:
            found.append(kind(names=names))
    replay(config.classes, (*config.decisions, *found))
    return found


def _names(config: DatasetConfig, members: Mapping[str, Sequence[int]]) -> list[Decision]:
    """Return the decisions that give names to the classes, all at once."""
    classes = config.meaning.classes
    wanted: list[Rename | Merge] = []
    for name, numbers in members.items():
        names = tuple(classes[number].name for number in numbers)
        if len(names) > 1:
            wanted.append(Merge(names=names, into=name))
        elif names[0] != name:
            wanted.append(Rename(name=names[0], to=name))
    return [*in_order(wanted)]


def _hex(color: Sequence[int]) -> str:
    return f"#{bytes(color).hex()}"


def _rgb(text: str) -> tuple[int, int, int]:
    try:
        red, green, blue = bytes.fromhex(text.removeprefix("#"))
    except ValueError as error:
        raise ConfigError(f"{text!r} is no colour. Write it as #rrggbb, as in #1f7f93.", field="classes") from error
    return red, green, blue


def _counts(dataset: Dataset) -> dict[str, int]:
    """Return the pixels of each class that is learnt now."""
    found = zip(dataset.table.trained, dataset.report.class_pixels, strict=True)
    return {info.name: int(count) for info, count in found}


def _preview(dataset: Dataset, decisions: Sequence[Decision], counts: Mapping[str, int]) -> None:
    """Draw what decisions would leave: the classes that are then learnt, and their shares."""
    config = dataset.config
    before, after = config.meaning, replay(config.classes, (*config.decisions, *decisions))
    pixels = np.zeros(len(after.classes))
    unknown = set()
    for old, new in {*zip(before.rows, after.rows, strict=True)}:
        if before.classes[old].name in counts:
            pixels[new] += counts[before.classes[old].name]
        else:
            unknown.add(new)  # its pixels were ignored so far, and are counted once it is applied
    learnt = [place for place, info in enumerate(after.classes) if not info.ignore]
    total = pixels[learnt].sum()
    st.markdown(f"**What results: {len(before.trained)} → {plural(len(learnt), 'class', 'classes')}**")
    st.dataframe(
        [
            {
                "swatch": swatch(after.classes[place].color),
                "class": after.classes[place].name,
                "of": ", ".join(before.classes[old].name for old in _origins(before.rows, after.rows, place)),
                "share": "counted when applied" if place in unknown else percent(pixels[place] / max(1, total), 2),
            }
            for place in learnt
        ],
        hide_index=True,
        column_config={
            "swatch": SWATCH,
            "class": class_column(info.name for info in after.classes),
            "of": class_column((info.name for info in before.classes), "Made of"),
            "share": st.column_config.TextColumn("Share", help="Of the labelled pixels.", alignment="right"),
        },
        key="dataset.classes.preview",
    )
    st.caption(escape("; ".join(decision.text for decision in decisions)))


def _origins(before: Sequence[int], after: Sequence[int], place: int) -> list[int]:
    """Return which of the classes before become the one at `place`."""
    return sorted({old for old, new in zip(before, after, strict=True) if new == place})
