"""Predicting a study's test images, once they were opened: `python -m segcore.inference.scoring STUDY_DIR`.

Images are loaded, predicted and counted as validation does it in training, by the same code, so that a difference
between val and test is one of images alone. The seal is checked here, for each run: whoever calls this cannot get
round it by mistake.

Exit codes: 0 when all is done or it was told to end, 1 when it failed, 2 when the study is not there or sealed, 3 when
another process is at it.
"""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from segcore.background import HELD, Cancelled, Teller
from segcore.config import RunConfig
from segcore.data.prepared import Prepared
from segcore.errors import SealError, SegcoreError, WorkspaceError
from segcore.evaluation import seal
from segcore.evaluation.scoring import Scoring
from segcore.evaluation.sizes import SizeMaps
from segcore.inherited import inheritable
from segcore.models.build import Segmenter, skeleton
from segcore.progress import Progress, silent
from segcore.runs import Evaluation, Part, Run, Study
from segcore.status import OTHER_WORKER, RunState, process_identity
from segcore.training.checkpoint import load_weights
from segcore.training.device import best_device, out_of_memory
from segcore.training.group import Group
from segcore.training.inputs import judged_on, prepare_data
from segcore.training.losses import SegmentationLoss
from segcore.training.precision import Execution, Mode
from segcore.training.validation import Validation
from segcore.workspace import Workspace


def evaluate(
    run: Run,
    part: Part = "test",
    *,
    device: torch.device | None = None,
    prepared: Prepared | None = None,
    progress: Progress = silent,
    tell: Callable[[str], None] = lambda _phase: None,
) -> Evaluation:
    """Return the confusion counts of a finished run's best weights on one part of its split.

    Args:
        run: the run.
        part: "test" has to be opened; "val" gives what is in the run's directory already.
        device: to predict on; by default the best there is.
        prepared: the run's prepared images, where they are at hand.
        progress: counts images.
        tell: hears in a few words what goes on before the first image.

    Raises:
        SealError: the test part is sealed for this run.
        WeightsError: the weights are missing or damaged.
        DatasetError: the dataset has changed since, or is gone.
        WorkspaceError: the run trains, or its files are damaged.
    """
    if part == "test":
        seal.check_opened(run)
    config, split, epoch = run.config, run.split, run.evaluation_epoch()
    if epoch is None:
        raise WorkspaceError(f"Run {run.name} has no weights yet.")
    tell("loading the network")
    network = Network.of(run, device or best_device())
    if run.state is not RunState.FINISHED or run.evaluation_epoch() != epoch:
        raise WorkspaceError(f"Run {run.name} trains on just now. Score it once it is finished.")
    prepared = prepared or prepare_data(config, Workspace(run.path.parents[2]), tell)
    names = split.test if part == "test" else split.val
    found = network.judge(prepared, names, config, progress)
    return Evaluation(found.loaders.val_names, found.loaders.val_groups, found.counts, epoch, sizes=found.sizes)


@dataclass(frozen=True)
class Network:
    """A run's best network, ready to be judged as training judged it."""

    model: Segmenter
    mode: Mode
    device: torch.device

    @classmethod
    def of(cls, run: Run, device: torch.device) -> Network:
        """Load the run's best weights.

        Raises:
            WeightsError: they are missing or damaged.
        """
        if device.type == "cpu" and run.status.threads:
            torch.set_num_threads(run.status.threads)  # sums of floats depend on how many threads share them
        mode = _mode(run, device)
        return cls(_network(run, mode, device), mode, device)

    def judge(
        self,
        prepared: Prepared,
        names: Sequence[str],
        config: RunConfig,
        progress: Progress,
        labels: int | None = None,
    ) -> Validation:
        """Predict images and count, as validation does it in training.

        Args:
            prepared: the images, at the size that the run's recipe asks for.
            names: which of them, in the order in which they are judged.
            config: of the run.
            progress: counts images.
            labels: of the masks, where they have more of them than the network has classes.

        Returns:
            The finished validation: counts, sizes, and in its loaders the names and groups. Counts are (images, C, C),
            of C labels or classes, whatever there are more of.
        """
        group = Group(device=self.device)
        loaders = judged_on(prepared, names, config, group)
        classes = max(labels or 0, self.model.classes)
        validation = Validation(loaders, config.recipe.batch_size, SizeMaps(classes))
        forward = _widened(self.mode.forward(self.model, self.device), classes - self.model.classes)
        for done in validation.over(forward, classes, self.device):
            progress(done, len(names))
        validation.finish(SegmentationLoss(config.recipe), group)
        return validation


