"""What a cluster is asked for and what it answers, whoever runs it: the small protocol behind which Ray stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from segcore.status import Demand


@dataclass(frozen=True)
class Job:
    """A command for one node of the cluster."""

    id: str
    """Its own for ever: a second job of that id is refused."""
    command: str
    """For a shell."""
    demand: Demand
    environment: Mapping[str, str] = field(default_factory=dict)
    node: str | None = None
    """The node that has to run it; None for any that has room."""


class JobState(StrEnum):
    """Where a job is in its life, as the cluster says."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def over(self) -> bool:
        return self not in (JobState.PENDING, JobState.RUNNING)


@dataclass(frozen=True)
class JobReport:
    """What the cluster says of a job."""

    state: JobState
    message: str = ""
    node: str | None = None
    """The id of the node that ran it last."""
    exit_code: int | None = None
    """Of its command; None where it has not ended, or nobody saw how."""
    never_started: bool = False
    """Whether it ended because no node had room for it for too long."""


@dataclass(frozen=True)
class Node:
    """A machine of the cluster, and what of it is free now. Memory is in bytes."""

    id: str
    name: str
    cpus: float = 0.0
    gpus: float = 0.0
    memory: float = 0.0
    free_cpus: float | None = None
    """None where the cluster does not say what is free."""
    free_gpus: float | None = None
    free_memory: float | None = None

    def can_hold(self, demand: Demand) -> bool:
        """Whether it could run such a job if it were idle."""
        return self.cpus >= demand.cpus and self.gpus >= demand.gpus and self.memory >= demand.memory


@dataclass(frozen=True)
class Capacity:
    """What a cluster has."""

    session: str
    """Changes when the cluster is started anew: it then has forgotten its jobs."""
    nodes: Sequence[Node] = ()

    @property
    def cpus(self) -> float:
        return sum(node.cpus for node in self.nodes)

    @property
    def gpus(self) -> float:
        return sum(node.gpus for node in self.nodes)


class Jobs(Protocol):
    """A cluster that runs jobs."""

    def submit(self, job: Job) -> None:
        """Hand a job over; one whose id the cluster knows already is left as it is.

        Raises:
            ClusterError: the cluster does not answer, or refuses it.
        """

    def stop(self, job: str) -> None:
        """End a job; one that is over or unknown needs none.

        Raises:
            ClusterError: the cluster does not answer.
        """

    def states(self, prefix: str) -> dict[str, JobReport]:
        """Return what is known of all jobs whose ids begin with `prefix`.

        Raises:
            ClusterError: the cluster does not answer.
        """

    def log(self, job: str) -> str:
        """Return what a job printed; '' where that cannot be had."""

    def capacity(self) -> Capacity:
        """Return what the cluster has.

        Raises:
            ClusterError: the cluster does not answer.
        """
