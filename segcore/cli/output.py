"""How commands speak: results on standard output, as a table or as one JSON document; all else on standard error."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from segcore.errors import ConfigError
from segcore.progress import Progress
from segcore.text import printable

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]

PIPE_WIDTH = 160
"""Columns of a table that goes into a file or a pipe, which have no width of their own."""


def say(text: str) -> None:
    """Tell something that is not the result: one line on standard error."""
    print(printable(text), file=sys.stderr, flush=True)


def emit_json(value: Any) -> None:
    """Print `value` as the one JSON document on standard output."""
    print(json.dumps(plain(value), indent=2, allow_nan=False))


def plain(value: Any) -> Any:
    """Return `value` in JSON's own types: NaN and infinities become null, arrays lists, paths text."""
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):  # numpy arrays and scalars, without importing numpy
        return plain(value.tolist())
    if isinstance(value, Iterable):
        return [plain(item) for item in value]
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str | None = None) -> None:
    """Print rows of text under a title and headers; a header that starts with ">" aligns its column to the right."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.removeprefix(">"), justify="right" if column.startswith(">") else "left")
    for row in rows:
        # Text: a name in square brackets is a name, no markup.
        table.add_row(*(Text(printable(cell)) for cell in row))
    console = Console()
    if not console.is_terminal:
        console = Console(width=PIPE_WIDTH)
    if title is not None:
        console.print(Text(printable(title)))
    console.print(table)


@contextmanager
def progress_bar(text: str) -> Iterator[Progress]:
    """Show on standard error how far some work is; without a terminal, say only that it began."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    if not console.is_terminal:
        say(f"{text} …")
        yield lambda _done, _total: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bars(*columns, console=console, transient=True) as bars:
        task = bars.add_task(text, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


def listed(value: str, *, field: str) -> tuple[str, ...]:
    """Divide "a,b, c" at its commas.

    Raises:
        ConfigError: nothing stands before, between or after the commas.
    """
    parts = tuple(part.strip() for part in value.split(","))
    if not all(parts):
        raise ConfigError(f"{value!r} is no list; write values with commas between them, as in a,b,c.", field=field)
    return parts


def whole_numbers(value: str, *, field: str) -> tuple[int, ...]:
    """Divide "0,1,2" at its commas.

    Raises:
        ConfigError: one of the parts is no whole number.
    """
    parts = listed(value, field=field)
    try:
        return tuple(int(part) for part in parts)
    except ValueError as error:
        raise ConfigError(f"{value!r} is no list of whole numbers; write them as in 0,1,2.", field=field) from error
