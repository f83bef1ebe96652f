"""How long work reports on itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

Progress = Callable[[int, int], None]
"""Called as `progress(done, total)`; raising from it cancels the work, which then leaves nothing behind."""


def silent(done: int, total: int) -> None:
    """A `Progress` that says nothing."""


@contextmanager
def once_needed(bar: Callable[[], AbstractContextManager[Progress]]) -> Iterator[Progress]:
    """Yield a `Progress` that opens `bar()` on its first call: for work that mostly has nothing to report."""
    with ExitStack() as opened:
        progress: Progress | None = None

        def move(done: int, total: int) -> None:
            nonlocal progress
            if progress is None:
                progress = opened.enter_context(bar())
            progress(done, total)

        yield move
