"""The choice of backbones in the launch form: by family, the original six, or any name of timm.

The choice stands under a key of its own and the pills follow it: they are in a popover, and of widgets that it has
not mounted the browser sends what it last knew, or nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import streamlit as st

from segcore.config import StudyConfig
from segcore.errors import SegcoreError
from segcore.models import catalog
from segcore.text import plural
from segcore.ui.components import escape, field_error
from segcore.ui.state import Key

FIRST_CHOICE = ("resnet18", "efficientnet_b0")
"""Chosen when the form is first drawn: small, well known and of different families."""

_CHOSEN = "launch.backbones.chosen"
_VERSION = "launch.backbones.version"
"""Part of the pills' keys: raised when a button chooses, as the browser would hold on to the old pills."""


def families() -> dict[str, list[str]]:
    """Family -> its backbones in the catalog, small to large."""
    found: dict[str, list[str]] = {}
    for name, backbone in sorted(catalog.BACKBONES.items(), key=lambda item: item[1].parameters):
        found.setdefault(backbone.family, []).append(name)
    return {family: found[family] for family in catalog.FAMILIES if family in found}


def begin() -> None:
    """Make the first choice, where none was made yet."""
    if _CHOSEN not in st.session_state:
        choose(FIRST_CHOICE)


def choose(names: tuple[str, ...]) -> None:
    """Choose exactly these backbones, none typed; to be called before the widgets are drawn."""
    state = st.session_state
    state[Key.LAUNCH_OTHER] = ""
    state[_CHOSEN] = names
    state[_VERSION] = state.get(_VERSION, 0) + 1


def add(names: Iterable[str]) -> None:
    """Choose these beside what is chosen already; to be called before the widgets are drawn.

    Backbones offered by name are pressed, others typed.
    """
    state = st.session_state
    wanted = tuple(dict.fromkeys([*chosen(), *names]))
    choose(tuple(name for name in wanted if name in catalog.BACKBONES))
    state[Key.LAUNCH_OTHER] = ", ".join(name for name in wanted if name not in catalog.BACKBONES)


def chosen() -> tuple[str, ...]:
    """Return the names chosen: the pressed ones, family by family, then those typed."""
    state = st.session_state
    held = state.get(_CHOSEN, ())
    pressed = [name for members in families().values() for name in members if name in held]
    typed = [name for name in re.split(r"[\s,;]+", state.get(Key.LAUNCH_OTHER) or "") if name]
    return tuple(dict.fromkeys([*pressed, *typed]))


def draw(error: SegcoreError | None) -> None:
    """Draw the choice; `error` is shown beside it where it is about the backbones."""
    names = chosen()
    st.markdown(":small[Backbones]", help=StudyConfig.help("encoders"))
    label = plural(len(names), "backbone") + " chosen" if names else "Choose backbones"
    with st.popover(label, icon=":material/account_tree:", width="stretch"):
        for family, members in families().items():
            key = pills_key(family)
            st.pills(
                catalog.FAMILIES[family].title,
                members,
                selection_mode="multi",
                default=[name for name in members if name in names],
                format_func=_backbone_label,
                key=key,
                on_change=_press,
                args=(key, family),
            )
    with st.container(horizontal=True, gap="small"):
        st.button(
            "The original six",
            key=Key.LAUNCH_ORIGINAL_SIX,
            on_click=choose,
            args=(tuple(catalog.ORIGINAL_SIX),),
            help="The six backbones of the notebook this project grew out of: "
            + ", ".join(catalog.BACKBONES[name].title for name in catalog.ORIGINAL_SIX),
        )
        st.button("Clear", key=Key.LAUNCH_CLEAR, on_click=choose, args=((),))
    if names:
        st.caption(escape(", ".join(_title(name) for name in names)))
    st.text_input(
        "Other backbones",
        key=Key.LAUNCH_OTHER,
        placeholder="timm names, e.g. resnet26",
        help="Any backbone of the timm library by its name, several with commas. Whether it fits into the "
        "decoder is checked when you press Launch.",
        persist_state="session",
    )
    field_error(error, "encoders")


def pills_key(family: str) -> str:
    """Return the key of the pills of one family, as they are now."""
    return Key.LAUNCH_BACKBONES.of(f"{family}:{st.session_state.get(_VERSION, 0)}")


def _press(key: str, family: str) -> None:
    """Take over what was pressed in the pills of one family; what the browser still says of old pills is void."""
    if key != pills_key(family):
        return
    members = families()[family]
    others = [name for name in st.session_state.get(_CHOSEN, ()) if name not in members]
    st.session_state[_CHOSEN] = (*others, *(st.session_state.get(key) or ()))


def _backbone_label(name: str) -> str:
    backbone = catalog.BACKBONES[name]
    return f"{backbone.title} · {backbone.parameters / 1e6:.0f} M"


def _title(name: str) -> str:
    backbone = catalog.find(name)
    return backbone.title if backbone else name
