"""A viewer of masks: photograph, truth, predictions, errors and certainty side by side, with one zoom for all.

Python sends the photograph and maps of one byte a pixel, each once (see `packing`); a script in the page paints
classes, opacity, contours and errors from them. So moving a slider or switching a class asks nothing of the server,
and nothing flickers. Names are shown letter by letter, never as markup.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from segcore.config import ClassInfo
from segcore.figures.images import RIGHT, UNLABELLED, WRONG
from segcore.ui.viewer.packing import Packed, message

SCRIPTS = ("layers", "paint", "sight", "panels", "legend", "gestures", "main")
"""In this order, as each uses those before."""


AGREEMENT = (
    RIGHT,
    (86, 180, 233),
    (240, 228, 66),
    (204, 190, 120),
    (150, 70, 120),
    WRONG,
)
"""Colours of where all networks are right, only the first of two, only the second, some of several, none, and none but
all with the same class. By M. Okabe and K. Ito (https://jfly.uni-koeln.de/color/), told apart by the colour-blind."""


@dataclass(frozen=True)
class Seen:
    """What one network sees in the image."""

    title: str
    labels: Packed
    confidence: Packed
    entropy: Packed


@dataclass(frozen=True)
class Table:
    """What stands in the legend beside the classes."""

    columns: Sequence[str]
    """Titles of the columns behind the class."""
    rows: Sequence[tuple[int, Sequence[str]]]
    """Label and cells of each class, in the order shown."""
    totals: Sequence[tuple[str, Sequence[str]]] = ()
    """Title and cells of each line below."""
    note: str = ""


def _read(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def script() -> str:
    """Return what runs in the page: one module, as a component takes one text."""
    return "\n".join(_read(f"{name}.js") for name in SCRIPTS)


_component = st.components.v2.component(
    "segcore_viewer",
    html=_read("viewer.html"),
    css=_read("viewer.css"),
    js=script(),
    isolate_styles=True,
)


def show(
    name: str,
    photo: Packed,
    truth: Packed | None,
    seen: Sequence[Seen],
    classes: Sequence[ClassInfo],
    table: Table,
    *,
    key: str,
    only: str | None = None,
    place: tuple[float, float, float, float] | None = None,
    on_step: Callable[[int], None] | None = None,
    on_only: Callable[[str | None], None] | None = None,
) -> None:
    """Show an image and what networks see in it. Maps may be smaller than the photograph, never of another shape.

    Args:
        name: of the image.
        truth: labels as people drew them; None where nobody did.
        classes: the trained classes, by label.
        table: the legend's columns.
        only: the one class that is switched on, where the address names one.
        place: (left, top, right, bottom) as shares of the image: framed, and brought into sight once.
        on_step: told -1 or 1 when the visitor asks for the image before or behind, before the page runs again.
        on_only: told the one class the visitor left switched on, or None once there are others.
    """

    def told(event: str) -> Any:
        return st.session_state[key].get(event)

    def stepped() -> None:
        if on_step is not None and told("step") in (-1, 1):
            on_step(told("step"))

    def narrowed() -> None:
        names = [info.name for info in classes]
        if on_only is not None:
            on_only(told("only") if told("only") in names else None)

    header = {
        "name": name,
        "photo": photo,
        "truth": truth,
        "runs": [vars(one) for one in seen],
        "classes": [{"name": info.name, "color": info.color} for info in classes],
        "errorColors": [RIGHT, WRONG, UNLABELLED],
        "agreementColors": AGREEMENT,
        "only": only,
        "place": place,
        "steps": on_step is not None,
    }
    header["table"] = {**vars(table), "rows": [{"label": label, "cells": cells} for label, cells in table.rows]}
    _component(key=key, data=message(header), on_step_change=stepped, on_only_change=narrowed)
