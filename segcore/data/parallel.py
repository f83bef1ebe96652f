"""Work on many images in threads: decoding and resizing leave Python's lock, so threads are enough."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from segcore.progress import Progress, silent

Item = TypeVar("Item")
Result = TypeVar("Result")


def worker_count() -> int:
    """Threads to decode with: the cores this process may use, at most 8 as each holds a decoded image."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(8, cores))


def ordered_map(
    function: Callable[[Item], Result], items: Sequence[Item], progress: Progress = silent
) -> Generator[Result, None, None]:
    """Yield `function(item)` for each item, in order, computed a few ahead in threads.

    Memory is bounded: beside what the threads work on, two results wait. An error in `function` or `progress`, and
    closing the iterator early, drops what has not begun.
    """
    workers = worker_count()
    waiting: deque[Future[Result]] = deque()
    remaining = iter(items)
    with ThreadPoolExecutor(workers, thread_name_prefix="segcore-data") as pool:
        try:
            progress(0, len(items))
            for done in range(1, len(items) + 1):
                while len(waiting) < workers + 2 and (item := next(remaining, _END)) is not _END:
                    waiting.append(pool.submit(function, item))  # type: ignore[arg-type]
                yield waiting.popleft().result()
                progress(done, len(items))
        finally:
            for future in waiting:
                future.cancel()


_END = object()
