"""What would settle a pair of contenders that cannot be told apart: more seeds, more images, or nothing within reason.

The difference and its variance components are taken for the true ones, and the least number of seeds is sought with
which an answer would come out four times in five; where no number of seeds does, the least number of groups of images.
A difference found by chance to be large promises too much, so fewer are settled in fact: `benchmarks/statistics.py`
prints how many. Nothing here imports torch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from segcore.evaluation.statistics import Components, Estimate, t_quantiles
from segcore.text import duration, plural

CHANCE = 0.8
"""With which the answer is to come out with the seeds or images that are asked for."""
MOST_SEEDS = 100
MOST_GROUPS = 100_000
"""Beyond these nobody would go: nothing then settles the question."""
TOGETHER = (5, 10, 20, 50)
"""Seeds that are tried with more images, where neither alone is enough."""


class Answer(StrEnum):
    """What can be said of a pair."""

    BETTER = "better"
    EQUIVALENT = "equivalent"
    CANNOT_TELL = "cannot tell"


class Way(StrEnum):
    """What would settle a "cannot tell"."""

    SEEDS = "seeds"
    IMAGES = "images"
    """More images, or these with more seeds."""
    SCENES = "scenes"
    """Images of other scenes than the single one, or folds."""
    NOTHING = "nothing"
    """Neither within reason: the difference is too close to the margin, or to zero."""


@dataclass(frozen=True)
class Settle:
    """What would settle an open question, if the difference stays as it is."""

    way: Way
    seeds: int | None = None
    """More seeds of each contender."""
    hours: float | None = None
    """Training time of these, both contenders; None where no run has told."""
    images: int | None = None
    """More images to be judged on, in as many more scenes as they are now grouped."""
    groups: int | None = None
    """More groups of images."""
    leads_to: Answer | None = None
    """The answer that is to be expected then."""

    def sentence(self) -> str:
        """Say it in plain words; "" is never returned."""
        time = f" (about {duration(3600 * self.hours)} of training)" if self.hours else ""
        seeds = f"{plural(self.seeds or 0, 'more seed')} of each{time}"
        if self.way is Way.SEEDS:
            if self.leads_to is None:  # what these seeds will show is not known
                return f"About {seeds} may settle it."
            return f"About {seeds} would settle it, the likely answer then being “{self.leads_to}”."
        if self.way is Way.IMAGES:
            scenes = f" in {plural(self.groups or 0, 'more scene')}" if self.groups != self.images else ""
            images = f"{plural(self.images or 0, 'more validation image')}{scenes}"
            if self.seeds:
                return f"Neither seeds nor images alone can settle it: about {seeds} and {images} would."
            return f"No number of seeds can settle it: about {images} would."
        if self.way is Way.SCENES:
            return "It takes validation images of other scenes to settle it: a larger validation share, or folds."
        return "Neither more seeds nor more images would settle it within reason: the difference is too small."


@dataclass(frozen=True)
class Question:
    """A pair that cannot be told apart, and what an answer takes."""

    difference: float
    components: Components
    margin: float
    alpha: float
    """Level of the test for a difference: 0.05 shared among the tests that are still to be reckoned with (Holm)."""
    equal_alpha: float
    """The same for equivalence."""

    def answers(self, seeds: np.ndarray, groups: np.ndarray) -> list[Answer | None]:
        """Return the answer to expect with each number of seeds and groups; None for "cannot tell"."""
        error, freedom = self.components.error(seeds, groups), self.components.freedom(seeds, groups)
        luck = t_quantiles(freedom, 2 * CHANCE - 1)
        difference = abs(self.difference)
        equal = difference + (t_quantiles(freedom, 1 - 2 * self.equal_alpha) + luck) * error < self.margin
        better = difference - (t_quantiles(freedom, 1 - self.alpha) + luck) * error > 0
        return [
            Answer.EQUIVALENT if is_equal else Answer.BETTER if is_better else None
            for is_equal, is_better in zip(equal, better, strict=True)
        ]

    def more_seeds(self, seeds: int, groups: int) -> tuple[int, Answer] | None:
        """Return how many more seeds settle it, and to which answer; None where no number within reason does."""
        more = _steps(MOST_SEEDS)
        return _first(more, self.answers(seeds + more, np.full(len(more), groups)))

    def more_groups(self, seeds: int, groups: int) -> tuple[int, Answer] | None:
        """Return how many more groups settle it, and to which answer; None where no number within reason does."""
        more = _steps(MOST_GROUPS)
        return _first(more, self.answers(np.full(len(more), seeds), groups + more))


def settle(estimate: Estimate, question: Question | None, *, images: int, hours_a_seed: float | None) -> Settle:
    """Return what would settle a pair that has common seeds.

    Args:
        estimate: of its difference.
        question: None where the estimate has no components: with one seed or one scene.
        images: that it was judged on.
        hours_a_seed: training time of one more seed of both contenders.
    """

    def hours(seeds: int) -> float | None:
        return None if hours_a_seed is None else seeds * hours_a_seed

    seeds, groups = estimate.seeds, estimate.groups
    if groups == 1:
        return Settle(Way.SCENES)
    if question is None:  # one seed: how much seeds differ is not known before there are three
        return Settle(Way.SEEDS, 2, hours(2))
    if found := question.more_seeds(seeds, groups):
        return Settle(Way.SEEDS, found[0], hours(found[0]), leads_to=found[1])
    for more in (0, *(total - seeds for total in TOGETHER if total > seeds)):
        if found := question.more_groups(seeds + more, groups):
            return Settle(
                Way.IMAGES,
                seeds=more or None,
                hours=hours(more) if more else None,
                images=math.ceil(found[0] * images / groups),
                groups=found[0],
                leads_to=found[1],
            )
    return Settle(Way.NOTHING)


def _steps(most: int) -> np.ndarray:
    """1, 2, … 20, 22, … and on in steps of about a tenth: no more digits than such a number bears."""
    steps = [*range(1, 21)]
    while steps[-1] < most:
        size = 10 ** (len(str(steps[-1])) - 2)
        steps.append(min(most, steps[-1] + max(1, round(steps[-1] / size / 10)) * size))
    return np.array(steps)


def _first(more: np.ndarray, answers: list[Answer | None]) -> tuple[int, Answer] | None:
    return next(((int(n), answer) for n, answer in zip(more, answers, strict=True) if answer is not None), None)
