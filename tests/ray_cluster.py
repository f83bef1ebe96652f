"""A real Ray cluster on this machine: a head and nodes, each a raylet of its own with its workers."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

START_SECONDS = 90.0
LIMIT = 120.0
LIVELY = {
    # A node that is gone is noticed within 2 s, not 20.
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "500",
    "RAY_health_check_failure_threshold": "3",
}


def wait_for(condition: Callable[[], Any], what: str = "it") -> None:
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, f"waited too long for {what}"
        time.sleep(0.1)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class RayNode:
    """A raylet; of the head also what rules the cluster."""

    def __init__(self, folder: Path, *words: str, cpus: int, gpus: int = 0) -> None:
        program = Path(sys.executable).with_name("ray")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "SEGCORE_"))}
        # The nodes' `python` is this one, as on a cluster whose nodes have an environment of their own.
        environment["PATH"] = os.pathsep.join([str(program.parent), environment.get("PATH", "")])
        command = [str(program), "start", *words, "--block", "--disable-usage-stats", f"--num-cpus={cpus}"]
        command += [f"--num-gpus={gpus}", "--object-store-memory=80000000", "--include-log-monitor=False"]
        command += [f"--dashboard-agent-listen-port={free_port()}"]
        self.log = folder / f"{free_port()}.log"
        with open(self.log, "ab") as output:
            self.process = subprocess.Popen(
                command,
                stdout=output,
                stderr=output,
                cwd=folder,
                env={**environment, **LIVELY, "RAY_USAGE_STATS_ENABLED": "0"},
                start_new_session=True,
            )

    def family(self) -> list[psutil.Process]:
        """All processes of the node."""
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(self.process.pid).children(recursive=True)
        return []

    def lose(self) -> None:
        """Let the node vanish, as in a power cut: its raylet and all that it has started."""
        self._kill(self.family(), signal.SIGKILL)

    def stop(self) -> None:
        """End the node and whatever it has left behind."""
        family = self.family()
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        self._kill([*family, *self.family()], signal.SIGKILL)
        self.process.wait(10)

    def _kill(self, family: list[psutil.Process], how: int) -> None:
        # The raylet first: it would take note of the others.
        for process in sorted(family, key=lambda each: _name(each) != "raylet"):
            with suppress(psutil.Error):
                process.send_signal(how)
        with suppress(ProcessLookupError):
            self.process.kill()


def _name(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return process.name()
    return ""


class RayCluster:
    """A head without processors of its own unless it is given some, and nodes that come and go."""

    def __init__(self) -> None:
        # A socket's path may have 107 letters, and Ray adds most of them.
        self.folder = Path(tempfile.mkdtemp(prefix="r", dir="/tmp"))
        self.port, self.dashboard = free_port(), free_port()
        self.address = f"http://127.0.0.1:{self.dashboard}"
        self.nodes: list[RayNode] = []

    def start(self, cpus: int = 0) -> None:
        words = ["--head", f"--port={self.port}", f"--dashboard-port={self.dashboard}"]
        words += [f"--ray-client-server-port={free_port()}", f"--temp-dir={self.folder / 't'}"]
        self.nodes.append(RayNode(self.folder, *words, cpus=cpus))
        wait_for(self.answers, f"the head: {self.nodes[0].log.read_text()[-2000:]}")

    def answers(self) -> bool:
        assert self.nodes[0].process.poll() is None, self.nodes[0].log.read_text()
        try:
            with urllib.request.urlopen(f"{self.address}/api/version", timeout=2):
                return True
        except (urllib.error.URLError, OSError):
            return False

    def add(self, cpus: int = 1, gpus: int = 0) -> RayNode:
        """Add a node. Its GPUs need not be there: Ray takes it at its word."""
        node = RayNode(self.folder, f"--address=127.0.0.1:{self.port}", cpus=cpus, gpus=gpus)
        self.nodes.append(node)
        return node

    def stop(self) -> None:
        for node in reversed(self.nodes):
            node.stop()
        self.nodes.clear()
        shutil.rmtree(self.folder, ignore_errors=True)


def require_ray() -> None:
    """Skip where Ray is not installed, unless SEGCORE_REQUIRE_EXTRAS says that it has to be."""
    from segcore.launch import cluster

    reason = cluster.missing()
    if reason is not None:
        if os.environ.get("SEGCORE_REQUIRE_EXTRAS"):
            pytest.fail(f"SEGCORE_REQUIRE_EXTRAS is set, but {reason}")
        pytest.skip(reason)
