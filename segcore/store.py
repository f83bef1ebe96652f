"""All studies and runs of a workspace: finding, creating, extending and removing them."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from segcore import extension
from segcore.config import DatasetConfig, Recipe, RunConfig, StudyConfig
from segcore.data.splits import Split, folds_fingerprint
from segcore.errors import ConfigError, ExistsError, NotFoundError, SegcoreError, WorkspaceError, nearest
from segcore.evaluation.racing import next_rung
from segcore.files import read_json, write_json
from segcore.runqueue import RunQueue, queue_lock
from segcore.runs import Run, Study, statuses, subdirectories
from segcore.status import Demand, RunState, Status, Where


class RunStore(RunQueue):
    """All studies and runs of a workspace, and what may be done with them."""

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
            known = [other.name for other in self.study(study).runs()]
            raise NotFoundError(f"Study {study!r} has no run {name!r}.{nearest(name, known)}", field="run")
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
        predicted: Mapping[str, float] | None = None,
        folds: Sequence[Split] = (),
        demands: Mapping[str, Demand] | None = None,
    ) -> list[Run]:
        """Write the directories of all runs that `config` asks for, state `queued`, and return the new ones.

        An existing study of the same dataset, split, folds, recipe and decoder grows; runs that it already has
        are left as they are. Where this fails midway, no new run is left behind.

        Args:
            config: what to compare; its encoders with their full names.
            dataset: where the data is and how it is read.
            dataset_fingerprint: of the dataset as it is now.
            split: of the dataset; copied into the study.
            weights_files: local files of pretrained weights, by encoder.
            predicted: seconds that each run is expected to take, by its name.
            folds: as many as `config` asks for, of the images of `split`; copied into the study, too.
            demands: what runs of each backbone ask of the cluster, by its full name; None where they train here.

        Raises:
            ValueError: `config` asks for another number of folds than `folds` holds.
            ConfigError: a study of that name differs in what its runs must share, or has lost the file that says so.
            WorkspaceError: the workspace cannot be written.
        """
        if len(folds) != config.folds:
            raise ValueError(f"{config.folds} folds are asked for, and {len(folds)} are given")
        self.workspace.ensure_writable()
        study = Study(self.workspace.child(self.workspace.studies, config.name))
        shared = {
            "name": config.name,
            "dataset": dataset.to_json(),
            "dataset_fingerprint": dataset_fingerprint,
            "split_fingerprint": folds_fingerprint(folds) if folds else split.fingerprint,
            "folds": config.folds,
            "racing": config.racing,
            "recipe": config.recipe.to_json(),
            "decoder": config.decoder,
        }
        new: list[Run] = []
        with queue_lock(self.workspace), ExitStack() as undo:
            if study.exists():
                _check_same(study, shared)
            elif study.runs():
                raise ConfigError(
                    f"{study.path} holds runs, but its study.json is gone. Restore that file from a copy, move the "
                    "folder away, or choose another study name.",
                    field="name",
                )
            else:
                if not study.path.exists():
                    undo.callback(shutil.rmtree, study.path, ignore_errors=True)
                study.create({**shared, "created": time.time()}, split, folds)
            place = self.next_place()
            # Who comes after the first decision is not raced: there is nobody left to be compared with at that epoch.
            rung = next_rung(config.recipe.epochs) if config.racing and not study.race() else None
            for seed, fold, encoder in config.grid:
                run_config = RunConfig(
                    study=config.name,
                    dataset=dataset,
                    dataset_fingerprint=dataset_fingerprint,
                    split_fingerprint=(split if fold is None else folds[fold]).fingerprint,
                    recipe=config.recipe,
                    decoder=config.decoder,
                    encoder=encoder,
                    weights=config.weights,
                    weights_file=(weights_files or {}).get(encoder),
                    seed=seed,
                    fold=fold,
                    folds=config.folds,
                )
                run = Run(self.workspace.child(study.path, run_config.name))
                if run.exists():
                    continue
                undo.callback(shutil.rmtree, run.path, ignore_errors=True)
                status = Status(
                    state=RunState.QUEUED,
                    created=time.time(),
                    queued=place + 1e-3 * len(new),
                    predicted=(predicted or {}).get(run.name),
                    rung=rung,
                    where=Where.HERE if demands is None else Where.CLUSTER,
                    demand=None if demands is None else demands[encoder],
                )
                run.create(run_config, status)
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
        """Runs, by default all, with their status; one whose directory vanished meanwhile is left out."""
        if runs is not None:
            return statuses(runs)
        return [row for study in reversed(self.studies()) for row in study.statuses()]

    def requeue_failed(self, study: str | None = None) -> list[Run]:
        """Put all failed and interrupted runs, of one study or of all, back into the queue; return them.

        Those that a person stopped stay as they are.
        """
        chosen = self.runs(study)
        with queue_lock(self.workspace):
            rows = [row for row in self.statuses(chosen) if row[1].state in (RunState.FAILED, RunState.INTERRUPTED)]
            rows.sort(key=lambda row: row[1].queued)  # in the order in which they were once asked for
            place = self.next_place()
            for number, (run, status) in enumerate(rows):
                self._requeue(run, status, place + 1e-3 * number)
        return [run for run, _ in rows]

    def extend(self, runs: Sequence[Run], epochs: int) -> None:
        """Queue finished runs to train on to `epochs` epochs in all; their provenance says so.

        Once all runs of a study have the new recipe, so has the study; until then its runs differ, and comparing
        them says so. A run that is cancelled before it began is the finished run that it was.

        Raises:
            ConfigError: one of them is not finished, or has as many epochs already (field "epochs"); none is changed.
        """
        with queue_lock(self.workspace):
            place = self.next_place()
            for number, (run, status) in enumerate(extension.check(runs, epochs)):
                extension.extend(run, status, epochs, place + 1e-3 * number)
            for study in {run.path.parent for run in runs}:
                extension.follow(Study(study))

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
        """Move a study with all its runs to the trash; that its test scores were opened stays known.

        Raises:
            ExistsError: one of its runs is training.
        """
        with queue_lock(self.workspace):
            training = [run.name for run, status in self.statuses(study.runs()) if status.state is RunState.RUNNING]
            if training:
                raise ExistsError(f"Study {study.name} is training {', '.join(training)}. Stop it first.")
            self._keep_openings(study)
            return self.workspace.discard(study.path)

    # What outlasts a study -------------------------------------------------------------------------

    def removed_tests(self) -> list[dict[str, Any]]:
        """Return what is known of removed studies whose test scores had been opened, the first removed first.

        Each is {study, created, dataset, test, openings}: `test` the names of its test images, `openings` as
        `Study.test_openings` gave them, none where they were damaged.

        Raises:
            WorkspaceError: it cannot be read; nobody then can say which test images are known.
        """
        found = (read_json(self._removed_path) or {"removed": []}).get("removed")
        needed = {"study", "created", "dataset", "test", "openings"}
        if not isinstance(found, list) or not all(isinstance(one, dict) and needed <= one.keys() for one in found):
            raise WorkspaceError(f"{self._removed_path} is damaged. Restore it from a copy: it tells what was known.")
        return found

    def _keep_openings(self, study: Study) -> None:
        """Write down what a study that is about to go was opened on; under the queue lock.

        Emptying the trash deletes the study's own record, and who has seen test scores has not forgotten them.
        """
        try:
            openings = study.test_openings()
        except WorkspaceError:
            openings = []  # damaged: there were some
        else:
            if not openings:
                return
        try:
            record = {"study": study.name, "created": study.created, "dataset": study.dataset.name}
            record |= {"test": list(study.split.test), "openings": openings}
        except SegcoreError:
            return  # so damaged that nobody can tell any more which images it was
        write_json(self._removed_path, {"removed": [*self.removed_tests(), record]})

    @property
    def _removed_path(self) -> Path:
        return self.workspace.root / "opened_tests.json"


def _check_same(study: Study, shared: dict[str, Any]) -> None:
    """Refuse runs that would make a study compare what cannot be compared."""
    existing = {"folds": 0, "racing": False, **study.shared}  # a study of an earlier version says nothing of these
    for key, read in (("recipe", Recipe.from_json), ("dataset", DatasetConfig.from_json)):
        with suppress(ConfigError):  # what cannot be read differs
            # A study of an earlier version lacks the fields that came since: then the defaults are meant.
            existing[key] = read(existing[key]).to_json()
    differing = [key for key, value in shared.items() if existing.get(key) != value]
    if "folds" in differing:
        differing.remove("split_fingerprint")  # another number of folds is another split anyway
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
    if key in ("decoder", "folds"):
        return f"{name} ({there}, not {asked})"
    if key == "racing":
        return f"{name} ({'on' if there else 'off'}, not {'on' if asked else 'off'})"
    return name
