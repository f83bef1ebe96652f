"""A Ray cluster, through Ray's job submission client: each run is one job, and Ray queues, places and isolates.

`python -m segcore.launch.ray WORKSPACE` asks the cluster once and writes down what it says. Ray takes seconds to
import, so only processes in the background do. It is asked over HTTP alone (the dashboard's port, by default 8265); the
client finds the token itself, in RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH or ~/.ray/auth_token.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import segcore
from segcore.errors import ClusterError
from segcore.launch import cluster
from segcore.launch.jobs import Capacity, Job, JobReport, JobState, Node
from segcore.store import RunStore
from segcore.workspace import Workspace

TIMEOUT_SECONDS = 20.0
"""A head that does not answer for so long counts as gone."""
QUIET = {"RAY_USAGE_STATS_ENABLED": "0"}
"""Nothing is told to Ray's makers."""
PACKAGE = Path(segcore.__file__).resolve().parent
EXCLUDES = ["**/__pycache__/**"]
"""Of the package, what the nodes need not have."""
NEVER_STARTED = "JOB_SUPERVISOR_ACTOR_START_TIMEOUT"
"""What Ray calls the end of a job that waited too long for its resources: 15 minutes unless the head says otherwise."""
EXISTS = "already exists"
"""What Ray says of an id that it knows."""

P = ParamSpec("P")
R = TypeVar("R")


def _answered(method: Callable[P, R]) -> Callable[P, R]:
    """Turn what the client raises into a `ClusterError`."""

    @wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        from ray.exceptions import AuthenticationError, RayError
        from ray.util.state.exception import RayStateApiException

        try:
            return method(*args, **kwargs)
        except AuthenticationError as error:
            raise ClusterError(f"The cluster does not let us in: {_first_line(error)}") from error
        except OSError as error:  # what the client's HTTP library raises is one, too
            raise ClusterError(f"The cluster does not answer: {_first_line(error)}") from error
        except (RuntimeError, ValueError, KeyError, RayError, RayStateApiException) as error:
            raise ClusterError(f"The cluster does not do what it is asked: {_first_line(error)}") from error

    return call


class RayJobs:
    """The jobs of one Ray cluster; see `launch.jobs.Jobs`, which it is."""

    def __init__(self, address: str) -> None:
        """Connect.

        Args:
            address: of the head's dashboard, "http://head:8265"; Ray's own "head:6379" and "ray://head:10001" do, too.

        Raises:
            ClusterError: Ray is not installed here, or the cluster does not answer or accept the token.
        """
        self.address = address
        self._client = _connect(address)
        self.url = str(self._client.get_address())
        """Of its dashboard."""

    @_answered
    def submit(self, job: Job) -> None:
        """Hand a job over; one whose id the cluster knows already is left as it is."""
        demand = job.demand
        try:
            self._client.submit_job(
                entrypoint=job.command,
                submission_id=job.id,
                entrypoint_num_cpus=demand.cpus,
                entrypoint_num_gpus=demand.gpus,
                entrypoint_memory=int(demand.memory),
                entrypoint_label_selector={"ray.io/node-id": job.node} if job.node else None,
                runtime_env={
                    "py_modules": [str(PACKAGE)],
                    "excludes": EXCLUDES,
                    "env_vars": {**QUIET, **job.environment},
                },
            )
        except RuntimeError as error:
            if EXISTS not in str(error):
                raise

    @_answered
    def stop(self, job: str) -> None:
        """End a job; one that is over or unknown needs none."""
        try:
            self._client.stop_job(job)
        except RuntimeError as error:
            if "does not exist" not in str(error):
                raise

    @_answered
    def states(self, prefix: str) -> dict[str, JobReport]:
        """Return what is known of all jobs whose ids begin with `prefix`."""
        return {
            job.submission_id: _report(job)
            for job in self._client.list_jobs()
            if job.submission_id and job.submission_id.startswith(prefix)
        }

    def log(self, job: str) -> str:
        """Return what a job printed; '' where that cannot be had, as where its node is gone."""
        with suppress(ClusterError):
            return _answered(self._client.get_job_logs)(job)
        return ""

    @_answered
    def capacity(self) -> Capacity:
        """Return the nodes that live, and what is free on them."""
        from ray.util.state import list_nodes

        version = self._client.json("/api/version")
        # It takes the nodes that are filtered out for lost ones, and would raise.
        options: dict[str, Any] = {"limit": 10_000, "timeout": int(TIMEOUT_SECONDS), "raise_on_missing_output": False}
        listed = list_nodes(self.url, filters=[("state", "=", "ALIVE")], **options)
        usage = self._usage()
        nodes = [_node(node.node_id, node.node_name, node.resources_total, usage.get(node.node_id)) for node in listed]
        return Capacity(str(version.get("session_name", "")), tuple(sorted(nodes, key=lambda node: node.name)))

    def _usage(self) -> dict[str, dict[str, tuple[float, float]]]:
        """Return {node: {resource: (used, total)}}; empty where this cluster does not say."""
        try:
            status = self._client.json("/api/cluster_status")["data"]["clusterStatus"]
            return dict(status["loadMetricsReport"]["usageByNode"])
        except (OSError, RuntimeError, ValueError, KeyError, TypeError):
            return {}  # it is shown, and nothing depends on it


