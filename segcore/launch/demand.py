"""What a run asks of a cluster: GPUs and their share of the node's CPUs, or the CPUs of a whole node; and memory."""

from __future__ import annotations

from collections.abc import Sequence

from segcore.config import StudyConfig
from segcore.errors import ClusterError
from segcore.launch import memory
from segcore.launch.jobs import Capacity, Demand, Node
from segcore.store import RunStore

CPUS_FOR_A_GPU = 8
"""At most: so many processes read images at most."""
CPUS_ALONE = 16
"""At most, where there is no GPU; more threads hardly help networks of this size."""


def demands(config: StudyConfig, classes: int, store: RunStore, capacity: Capacity) -> dict[str, Demand]:
    """Return what the runs of each backbone ask for, by its name.

    All lives of a run ask for the same, so that sums of floats are shared by as many threads on whatever node.

    Raises:
        ClusterError: the cluster has no node that computes.
        ConfigError: no node has memory for a network; field "batch_size".
        ModelError: a network cannot be built.
    """
    cpus, gpus = shape(capacity.nodes, config.recipe.gpus_per_run)
    fitting = memory.fit(config, classes, store, probe=True, node=largest(capacity.nodes))
    if not gpus:
        memory.check(fitting, config.recipe.image_size)
    batch = config.recipe.batch_size
    found = {}
    for encoder in config.encoders:
        need = fitting.needs.get(encoder)
        # What a GPU holds does not lie in the node's memory; how much a GPU has Ray does not say. Each has a process.
        found[encoder] = Demand(cpus, gpus, 0.0 if need is None else gpus * need.fixed if gpus else need.of(batch))
    return found


def largest(nodes: Sequence[Node]) -> memory.Room:
    """Return the memory of the node that has most."""
    node = max(nodes, key=lambda each: each.memory)
    return memory.Room(f"the largest node of the cluster ({node.name})", node.memory, node.memory)


def shape(nodes: Sequence[Node], gpus_per_run: int = 1) -> tuple[int, int]:
    """Return the (CPUs, GPUs) of one run on these nodes.

    With GPUs, for each the smallest share of CPUs that one has on any node with as many; without, the CPUs of the
    smallest node that has at least half as many as the largest: a small head is no measure for the others. Where no
    node has as many GPUs as are asked for, they are asked for all the same, so that it can be said.

    Raises:
        ClusterError: none of them computes.
    """
    able = [node for node in nodes if node.gpus >= gpus_per_run] or [node for node in nodes if node.gpus >= 1]
    if able or gpus_per_run > 1:
        share = min((int(node.cpus / node.gpus) for node in able), default=1)
        return gpus_per_run * max(1, min(CPUS_FOR_A_GPU, share)), gpus_per_run
    most = max((node.cpus for node in nodes), default=0.0)
    if most < 1:
        raise ClusterError("No node of the cluster offers a CPU or a GPU to jobs now. Start one, then launch again.")
    return min(CPUS_ALONE, int(min(node.cpus for node in nodes if node.cpus >= max(1.0, most / 2)))), 0
