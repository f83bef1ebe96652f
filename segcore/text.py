"""Numbers as people read them, the same on every screen and in the terminal; and names that mean harm, tamed."""

from __future__ import annotations

import re

UNKNOWN = "–"


def duration(seconds: float | None) -> str:
    """Return a time as a person says it: "40 s", "12 min", "3 h 20 min"; "–" for None and NaN."""
    if seconds is None or seconds != seconds:
        return UNKNOWN
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes and hours < 10 else f"{hours} h"


def percent(share: float | None, digits: int = 1) -> str:
    """Return a share 0-1 as "78.3 %"; "–" for None and NaN."""
    return UNKNOWN if share is None or share != share else f"{100 * share:.{digits}f} %"


def plural(count: int, noun: str, many: str | None = None) -> str:
    """Return "1 run" or "3 runs"; `many` where an s does not do ("class", "classes")."""
    return f"{count:,} {noun if count == 1 else many or noun + 's'}"


def scaled(count: float | None) -> str:
    """Return a large count with three digits and a prefix: "14.3 M", "2.06 G"; "–" for None."""
    if count is None:
        return UNKNOWN
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= limit:
            value = count / limit
            return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f} {letter}"
    return f"{count:.0f}"


_STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str, *, lines: bool = True) -> str:
    """Return text of any origin so that a terminal only shows it.

    What would steer the terminal or turn the order of writing around, and what is no valid text, becomes an escape:
    "\\x1b". Ends of lines and tabs stay, unless `lines` is False.
    """
    shown = _STEERING.sub(lambda match: match.group().encode("unicode_escape").decode(), text)
    return shown if lines else shown.replace("\n", "\\n").replace("\t", "\\t")
