"""What the check found, kind by kind, with pictures and what can be done about it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import streamlit as st

from segcore.data.dataset import Dataset
from segcore.data.report import CheckReport, Problem, UnknownValue
from segcore.data.thumbnails import of_files
from segcore.decisions import SNAP_STEPS, Decision, Exclude, Map, Snap
from segcore.text import UNKNOWN, percent, plural
from segcore.ui.components import escape, swatch
from segcore.ui.dataset_decisions import decide, history
from segcore.ui.dataset_parts import LEFT_OUT, SWATCH, class_column, pictures
from segcore.ui.state import Key

SHOWN = 6
"""So many pictures of each kind of problem."""
LISTED = 200
"""So many messages of each kind."""


def draw(dataset: Dataset) -> None:
    """Draw problems by kind, unknown colours, and what was decided about them.

    Raises:
        SegcoreError: the dataset's directory cannot be written.
    """
    found = dataset.report
    problems = [*found.problems, *dataset.split_problems()]
    st.markdown(
        f"{found.usable:,} of {plural(found.images, 'image')} can be used, {found.excluded:,} cannot; "
        f"{percent(found.labelled_share)} of their pixels have a class that is learnt."
    )
    if not problems and not found.unknown_count:
        st.success("The check found nothing wrong.", icon=":material/check_circle:")
    kinds: dict[str, list[Problem]] = {}
    for problem in problems:
        kinds.setdefault(problem.kind, []).append(problem)
    shown = {kind: _usable(dataset, members) for kind, members in kinds.items()}
    names = list(dict.fromkeys(name for some in shown.values() for name in some))
    thumbs = pictures(dataset, names) if names else {}  # for all kinds at once: a page has one such bar
    for kind, members in sorted(kinds.items(), key=lambda entry: -sum(one.excluded for one in entry[1])):
        _kind(dataset, kind, members, {name: thumbs[name] for name in shown[kind]})
    if found.unknown_colors:
        _unknown(dataset, found)
    history(dataset)


# Problems --------------------------------------------------------------------------------------------


def _usable(dataset: Dataset, problems: Sequence[Problem]) -> list[str]:
    """Return a few of the images that problems are about and that can be used nevertheless."""
    names = dict.fromkeys(name for problem in problems for name in problem.images)
    return [name for name in names if name in dataset.groups][:SHOWN]


def _kind(dataset: Dataset, kind: str, problems: Sequence[Problem], thumbs: Mapping[str, Path | None]) -> None:
    """Draw one kind of problem: how often, examples, and the action that mends it."""
    out = sum(problem.excluded for problem in problems)
    title = f"{kind[:1].upper()}{kind[1:]}: {len(problems):,}"
    if kind != LEFT_OUT and out == len(problems):
        title += " left out"
    icon = ":material/block:" if out else ":material/info:"
    with st.expander(escape(title), icon=icon):
        _messages(problems)
        _pictures(dataset, problems, thumbs)
        for number, action in enumerate(_actions(problems)):
            if st.button(_offer(action), key=Key.CHECK_ACTION.of(f"{kind}:{number}"), icon=":material/gavel:"):
                decide(dataset, action)


def _messages(problems: Sequence[Problem]) -> None:
    """Draw what is wrong with each file; many of them in a box of their own."""
    told = [escape(_told(problem)) for problem in problems[:LISTED]]
    if len(told) == 1:
        st.markdown(told[0])
        return
    with st.container(height=240 if len(told) > 6 else "content"):
        st.markdown("\n".join(f"- {message}" for message in told))
    if len(problems) > LISTED:
        st.caption(f"The first {LISTED} of {len(problems):,}. The command `dataset check` lists all.")


def _told(problem: Problem) -> str:
    """Return what is wrong without the folder of the file, which the files of a dataset have in common."""
    return problem.message if problem.file is None else problem.message.replace(f"{problem.file.parent}{os.sep}", "")


def _pictures(dataset: Dataset, problems: Sequence[Problem], thumbs: Mapping[str, Path | None]) -> None:
    """Draw a few of the images, or files, that a kind of problem is about."""
    shown = list(thumbs.items())
    if not shown:
        files = [problem.file for problem in problems if problem.file is not None][:SHOWN]
        shown = [(file.name, place) for file, place in of_files(dataset, files).items()]
    shown = [(name, place) for name, place in shown if place is not None]
    for column, (name, place) in zip(st.columns(SHOWN), shown, strict=False):
        column.image(str(place), caption=escape(name), width="stretch", alt=f"Image {name}")


def _actions(problems: Sequence[Problem]) -> list[Decision]:
    """Return what can be done about all problems of a kind, images to leave out taken together."""
    actions = [problem.action for problem in problems if problem.action is not None]
    images = dict.fromkeys(name for action in actions if isinstance(action, Exclude) for name in action.images)
    others = [action for action in dict.fromkeys(actions) if not isinstance(action, Exclude)]
    return ([Exclude(images=tuple(images))] if images else []) + others


def _offer(action: Decision) -> str:
    """Return a decision as what a button does."""
    if isinstance(action, Exclude) and len(action.images) > 1:
        return f"Leave out these {len(action.images):,} images"
    text = action.text
    return escape(text[:1].upper() + text[1:])


# Unknown colours -------------------------------------------------------------------------------------


def _unknown(dataset: Dataset, found: CheckReport) -> None:
    """Draw the colours that no class has, and giving them a meaning."""
    count, pixels = plural(found.unknown_count, "unknown colour"), plural(found.unknown_pixels, "pixel")
    title = f"{count}: {pixels} that count nowhere"
    with st.expander(title, icon=":material/palette:", expanded=not found.problems):
        st.dataframe(
            [
                {
                    "color": swatch(unknown.value) if isinstance(unknown.value, tuple) else None,
                    "value": unknown.text,
                    "pixels": unknown.pixels,
                    "images": unknown.images,
                    "for example": unknown.example,
                    "nearest class": unknown.nearest or UNKNOWN,
                }
                for unknown in found.unknown_colors
            ],
            hide_index=True,
            column_config={
                "color": SWATCH,
                "value": "In the masks",
                "pixels": "Pixels",
                "images": "Images",
                "for example": "For example",
                "nearest class": class_column((info.name for info in dataset.table.classes), "Nearest class"),
            },
            height="content" if len(found.unknown_colors) < 6 else 240,
            key="dataset.unknown",
        )
        _map(dataset, found.unknown_colors)
        if found.near_colors:
            _snap(dataset, found)


def _map(dataset: Dataset, unknown: Sequence[UnknownValue]) -> None:
    """Draw giving one colour a class, the nearest proposed."""
    left, right = st.columns(2)
    place = left.selectbox(
        "This colour", range(len(unknown)), format_func=lambda number: unknown[number].text, key=Key.CHECK_VALUE
    )
    chosen = unknown[place]
    options = ["", *(info.name for info in dataset.table.classes)]  # no class is called nothing: that is ignored
    means = right.selectbox(
        "Stands for",
        options,
        index=options.index(chosen.action.to) if chosen.action.to in options else 0,
        format_func=lambda name: name or "ignored",
        key=Key.CHECK_MEANS.of(chosen.text),
    )
    meaning = Map(value=chosen.value, to=means or None)
    if st.button(_offer(meaning), key=Key.CHECK_MAP, icon=":material/gavel:"):
        decide(dataset, meaning)


def _snap(dataset: Dataset, found: CheckReport) -> None:
    """Draw giving all colours near a class's that class: for masks whose edges are blended."""
    within = [sum(near.pixels[step] for near in found.near_colors) for step in range(len(SNAP_STEPS))]
    step = st.selectbox(
        "Take colours near a class's for that class",
        range(len(SNAP_STEPS)),
        format_func=lambda number: f"up to {SNAP_STEPS[number]} apart in RGB: {plural(within[number], 'pixel')}",
        key=Key.CHECK_DISTANCE,
        help="Masks saved as JPEG, or drawn with smooth edges, hold colours between those of the classes.",
    )
    snap = Snap(distance=SNAP_STEPS[step])
    if st.button(_offer(snap), key=Key.CHECK_SNAP, icon=":material/gavel:"):
        decide(dataset, snap)