def _connect(address: str) -> Any:
    reason = cluster.missing()
    if reason is not None:
        raise ClusterError(reason)
    os.environ.update(QUIET)
    # The client heeds these more than what it is given.
    named = {name: os.environ.pop(name, None) for name in cluster.ADDRESS_VARIABLES}
    try:
        return _new_client(address)
    finally:
        os.environ.update({name: value for name, value in named.items() if value is not None})


@_answered
def _new_client(address: str) -> Any:
    from ray.dashboard.modules import dashboard_sdk
    from ray.job_submission import JobSubmissionClient

    logging.getLogger(dashboard_sdk.__name__).setLevel(logging.WARNING)  # it tells of every package it has sent

    class Client(JobSubmissionClient):
        """Ray's own waits for ever where the head's machine is switched off."""

        def _do_request(self, method: str, endpoint: str, **kwargs: Any) -> Any:
            return super()._do_request(method, endpoint, **{"timeout": TIMEOUT_SECONDS, **kwargs})

        def json(self, endpoint: str) -> Any:
            answer = self._do_request("GET", endpoint)
            answer.raise_for_status()
            return answer.json()

    return Client(address)


def _report(job: Any) -> JobReport:
    kind = str(getattr(job.error_type, "value", job.error_type))
    return JobReport(
        state=JobState(job.status.value.lower()),
        message=str(job.message or ""),
        node=job.driver_node_id,
        exit_code=job.driver_exit_code,
        never_started=kind == NEVER_STARTED,
    )


def _node(id: str, name: str, total: dict[str, float], usage: dict[str, Any] | None) -> Node:
    has = {ours: float(total.get(theirs, 0.0)) for ours, theirs in RESOURCES.items()}
    free = {}
    if usage is not None:
        free = {f"free_{ours}": has[ours] - float(usage.get(rays, (0.0,))[0]) for ours, rays in RESOURCES.items()}
    return Node(id, name, **has, **free)


RESOURCES = {"cpus": "CPU", "gpus": "GPU", "memory": "memory"}
"""Ray's names of what we ask for."""


def _first_line(error: BaseException) -> str:
    """Return the words of an error without the traceback that Ray's head sends along."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip(" .")]
    if "Traceback" in str(error) and len(lines) > 1:
        return lines[-1]
    return lines[0] if lines else type(error).__name__


def main(workspace: Workspace) -> int:
    """Ask the cluster of a workspace once; return the exit code."""
    where = cluster.chosen(RunStore(workspace))
    try:
        cluster.write_news(workspace, where, RayJobs(where).capacity())
    except ClusterError as error:
        cluster.write_news(workspace, where, None, str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Workspace(sys.argv[1])))
