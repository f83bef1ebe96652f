"""Class by class: by how much the IoU of a contender differs from that of another. Nothing here imports torch."""

from __future__ import annotations

import math

from segcore.evaluation.standings import Standing, effective, table
from segcore.evaluation.statistics import Estimate, paired


def class_differences(standing: Standing, reference: Standing, classes: int) -> list[Estimate | None]:
    """Return the mean of standing - reference in the IoU of each class, over their common seeds and all images.

    None for a class that no mask shows, and throughout where no seed is common or the images differ. The intervals are
    of each class alone: they are not adjusted for looking at many.
    """
    return [_class_difference(standing, reference, index) for index in range(classes)]


def _class_difference(standing: Standing, reference: Standing, index: int) -> Estimate | None:
    seeds = sorted(set(standing.by_seed) & set(reference.by_seed))
    networks = [contender.by_seed[seed] for contender in (standing, reference) for seed in seeds]
    if not networks or len({cells.groups for cells in networks}) > 1:
        return None
    if not networks[0].shown[:, index].any() or any(math.isnan(cells.score(index)) for cells in networks):
        return None
    first, second = (table(contender.by_seed, seeds, index) for contender in (standing, reference))
    return paired(first, second, effective=effective(networks, index))
