"""Building HTML so that nothing gets into it unescaped: class names, messages and paths may hold anything."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


class Html(str):
    """Text that is markup already; every other text is escaped where it enters."""

    __slots__ = ()


def text(value: object) -> Html:
    """Return a value as markup: as it is if it is `Html`, else escaped."""
    return value if isinstance(value, Html) else Html(html.escape(str(value)))


def joined(parts: Iterable[object], between: str = "\n") -> Html:
    """Put parts behind each other."""
    return Html(between.join(text(part) for part in parts))


def tag(name: str, *content: object, **attributes: object) -> Html:
    """Return an element; of an attribute's underscores a last one is dropped, others are hyphens; None is left out."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Html(f"<{name}{written}>{joined(content, '')}</{name}>")


def paragraph(*content: object, class_: str | None = None) -> Html:
    return tag("p", *content, class_=class_)


def bullets(entries: Iterable[object]) -> Html:
    """Return a list; nothing where there are no entries."""
    items = [tag("li", entry) for entry in entries]
    return tag("ul", *items) if items else Html("")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Html:
    """Return a table; a column whose header starts with ">" is aligned to the right."""
    right = [column.startswith(">") for column in columns]

    def cells(kind: str, values: Sequence[object]) -> Html:
        return joined(
            (tag(kind, value, class_="number" if at else None) for value, at in zip(values, right, strict=True)), ""
        )

    head = tag("thead", tag("tr", cells("th", [column.removeprefix(">") for column in columns])))
    body = tag("tbody", *(tag("tr", cells("td", row)) for row in rows))
    return tag("div", tag("table", head, body), class_="scroll")


def facts(rows: Mapping[str, object]) -> Html:
    """Return names and values as a description list."""
    return tag("dl", *(joined((tag("dt", name), tag("dd", value)), "") for name, value in rows.items()))


def swatch(color: str) -> Html:
    """Return a small square of a colour, "#rrggbb"."""
    return tag("span", class_="swatch", style=f"background:{color}")


def data_link(label: str, file: str, content: str, kind: str) -> Html:
    """Return a link that saves `content` as a file called `file`; it is inside of the page."""
    encoded = base64.b64encode(content.encode()).decode()
    return tag("a", label, href=f"data:{kind};base64,{encoded}", download=file)


def script_json(value: Any) -> Html:
    """Return JSON that can stand in a script element: nothing in it can end the element."""
    dumped = value if isinstance(value, str) else json.dumps(value)
    return Html(dumped.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))