def _widened(forward: Callable[[Tensor], Tensor], by: int) -> Callable[[Tensor], Tensor]:
    """Add so many classes to what `forward` answers, that it never chooses."""
    return (lambda images: F.pad(forward(images), (0, 0, 0, 0, 0, by), value=-torch.inf)) if by else forward


def _mode(run: Run, device: torch.device) -> Mode:
    """Return how the run computed, here: its own record, else its study's."""
    value: dict[str, Any] | None = run.provenance().get("execution") or Study(run.path.parent).execution()
    return Execution.from_json(value).on(device)[0] if value else Mode()


def _network(run: Run, mode: Mode, device: torch.device) -> Segmenter:
    config = run.config
    model = skeleton(config.encoder, config.decoder, len(config.dataset.trained_classes), config.recipe.image_size)
    load_weights(model, run.best_weights)
    return mode.apply(model.to(device)).eval()


class Scorer:
    """Scores the runs of a study that an opening covers, one after the other."""

    def __init__(self, study: Study) -> None:
        self.study = study
        said = Scoring("running", runs=0, started=time.time(), **process_identity())
        self.teller = Teller(study.scoring, said, "runs", "done")
        self._prepared: Prepared | None = None

    def work(self) -> None:
        """Score all that is left; a run that cannot be scored is passed over and said why.

        Raises:
            Cancelled: asked to end; what is done stays.
            WorkspaceError: the study is gone, or nothing can be written.
        """
        runs = seal.to_score(self.study)
        self.teller.tell(runs=len(runs))
        for number, run in enumerate(runs):
            self.teller.tell(done=number, run=run.name, image=0, images=len(self.study.split.test), phase="loading")
            try:
                run.write_evaluation(self.evaluate(run), "test")
            except Cancelled:
                raise
            except Exception as error:
                self.refuse(run, error)
            else:
                print(f"{run.name}: {self.teller.said.images} test images scored.", flush=True)
        self.teller.tell(state="finished", done=len(runs), run="", phase="", image=0)

    def evaluate(self, run: Run) -> Evaluation:
        """Predict a run's test images. The runs of a study share the prepared images: these are checked once."""
        if self._prepared is None:
            self._prepared = prepare_data(run.config, Workspace(run.path.parents[2]), self.phase)
        return evaluate(
            run,
            prepared=self._prepared,
            progress=lambda done, _total: self.teller.tell(image=done, phase=""),
            tell=self.phase,
        )

    def phase(self, phase: str) -> None:
        """Say what goes on before images are predicted."""
        self.teller.tell(phase=phase)

    def refuse(self, run: Run, error: Exception) -> None:
        """Write down why a run cannot be scored, so that the others can.

        Raises:
            Exception: what was passed, where the study is gone.
        """
        if not self.study.exists():
            raise error
        if isinstance(error, SegcoreError):
            reason = str(error)
        elif out_of_memory(error):
            reason = "There is not enough memory for its batches here."
        else:  # a fault of ours, which the others need not share
            traceback.print_exc()
            reason = f"{type(error).__name__}: {error}"
        print(f"{run.name} cannot be scored: {reason}", flush=True)
        self.teller.tell(refused={**self.teller.said.refused, run.name: reason})


def main(arguments: Sequence[str] | None = None) -> int:
    """Score the study whose directory is the first argument; return the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not 1 <= len(arguments) <= 2 or list(arguments[1:]) not in ([], [HELD]):
        print("usage: python -m segcore.inference.scoring STUDY_DIR", file=sys.stderr)
        return 2
    study = Study(Path(arguments[0]).resolve())
    try:
        if not seal.opened(study):
            raise SealError(f"The test scores of study {study.name!r} are sealed. Open them first.")
        with ExitStack() as held:
            if len(arguments) == 1:  # else whoever started it has handed the lock over
                held.enter_context(inheritable(study.scoring.lock))
                study.scoring.forget_request()
            return _score(study)
    except BlockingIOError:
        print(f"Another process scores study {study.name!r} already.", file=sys.stderr)
        return OTHER_WORKER
    except SegcoreError as error:
        print(error, file=sys.stderr)
        return 2


def _score(study: Study) -> int:
    scorer = Scorer(study)
    try:
        scorer.work()
    except Cancelled:
        study.scoring.forget_request()
        scorer.teller.end(state="cancelled")
        print("Ended on request; what is scored stays.", flush=True)
    except Exception as error:
        if not study.exists():
            print(f"{study.path} was removed meanwhile.", file=sys.stderr)
            return 0
        traceback.print_exc()
        scorer.teller.end(state="failed", message=str(error) or type(error).__name__)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
