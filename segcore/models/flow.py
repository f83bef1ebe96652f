"""Where features go: which stage reads which, and how far one point sees.

Both follow the operators of one pass in order. Data is told apart by its storage, so that views and operations
in place need no care of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

from segcore.models.description import IMAGE, Join
from segcore.models.passes import ATTENDING, Operator, Value

JOINS: dict[str, Join] = {
    "cat": "concatenated",
    "stack": "added",  # smp's FPN stacks its levels and sums over them
    "add": "added",
    "add_": "added",
    "mul": "multiplied",
    "mul_": "multiplied",
}


@dataclass(frozen=True)
class Arrival:
    """Features of one stage that another reads; stages by their place in the order of execution."""

    source: int
    target: int
    join: Join


@dataclass
class _Data:
    """Where some data comes from."""

    stage: int | None
    """Who computed it; None for steps between stages, as a concatenation that the decoder does itself."""
    origins: dict[int, Join]
    """The stages, other than its own, whose features went into it, and how they were joined if they were."""


@dataclass
class Tracker:
    """Follows features from stage to stage."""

    image: Iterable[int]
    """Storages of the network's input."""
    _data: dict[int, _Data] = field(default_factory=dict)
    _arrivals: dict[tuple[int, int], Join] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for storage in self.image:
            self._data[storage] = _Data(IMAGE, {})

    def mark(self, storage: int, stage: int) -> None:
        """Say that data is a stage's features, whatever was done to it in place since."""
        self._data[storage] = _Data(stage, {})

    def follow(self, operator: Operator, stage: int | None) -> None:
        """Take note of one operator that ran in `stage`, or between stages."""
        found = []
        for value in operator.inputs:
            data = self._data.get(value.storage)
            if data is not None and not value.parameter and 0 not in value.shape:
                found.append((value.storage, self._seen_from(data, stage)))
        if not found:
            return
        merged: dict[int, Join] = {}
        for _, origins in found:
            for source, join in origins.items():
                merged[source] = merged.get(source) or join
        how = JOINS.get(operator.name, "")
        if how and len({storage for storage, _ in found}) > 1 and _differ([set(origins) for _, origins in found]):
            merged = {source: join or how for source, join in merged.items()}
        if stage is not None:
            for source, join in merged.items():
                known = self._arrivals.get((source, stage), "")
                self._arrivals[source, stage] = known or join
        for value in operator.outputs:
            self._data[value.storage] = _Data(stage, dict(merged))

    def arrivals(self) -> list[Arrival]:
        """All that was seen, by target and source."""
        found = [Arrival(source, target, join) for (source, target), join in self._arrivals.items()]
        return sorted(found, key=lambda arrival: (arrival.target, arrival.source))

    @staticmethod
    def _seen_from(data: _Data, stage: int | None) -> dict[int, Join]:
        """What `data` consists of for a reader in `stage`."""
        if data.stage is None or data.stage == stage:
            return data.origins
        return {data.stage: ""}


def _differ(origins: Sequence[set[int]]) -> bool:
    """Whether what is joined comes from different stages, and not once more from the same."""
    return any(not one <= other and not other <= one for one in origins for other in origins)


EVERYTHING = None
"""The receptive field of what sees the whole image."""
_REDUCING = ("mean", "sum", "linalg_vector_norm", "amax", "max", "var_mean", "std", "var")


class ReceptiveFields:
    """How far the points of each tensor see, as the side of a square of the image's pixels.

    A filter of k points, d apart, widens the field by d (k - 1) steps of its input; a step is the side of the image
    divided by the side of the input (Araujo et al. 2019, https://distill.pub/2019/computing-receptive-fields).
    """

    def __init__(self, image_size: int, image: Iterable[int]) -> None:
        self._image_size = image_size
        self._fields: dict[int, int | None] = dict.fromkeys(image, 1)

    def of(self, storage: int) -> int | None:
        """Return the receptive field of some data, or `EVERYTHING`."""
        return self._fields.get(storage, EVERYTHING)

    def follow(self, operator: Operator) -> None:
        """Take note of one operator."""
        inputs = [value for value in operator.inputs if value.storage in self._fields and 0 not in value.shape]
        fields = [self._fields[value.storage] for value in self._without_gates(operator, inputs)]
        if not fields:
            return
        widest = EVERYTHING if EVERYTHING in fields else max(known for known in fields if known is not None)
        after = EVERYTHING if widest is None else self._after(operator, inputs, widest)
        for value in operator.outputs:
            self._fields[value.storage] = after

    @staticmethod
    def _without_gates(operator: Operator, inputs: Sequence[Value]) -> Sequence[Value]:
        """Leave out what weighs whole channels of something larger: one number for all places."""
        if operator.name.rstrip("_") not in ("mul", "add", "div", "sub"):
            return inputs
        largest = max((prod(value.shape) for value in inputs), default=0)
        return [value for value in inputs if not value.spread and prod(value.shape) == largest] or inputs

    def _after(self, operator: Operator, inputs: Sequence[Value], widest: int) -> int | None:
        name = operator.name
        if name == "convolution":
            return self._convolved(operator, widest)
        if name.startswith(ATTENDING) and len(inputs) > 1:  # not by weights, which look at one place at a time
            return EVERYTHING
        if name.startswith(("max_pool2d", "avg_pool2d")):
            return widest + (_pair(operator.args[1]) - 1) * self._step(inputs[0])
        if name == "_adaptive_avg_pool2d" and len(inputs[0].shape) == 4:
            before, cells = inputs[0].shape[-1], operator.outputs[0].shape[-1]
            return EVERYTHING if cells == 1 else widest + (-(-before // cells) - 1) * self._step(inputs[0])
        if name.startswith(_REDUCING) and _reduces_places(operator, inputs[0]):
            return EVERYTHING
        if name.startswith("upsample_bilinear") and operator.outputs[0].shape[-1] != inputs[0].shape[-1]:
            return widest + self._step(inputs[0])
        return widest

    def _convolved(self, operator: Operator, widest: int) -> int:
        given, weight, _, stride, _, dilation, transposed = operator.args[:7]
        if len(weight.shape) != 4:  # one-dimensional, as in ECA: along the channels
            return widest
        if transposed:
            return widest + (weight.shape[-1] - 1) // _pair(stride) * self._step(given)
        return widest + _pair(dilation) * (weight.shape[-1] - 1) * self._step(given)

    def _step(self, value: Value) -> int:
        return max(1, round(self._image_size / value.shape[-1]))


def _reduces_places(operator: Operator, value: Value) -> bool:
    """Whether a reduction runs over height and width of a map (normalisations reduce over channels alone)."""
    axes = next((argument for argument in operator.args[1:] if isinstance(argument, list | tuple)), ())
    return len(value.shape) == 4 and len(axes) >= 2


def _pair(value: Any) -> int:
    """The larger of a size given once or for each axis."""
    return max(value) if isinstance(value, list | tuple) else int(value)
