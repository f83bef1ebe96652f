"""Proves before the first submission that a cluster's nodes see the workspace, have the packages, read the dataset.

A job of no size goes to each node that could take a run, however busy it is, and says what it found. What was proven of
a node is kept as long as it lives. As Ray takes seconds to import, `prove` has this done by a process of its own:
`python -m segcore.launch.proving WORKSPACE ADDRESS`, which reads what to prove and writes what came of it, in JSON.
"""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

from segcore.errors import ClusterError, LaunchError, WorkspaceError
from segcore.files import describe_os_error, read_json, write_json
from segcore.launch import cluster
from segcore.launch.jobs import Capacity, Demand, Job, JobReport, Jobs, Node
from segcore.launch.node_check import ASK, NOT_SEEN, answer_path
from segcore.launch.processes import last_line, scheduler_log, variables
from segcore.launch.worker_jobs import worker_environment
from segcore.workspace import Workspace

PROVE_SECONDS = 180.0
"""How long the nodes have: the first one to be sent the package unpacks it, and importing torch may take a minute."""
POLL_SECONDS = 1.0
NODES_AT_ONCE = 16
"""Nodes that are asked in one go; the first that fails spares the rest."""
NAMED = 5
"""Nodes that an error names; more of them hardly fail in another way."""


def capacity(workspace: Workspace, address: str) -> Capacity:
    """Return what the cluster has now, and write it down for the screens.

    Raises:
        ClusterError: Ray is not installed, or the cluster does not answer.
    """
    return _asked(workspace, address, {})


def prove(
    workspace: Workspace,
    address: str,
    demands: Iterable[Demand],
    *,
    dataset: str,
    images: Path,
    files: Iterable[Path] = (),
) -> None:
    """Return once every node that could run one of these jobs has shown that it can train.

    Args:
        workspace: that the nodes must see.
        address: of the cluster.
        demands: of the runs.
        dataset: that they must read.
        images: where its images are, for an error to name.
        files: of pretrained weights that they must read.

    Raises:
        ClusterError: Ray is not installed, the cluster does not answer, no node is large enough, or one of them lacks
            something; says what to mount or install.
    """
    ask = {"dataset": dataset, "images": str(images), "files": sorted(map(str, files))}
    _asked(workspace, address, {"demands": [asdict(demand) for demand in set(demands)], "ask": ask})


def _asked(workspace: Workspace, address: str, request: dict[str, Any]) -> Capacity:
    reason = cluster.missing()
    if reason is not None:
        raise ClusterError(reason)
    command = [sys.executable, "-m", "segcore.launch.proving", str(workspace.root), address]
    log = scheduler_log(workspace)
    try:
        with open(log, "ab") as output:
            done = subprocess.run(
                command, input=json.dumps(request), stdout=subprocess.PIPE, stderr=output, text=True, env=variables()
            )
        answer = json.loads(done.stdout)
    except OSError as error:
        raise LaunchError(f"The process that asks the cluster could not be started: {error}.") from error
    except ValueError as error:
        raise LaunchError(f"The process that asks the cluster broke down; its last words: {last_line(log)}") from error
    if "error" in answer:
        raise ClusterError(answer["error"])
    return Capacity(answer["session"], tuple(Node(**node) for node in answer["nodes"]))


# In the process that knows Ray --------------------------------------------------------------------------


def prove_nodes(jobs: Jobs, workspace: Workspace, nodes: Sequence[Node], ask: Mapping[str, Any]) -> None:
    """Ask the nodes that have not shown yet that they can train on what `ask` names.

    Raises:
        ClusterError: one lacks something, or does not answer.
        WorkspaceError: the workspace cannot be written.
    """
    subject = sha256(json.dumps(ask, sort_keys=True).encode()).hexdigest()[:16]
    proven = _proven(workspace)
    new = [node for node in nodes if node.id not in proven.get(subject, ())]
    for start in range(0, len(new), NODES_AT_ONCE):
        _ask(jobs, workspace, new[start : start + NODES_AT_ONCE], ask)
    alive = {node.id for node in nodes}
    proven = {key: [id for id in ids if id in alive] for key, ids in proven.items()}
    write_json(workspace.cluster_proven, {**proven, subject: sorted(alive)})


