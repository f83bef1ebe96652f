"""How long work reports on itself."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int], None]
"""Called as `progress(done, total)`; raising from it cancels the work, which then leaves nothing behind."""


def silent(done: int, total: int) -> None:
    """A `Progress` that says nothing."""
