"""Decisions about a dataset from the words of a command line; see `segcore.data.commands` for the way back."""

from __future__ import annotations

import re
from collections.abc import Sequence

from segcore.cli.output import listed
from segcore.decisions import (
    Color,
    Decision,
    Ignore,
    Map,
    Merge,
    Recolor,
    Rename,
    Use,
    in_order,
)
from segcore.errors import ConfigError

_HEX = re.compile(r"#[0-9a-fA-F]{6}")


def halves(text: str, *, field: str) -> tuple[str, str]:
    """Divide "a=b" at its last =.

    Raises:
        ConfigError: there is none, or nothing before it.
    """
    before, equals, after = text.rpartition("=")
    if not equals or not before.strip():
        raise ConfigError(f"{text!r} is not of the form OLD=NEW.", field=field)
    return before.strip(), after.strip()


def read_color(text: str, *, field: str) -> Color:
    """Return the (r, g, b) of "#rrggbb".

    Raises:
        ConfigError: it is no such text.
    """
    if not _HEX.fullmatch(text):
        raise ConfigError(f"{text!r} is no colour; write #rrggbb, as in #ff8000.", field=field)
    red, green, blue = bytes.fromhex(text[1:])
    return red, green, blue


def read_mapping(text: str) -> Map:
    """Return the decision of "VALUE=CLASS", "#rrggbb=CLASS" or "VALUE=".

    Raises:
        ConfigError: it is no such text.
    """
    value, to = halves(text, field="map")
    if value.startswith("#"):
        return Map(value=read_color(value, field="map"), to=to or None)
    if not value.isascii() or not value.isdigit():
        raise ConfigError(f"{value!r} is neither a value, as 7, nor a colour, as #ff8000.", field="map")
    return Map(value=int(value), to=to or None)


def read_classes(
    merge: Sequence[str], rename: Sequence[str], recolor: Sequence[str], ignore: Sequence[str], use: Sequence[str]
) -> list[Decision]:
    """Return the decisions that flags of 'dataset classes' ask for, in the order of the arguments.

    Raises:
        ConfigError: one cannot be understood.
    """
    found: list[Decision] = []
    for text in merge:
        names, into = halves(text, field="merge")
        found.append(Merge(names=listed(names, field="merge"), into=into))
    halved = [halves(text, field="rename") for text in rename]
    found += in_order([Rename(name=name, to=to) for name, to in halved])
    for text in recolor:
        name, color = halves(text, field="recolor")
        found.append(Recolor(name=name, color=read_color(color, field="recolor")))
    found += [Ignore(names=listed(text, field="ignore")) for text in ignore]
    found += [Use(names=listed(text, field="use")) for text in use]
    return found
