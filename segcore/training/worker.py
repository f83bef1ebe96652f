"""The process that trains one run: `python -m segcore.training.worker RUN_DIR`.

It is the only writer of the run's status, records and weights while it lives. Several processes may share a run:
`accelerate launch --multi_gpu --num_processes 2 -m segcore.training.worker RUN_DIR`; the leading one then is the
writer. (`--multi_gpu` stands for torch's launcher and serves processors as well; `--cpu` would start one process.)

Exit codes: 0 when the run finished, reached the rung of its race (it then waits in the queue again), was told to stop,
was removed meanwhile, or does not wait for the cluster's job that this process is; 1 when it failed (status.json says
why), 3 when another worker has it. Of several processes the leading one's counts; it is 1 where the run was removed, so
that whatever launched them ends the others.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import torch
from filelock import Timeout

from segcore.clustered import JOB_VARIABLE, take_up
from segcore.config import RunConfig
from segcore.data.loaders import Loaders
from segcore.data.prepared import Prepared
from segcore.errors import NotFoundError, SegcoreError, WorkspaceError
from segcore.models.build import Segmenter, build
from segcore.models.weights import default_directories
from segcore.records import StepRecord
from segcore.runqueue import RunQueue
from segcore.runs import Run, Study
from segcore.status import OTHER_WORKER, RunState
from segcore.training.checkpoint import load_state, save_state
from segcore.training.device import PeakMemory, device_label, out_of_memory
from segcore.training.group import Group, LeaderEnded
from segcore.training.inputs import baseline, divide, make_pace, prepare_data
from segcore.training.journal import STATUS_SECONDS, Journal, RunGone, StopRequested, say
from segcore.training.last_words import words_for_error, words_for_shutdown, words_for_stop
from segcore.training.loop import EpochResult, fit
from segcore.training.optim import allow_tf32
from segcore.training.pace import Pace
from segcore.training.precision import Execution
from segcore.training.provenance import collect, network_cost, timing
from segcore.training.results import describe, preview_positions, remove_leftovers, restore_records, write_epoch
from segcore.training.state import TrainingState
from segcore.training.trial import settle
from segcore.workspace import Workspace

T = TypeVar("T")

SAVE_SECONDS = 300.0
"""How much training a kill may cost, about: the state is kept so often within an epoch."""

QUIET_SECONDS, QUIET_SHARE = 20.0, 0.05
"""How long the measurement of speed waits for an idle machine: so many seconds, or this share of the run's time."""


