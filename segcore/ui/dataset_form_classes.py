"""The class table of a dataset to be, as a table that can be edited."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import streamlit as st

from segcore.config import ClassInfo
from segcore.data.classes import ClassTable
from segcore.errors import ClassTableError, ConfigError
from segcore.ui.components import swatch

_COLOR = re.compile(r"#?([0-9a-fA-F]{2})([0-9a-fA-F]{2})([0-9a-fA-F]{2})")


def draw(classes: Sequence[ClassInfo], *, key: str) -> list[Mapping[str, Any]]:
    """Draw the table to be edited, and return its rows as they are now; see `edited`."""
    rows = [
        {
            "shown": swatch(info.color),
            "name": info.name,
            "colour": "#{:02x}{:02x}{:02x}".format(*info.color),
            "ignore": info.ignore,
        }
        for info in classes
    ]
    columns = {
        "shown": st.column_config.ImageColumn("", width=40, pinned=True),
        "name": st.column_config.TextColumn("Class", required=True, max_chars=80),
        "colour": st.column_config.TextColumn(
            "Colour", required=True, validate=f"^{_COLOR.pattern}$", help="As in the masks, or to be drawn with."
        ),
        "ignore": st.column_config.CheckboxColumn(
            "Ignore", help="Its pixels count nowhere: neither in training nor in any score.", default=False
        ),
    }
    result = st.data_editor(
        rows,
        column_config=columns,
        column_order=list(columns),
        disabled=["shown"],
        num_rows="dynamic",
        height=min(36 + 35 * (len(rows) + 1), 320),
        width="stretch",
        key=key,
    )
    return list(result)


def edited(rows: Iterable[Mapping[str, Any]]) -> tuple[ClassInfo, ...]:
    """Return the classes of the edited rows.

    Raises:
        ClassTableError: a row has no name or no colour, or two have the same.
    """
    classes = []
    for number, row in enumerate(rows, start=1):
        name, color = (row.get("name") or "").strip(), (row.get("colour") or "").strip()
        match = _COLOR.fullmatch(color)
        if match is None:
            raise ClassTableError(
                f"Row {number} of the classes has the colour {color!r}; write it as #rrggbb, like #3c1098.",
                field="classes",
            )
        red, green, blue = (int(part, 16) for part in match.groups())
        try:
            classes.append(ClassInfo(name=name, color=(red, green, blue), ignore=bool(row.get("ignore"))))
        except ConfigError as error:
            raise ClassTableError(f"Row {number} of the classes: {error}", field="classes") from error
    return ClassTable(classes).classes