def _proven(workspace: Workspace) -> dict[str, list[str]]:
    """Return the ids of nodes by what they have shown."""
    with suppress(WorkspaceError):
        return read_json(workspace.cluster_proven) or {}
    return {}  # it is only shown once more


def _ask(jobs: Jobs, workspace: Workspace, nodes: Sequence[Node], ask: Mapping[str, Any]) -> None:
    folder = workspace.root / f".cluster-check-{uuid.uuid4().hex[:12]}"
    try:
        folder.mkdir()
    except OSError as error:
        raise describe_os_error(error, folder) from error
    try:
        write_json(folder / ASK, dict(ask))
        prefix = f"segcore-check-{uuid.uuid4().hex[:12]}-"
        sent = {f"{prefix}{number}": node for number, node in enumerate(nodes)}
        for id, node in sent.items():
            command = shlex.join(["python", "-m", "segcore.launch.node_check", str(folder), node.id])
            jobs.submit(Job(id, f"exec {command}", Demand(cpus=0), worker_environment(workspace), node.id))
        reports = _await(jobs, prefix)
        found = {id: _complaints(folder, node, reports.get(id)) for id, node in sent.items()}
        if any(found.values()):
            raise ClusterError(_sentence({sent[id].name: words for id, words in found.items() if words}))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _await(jobs: Jobs, prefix: str) -> dict[str, JobReport]:
    """Return the reports of jobs once they are over; those that take too long are ended."""
    deadline = time.monotonic() + PROVE_SECONDS
    while True:
        reports = jobs.states(prefix)
        late = [id for id, report in reports.items() if not report.state.over]
        if not late:
            return reports
        if time.monotonic() > deadline:
            for id in late:
                jobs.stop(id)
            return reports
        time.sleep(POLL_SECONDS)


def _complaints(folder: Path, node: Node, report: JobReport | None) -> list[str]:
    """Return what a node lacks, from its answer, else from how its job ended."""
    with suppress(WorkspaceError):
        answer = read_json(answer_path(folder, node.id))
        if answer is not None:
            return list(answer["problems"])
    if report is None or not report.state.over:
        return [f"has not answered for {PROVE_SECONDS:.0f} s: see what it is busy with"]
    if report.exit_code == NOT_SEEN:
        return [f"does not see the workspace: mount {folder.parent} there under this same path (NFS and the like)"]
    if report.exit_code == 0:
        return [f"cannot write into the workspace: mount {folder.parent} there writable, as the same folder"]
    lines = [line.strip() for line in report.message.splitlines() if line.strip()]
    return [f"could not be asked ({lines[-1] if lines else 'it said nothing'})"]


def _sentence(complaints: Mapping[str, Sequence[str]]) -> str:
    named = [f"Node {name} {'; it '.join(words)}." for name, words in list(complaints.items())[:NAMED]]
    more = len(complaints) - len(named)
    return " ".join(dict.fromkeys(named)) + (f" So do {more} more." if more else "")


def _carry_out(workspace: Workspace, address: str, request: Mapping[str, Any]) -> dict[str, Any]:
    from segcore.launch.ray import RayJobs

    jobs = RayJobs(address)
    found = jobs.capacity()
    cluster.write_news(workspace, address, found)
    if request:
        demands = [Demand(**each) for each in request["demands"]]
        for demand in demands:
            if not any(node.can_hold(demand) for node in found.nodes):
                raise ClusterError(cluster.no_node_for(demand, found.nodes))
        nodes = [node for node in found.nodes if any(map(node.can_hold, demands))]
        prove_nodes(jobs, workspace, nodes, request["ask"])
    return asdict(found)


def main(workspace: Workspace, address: str) -> int:
    """Do what standard input asks for and write what came of it; return the exit code."""
    try:
        answer = _carry_out(workspace, address, json.load(sys.stdin))
    except (LaunchError, WorkspaceError) as error:
        answer = {"error": str(error)}
    print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main(Workspace(sys.argv[1]), sys.argv[2]))
