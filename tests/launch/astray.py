"""Stands in for the process that probes, without torch: some names lead it astray.

`python -m tests.launch.astray DECODER IMAGE_SIZE`; the decoder "none" ends it before the first question.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from segcore.launch.prober import serve
from segcore.models.atlas import Entry

NAMES = ["plain", "slow", "idle", "hungry", "crash", "last"]


def answer(question: str, name: str) -> Any:
    """Answer as the real one does."""
    print("this is no answer")
    if question == "list":
        return NAMES
    if question == "about":
        return Entry(name, "module").to_json()
    if name == "slow":
        while True:
            pass
    if name == "hungry":
        hoard = bytearray(400 * 2**20)
        hoard[::4096] = b"x" * len(hoard[::4096])
    if name in ("idle", "hungry"):
        time.sleep(600)
    if name == "crash":
        os._exit(7)
    return Entry(name, "module", parameters=1).to_json()


if __name__ == "__main__":
    if sys.argv[1] == "none":
        sys.exit("no torch here")
    serve(answer)
