"""What the backbones of a study reached, as rows of the final table with the interval over seeds and images.

For screens that set the score beside something else than the study's own costs. Nothing here imports torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from segcore.evaluation.answer import score_text
from segcore.evaluation.comparison import ResultRow, contenders, result_table
from segcore.evaluation.standings import Standing, standing
from segcore.runs import Run


def trained(runs: Iterable[Run]) -> list[ResultRow]:
    """Return the contenders that have a validation mIoU, the highest mean first.

    Raises:
        WorkspaceError: counts that are damaged.
    """
    runs = list(runs)
    judged = {found.label: found for found in contenders(runs)}
    rows = []
    for row in result_table(runs):
        found = standing(judged[row["label"]], "miou", "val")
        if found.estimate is not None:
            rows.append(with_estimate(row, found))
    return sorted(rows, key=lambda row: row["miou"] or 0.0, reverse=True)


def with_estimate(row: ResultRow, found: Standing) -> ResultRow:
    """Return a row with a standing's estimate and interval over seeds and images in place of the recorded mIoU."""
    assert found.estimate is not None
    low, high = found.estimate.interval()
    known = not math.isnan(low)
    changes = {
        "miou": found.estimate.mean,
        "miou_low": low if known else None,
        "miou_high": high if known else None,
        "miou_text": f"{score_text(found)} (n = {len(found.by_seed)})",
        "n": len(found.by_seed),
    }
    return ResultRow(**{**row, **changes})  # type: ignore[typeddict-item]
