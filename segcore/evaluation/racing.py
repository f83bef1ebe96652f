"""Racing: backbones that are clearly behind stop early, so that a study finds the same winner for less.

All runs of a racing study train to the first rung, an epoch early in the recipe, and wait there for one another. Then
each contender is compared with the leader as a verdict compares them: over seeds and groups of images, by the counts
of each run's best epoch so far. Who is behind by so much that the whole interval, widened for all that are judged at
once (Holm), lies beyond what a backbone may still make up stops there. The others go on to the next rung, and at last
to the end. The idea is that of F-Race (M. Birattari et al., "A Racing Algorithm for Configuring Metaheuristics",
GECCO 2002) on the rungs of successive halving (K. Jamieson, A. Talwalkar, AISTATS 2016); unlike the latter nobody
stops for a rank alone.

Learning curves cross: what learns slowly may end higher. Hence `behind.SLACK`: the earlier, the further behind a
contender must be. Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from segcore.errors import ConfigError, WorkspaceError
from segcore.evaluation.behind import LEAST_SEEDS, Judgement, slack
from segcore.evaluation.sentences import points_text
from segcore.evaluation.statistics import Estimate
from segcore.models import catalog
from segcore.runs import Run, Study
from segcore.status import RunState
from segcore.text import plural

SHARES = (0.2, 0.5)
"""Where the rungs stand, as shares of the epochs."""
LEAST_EPOCHS = 2
"""Of the first rung, and between two."""
SHORTEST = 6
"""With fewer epochs there is nothing to save."""


def rungs(epochs: int) -> tuple[int, ...]:
    """Return the epochs after which the runs of a race wait to be judged, ascending; none for short recipes."""
    if epochs < SHORTEST:
        return ()
    found: list[int] = []
    for share in SHARES:
        rung = max(LEAST_EPOCHS, round(share * epochs))
        if not found or rung - found[-1] >= LEAST_EPOCHS:
            found.append(rung)
    return tuple(found)


def next_rung(epochs: int, after: int = 0) -> int | None:
    """Return the first rung beyond so many epochs; None where a run then trains to its end."""
    return next((rung for rung in rungs(epochs) if rung > after), None)


def check(seeds: Sequence[int], epochs: int) -> None:
    """See that a study with these seeds and epochs can be a race.

    Raises:
        ConfigError: it cannot; field "racing".
    """
    if len(seeds) < LEAST_SEEDS:
        raise ConfigError(
            f"Racing takes at least {LEAST_SEEDS} seeds, not {len(seeds)}: one tells nothing about others, so no "
            "backbone could be clearly behind. Ask for more seeds, or launch without racing.",
            field="racing",
        )
    if epochs < SHORTEST:
        raise ConfigError(
            f"Racing takes at least {SHORTEST} epochs, not {epochs}: there is nothing to save in fewer. Ask for more "
            "epochs, or launch without racing.",
            field="racing",
        )


# What is written of it -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RacedOut:
    """A contender that stopped early because it was clearly behind."""

    contender: str
    """`RunConfig.contender`, as the label of a `Contender` of this study."""
    title: str
    leader: str
    """Label of the contender that it was compared with."""
    leader_title: str
    epoch: int
    """At which its runs stopped, of `epochs`."""
    epochs: int
    estimate: Estimate
    """Of contender - leader in mean IoU at that epoch: below 0."""
    images: int
    runs: tuple[str, ...]
    """Names of its runs that stopped."""

    @property
    def difference(self) -> float:
        """contender - leader, a share: -0.123 is 12.3 points behind."""
        return self.estimate.mean

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the difference, of this pair alone."""
        return self.estimate.interval()

    @property
    def sentence(self) -> str:
        """ "Stopped at epoch 6 of 30: clearly behind ResNet-18, by 12.3 ± 4.0 points (3 seeds, 80 images)." """
        behind = points_text(replace(self.estimate, mean=-self.estimate.mean))
        basis = f"{plural(self.estimate.seeds, 'seed')}, {plural(self.images, 'image')}"
        if self.estimate.groups != self.images:
            basis += f" in {plural(self.estimate.groups, 'scene')}"
        place = f"Stopped at epoch {self.epoch} of {self.epochs}"
        return f"{place}: clearly behind {self.leader_title}, by {behind} ({basis})."

    @property
    def short(self) -> str:
        """ "stopped at epoch 6 of 30: clearly behind (-12.3 ± 4.0 points)" """
        return f"stopped at epoch {self.epoch} of {self.epochs}: clearly behind ({points_text(self.estimate)})"


def outcome(study: Study) -> list[RacedOut]:
    """Return the contenders of a study that stopped early, the first to stop first; none in a study without a race.

    A contender all of whose stopped runs a person has let go on since, or removed, is left out.

    Raises:
        WorkspaceError: what was written of the race cannot be read.
    """
    raced = [out for entry in study.race() for out in raced_out(entry)]
    return [out for out in raced if any(_stands(Run(study.path / name)) for name in out.runs)]


def _stands(run: Run) -> bool:
    try:
        return run.state is RunState.STOPPED
    except WorkspaceError:
        return False


def entry(
    epoch: int, epochs: int, leader: str | None, judged: Sequence[Judgement], runs: Sequence[Run]
) -> dict[str, Any]:
    """Return what is written down of a rung: who was compared with whom, the numbers, and the runs that stop.

    Args:
        epoch: of the rung, of `epochs`.
        epochs: of the recipe.
        leader: the contender with the highest mean; None where no run has counts.
        judged: all others.
        runs: that stand at the rung.
    """
    names: dict[str, list[str]] = {}
    for run in runs:
        names.setdefault(run.config.contender, []).append(run.name)
    return {
        "epoch": epoch,
        "epochs": epochs,
        "leader": leader,
        "slack": slack(epoch, epochs),
        "judged": [
            {
                "contender": one.contender,
                "behind": one.estimate.mean,
                "error": one.estimate.error,
                "freedom": one.estimate.freedom,
                "seeds": one.estimate.seeds,
                "groups": one.estimate.groups,
                "images": one.images,
                "p": one.p,
                "stops": one.stops,
                "runs": sorted(names.get(one.contender, [])) if one.stops else [],
            }
            for one in judged
        ],
    }


def raced_out(entry: Mapping[str, Any]) -> list[RacedOut]:
    """Return the contenders that stop at a rung, from what was written of it.

    Raises:
        WorkspaceError: it lacks something.
    """
    try:
        leader = str(entry["leader"])
        return [
            RacedOut(
                contender=row["contender"],
                title=_title(row["contender"]),
                leader=leader,
                leader_title=_title(leader),
                epoch=int(entry["epoch"]),
                epochs=int(entry["epochs"]),
                estimate=Estimate(
                    -row["behind"], row["error"], row["freedom"], row["seeds"], row["groups"], "seeds and images"
                ),
                images=int(row["images"]),
                runs=tuple(row["runs"]),
            )
            for row in entry["judged"]
            if row["stops"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise WorkspaceError(f"What was written of a race cannot be read ({type(error).__name__}: {error}).") from error


def _title(contender: str) -> str:
    """ "resnet18.a1_in1k (scratch)" -> "ResNet-18 (scratch)" """
    encoder, blank, rest = contender.partition(" ")
    return f"{catalog.title(encoder)}{blank}{rest}"
