"""What happens inside a block, in the papers' words: its operations, its shortcuts and its name.

All is read off the operators that ran in it. A shortcut is an addition of two values of which one has passed fewer of
the block's layers than the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isqrt, prod

from torch import Tensor

from segcore.models.description import Operation, OperationKind, Shortcut
from segcore.models.passes import ATTENDING, Operator, Pass

GATES = {
    "SqueezeExcite": "squeeze and excite",
    "SEModule": "squeeze and excite",
    "SqueezeExcitation": "squeeze and excite",
}
"""What the papers call modules that weigh channels; others keep the name of their class."""
EXPANDING = {"InvertedResidual": "MBConv", "DepthwiseSeparableConv": "MBConv", "EdgeResidual": "Fused-MBConv"}
"""What the papers call timm's blocks that widen, filter and narrow again."""
_MATRIX = ("addmm", "mm", "linear")


def label(kind: str, operations: Sequence[Operation], entering: int) -> str:
    """Name a block as the papers do: "MBConv6 5×5", "Bottleneck 64-64-256", "3×3 conv, 64".

    Args:
        kind: the class of its module.
        operations: what it does.
        entering: channels that its first convolution is given.
    """
    if len(operations) == 1:
        return operations[0].label
    main = [o for o in operations if not o.on_shortcut and o.kind in ("conv", "depthwise", "linear", "attention")]
    sizes = [o.label.split()[0] for o in main if o.kind in ("conv", "depthwise")]
    kernel = max(sizes, key=lambda size: int(size.partition("×")[0]), default="")
    if kind in EXPANDING and main and entering:
        # A block that begins with its filter per channel widens nothing.
        factor = main[0].channels / entering if main[0].kind == "conv" else 1
        return f"{EXPANDING[kind]}{factor:.2g} {kernel}"
    widths = [str(o.channels) for o in main if o.kind != "attention"]
    parts = [
        kind,
        kernel if kernel not in ("1×1", "3×3") else "",
        "-".join(widths) if len(widths) <= 4 else "",
        "with attention" if any(o.kind == "attention" for o in main) else "",
    ]
    return " ".join(part for part in parts if part)


@dataclass(frozen=True)
class _Passed:
    """What a value has been through inside a block."""

    layers: int
    """A bit for each operator with multiply-adds, by its place."""
    steps: int
    """The same with poolings and upsamplings, which make a path the longer one only where layers do not."""
    inputs: frozenset[int]
    """Storages of the block's inputs that it holds."""


def shortcuts(entered: Sequence[int], operators: Sequence[Operator]) -> tuple[tuple[Shortcut, ...], set[int]]:
    """Return the kinds of a block's shortcuts in order, and the operators (by place) that lie on them.

    Args:
        entered: the storages that the block was given.
        operators: those that ran in it.
    """
    passed = {storage: _Passed(0, 0, frozenset({storage})) for storage in entered}
    kinds: list[Shortcut] = []
    aside: set[int] = set()
    for place, operator in enumerate(operators):
        found = [(value, passed[value.storage]) for value in operator.inputs if value.storage in passed]
        if not found:
            continue
        if operator.name in ("add", "add_") and len(found) == 2 and found[0][0].shape == found[1][0].shape:
            kind, alone = _shortcut(found[0][1], found[1][1])
            if kind != "none":
                kinds.append(kind)
                aside |= {bit for bit in range(place) if alone >> bit & 1}
        layers = (1 << place) if operator.macs else 0
        steps = (1 << place) if operator.macs or resizes(operator) else 0
        inputs: frozenset[int] = frozenset()
        for _, before in found:
            layers |= before.layers
            steps |= before.steps
            inputs |= before.inputs
        for value in operator.outputs:
            passed[value.storage] = _Passed(layers, steps, inputs)
    return tuple(kinds), aside


def _shortcut(one: _Passed, other: _Passed) -> tuple[Shortcut, int]:
    """Tell whether the sum of two values is a residual addition, and which steps lie on its shortcut alone."""
    short, long = sorted((one, other), key=lambda passed: (passed.layers.bit_count(), passed.steps.bit_count()))
    if short.steps == long.steps or not short.inputs <= long.inputs:
        return "none", 0
    alone = short.steps & ~long.steps
    return ("projection", alone) if alone else ("identity", 0)


def resizes(operator: Operator) -> bool:
    """Tell whether an operator is a pooling by windows or an upsampling."""
    return operator.name.startswith(("max_pool2d", "avg_pool2d", "upsample_"))


