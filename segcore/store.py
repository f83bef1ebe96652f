"""All studies and runs of a workspace, and the queue in which runs wait."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from segcore.config import DatasetConfig, RunConfig, StudyConfig
from segcore.data.splits import Split
from segcore.errors import ConfigError, ExistsError, LaunchError, NotFoundError, WorkspaceError
from segcore.runs import Run, Study, subdirectories
from segcore.status import RunState, Status, process_identity
from segcore.workspace import Workspace


class RunStore:
    """All studies and runs of a workspace."""

    def __init__(self, workspace: Workspace | None = None) -> None:
        self.workspace = workspace or Workspace()

    def studies(self) -> list[Study]:
        """All studies that can be read, the newest first."""
        return self._look()[0]

    def unreadable_studies(self) -> list[WorkspaceError]:
        """What is wrong with studies that `studies` leaves out: damaged by hand, or by a failing disk."""
        return self._look()[1]

    def _look(self) -> tuple[list[Study], list[WorkspaceError]]:
        found: list[tuple[float, Study]] = []
        damaged = []
        for study in map(Study, subdirectories(self.workspace.studies)):
            try:
                found.append((study.created, study))
            except NotFoundError:
                continue  # no study, or it vanished between two looks
            except WorkspaceError as error:
                damaged.append(error)
        found.sort(key=lambda row: row[0], reverse=True)
        return [study for _, study in found], damaged

    def study(self, name: str) -> Study:
        """Return the study called `name`.

        Raises:
            NotFoundError: there is none.
        """
        study = Study(self.workspace.child(self.workspace.studies, name))
        if not study.exists():
            known = ", ".join(study.name for study in self.studies()) or "none yet"
            raise NotFoundError(f"There is no study {name!r}; there are: {known}.", field="study")
        return study

    def run(self, study: str, name: str) -> Run:
        """Return one run.

        Raises:
            NotFoundError: there is none of that name.
        """
        run = Run(self.workspace.child(self.study(study).path, name))
        if not run.exists():
            raise NotFoundError(f"Study {study!r} has no run {name!r}.", field="run")
        return run

    def unfinished_on(self, dataset: str) -> list[str]:
        """Names of the studies with runs that could still go on, but only with the dataset of that name."""
        return [
            study.name
            for study in self.studies()
            if study.dataset.name == dataset
            and any(status.state.active or status.state.resumable for _, status in self.statuses(study.runs()))
        ]

    def runs(self, study: str | None = None) -> list[Run]:
        """All runs, or those of one study, in the order they were created."""
        studies = [self.study(study)] if study is not None else list(reversed(self.studies()))
        return [run for study in studies for run in study.runs()]

    def create_study(
        self,
        config: StudyConfig,
        dataset: DatasetConfig,
        dataset_fingerprint: str,
        split: Split,
        weights_files: Mapping[str, Path] | None = None,
    ) -> list[Run]:
        """Write the directories of all runs that `config` asks for, state `queued`, and return the new ones.

        An existing study of the same dataset, split, recipe and decoder grows; runs that it already has
        are left as they are. Where this fails midway, no new run is left behind.

        Args:
            config: what to compare; its encoders with their full names.
            dataset: where the data is and how it is read.
            dataset_fingerprint: of the dataset as it is now.
            split: of the dataset; copied into the study.
            weights_files: local files of pretrained weights, by encoder.

        Raises:
            ConfigError: a study of that name differs in what its runs must share.
            WorkspaceError: the workspace cannot be written.
        """
        self.workspace.ensure_writable()
        study = Study(self.workspace.child(self.workspace.studies, config.name))
        shared = {
            "name": config.name,
            "dataset": dataset.to_json(),
            "dataset_fingerprint": dataset_fingerprint,
            "split_fingerprint": split.fingerprint,
            "recipe": config.recipe.to_json(),
            "decoder": config.decoder,
        }
        new: list[Run] = []
        with queue_lock(self.workspace), ExitStack() as undo:
            if study.exists():
                _check_same(study, shared)
            else:
                undo.callback(shutil.rmtree, study.path, ignore_errors=True)
                study.create({**shared, "created": time.time()}, split)
            # Seeds in the outer loop: every backbone has its first result before any has its second.
            for seed in config.seeds:
                for encoder in config.encoders:
                    run_config = RunConfig(
                        study=config.name,
                        dataset=dataset,
                        dataset_fingerprint=dataset_fingerprint,
                        split_fingerprint=split.fingerprint,
                        recipe=config.recipe,
                        decoder=config.decoder,
                        encoder=encoder,
                        weights=config.weights,
                        weights_file=(weights_files or {}).get(encoder),
                        seed=seed,
                    )
                    run = Run(self.workspace.child(study.path, run_config.name))
                    if run.exists():
                        continue
                    undo.callback(shutil.rmtree, run.path, ignore_errors=True)
                    now = time.time()
                    run.create(run_config, Status(state=RunState.QUEUED, created=now, queued=now))
                    new.append(run)
            undo.pop_all()  # all went well: nothing is taken back
        return new

    # The queue -------------------------------------------------------------------------------------

    def active(self) -> list[Run]:
        """Runs that train or wait: the running first, then the waiting in their order."""
        rows = [(run, status) for run, status in self.statuses() if status.state.active]
        rows.sort(key=lambda row: (row[1].state is RunState.QUEUED, row[1].queued))
        return [run for run, _ in rows]

    def statuses(self, runs: Iterable[Run] | None = None) -> list[tuple[Run, Status]]:
        """Runs with their status; one whose directory vanished meanwhile is left out."""
        rows = []
        for run in self.runs() if runs is None else runs:
            try:
                rows.append((run, run.status))
            except WorkspaceError:
                continue
        return rows

    def claim_next(self) -> Run | None:
        """Take the run that waits longest out of the queue, marked as running by this process."""
        with queue_lock(self.workspace):
            waiting = [(run, status) for run, status in self.statuses() if status.state is RunState.QUEUED]
            if not waiting:
                return None
            run, status = min(waiting, key=lambda row: row[1].queued)
            run.write_status(
                replace(status, state=RunState.RUNNING, phase="starting", message="", hint="", **process_identity())
            )
            return run

    def hand_over(self, run: Run, pid: int) -> None:
        """Write the process that works on a claimed run into its status, unless it has done so itself."""
        with queue_lock(self.workspace):
            status = run.status
            if status.state is RunState.RUNNING and status.pid == os.getpid():
                run.write_status(replace(status, **process_identity(pid)))

    def close(self, run: Run, state: RunState, message: str, hint: str) -> None:
        """Write the end of a run whose worker could not; leave alone one that said how it ended."""
        with queue_lock(self.workspace):
            status = run.status
            if status.state in (RunState.RUNNING, RunState.INTERRUPTED):
                run.write_status(
                    replace(status, state=state, phase="", eta=None, ended=time.time(), message=message, hint=hint)
                )

    def stop(self, run: Run) -> None:
        """Stop a run: at once where it waits; where it trains, its worker saves its state first."""
        with queue_lock(self.workspace):
            status = run.status
            if status.state is RunState.QUEUED:
                run.write_status(
                    replace(status, state=RunState.STOPPED, ended=time.time(), message="Stopped before it started.")
                )
            elif status.state is RunState.RUNNING:
                run.request_stop()

    def requeue(self, run: Run) -> None:
        """Put a stopped, failed or interrupted run back into the queue; it goes on where it ended.

        Raises:
            ConfigError: the run trains, waits or is finished.
        """
        with queue_lock(self.workspace):
            status = run.status
            if not status.state.resumable:
                raise ConfigError(f"Run {run.name} is {status.state}; only a run that ended early can resume.")
            run.clear_request()
            run.write_status(
                replace(status, state=RunState.QUEUED, queued=time.time(), ended=None, phase="", message="", hint="")
            )

    def remove_run(self, run: Run) -> Path:
        """Move a run to the trash.

        Raises:
            ExistsError: it is training.
        """
        with queue_lock(self.workspace):
            if any(status.state is RunState.RUNNING for _, status in self.statuses([run])):
                raise ExistsError(f"Run {run.name} is training. Stop it first.")
            return self.workspace.discard(run.path)

    def remove_study(self, study: Study) -> Path:
        """Move a study with all its runs to the trash.

        Raises:
            ExistsError: one of its runs is training.
        """
        with queue_lock(self.workspace):
            training = [run.name for run, status in self.statuses(study.runs()) if status.state is RunState.RUNNING]
            if training:
                raise ExistsError(f"Study {study.name} is training {', '.join(training)}. Stop it first.")
            return self.workspace.discard(study.path)


def queue_lock(workspace: Workspace) -> FileLock:
    """The lock under which runs enter and leave the queue.

    Raises:
        LaunchError: on entering, when another process holds it for more than 20 s.
    """
    return _QueueLock(workspace.queue_lock, timeout=20)


class _QueueLock(FileLock):
    def acquire(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().acquire(*args, **kwargs)
        except Timeout as error:
            raise LaunchError(f"Another process holds {self.lock_file}. Try again in a moment.") from error


def _check_same(study: Study, shared: dict[str, Any]) -> None:
    """Refuse runs that would make a study compare what cannot be compared."""
    existing = study.shared
    differing = [key for key, value in shared.items() if json.dumps(existing.get(key)) != json.dumps(value)]
    if differing:
        names = ", ".join(_difference(key, existing.get(key), shared[key]) for key in differing)
        raise ConfigError(
            f"Study {study.name!r} exists with another {names}; runs of one study must share them. "
            "Choose another study name, or its settings.",
            field="name",
        )


def _difference(key: str, there: Any, asked: Any) -> str:
    """Name what differs: "recipe (epochs 6, not 30)"."""
    name = key.replace("_", " ")
    if key == "recipe" and isinstance(there, dict):
        details = [f"{field.replace('_', ' ')} {there.get(field)}, not {asked[field]}" for field in asked]
        differing = [text for field, text in zip(asked, details, strict=True) if there.get(field) != asked[field]]
        return f"{name} ({'; '.join(differing)})"
    if key == "decoder":
        return f"{name} ({there}, not {asked})"
    return name
