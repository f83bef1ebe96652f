"""A gallery of thumbnails: a thousand of them, one of which is chosen by click or key.

Captions and addresses are sent at once, pictures are fetched by the browser as they come into sight, through
Streamlit's own store of media. Measured with 1,000 thumbnails of 7 kB: 25 ms on the server and 126 kB each time the
page runs, and 7 kB for each picture seen, once; all of them inside the message were 7.4 MB before the first is seen.
Scrolling runs nothing. Names are shown letter by letter, never as markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit import runtime
from streamlit.runtime.media_file_storage import MediaFileStorageError

LARGEST = 1000
"""So many items a gallery takes at most; whoever has more shows them part by part."""


@dataclass(frozen=True)
class Item:
    """One picture of a gallery."""

    id: str
    """What is returned where it is chosen; differs from all others."""
    caption: str
    thumbnail: Path | None
    """A JPEG file; None where there is no picture to show."""
    badge: str = ""
    """A word or two in its corner."""
    told: str = ""
    """More about it, shown where it is pointed at, below its caption."""


def _read(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


_component = st.components.v2.component(
    "segcore_gallery",
    html=_read("gallery.html"),
    css=_read("gallery.css"),
    js=_read("gallery.js"),
    isolate_styles=True,
)


def draw(
    items: Sequence[Item], *, key: str, selected: str | None = None, label: str = "Images", height: int = 420
) -> str | None:
    """Draw a gallery and return the id of what the visitor just chose, else None.

    Args:
        items: at most `LARGEST`, with ids that differ.
        key: of the gallery's place on the page.
        selected: the id that is marked; what was just chosen is, in any case.
        label: what is in it, for those who hear the page.
        height: in pixels, at most; a gallery of few images is lower.
    """
    assert len(items) <= LARGEST, f"{len(items)} items, at most {LARGEST} fit"
    ids = [item.id for item in items]
    known = {name: number for number, name in enumerate(ids)}
    assert len(known) == len(ids), "ids must differ"
    told = st.session_state.get(key)
    chosen = told.get("choose") if told is not None else None
    chosen = chosen if chosen in known else None
    data = {
        "items": [_message(item, f"{key}.{number}") for number, item in enumerate(items)],
        "selected": known.get(chosen or selected or "", -1),
        "base": _base(),
        "label": label,
        "height": height,
    }
    _component(key=key, data=data, on_choose_change=_nothing)
    return chosen


def _message(item: Item, place: str) -> dict[str, Any]:
    row = {"id": item.id, "caption": item.caption, "badge": item.badge, "told": item.told}
    if item.thumbnail is not None:
        with suppress(MediaFileStorageError):  # removed a moment ago: made again when the page next runs
            row["url"] = runtime.get_instance().media_file_mgr.add(str(item.thumbnail), "image/jpeg", place)
    return {name: value for name, value in row.items() if value}


def _base() -> str:
    """What stands before the addresses of media, where the app is served below a folder of its host."""
    folder = str(st.get_option("server.baseUrlPath") or "").strip("/")
    return f"/{folder}" if folder else ""


def _nothing() -> None:
    """A component tells only of events that somebody listens to."""