def operations(pass_: Pass, block: str, operators: Sequence[Operator], aside: set[int]) -> tuple[Operation, ...]:
    """Return what a block does, in order: its layers, gates, poolings and upsamplings, without norms and activations.

    Args:
        pass_: what ran.
        block: the block's module; "" for a step that belongs to none.
        operators: those that ran in it.
        aside: the places of those on a shortcut, as `shortcuts` found them.
    """
    found: list[Operation] = []
    gates = _gates(pass_, block, operators)
    for place, operator in enumerate(operators):
        gate = next((name for name in gates if f"{operator.module}.".startswith(f"{name}.")), None)
        name = (gate or operator.module).removeprefix(block).removeprefix(".")
        made = _gate(pass_, gate, name) if gate else _operation(operator, name, place in aside)
        if made is None:
            continue
        last = found[-1] if found else None
        if last is not None and made.kind in ("attention", "gate") and (last.kind, last.name) == (made.kind, name):
            found[-1] = replace(last, macs=last.macs + (made.macs if made.kind == "attention" else 0))
        elif made.kind != "gate" or name not in [known.name for known in found]:
            found.append(made)
    return tuple(replace(operation, parameters=_parameters(pass_, block, operation)) for operation in found)


def _parameters(pass_: Pass, block: str, operation: Operation) -> int:
    module = pass_.modules.get(f"{block}.{operation.name}" if operation.name else block)
    if module is None or operation.kind in ("attention", "pool", "upsample"):
        return 0
    deep = operation.kind == "gate"
    return sum(parameter.numel() for parameter in module.parameters(recurse=deep))


def _gates(pass_: Pass, block: str, operators: Sequence[Operator]) -> list[str]:
    """Modules inside a block that average over all places and hand on a map as large as before: they weigh channels."""
    found: list[str] = []
    for operator in operators:
        shape = operator.outputs[0].shape if operator.outputs else ()
        pooled = operator.name in ("mean", "_adaptive_avg_pool2d") and len(shape) in (2, 4) and prod(shape[2:]) == 1
        name = operator.module
        while pooled and name != block and name.startswith(block):
            output = pass_.outputs.get(name)
            if isinstance(output, Tensor) and output.ndim == 4 and output.shape[-1] > 1:
                found.append(name)
                break
            name = name.rpartition(".")[0]
    return found


def _gate(pass_: Pass, gate: str, name: str) -> Operation:
    kind = type(pass_.modules[gate]).__name__
    channels, height, width = map_size(tuple(pass_.outputs[gate].shape))
    return Operation(name, GATES.get(kind, kind), "gate", False, channels, height, width, 0, pass_.total(gate))


def _operation(operator: Operator, name: str, on_shortcut: bool) -> Operation | None:
    """Put one operator into the papers' words; None for norms, activations, additions and the like."""
    named: tuple[str, OperationKind] | None = None
    if operator.name == "convolution":
        named = _convolution(operator)
    elif operator.name.startswith(_MATRIX) and operator.macs:
        named = f"linear, {operator.outputs[0].shape[-1]}", "linear"
    elif operator.name.startswith(ATTENDING) and operator.macs:
        named = "attention", "attention"
    elif operator.name.startswith(("max_pool2d", "avg_pool2d")):
        named = _pooling(operator), "pool"
    elif operator.name.startswith("upsample_"):
        named = _upsampling(operator), "upsample"
    if named is None:
        return None
    kind = named[1]
    shape = operator.outputs[0].shape
    if kind in ("linear", "attention"):
        channels, height, width = shape[-1], *square(prod(shape[:-1]))
    else:
        channels, height, width = shape[1], shape[-2], shape[-1]
    return Operation(name, *named, on_shortcut, channels, height, width, 0, operator.macs)


def square(places: int) -> tuple[int, int]:
    """Height and width of a list of places: a square map, perhaps with one more place for the whole; else a row."""
    for count in (places, places - 1):
        side = isqrt(count)
        if side * side == count:
            return side, side
    return 1, places


def _convolution(operator: Operator) -> tuple[str, OperationKind]:
    given, weight, _, stride, _, dilation, transposed, _, groups = operator.args[:9]
    filters, size = operator.outputs[0].shape[1], "×".join(map(str, weight.shape[2:]))
    depthwise = groups > 1 and groups == given.shape[1]
    notes = [f"/{max(stride)}"] if max(stride) > 1 and not transposed else []
    notes += [f"dilation {max(dilation)}"] if max(dilation) > 1 else []
    notes += [f"{groups} groups"] if groups > 1 and not depthwise else []
    what = "depthwise" if depthwise else "up-convolution" if transposed else "conv"
    return ", ".join([f"{size} {what}", str(filters), *notes]), "depthwise" if depthwise else "conv"


def _upsampling(operator: Operator) -> str:
    how = operator.name.removeprefix("upsample_").removesuffix("2d")
    before, after = operator.inputs[0].shape[-1], operator.outputs[0].shape[-1]
    if after % before:
        return f"{how} resize to {'×'.join(map(str, operator.outputs[0].shape[-2:]))}"
    return f"{after // before}× {how} upsampling"


def _pooling(operator: Operator) -> str:
    kind = "max pool" if operator.name.startswith("max") else "average pool"
    size = max(operator.args[1])
    stride = max(operator.args[2]) if len(operator.args) > 2 and operator.args[2] else size
    return f"{size}×{size} {kind}, /{stride}"


def map_size(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Channels, height, width of (1, C, H, W), or of (1, H, W, C) as some transformers keep their maps."""
    _, first, second, third = shape
    return (third, first, second) if first == second != third else (first, second, third)
