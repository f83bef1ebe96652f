"""The tabs of the architectures screen: what a backbone inside a decoder is made of and what that costs."""

from __future__ import annotations

from collections.abc import Callable

from segcore.ui import (
    architectures_catalog,
    architectures_drawing,
    architectures_sees,
    architectures_tables,
    architectures_words,
)
from segcore.ui.architectures_choice import Chosen
from segcore.ui.components import errors_shown
from segcore.ui.state import Key, open_tab


def draw_tabs(chosen: Chosen) -> None:
    """Draw the open tab alone: what is not looked at costs nothing."""
    name, tab = open_tab(Key.NETWORK_TAB, list(TABS))
    with tab, errors_shown():
        TABS[name](chosen)


TABS: dict[str, Callable[[Chosen], None]] = {
    "Drawing": architectures_drawing.draw,
    "Tables": architectures_tables.draw,
    "What it sees": architectures_sees.draw,
    "In words": architectures_words.draw,
    "Catalog": architectures_catalog.draw,
}
"""What each tab of the page draws."""
