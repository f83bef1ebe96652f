"""The Dataset page's images: filters, a gallery of thumbnails, and the chosen image with its mask in the viewer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np
import streamlit as st

from segcore.data.dataset import Dataset
from segcore.text import percent, plural
from segcore.ui import gallery, viewer
from segcore.ui import predictions_pictures as full
from segcore.ui.components import escape, say_if_gone
from segcore.ui.dataset_parts import PARTS, parts, pictures
from segcore.ui.predictions_choice import step
from segcore.ui.state import Key, Param, remember, remembered
from segcore.ui.viewer.packing import Packed, unpack

ALL, WITH, WITHOUT = "all", "with", "without"
REMARKS = {ALL: "All", WITH: "With a remark", WITHOUT: "Without a remark"}
_ANY = "\0"
"""Stands for all scenes: no name of a file, so of none of them, holds it."""
_FILTERS = (Key.BROWSE_PART, Key.BROWSE_CLASS, Key.BROWSE_SCENE, Key.BROWSE_PROBLEMS)

Option = TypeVar("Option")


def draw(dataset: Dataset) -> None:
    """Draw the images that the filters let through, and one of them in full; it stands in the URL.

    Raises:
        SegcoreError: the chosen image cannot be read any more, or the dataset's directory cannot be written.
    """
    say_if_gone(Param.IMAGE, "Image", dataset.names)
    remarks = _remarks(dataset)
    names, label = _filtered(dataset, remarks)
    if not names:
        st.caption("No image is like that.")
        st.button("Show all images", key=Key.BROWSE_ALL, icon=":material/filter_alt_off:", on_click=_show_all)
        return
    wanted = remembered(Param.IMAGE)
    current = wanted if wanted in names else names[0]
    shown = _page(names, current)
    chosen = gallery.draw(_items(dataset, shown, label, remarks), key=Key.BROWSE_GALLERY, selected=current, height=340)
    current = chosen or current
    remember(Param.IMAGE, current)
    _look(dataset, current, names, remarks.get(current, []))


# Which images ----------------------------------------------------------------------------------------


def _remarks(dataset: Dataset) -> dict[str, list[str]]:
    """Return what the check said of images that can be used nevertheless, by their names."""
    of_file = {file: pair.name for pair in dataset.pairs for file in (pair.image, pair.mask)}
    found: dict[str, list[str]] = {}
    for problem in dataset.report.problems:
        names = {of_file[problem.file]} if problem.file in of_file else set()
        for name in names.union(problem.images).intersection(dataset.groups):
            found.setdefault(name, []).append(problem.message)
    return found


def _filtered(dataset: Dataset, remarks: Mapping[str, object]) -> tuple[list[str], int | None]:
    """Draw the filters; return the names they let through, and the class (its label) that is looked for."""
    split, classes = parts(dataset), dataset.table.trained
    scenes = sorted(set(dataset.groups.values()))
    columns = st.columns(4 if remarks else 3)
    with columns[0]:
        part = _choice("Part", [ALL, *split], Key.BROWSE_PART, lambda name: PARTS.get(name, "All"))
    with columns[1]:
        chosen_class = _choice(
            "Class shown",
            range(-1, len(classes)),
            Key.BROWSE_CLASS,
            lambda number: "Any" if number < 0 else classes[number].name,
            help="Of a class, the images that show most of it come first.",
        )
        label = None if chosen_class < 0 else chosen_class
    with columns[2]:
        scene = _choice("Scene", [_ANY, *scenes], Key.BROWSE_SCENE, lambda name: "All" if name == _ANY else name)
    remark = ALL
    if remarks:
        with columns[3]:
            remark = _choice("Check", list(REMARKS), Key.BROWSE_PROBLEMS, REMARKS.__getitem__)
    chosen = set(split.get(part, dataset.names))
    facts = [
        fact
        for fact in dataset.facts
        if fact.name in chosen
        and (label is None or fact.class_pixels[label])
        and scene in (_ANY, fact.group)
        and (remark == ALL or (fact.name in remarks) == (remark == WITH))
    ]
    if label is not None:
        facts.sort(key=lambda fact: -_share(fact.class_pixels, label))
    return [fact.name for fact in facts], label


def _choice(
    label: str, options: Sequence[Option], key: Key, format_func: Callable[[Option], str], *, help: str | None = None
) -> Option:
    """Draw a filter; what another dataset does not have is not chosen in it."""
    if st.session_state.get(key) not in options:
        st.session_state[key] = options[0]
    chosen: Option = st.selectbox(label, options, key=key, format_func=format_func, help=help, persist_state="session")
    return chosen


def _show_all() -> None:
    for key in _FILTERS:
        st.session_state.pop(key, None)


def _page(names: list[str], current: str) -> list[str]:
    """Return the names for one gallery; of more than it holds, the thousand that the visitor or `current` asks for."""
    most, state, seen = gallery.LARGEST, st.session_state, "dataset.browse.seen"
    if len(names) <= most:
        return names
    starts = list(range(0, len(names), most))
    if state.get(seen) != (current, len(names)) or state.get(Key.BROWSE_PAGE) not in starts:
        state[Key.BROWSE_PAGE] = names.index(current) // most * most
    state[seen] = (current, len(names))
    start = st.selectbox(
        "Images",
        starts,
        key=Key.BROWSE_PAGE,
        format_func=lambda start: f"{start + 1:,} to {min(start + most, len(names)):,} of {len(names):,}",
        width=260,
    )
    return names[start : start + most]


# Gallery and viewer ----------------------------------------------------------------------------------


def _items(
    dataset: Dataset, names: Sequence[str], label: int | None, remarks: Mapping[str, Sequence[str]]
) -> list[gallery.Item]:
    found = pictures(dataset, names)
    part_of = {name: PARTS[part] for part, members in parts(dataset).items() for name in members}
    items = []
    for name in names:
        facts = dataset.image_facts(name)
        share = "" if label is None else percent(_share(facts.class_pixels, label))
        scene = [f"Scene {facts.group}"] if facts.group != name else []
        told = [part_of.get(name, "In no part of the split"), *scene, *remarks.get(name, [])]
        badge = share or ("!" if name in remarks else "")
        items.append(gallery.Item(name, name, found[name], badge=badge, told="\n".join(told)))
    return items


def _share(pixels: Sequence[int], label: int) -> float:
    return pixels[label] / max(1, sum(pixels))


def _look(dataset: Dataset, name: str, names: Sequence[str], remarks: Sequence[str]) -> None:
    """Draw one image with its mask in the viewer of the Predictions page."""
    pair, facts = dataset.pair(name), dataset.image_facts(name)
    part = next((PARTS[part] for part, members in parts(dataset).items() if name in members), "in no part of the split")
    with st.container(horizontal=True, vertical_alignment="center"):
        for text, key, by, icon in (
            ("Previous", Key.BROWSE_PREVIOUS, -1, ":material/chevron_left:"),
            ("Next", Key.BROWSE_NEXT, 1, ":material/chevron_right:"),
        ):
            st.button(text, key=key, icon=icon, on_click=step, args=(names, by), disabled=len(names) < 2)
        place = f"{names.index(name) + 1:,} of {plural(len(names), 'image')}"
        width, height = facts.size
        scene = f" · scene {escape(pair.group)}" if pair.group != name else ""
        st.markdown(f"**{escape(name)}** · {place} · {width:,} × {height:,} px{scene} · {part.lower()}")
    for remark in remarks:
        st.caption(f":material/info: {escape(remark)}")
    with st.container():  # what comes and goes while files are read stands in here, so that the viewer keeps its place
        photo = full.photo(full.Source.of_file(pair.image))
        mask = full.Mask(pair.mask, dataset.config, dataset.report.mask_reading)
        truth = full.truth(mask, photo.width, photo.height)
    classes = dataset.table.trained
    only = remembered(Param.CLASS)
    viewer.show(
        name,
        photo,
        truth,
        [],
        classes,
        _legend(dataset, truth),
        key=Key.BROWSE_VIEWER,
        only=only if only in {info.name for info in classes} else None,
        on_step=(lambda by: step(names, by)) if len(names) > 1 else None,
        on_only=lambda alone: remember(Param.CLASS, alone),
    )


def _legend(dataset: Dataset, truth: Packed) -> viewer.Table:
    """Return what stands beside the classes: their share of this mask and of all masks, the largest first."""
    count = len(dataset.table.trained)
    pixels = np.bincount(unpack(truth).ravel(), minlength=256)
    here = pixels[:count] / max(1, pixels[:count].sum())
    overall = dataset.report.class_shares
    order = sorted(range(count), key=lambda label: (-here[label], -overall[label]))
    rows = [(label, (percent(here[label] or None), percent(overall[label] or None))) for label in order]
    unlabelled = 1 - pixels[:count].sum() / pixels.sum()
    note = f"{percent(unlabelled)} of the pixels count nowhere: ignored, or of no known class." if unlabelled else ""
    return viewer.Table(("In this mask", "In all masks"), rows, note=note)
