"""A cluster that is no more than a dictionary: tests say what becomes of its jobs, and when it does not answer."""

from __future__ import annotations

from dataclasses import replace

from segcore.errors import ClusterError
from segcore.launch.jobs import Capacity, Job, JobReport, JobState, Node

NODES = (
    Node("a" * 8, "node-a", cpus=4, memory=16e9, free_cpus=4, free_gpus=0, free_memory=16e9),
    Node("b" * 8, "node-b", cpus=4, memory=16e9, free_cpus=1, free_gpus=0, free_memory=8e9),
)


class PretendedJobs:
    """See `segcore.launch.jobs.Jobs`."""

    def __init__(self, nodes: tuple[Node, ...] = NODES) -> None:
        self.nodes = nodes
        self.gone = False
        """Whether the head does not answer."""
        self.reports: dict[str, JobReport] = {}
        self.submitted: list[Job] = []
        """Every job that was new to it."""
        self.stopped: list[str] = []

    def submit(self, job: Job) -> None:
        self._answer()
        if job.id not in self.reports:
            self.submitted.append(job)
            self.reports[job.id] = JobReport(JobState.PENDING)

    def stop(self, job: str) -> None:
        self._answer()
        self.stopped.append(job)
        if job in self.reports and not self.reports[job].state.over:
            self.set(job, JobState.STOPPED)

    def states(self, prefix: str) -> dict[str, JobReport]:
        self._answer()
        return {id: report for id, report in self.reports.items() if id.startswith(prefix)}

    def log(self, job: str) -> str:
        return self.reports[job].message

    def capacity(self) -> Capacity:
        self._answer()
        return Capacity("session", self.nodes)

    def set(self, job: str | None, state: JobState, **changes: object) -> None:
        assert job is not None
        self.reports[job] = replace(self.reports[job], state=state, **changes)  # type: ignore[arg-type]

    def forget(self) -> None:
        """Be a head that was started anew."""
        self.reports.clear()

    def _answer(self) -> None:
        if self.gone:
            raise ClusterError("The cluster does not answer: Failed to connect.")
