"""A process that probes one architecture after the other, ended and replaced where one of them leads it astray.

Among a thousand architectures some may take minutes, or more memory than there is, or crash: none of that may end the
whole. So they are probed in a process of their own, which is watched from here. Nothing here imports torch.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from segcore.errors import LaunchError
from segcore.launch.processes import last_line
from segcore.models.atlas import Entry

LOOK_SECONDS = 0.25
"""How often it is looked after."""


@dataclass(frozen=True)
class Limits:
    """What one architecture may take."""

    seconds: float = 60.0
    """Of processor time: waiting for others on a busy machine says nothing about an architecture."""
    wall_seconds: float = 900.0
    """Of time on the wall, for one that waits for ever."""
    memory: int = 6 * 2**30
    """Bytes of the whole process; torch and timm alone take 0.7 GB."""


class _AstrayError(Exception):
    """The process had to be ended, or ended by itself."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


Serve = Callable[[Connection, str, int], None]


class Prober:
    """Probes in a process of its own, which starts with the first question and ends with the block."""

    def __init__(
        self, decoder: str, image_size: int, log: Path, *, limits: Limits | None = None, serve: Serve | None = None
    ) -> None:
        """Choose what to probe in.

        Args:
            decoder: a key of `catalog.DECODERS`.
            image_size: side of the image in pixels.
            log: where everything goes that the process prints; in a folder that is there.
            limits: what one architecture may take.
            serve: what answers the questions there.
        """
        self.limits = limits or Limits()
        self._arguments = (decoder, image_size)
        self._log = log
        self._serve = serve or _serve
        self._process: Any = None
        self._connection: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def architectures(self, look: Callable[[], None]) -> list[str]:
        """Return the names of all architectures; `look` is called now and then, and may raise to end it.

        Raises:
            LaunchError: the process does not come up.
        """
        names: list[str] = self._sure("list", "", look)
        return names

    def probe(self, architecture: str, look: Callable[[], None]) -> Entry:
        """Return what there is to say of an architecture, also where probing it led nowhere.

        Raises:
            LaunchError: the process does not come up.
        """
        try:
            entry: Entry = self._ask("probe", architecture, look, limited=True)
        except _AstrayError as error:
            about: Entry = self._sure("about", architecture, look)
            return replace(about, why_not=f"{error}", reason=error.reason)
        return entry

    # The process -----------------------------------------------------------------------------------

    def _sure(self, question: str, name: str, look: Callable[[], None]) -> Any:
        try:
            return self._ask(question, name, look, limited=False)
        except _AstrayError as error:
            raise LaunchError(
                f"The process that looks into architectures does not come up: {error} Its last words: "
                f"{last_line(self._log)}"
            ) from error

    def _ask(self, question: str, name: str, look: Callable[[], None], *, limited: bool) -> Any:
        if self._process is None:
            self._start()
        try:
            self._connection.send((question, name))
            began, spent = time.monotonic(), self._spent()
            while not self._connection.poll(LOOK_SECONDS):
                look()
                if limited:
                    self._check(time.monotonic() - began, self._spent() - spent)
            return self._connection.recv()
        except (EOFError, OSError) as error:  # a broken pipe: there is nobody at the other end
            self._process.join(1.0)
            code = self._process.exitcode
            self._end()
            raise _AstrayError("its probe crashed", f"Probing it ended with exit code {code}.") from error
        except BaseException:
            self._end()
            raise

    def _check(self, wall: float, spent: float) -> None:
        """Raise where the architecture at hand has had all it may take."""
        limits = self.limits
        if spent > limits.seconds or wall > limits.wall_seconds:
            limit = limits.seconds if spent > limits.seconds else limits.wall_seconds
            raise _AstrayError(
                "its probe took too long", f"Probing it took more than {limit:g} s, and was given up after that."
            )
        with suppress(psutil.Error):  # ended just now: the next look at the connection tells
            if psutil.Process(self._process.pid).memory_info().rss > limits.memory:
                raise _AstrayError(
                    "its probe took too much memory",
                    f"Probing it took more than {limits.memory / 2**30:g} GiB of memory, and was given up after that.",
                )

    def _spent(self) -> float:
        """Processor seconds of the process so far."""
        try:
            times = psutil.Process(self._process.pid).cpu_times()
        except psutil.Error:
            return 0.0
        return float(times.user + times.system)

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would share what torch holds
        self._connection, theirs = context.Pipe()
        self._process = context.Process(
            target=_run, args=(self._serve, theirs, self._arguments, str(self._log)), daemon=True
        )
        with _interrupts_ignored():
            self._process.start()
        theirs.close()  # so that its end is seen here

    def _end(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        self._process.join()
        self._connection.close()
        self._process = self._connection = None


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """A child started here never hears Ctrl-C: whoever started it does, and ends it."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals can be set in the main thread alone
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _run(serve: Serve, connection: Connection, arguments: tuple[str, int], log: str) -> None:
    """Be the process: print into the log, answer questions until nobody is at the other end."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        serve(connection, *arguments)


def _serve(connection: Connection, decoder: str, image_size: int) -> None:
    warnings.simplefilter("ignore")
    from segcore.models import probing

    while True:
        question, name = connection.recv()
        if question == "list":
            connection.send(probing.architectures())
        elif question == "about":
            connection.send(probing.about(name))
        else:
            connection.send(probing.probe(name, decoder, image_size))
