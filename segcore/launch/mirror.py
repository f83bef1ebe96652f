"""Starting the detached process that sends a workspace's studies to a tracking server."""

from __future__ import annotations

from segcore.background import HELD
from segcore.errors import LaunchError, TrackingError
from segcore.inherited import inheritable, is_held
from segcore.launch.processes import spawn
from segcore.runs import Study
from segcore.tracking import record
from segcore.tracking.destination import destination, installed, missing
from segcore.workspace import Workspace


def start(workspace: Workspace, study: Study) -> bool:
    """Have a study mirrored, where the environment names a server; start the process that sends unless it lives.

    Returns:
        Whether one was started.

    Raises:
        TrackingError: MLflow is not installed.
        LaunchError: the process cannot be started.
        WorkspaceError: the study is gone, or cannot be written.
    """
    if destination() is None:
        return False
    if not installed():
        raise TrackingError(missing())
    record.want(study)
    if is_held(workspace.mirror_lock):
        return False
    try:
        with inheritable(workspace.mirror_lock) as descriptors:
            log = workspace.mirror_log
            spawn("segcore.tracking.sender", str(workspace.root), HELD, log=log, descriptors=descriptors)
    except BlockingIOError:
        return False  # another was faster
    except OSError as error:
        raise LaunchError(f"The process that sends to the tracking server could not be started: {error}.") from error
    return True
