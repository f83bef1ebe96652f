"""Opened test scores beside the validation scores that the choice was made on. Nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass

from segcore.evaluation.standings import Standing
from segcore.evaluation.statistics import Estimate
from segcore.evaluation.studies import compare_study
from segcore.evaluation.verdicts import MARGIN, Comparison, points_text, sentence
from segcore.runs import Study


@dataclass(frozen=True, eq=False)
class Pair:
    """One contender on both parts."""

    val: Standing
    test: Standing | None
    """None where none of its runs has test scores."""

    @property
    def title(self) -> str:
        return self.val.title

    @property
    def complete(self) -> bool:
        """Whether the same seeds are behind both."""
        return self.test is not None and set(self.test.by_seed) == set(self.val.by_seed)


@dataclass(frozen=True, eq=False)
class Confirmation:
    """A study's contenders on both parts."""

    val: Comparison
    test: Comparison
    pairs: list[Pair]
    """The order is that of the validation scores: that is what was chosen by."""

    @property
    def any_scored(self) -> bool:
        return any(pair.test is not None for pair in self.pairs)

    def sentences(self) -> list[str]:
        """Return the verdicts on the test images in plain words."""
        return [sentence(verdict, self.test) for verdict in self.test.verdicts]

    def summary(self) -> str:
        """Say in a sentence or two whether what was ahead on val is ahead on test; "" before there is anything."""
        if not self.any_scored:
            return ""
        chosen, ahead = self.pairs[0], self.test.standings[0]
        if len(self.pairs) == 1:
            return f"{chosen.title} is the only backbone with a result: there was nothing to choose."
        if chosen.test is None:
            return f"{chosen.title} is ahead on the validation images; it has no test scores yet."
        if chosen.test is ahead:
            return f"{chosen.title} is ahead on the validation images, and on the test images, too."
        verdict = self.test.verdict(chosen.val.label, ahead.label)
        told = f" {sentence(verdict, self.test)}" if verdict is not None else ""
        return (
            f"{chosen.title} is ahead on the validation images, {ahead.title} on the test images.{told} The choice "
            "was made on the validation images; to choose anew by the test images would spoil them."
        )


def confirm(study: Study, margin: float = MARGIN) -> Confirmation:
    """Put a study's test scores, as far as they are there, beside its validation scores (mIoU).

    Raises:
        WorkspaceError: counts are damaged.
    """
    val = compare_study(study, margin=margin)
    test = compare_study(study, margin=margin, part="test")
    by_label = {standing.label: standing for standing in test.standings}
    return Confirmation(val, test, [Pair(standing, by_label.get(standing.label)) for standing in val.standings])


def score_text(standing: Standing | None) -> str:
    """Write a score in percent with its interval over seeds and images: "78.3 ± 0.9 % (n = 5)"; "–" without one."""
    if standing is None or standing.estimate is None:
        return "–"
    return f"{points_text(standing.estimate).removesuffix(' points')} % (n = {len(standing.by_seed)})"


def bounds(estimate: Estimate | None) -> tuple[float, float] | None:
    """Return the 95 % interval; None where nothing tells."""
    if estimate is None:
        return None
    low, high = estimate.interval()
    return None if low != low else (low, high)
