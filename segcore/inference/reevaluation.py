"""Judging a run on any dataset and part: `python -m segcore.inference.reevaluation RUN_DIR WISH`.

Images are prepared, predicted and counted as validation does it in training, by the same code: on its own validation
images a run gets the counts that it has, bit for bit. WISH is JSON: {"dataset", "part", "given"}.

Exit codes: 0 when it is done or was told to end, 1 when it failed, 2 for what it cannot do at all, 3 when another
process is at this run.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from segcore import __version__
from segcore.background import HELD, Cancelled, Teller
from segcore.data.prepared import prepare, prepared_size
from segcore.data.store import DatasetStore
from segcore.errors import SegcoreError, WorkspaceError
from segcore.evaluation import reevaluation
from segcore.evaluation.reevaluating import Reevaluating
from segcore.evaluation.reevaluation import Judged, Reevaluation
from segcore.inference.scoring import Network
from segcore.inherited import inheritable
from segcore.progress import Progress, silent
from segcore.runs import Run
from segcore.status import OTHER_WORKER, RunState, process_identity
from segcore.training.device import best_device, device_label, out_of_memory
from segcore.training.provenance import git_commit
from segcore.workspace import Workspace


def reevaluate(
    run: Run,
    dataset: str | None = None,
    part: Judged = "val",
    mapping: Mapping[str, str | None] | None = None,
    *,
    device: torch.device | None = None,
    progress: Progress = silent,
    tell: Callable[[str], None] = lambda _phase: None,
) -> Reevaluation:
    """Judge the best weights of a run on part of a dataset, and keep the result beside the run.

    Args:
        run: in the workspace of the dataset; it must not be training.
        dataset: name of a dataset of the workspace; by default the run's own.
        part: "train", "val" or "test" of the split (the run's own on its own dataset), or "all" usable images.
        mapping: class of the network -> class of the dataset that it means, None for none; others are matched by
            name. What that does to the scores is said in `evaluation.classmap`.
        device: to predict on; by default the best there is.
        progress: counts images.
        tell: hears in a few words what goes on before the first image.

    Raises:
        SealError: test images that are sealed are among them.
        ConfigError: the network and the dataset have no class in common, or the mapping names none of theirs.
        DatasetError: the dataset cannot be used (any more), or has no such part.
        WeightsError: the weights are missing or damaged.
        WorkspaceError: there is no such dataset, the run trains or has no weights, or nothing can be written.
    """
    config = run.config
    source = DatasetStore(Workspace(run.path.parents[2])).get(dataset or config.dataset.name)
    if source.changed():
        source.refresh(lambda done, total: tell(f"checking image {done} of {total}"))
    plan = reevaluation.plan(run, source, part, mapping)
    tell("loading the network")
    network = Network.of(run, device or best_device())
    if run.state is RunState.RUNNING or run.evaluation_epoch() != plan.epoch:
        raise WorkspaceError(f"Run {run.name} trains just now. Judge it once it has stopped or finished.")
    prepared = prepare(
        source,
        prepared_size(config.recipe),
        lambda done, total: tell(f"preparing image {done} of {total}"),
        checking=lambda done, total: tell(f"checking the prepared images, {done} of {total}"),
    )
    labels = len(plan.classes.dataset)
    found = network.judge(prepared, plan.names, config, progress, labels)
    result = Reevaluation.of(
        plan,
        found.counts[:, :labels, : len(plan.classes.network)],
        found.loaders.val_groups,
        own_split=reevaluation.is_own(run, source),
        time=time.time(),
        version=__version__,
        commit=git_commit(),
        device=device_label(network.device),
    )
    result.write(run)
    return result


# The process -------------------------------------------------------------------------------------------


class Judge:
    """Judges one run in a process of its own, and says how far it is."""

    def __init__(self, run: Run, wish: Mapping[str, Any]) -> None:
        self.run = run
        self.wish = wish
        said = Reevaluating("running", wish["dataset"], wish["part"], started=time.time(), **process_identity())
        self.teller = Teller(run.reevaluating, said)

    def work(self) -> None:
        """Judge the run as wished.

        Raises:
            Cancelled: asked to end.
            SegcoreError: it cannot be done.
        """
        self.teller.tell(state="running")
        result = reevaluate(
            self.run,
            self.wish["dataset"],
            self.wish["part"],
            self.wish["given"],
            progress=self.move,
            tell=lambda phase: self.teller.tell(phase=phase),
        )
        self.teller.tell(state="finished", key=result.key, phase="")
        print(f"{result.key}: {len(result.names)} images judged.", flush=True)

    def move(self, done: int, total: int) -> None:
        """Say how many images are done."""
        self.teller.tell(image=done, images=total, phase="", predicting=self.teller.said.predicting or time.time())


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge the run whose directory is the first argument as the second wishes; return the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not 2 <= len(arguments) <= 3 or list(arguments[2:]) not in ([], [HELD]):
        print("usage: python -m segcore.inference.reevaluation RUN_DIR WISH", file=sys.stderr)
        return 2
    run, wish = Run(Path(arguments[0]).resolve()), json.loads(arguments[1])
    try:
        with ExitStack() as held:
            if len(arguments) == 2:  # else whoever started it has handed the lock over
                run.make_reevaluations()
                held.enter_context(inheritable(run.reevaluating.lock))
                run.reevaluating.forget_request()
            return _judge(run, wish)
    except BlockingIOError:
        print(f"Another process judges run {run.name} already.", file=sys.stderr)
        return OTHER_WORKER
    except SegcoreError as error:
        print(error, file=sys.stderr)
        return 2


def _judge(run: Run, wish: Mapping[str, Any]) -> int:
    judge = Judge(run, wish)
    try:
        judge.work()
    except Cancelled:
        run.reevaluating.forget_request()
        judge.teller.end(state="cancelled")
        print("Ended on request; nothing is left.", flush=True)
    except Exception as error:
        if not run.exists():
            print(f"{run.path} was removed meanwhile.", file=sys.stderr)
            return 0
        known = isinstance(error, SegcoreError)
        if not known:  # a fault of ours, or of this machine
            traceback.print_exc()
        message = "There is not enough memory for its batches here." if out_of_memory(error) else str(error)
        judge.teller.end(state="failed", message=message or type(error).__name__)
        print(message, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
