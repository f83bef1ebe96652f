"""A process that probes one architecture after the other, ended and replaced where one of them leads it astray.

Among a thousand architectures some may take minutes, or more memory than there is, or crash: none of that may end the
whole. So they are probed by `python -m segcore.launch.prober DECODER IMAGE_SIZE`, which reads a question a line and
writes an answer a line, in JSON, and is watched from here. Nothing here imports torch before a question comes.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import psutil

from segcore.errors import LaunchError
from segcore.launch.processes import last_line, variables
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


class Prober:
    """Probes in a process of its own, which starts with the first question and ends with the block."""

    def __init__(
        self,
        decoder: str,
        image_size: int,
        log: Path,
        *,
        limits: Limits | None = None,
        module: str = "segcore.launch.prober",
    ) -> None:
        """Choose what to probe in.

        Args:
            decoder: a key of `catalog.DECODERS`.
            image_size: side of the image in pixels.
            log: where everything goes that the process prints; in a folder that is there.
            limits: what one architecture may take.
            module: what to run.
        """
        self.limits = limits or Limits()
        self._command = [sys.executable, "-m", module, decoder, str(image_size)]
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._answers: queue.Queue[bytes] = queue.Queue()

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
            return Entry.from_json(self._ask("probe", architecture, look, limited=True))
        except _AstrayError as error:
            about = Entry.from_json(self._sure("about", architecture, look))
            return replace(about, why_not=str(error), reason=error.reason)

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
        """Return the answer, in JSON's types.

        Raises:
            _AstrayError: there is none.
        """
        process = self._process or self._start()
        began, spent = time.monotonic(), _spent(process)
        try:
            assert process.stdin is not None
            with suppress(BrokenPipeError):  # it has ended: the end of its answers tells
                process.stdin.write(json.dumps([question, name]).encode() + b"\n")
                process.stdin.flush()
            while True:
                with suppress(queue.Empty):
                    answer = self._answers.get(timeout=LOOK_SECONDS)
                    break
                look()
                if limited:
                    self._check(process, time.monotonic() - began, _spent(process) - spent)
            if not answer:
                raise _AstrayError("its probe crashed", f"Probing it ended with exit code {process.wait()}.")
        except BaseException:
            self._end()
            raise
        return json.loads(answer)

    def _check(self, process: subprocess.Popen[bytes], wall: float, spent: float) -> None:
        """Raise where the architecture at hand has had all it may take."""
        limits = self.limits
        if spent > limits.seconds or wall > limits.wall_seconds:
            limit = limits.seconds if spent > limits.seconds else limits.wall_seconds
            raise _AstrayError(
                "its probe took too long", f"Probing it took more than {limit:g} s, and was given up after that."
            )
        with suppress(psutil.Error):  # ended just now: the end of its answers tells
            if psutil.Process(process.pid).memory_info().rss > limits.memory:
                raise _AstrayError(
                    "its probe took too much memory",
                    f"Probing it took more than {limits.memory / 2**30:g} GiB of memory, and was given up after that.",
                )

    def _start(self) -> subprocess.Popen[bytes]:
        with open(self._log, "ab") as log:
            process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=variables(),
                start_new_session=True,  # Ctrl-C is for whoever asks, who then ends it
            )
        assert process.stdout is not None
        self._process, self._answers = process, queue.Queue()
        threading.Thread(target=_listen, args=(process.stdout, self._answers), daemon=True).start()
        return process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        assert process.stdin is not None
        with suppress(BrokenPipeError):  # a question that it never read
            process.stdin.close()


def _listen(answers: IO[bytes], heard: queue.Queue[bytes]) -> None:
    """Hand on each answer, and nothing (b"") at their end; reading a pipe cannot be given up, as here it need not."""
    with answers:
        for line in answers:
            heard.put(line)
    heard.put(b"")


def _spent(process: subprocess.Popen[bytes]) -> float:
    """Processor seconds of a process so far."""
    try:
        times = psutil.Process(process.pid).cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


# In the process --------------------------------------------------------------------------------------


def serve(answer: Callable[[str, str], Any]) -> None:
    """Answer questions until nobody is there to ask; whatever else is printed goes where errors go.

    Args:
        answer: called with the question and an architecture; returns the answer in JSON's types.
    """
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    with suppress(BrokenPipeError):
        for line in sys.stdin:
            question, name = json.loads(line)
            out.write(json.dumps(answer(question, name)) + "\n")
            out.flush()


def main(decoder: str, image_size: int) -> None:
    """Be the process."""
    warnings.simplefilter("ignore")

    def answer(question: str, name: str) -> Any:
        from segcore.models import probing

        if question == "list":
            return probing.architectures()
        entry = probing.about(name) if question == "about" else probing.probe(name, decoder, image_size)
        return entry.to_json()

    serve(answer)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
