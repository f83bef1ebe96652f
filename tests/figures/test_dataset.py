"""Charts of what a dataset holds."""

from __future__ import annotations

import numpy as np

from segcore import figures
from segcore.config import ClassInfo


def test_long_names_leave_room_for_which_classes_stand_together() -> None:
    names = ["roof", *(f"{'a name that goes on and on ' * 2}{number}" for number in range(3))]
    classes = [ClassInfo(name=name, color=(number, 0, 0)) for number, name in enumerate(names)]
    chart = figures.co_occurrence_map(classes, np.full((4, 4), 5))
    for axis in (chart.layout.xaxis, chart.layout.yaxis):
        assert axis.ticktext[0] == "roof" and max(map(len, axis.ticktext)) <= 24
        assert len(set(axis.ticktext)) == 4 and list(axis.tickvals) == names
    assert names[3] in chart.data[0].customdata[3][0]
