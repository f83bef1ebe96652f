"""The jobs that train runs: what they are called, what a node has to carry out, and in which words they fail."""

from __future__ import annotations

import hashlib
import os
import shlex
import uuid
from contextlib import suppress

from segcore import clustered
from segcore.checkout import COMMIT_VARIABLE, git_commit
from segcore.files import describe_os_error
from segcore.launch.jobs import Demand, Job, JobReport, JobState
from segcore.launch.places import THREADS
from segcore.launch.processes import last_line
from segcore.runs import Run
from segcore.status import OTHER_WORKER
from segcore.workspace import HOME_VARIABLE, Workspace

PASSED_ON = ("SEGCORE_WEIGHTS", "HF_HUB_OFFLINE", "HF_HOME")
"""Variables that say where weights come from: on the nodes as here."""


def workspace_key(workspace: Workspace) -> str:
    """Return what the ids of all jobs of a workspace begin with; no other workspace's do.

    Raises:
        WorkspaceError: it cannot be written down.
    """
    path = workspace.cluster_key
    try:
        with suppress(FileExistsError), open(path, "x", encoding="utf-8") as file:
            file.write(uuid.uuid4().hex)
        words = path.read_text(encoding="utf-8")
    except OSError as error:
        raise describe_os_error(error, path) from error
    # With its place: a copy of the workspace is another one.
    return f"segcore-{hashlib.sha256(f'{words} {workspace.root}'.encode()).hexdigest()[:8]}"


def worker_job(run: Run, id: str, demand: Demand) -> Job:
    """Return the job that trains a run. What it prints goes into the run's log, which outlives the node."""
    environment = worker_environment(Workspace(run.path.parents[2]))
    processes = max(1, demand.gpus)
    environment |= {clustered.JOB_VARIABLE: id, THREADS: str(max(1, demand.cpus // processes))}
    command = f"exec {training_command(run, processes)} >> {shlex.quote(str(run.log_path))} 2>&1"
    return Job(id, command, demand, environment)


def worker_environment(workspace: Workspace) -> dict[str, str]:
    """Return the variables of every process that we start on a node."""
    passed_on = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    commit = git_commit()
    if commit is not None:
        passed_on[COMMIT_VARIABLE] = commit
    return {**passed_on, HOME_VARIABLE: str(workspace.root), "PYTHONUNBUFFERED": "1"}


def training_command(run: Run, processes: int = 1) -> str:
    """Return what a shell on a node has to carry out."""
    several = [] if processes == 1 else ["segcore.training.several", str(processes)]
    return shlex.join(["python", "-m", *(several or ["segcore.training.worker"]), str(run.path)])


def why_lost(report: JobReport | None) -> str:
    """Return in a sentence what became of a job that is gone without its worker's last word."""
    if report is None:
        return "The cluster was started anew and has forgotten its job."
    code = report.exit_code
    if code == OTHER_WORKER:
        return "An earlier process of this run has not ended yet."
    if code:
        memory = "Signal 9 often means that memory ran out: then use a smaller batch or image size."
        return f"The training process was killed by signal {-code if code < 0 else code - 128}. {memory}"
    if "node has died" in report.message or "node was terminated" in report.message:
        return "The node of the cluster that trained it was lost."
    if report.state is JobState.STOPPED:
        return "Its job was ended by hand."
    return f"Its job on the cluster ended: {next(iter(_lines(report)), 'without a word.')}"


def why_failed(run: Run, report: JobReport) -> tuple[str, str]:
    """Return message and hint of a job whose command failed before its worker could say why."""
    said = _lines(report)[-1] if _lines(report) else ""
    if "cannot create" in said or str(run.path) in said:  # a shell that cannot open the log
        return (
            f"The node does not see the workspace: {said}",
            f"Mount {run.path.parents[2]} on every node, under this same path and writable; then retry.",
        )
    return f"The training process ended: {last_line(run.log_path)}", "The log has more."


def _lines(report: JobReport) -> list[str]:
    return [line.strip() for line in report.message.splitlines() if line.strip()]