class Worker:
    """Trains one run and writes its directory."""

    def __init__(self, run: Run, group: Group) -> None:
        self.run = run
        self.group = group
        self.device = group.device
        self.config: RunConfig = run.config
        self.workspace = Workspace(run.path.parents[2])
        self.journal = Journal(run, leads=group.leads, may_stop=group.alone)
        self.notes: list[str] = []
        """What went wrong and was mended; goes into log and provenance."""
        self.kept = True
        """Whether the state was kept where the run was stopped."""
        self.steps_per_epoch = 0
        self.peak: PeakMemory
        """Made when training begins."""

    def work(self) -> None:
        """Train from where the run stands to its end.

        Raises:
            StopRequested: asked to stop; what was learnt up to the last step is kept.
            RunGone: the run was removed meanwhile.
            LeaderEnded: the leading process did; others than that alone.
            SegcoreError: it cannot go on.
        """
        if self.device.type == "cuda":
            allow_tf32()
        prepared, loaders = self.load_data()
        saved = self.load_state()
        if saved is not None:
            # Sums of floats depend on how many threads share them: all lives of a run use as many as its first.
            torch.set_num_threads(saved.get("threads", torch.get_num_threads()))
            self.tell(threads=torch.get_num_threads())
            if self.group.leads:
                self.note(restore_records(self.run, saved))
        execution = self.settle(loaders)
        state = self.build(execution, saved)
        del saved  # as large as the state itself
        measured = [record.seconds for record in self.run.epochs()]
        pace = make_pace(prepared, loaders, self.run.split, self.config.recipe, measured)
        self.peak = PeakMemory(self.device)
        self.train(state, loaders, execution, pace)
        if not self.group.leads:
            return
        if state.epoch < self.config.recipe.epochs:
            self.wait_at_rung(state)
        else:
            self.finish(state, execution)

    def led(self, work: Callable[[], T]) -> T:
        """Return, in every process, what the leading one's work came to. It may be stopped there: the others wait."""
        self.journal.may_stop = True
        try:
            return self.group.led(work)
        finally:
            self.journal.may_stop = self.group.alone

    def prepare(self) -> Prepared:
        """Begin: say so, tidy up, and prepare the dataset."""
        self.tell(
            started=self.journal.status.started or time.time(),
            ended=None,
            message="",
            hint="",
            device=device_label(self.device),
            threads=torch.get_num_threads(),
        )
        remove_leftovers(self.run)
        prepared = prepare_data(self.config, self.workspace, lambda phase: self.tell(phase=phase))
        if prepared.mended:
            self.note("The prepared images were damaged on the disk; they have been built anew from the source.")
        return prepared

    def load_data(self) -> tuple[Prepared, Loaders]:
        """Prepare the dataset and divide it as the study says; of several processes the leading one prepares."""
        prepared = self.led(self.prepare)
        split = self.run.split
        loaders = divide(prepared, split, self.config, self.group)
        self.steps_per_epoch = loaders.steps_per_epoch
        self.tell(
            phase="building the network",
            majority_baseline=baseline(prepared, split.val),
            steps=loaders.steps_per_epoch * self.config.recipe.epochs,
        )
        self.say(f"{len(split.train)} images to train on, {len(split.val)} to validate.")
        return prepared, loaders

    def load_state(self) -> dict[str, Any] | None:
        """Return the state that the run goes on from, the same in all processes; None at its beginning."""
        found = []
        # The leading process first: the others are to see what it has mended.
        self.led(lambda: found.append(load_state(self.run, mend=True)))
        saved, complaint = found[0] if found else load_state(self.run)
        self.note(complaint)
        places = self.group.gather((saved["epoch"], saved["step"]) if saved is not None else None)
        if len(set(places)) > 1:
            raise WorkspaceError(
                f"The {self.group.world} processes found different states in {self.run.last_directory}: "
                f"{', '.join('none' if place is None else 'epoch {} step {}'.format(*place) for place in places)}. "
                "All must see the same directory."
            )
        return saved

    def settle(self, loaders: Loaders) -> Execution:
        """Return how the study's runs compute, measuring it where no run has done so yet."""
        execution = self.led(
            lambda: settle(
                Study(self.run.path.parent),
                self.config,
                self.device,
                batch_size=max(2, self.config.recipe.batch_size // self.group.world),
                steps=loaders.steps_per_epoch * self.config.recipe.epochs,
                tell=lambda phase: self.tell(phase=phase),
                check=self.journal.check,
            )
        )
        self.say(f"Computing in {execution.reason}")
        return execution

    def build(self, execution: Execution, saved: dict[str, Any] | None) -> TrainingState:
        """Build the network, from the seed where it starts from scratch, and write down what it is.

        A resumed run has all its weights in its checkpoint: the pretrained file may be gone by then.
        """
        config = self.config
        self.tell(phase="building the network")
        torch.manual_seed(config.seed)
        folders = [config.weights_file.parent] if config.weights_file else []
        model = build(
            config.encoder,
            decoder=config.decoder,
            weights="none" if saved is not None else config.weights,
            classes=len(config.dataset.trained_classes),
            image_size=config.recipe.image_size,
            weights_dirs=[*folders, *default_directories(self.workspace)],
        ).to(self.device)
        mode, remark = execution.on(self.device)
        state = TrainingState.start(mode.apply(model), config.recipe, mode, pretrained=config.weights == "pretrained")
        if saved is not None:
            state.load_state_dict(saved)
            self.note(self.shared_anew(state, saved))
            within = f" and {state.progress.batches} batches" if state.progress else ""
            self.say(f"Going on after {state.epoch} of {config.recipe.epochs} epochs{within}.")
        if self.group.leads:
            self.note(remark)
            self.write_provenance(model, execution, resumed=saved is not None)
        return state

    def shared_anew(self, state: TrainingState, saved: dict[str, Any]) -> str:
        """Go on from what another number of processes has kept; return what is to be said of it, else ''."""
        before, now = saved.get("world", self.group.world), self.group.world
        moved = state.shared_anew(saved.get("steps_per_epoch", self.steps_per_epoch), self.steps_per_epoch)
        if before == now:
            return moved
        return f"Processes that train it: {now} from now on, {before} before. {moved}".strip()

    def write_provenance(self, model: Segmenter, execution: Execution, *, resumed: bool) -> None:
        """Write down what this life of the run is made of; the start stays as it was, each further life is added."""
        made_of = collect(self.config, model, self.device)
        made_of |= {"execution": execution.to_json(), "processes": self.group.world, "notes": self.notes}
        first = self.run.provenance()
        if resumed and first:
            made_of = {**first, "resumed": [*first.get("resumed", []), {**made_of, "weights": "checkpoint"}]}
        self.journal.check()
        self.run.write_provenance({**({} if resumed else _kept(first)), **made_of})
        self.run.write_cost({**self.run.cost(), **network_cost(self.config)})

    def train(self, state: TrainingState, loaders: Loaders, execution: Execution, pace: Pace) -> None:
        """Write down what the loop tells, and save the state after each epoch, every few minutes, and on stopping."""
        if self.at_rung(state):  # the last life was killed just before it said so
            return
        preview = preview_positions(len(loaders.val_names))
        mode, _ = execution.on(self.device)
        last_line, saved = -STATUS_SECONDS, time.monotonic()
        self.tell(phase="training", epoch=state.epoch, step=state.step)
        events = fit(
            state, loaders, self.config.recipe, seed=self.config.seed, mode=mode, group=self.group, preview=preview
        )
        try:
            for event in events:
                self.peak.sample()
                now = time.monotonic()
                if isinstance(event, StepRecord):
                    if self.group.leads and now - last_line > STATUS_SECONDS:
                        last_line = now
                        self.journal.check()
                        self.run.append_step(event)
                    if now - saved > SAVE_SECONDS:
                        self.save(state)
                        saved = time.monotonic()
                    self.tell(phase="training", step=state.step, eta=_left(pace, state))
                    self.stop_together()
                elif isinstance(event, EpochResult):
                    pace.epoch_done(event.record.seconds)
                    self.keep(event, state, loaders)
                    saved = time.monotonic()
                    left = _left(pace, state)
                    if self.journal.status.predicted_after_epoch is None and left is not None:
                        self.tell(predicted_after_epoch=self.journal.seconds + left)
                    self.tell(phase="training", epoch=state.epoch, step=state.step, eta=left)
                    self.stop_together()
                    if self.at_rung(state):
                        return
                else:
                    self.tell(phase="validating")
        except StopRequested:
            self.kept = self.save(state)
            raise

    def at_rung(self, state: TrainingState) -> bool:
        """Whether it is to wait here for the other runs of its race; all processes of a group see it alike."""
        rung = self.journal.status.rung
        return rung is not None and rung <= state.epoch < self.config.recipe.epochs

    def stop_together(self) -> None:
        """Stop where any process of the group was asked to; all of them come by here alike."""
        if not self.group.alone and self.group.any(self.journal.stopping or self.journal.terminated):
            raise StopRequested

    def keep(self, result: EpochResult, state: TrainingState, loaders: Loaders) -> None:
        """Write an epoch's results. The state comes last: a kill in between makes the epoch be done again,
        with the same results."""
        if self.group.leads:
            self.journal.check()
            write_epoch(self.run, result, state.model, loaders)
            self.save(state)
            self.say(describe(result.record, self.config.recipe.epochs))

    def save(self, state: TrainingState) -> bool:
        """Keep the state as it is now, within an epoch or after one, and the memory that it has taken to get there.

        Never one whose numbers are none; returns False then.
        """
        if not state.finite():
            return False
        if self.group.leads and state.step > 0:
            self.journal.check()
            save_state(
                self.run,
                {
                    **state.state_dict(),
                    "threads": torch.get_num_threads(),
                    "world": self.group.world,
                    "steps_per_epoch": self.steps_per_epoch,
                    "records": [asdict(record) for record in self.run.epochs()],
                },
            )
            cost = self.run.cost()
            peak = round(self.peak.sample(), 1)
            if peak > cost.get("peak_memory_mb", 0.0):  # the most of all lives
                self.run.write_cost({**cost, "peak_memory_mb": peak})
        return True

    def wait_at_rung(self, state: TrainingState) -> None:
        """Go back into the queue; the state after this epoch is kept already."""
        self.tell(phase="training", epoch=state.epoch, step=state.step)
        self.journal.check()
        if not RunQueue(self.workspace).hand_back(self.run, self.journal.status):
            raise StopRequested
        self.say(f"It waits at epoch {state.epoch} for the other runs of its race.")

    def finish(self, state: TrainingState, execution: Execution) -> None:
        """Measure what the network costs, and say that the run is finished."""
        self.tell(phase="measuring its speed", eta=None)
        mode, _ = execution.on(self.device)
        patience = min(QUIET_SECONDS, QUIET_SHARE * self.journal.seconds)
        measured = timing(state.model, self.config.recipe, self.device, mode, patience=patience, wait=self.wait)
        if measured["idle"] is False:
            self.say(f"Other programs took {measured['busy']:.0%} of the processors while its speed was measured.")
        self.journal.check()
        self.run.write_cost({**self.run.cost(), **measured})
        self.tell(state=RunState.FINISHED, phase="", ended=time.time(), eta=None)
        self.say(f"Finished; best validation mIoU {state.best_miou:.4f} after epoch {state.best_epoch}.")

    def wait(self, seconds: float) -> None:
        """Let time pass, and stop where that is asked for."""
        time.sleep(seconds)
        self.tell(phase="waiting for an idle moment to measure its speed")

    def tell(self, **changes: object) -> None:
        """Change the status; see `Journal.tell`."""
        self.journal.tell(**changes)

    def say(self, text: str) -> None:
        """Print a line into the run's log."""
        if self.group.leads:
            say(text)

    def note(self, text: str) -> None:
        """Say something that readers of the results should know, too."""
        if text:
            self.say(text)
            self.notes.append(text)


def _kept(provenance: dict[str, Any]) -> dict[str, Any]:
    """What others wrote into the provenance, and starting anew must not lose."""
    return {key: value for key, value in provenance.items() if key == "extended"}


def _left(pace: Pace, state: TrainingState) -> float | None:
    progress = state.progress
    return pace.left(state.epoch, progress.batches if progress else 0, progress.seconds if progress else 0.0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train the run whose directory is the only argument; return the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if len(arguments) != 1:
        print("usage: python -m segcore.training.worker RUN_DIR", file=sys.stderr)
        return 2
    run = Run(Path(arguments[0]).resolve())
    group = Group.join()
    try:
        with ExitStack() as held:
            refused = group.led(lambda: _take(run, held))
            return _train(run, group) if refused is None else refused
    except LeaderEnded:
        return 0
    except NotFoundError as error:
        say(str(error), error=True)
        return 2
    finally:
        group.leave()


def _take(run: Run, held: ExitStack) -> int | None:
    """Take the run's lock, to be given back with `held`; return the exit code where this process is not to train it."""
    try:
        held.enter_context(run.worker_lock().acquire(timeout=0))
    except Timeout:
        say(f"Another worker trains {run.name} already.", error=True)
        return OTHER_WORKER
    job = os.environ.get(JOB_VARIABLE)
    if job is not None and not take_up(RunQueue(Workspace(run.path.parents[2])), run, job):
        say(f"Nobody waits for job {job} of {run.name} any more.")
        return 0
    return None


def _train(run: Run, group: Group) -> int:
    worker = Worker(run, group)
    journal = worker.journal

    def on_terminate(_signal: int, _frame: FrameType | None) -> None:
        journal.terminated = True

    signal.signal(signal.SIGTERM, on_terminate)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is meant for whoever follows the run
    try:
        try:
            worker.work()
        except StopRequested:
            if group.leads:
                if run.stop_requested():
                    run.clear_request()
                    epochs = worker.config.recipe.epochs
                    journal.end(RunState.STOPPED, *words_for_stop(journal.status, epochs, kept=worker.kept))
                else:
                    journal.end(RunState.INTERRUPTED, *words_for_shutdown(kept=worker.kept))
        return 0
    except LeaderEnded:
        return 0
    except BaseException as error:
        if isinstance(error, RunGone) or journal.gone():
            say(f"{run.path} was removed while the run trained; nothing is written there any more.", error=True)
            return 0 if group.alone else 1
        # The last word must be written whatever happens; the traceback goes to the log.
        if not isinstance(error, SegcoreError):
            with suppress(OSError):  # its disk is full
                traceback.print_exc()
        message, hint = words_for_error(error, worker.config.recipe.batch_size)
        if not group.leads:
            group.give_up(message)
        elif not (isinstance(error, SegcoreError) or out_of_memory(error)) and (reason := group.reason()) is not None:
            message, hint = f"One of the {group.world} processes ended: {reason}", "Its output has the details."
        with suppress(WorkspaceError):  # no disk to write it on; the log has it
            journal.end(RunState.FAILED, message, hint)
        if not isinstance(error, Exception):
            raise
    finally:
        journal.close()
    return 1


if __name__ == "__main__":
    sys.exit(main())
