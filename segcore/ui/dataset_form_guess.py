"""What was recognised in a folder: shown with examples, corrected where it is wrong, and added."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import streamlit as st

from segcore.config import DatasetConfig
from segcore.data.layouts import Guess, recognise, revised
from segcore.data.layouts.listing import list_folder
from segcore.data.store import DatasetStore
from segcore.errors import DatasetError, SegcoreError
from segcore.text import plural
from segcore.ui import dataset_form_classes as class_table
from segcore.ui import dataset_form_examples as examples
from segcore.ui import dataset_form_scenes as scenes
from segcore.ui.components import escape, progress_bar
from segcore.ui.state import Key

_OF = "dataset.add.guess"
"""Session key of what the fields were filled for."""


def draw(folder: Path, name: str, own: Path | None) -> None:
    """Draw what `folder` seems to be, with all that can be corrected, and the button that adds it.

    Args:
        folder: to look into.
        name: for the dataset, unless another is typed.
        own: the folder that the dataset is to keep, where `folder` lies in one.
    """
    slots: scenes.Slots = {"path": st.container()}
    try:
        guesses = _recognised(str(folder))
        if not guesses:
            raise DatasetError(_unknown(folder), field="path")
    except SegcoreError as error:
        scenes.show(error, slots, "path")
        return
    guess = _chosen(guesses)
    _fill_in(folder, name, guess)
    facts = st.container()
    pictures = st.container()
    st.markdown("**Classes**")
    rows = class_table.draw(guess.config.classes, key=Key.ADD_TABLE.of(f"{folder}:{guess.layout}"))
    st.caption(
        "Row by row what the masks hold: the first row is value 0 of masks without colours. Correct names, colours and "
        "what is ignored; add or remove rows."
    )
    slots["classes"] = st.container()
    _corrections(slots, guess)
    scenes.name_field()
    slots["name"] = st.container()
    shown = _corrected(guess, rows, slots)
    keep = _parts(shown or guess)
    slots["split"] = st.container()
    with facts:
        _say(shown or guess)
    if shown is not None:
        with pictures:
            examples.draw(shown)
    if st.button("Add dataset", type="primary", key=Key.ADD, icon=":material/add:", disabled=shown is None):
        assert shown is not None
        _add(shown, own, slots, keep=keep)


@st.cache_data(ttl=60, max_entries=8, show_spinner="Looking at the folder …")
def _recognised(folder: str) -> list[Guess]:
    return recognise(Path(folder))


def _unknown(folder: Path) -> str:
    """Say what lies in a folder in which nothing was recognised, and what to do."""
    listing = list_folder(folder)
    if not listing.images:
        return "No images lie in this folder, nor below it. Give the folder that holds images and masks."
    places = Counter(file.rpartition("/")[0] or "the folder itself" for file in listing.images)
    where = ", ".join(place for place, _ in places.most_common(3)) + (" and others" if len(places) > 3 else "")
    lie = f"{'lies' if len(listing.images) == 1 else 'lie'} {plural(len(listing.images), 'image file')}"
    return (
        f"Here {lie} (in {where}), but nothing tells images and masks apart: it is arranged like no known dataset, and "
        "there are no two folders, like images and masks, with files of the same names. Choose another folder, or add "
        "it field by field."
    )


def _chosen(guesses: list[Guess]) -> Guess:
    """Draw the choice between guesses, where there are several; the best is chosen first."""
    if len(guesses) == 1:
        return guesses[0]
    titles = {guess.layout: guess.title for guess in reversed(guesses)}
    layouts = list(dict.fromkeys(guess.layout for guess in guesses))
    if st.session_state.get(Key.ADD_LAYOUT) not in layouts:
        st.session_state[Key.ADD_LAYOUT] = layouts[0]
    layout = st.selectbox("Taken for", layouts, format_func=titles.__getitem__, key=Key.ADD_LAYOUT)
    return next(guess for guess in guesses if guess.layout == layout)


def _fill_in(folder: Path, name: str, guess: Guess) -> None:
    """Put what was guessed into the fields, once for each guess."""
    state, config = st.session_state, guess.config
    of = (str(folder), guess.layout)
    grouping = scenes.BY_NAME if config.group_regex else scenes.BY_FOLDER if config.group_by_folder else scenes.ALONE
    values: dict[str, Any] = {
        Key.ADD_NAME: name,
        Key.ADD_IMAGES: str(config.images),
        Key.ADD_MASKS: str(config.masks),
        Key.ADD_IMAGE_REGEX: config.image_regex or "",
        Key.ADD_MASK_REGEX: config.mask_regex or "",
        Key.ADD_GROUPING: grouping,
        Key.ADD_REGEX: config.group_regex or "",
        Key.ADD_PUBLISHED: True,
        Key.ADD_VAL: 20,
        Key.ADD_TEST: 0,
    }
    for key, value in values.items():
        # Fields that were not drawn lately are gone from the state.
        if state.get(_OF) != of or key not in state:
            state[key] = value
    state[_OF] = of


def _say(guess: Guess) -> None:
    """Say what was recognised, and what to know about it."""
    split = guess.split
    parts = [plural(guess.pairs, "pair"), plural(guess.groups, "scene")]
    if split is not None:
        named = {"train": split.train, "val": split.val, "test": split.test}
        parts.append("published as " + ", ".join(f"{len(names)} {part}" for part, names in named.items() if names))
    st.markdown(f"**{escape(guess.title)}** · {' · '.join(parts)}")
    st.caption(escape(guess.why))
    if guess.warnings:
        st.info("  \n".join(escape(warning) for warning in guess.warnings), icon=":material/info:")


# Corrections ------------------------------------------------------------------------------------------


def _corrections(slots: scenes.Slots, guess: Guess) -> None:
    """Draw the fields for what else was guessed; what is wrong with them stands below, as they may be folded away."""
    with st.expander("Correct folders, pairing and scenes", icon=":material/tune:"):
        if not guess.annotations:  # else masks are drawn from the outlines
            _pairing()
        scenes.grouping()
    below = st.container()
    slots.update(dict.fromkeys(("images", "masks", "image_regex", "mask_regex", "group_regex"), below))


def _pairing() -> None:
    """Draw the fields for where images and masks are, and how they belong together."""
    left, right = st.columns(2)
    for column, key, label, field in (
        (left, Key.ADD_IMAGES, "Folder of images", "images"),
        (right, Key.ADD_MASKS, "Folder of masks", "masks"),
        (left, Key.ADD_IMAGE_REGEX, "Expression for images", "image_regex"),
        (right, Key.ADD_MASK_REGEX, "Expression for masks", "mask_regex"),
    ):
        with column:
            st.text_input(label, key=key, help=DatasetConfig.help(field), persist_state="page")
    st.caption(
        "Without expressions, images and masks pair by file name up to the suffix. An expression matches the whole "
        r"path below the folder; what stands in brackets must be equal, as in `(.+)\.jpg` and `(.+)_mask\.png`."
    )


def _corrected(guess: Guess, rows: list[Any], slots: scenes.Slots) -> Guess | None:
    """Return the guess with what stands in the fields; None where that cannot be, which is said beside the field."""
    state = st.session_state
    try:
        changes: dict[str, Any] = {"classes": class_table.edited(rows)}
        if not guess.annotations:
            changes |= {
                "images": scenes.path(Key.ADD_IMAGES, "images", "the images are"),
                "masks": scenes.path(Key.ADD_MASKS, "masks", "the masks are"),
                "image_regex": state[Key.ADD_IMAGE_REGEX].strip() or None,
                "mask_regex": state[Key.ADD_MASK_REGEX].strip() or None,
            }
        changes |= {"group_regex": scenes.regex(), "group_by_folder": scenes.by_folder()}
        changed = {field: value for field, value in changes.items() if value != getattr(guess.config, field)}
        return _revised(guess, changed, repr(sorted(changed.items()))) if changed else guess
    except SegcoreError as error:
        scenes.show(error, slots, "group_regex" if error.field is None else "classes")
        return None


@st.cache_data(
    ttl=60, max_entries=16, show_spinner="Looking for pairs …", hash_funcs={Guess: lambda guess: examples.key(guess)}
)
def _revised(guess: Guess, _changes: dict[str, Any], changes: str) -> Guess:
    del changes  # tells the cache what `_changes` holds
    return revised(guess, **_changes)


def _parts(guess: Guess) -> bool:
    """Draw how the images are divided; return whether the published parts are kept."""
    keep = False
    if guess.split is not None:
        keep = st.checkbox(
            "Keep the parts it was published in",
            key=Key.ADD_PUBLISHED,
            persist_state="page",
            help="Results can then be compared with published ones. Otherwise the images are divided anew by scene.",
        )
    scenes.shares(disabled=keep)
    return keep


def _add(guess: Guess, own: Path | None, slots: scenes.Slots, *, keep: bool) -> None:
    try:
        scenes.check_regex()
        name = scenes.name()
        named = revised(guess, name=name)
        with progress_bar("Reading and checking every image and mask") as progress:
            DatasetStore().add_guess(
                named,
                own=own,
                split=guess.split if keep else None,
                val=st.session_state[Key.ADD_VAL] / 100,
                test=st.session_state[Key.ADD_TEST] / 100,
                progress=progress,
            )
    except SegcoreError as error:
        scenes.show(error, slots, "split")
        return
    st.session_state.pop(_OF, None)
    scenes.done(name)
