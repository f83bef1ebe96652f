"""Examples of what was recognised in a folder: images, and the same under their masks."""

from __future__ import annotations

import numpy as np
import streamlit as st

from segcore import figures
from segcore.config import IGNORE_INDEX, ClassInfo
from segcore.data.classes import ClassTable, palette
from segcore.data.layouts import Guess
from segcore.data.layouts.coco import draw_examples
from segcore.data.readers import read_image, read_mask, resize_labels
from segcore.errors import SegcoreError
from segcore.ui.components import escape, show_error

_SIDE = 400


def draw(guess: Guess) -> None:
    """Draw some pairs: the image, and the same under its mask."""
    columns = st.columns(max(3, len(guess.examples)))
    try:
        drawn = _drawn(guess, guess.config.classes)
    except SegcoreError as error:
        show_error(error)
        return
    colors = palette(guess.config.classes)
    for column, pair, example in zip(columns, guess.examples, drawn, strict=False):
        with column:
            if isinstance(example, str):
                st.caption(f":orange[{escape(example)}]")
                continue
            picture, labels = example
            scene = f", scene {pair.group}" if pair.group != pair.name else ""
            st.image(picture, width="stretch", alt=f"Image {pair.name}")
            st.image(
                figures.overlay(picture, labels, colors, 0.6),
                caption=escape(pair.name + scene),
                width="stretch",
                alt=f"Image {pair.name} under its mask",
            )
            if (labels == IGNORE_INDEX).all():
                st.caption(":orange[None of its pixels has a class that is learnt.]")


@st.cache_data(ttl=60, max_entries=16, show_spinner="Reading examples …", hash_funcs={Guess: lambda guess: key(guess)})
def _drawn(guess: Guess, classes: tuple[ClassInfo, ...]) -> list[tuple[np.ndarray, np.ndarray] | str]:
    """Return the middle of image and labels, 255 where nothing is learnt, of each example at screen size.

    An example whose files cannot be read is what is wrong with them: the check leaves such images out, too.
    """
    table = ClassTable(classes)
    outlines = draw_examples(guess) if guess.annotations else None
    drawn: list[tuple[np.ndarray, np.ndarray] | str] = []
    for number, pair in enumerate(guess.examples):
        try:
            picture = read_image(pair.image, max_side=_SIDE)
            size = (picture.shape[1], picture.shape[0])
            if outlines is None:
                labels, _ = read_mask(pair.mask, table, size=size)
            else:
                labels, _ = table.indices_to_labels(resize_labels(outlines[number], *size))
        except SegcoreError as error:
            drawn.append(str(error))
        else:
            drawn.append((_square(picture), _square(labels)))
    return drawn


def _square(pixels: np.ndarray) -> np.ndarray:
    """Return the middle of a picture, (H, W, …), so that examples of any shape stand in rows."""
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return pixels[top : top + side, left : left + side]


def key(guess: Guess) -> str:
    """Return what tells apart guesses whose examples look different."""
    return repr([(str(pair.image), str(pair.mask)) for pair in guess.examples] + [guess.config.model_dump_json()])
