"""What is known here of the cluster, for screens and the command line: nothing in this module imports Ray.

The scheduler writes `cluster.json` whenever it has asked the cluster; `ask` does so where no scheduler is alive.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from importlib.util import find_spec
from typing import Any

from segcore.errors import ClusterError, WorkspaceError
from segcore.files import read_json, write_json
from segcore.launch.jobs import Capacity, Node
from segcore.launch.processes import scheduler_log, spawn
from segcore.runqueue import RunQueue
from segcore.status import Demand
from segcore.text import duration, plural
from segcore.workspace import Workspace

INSTALL = 'Ray is not installed here: pip install -e ".[cluster]"'
ADDRESS_VARIABLES = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")
"""Where Ray's own tools look for the cluster's address, the first that is set."""
STALE_SECONDS = 20.0
"""What is older is asked for anew before a screen shows it."""


@dataclass(frozen=True)
class News:
    """What the cluster last said, or that it does not answer. Times are seconds since 1970."""

    address: str
    answers: bool
    since: float
    """When it began to answer, or not to."""
    asked: float
    """When it was last asked."""
    problem: str = ""
    """Why it does not answer."""
    nodes: tuple[Node, ...] = ()
    """Its machines, as they were when it last answered."""

    @property
    def fresh(self) -> bool:
        """Whether it was asked just now."""
        return time.time() - self.asked < STALE_SECONDS

    @property
    def text(self) -> str:
        """What is free, in a line: "3 of 4 GPUs free, 24 of 64 CPUs free on 4 nodes"; else that it does not answer."""
        if not self.answers:
            return f"The cluster at {self.address} has not answered for {duration(time.time() - self.since)}."
        return free_text(self.nodes) + ("" if self.fresh else f", {duration(time.time() - self.asked)} ago")


def free_text(nodes: Iterable[Node]) -> str:
    """Return what is free on some nodes, in a line."""
    nodes = list(nodes)
    parts = []
    for name, has, free in (
        ("GPU", sum(n.gpus for n in nodes), _total(n.free_gpus for n in nodes)),
        ("CPU", sum(n.cpus for n in nodes), _total(n.free_cpus for n in nodes)),
    ):
        if has:
            parts.append(plural(round(has), name) if free is None else f"{free:g} of {plural(round(has), name)} free")
    return f"{', '.join(parts) or 'no processors'} on {plural(len(nodes), 'node')}"


def missing() -> str | None:
    """Return in a line what to install before a cluster can be used; None where nothing is missing."""
    return None if find_spec("ray") is not None else INSTALL


def address() -> str | None:
    """Return the address of the cluster that the environment names, or None."""
    return next((value for name in ADDRESS_VARIABLES if (value := os.environ.get(name, "").strip())), None)


def chosen(queue: RunQueue) -> str:
    """Return the address of the cluster to launch onto: the environment's, else the one used last.

    Raises:
        ClusterError: Ray is not installed here, or no cluster is known.
    """
    reason = missing()
    where = address() or queue.queue_settings().cluster
    if reason is None and not where:
        reason = "No cluster is known: set RAY_ADDRESS to the address of its head, such as http://head:8265."
    if reason is not None:
        raise ClusterError(reason)
    return where


def news(workspace: Workspace) -> News | None:
    """Return what the cluster last said; None where it was never asked, or the file is damaged."""
    try:
        value = read_json(workspace.cluster_news)
    except WorkspaceError:
        return None  # it is written anew in a moment
    if value is None:
        return None
    try:
        known = {field.name for field in fields(News)}
        nodes = tuple(Node(**node) for node in value.get("nodes", ()))
        return News(**{**{key: item for key, item in value.items() if key in known}, "nodes": nodes})
    except TypeError:
        return None


def write_news(workspace: Workspace, where: str, capacity: Capacity | None, problem: str = "") -> None:
    """Write down what the cluster said just now, or why it does not answer; its machines then stay as they were.

    Raises:
        WorkspaceError: it cannot be written.
    """
    now, last = time.time(), news(workspace)
    answers = capacity is not None
    same = last is not None and (last.address, last.answers) == (where, answers)
    since = last.since if last is not None and same else now
    said = News(where, answers, since, now, problem)
    if capacity is not None:
        said = replace(said, nodes=tuple(capacity.nodes))
    elif last is not None and last.address == where:
        said = replace(said, nodes=last.nodes)
    write_json(workspace.cluster_news, asdict(said))


def ask(workspace: Workspace) -> None:
    """Have the cluster asked by a process of its own, which writes the news; returns at once."""
    with suppress(OSError):
        spawn("segcore.launch.ray", str(workspace.root), log=scheduler_log(workspace))


def waits_for(demand: Demand, nodes: Iterable[Node]) -> str:
    """Return what a job that has not started waits for, in a sentence."""
    nodes = list(nodes)
    if any(node.can_hold(demand) for node in nodes):
        return f"It waits for a node of the cluster with {demand.text} free."
    return f"{no_node_for(demand, nodes)} It waits for one to join."


def no_node_for(demand: Demand, nodes: Sequence[Node]) -> str:
    """Return in a sentence what a job asks for that no node has, busy or idle: "No node … has 2 GPUs (1 at most)."""
    lacking = []
    for name, wanted, text, unit in (
        ("gpus", demand.gpus, plural(demand.gpus, "GPU"), 1.0),
        ("cpus", demand.cpus, plural(demand.cpus, "CPU"), 1.0),
        ("memory", demand.memory, f"{demand.memory / 1e9:.1f} GB of memory", 1e9),
    ):
        most = max((getattr(node, name) for node in nodes), default=0.0)
        if most < wanted:
            lacking.append(f"{text} ({most / unit:.{0 if unit == 1.0 else 1}f} at most)")
    return f"No node of the cluster has {', '.join(lacking) or f'{demand.text} together'}."


def _total(values: Iterable[float | None]) -> float | None:
    known: list[Any] = [value for value in values if value is not None]
    return sum(known) if known else None
