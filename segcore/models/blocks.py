"""Cutting a stage into the blocks it repeats, and naming them as the papers do.

A block is an outermost numbered module with weights: "layer1.0" of a ResNet, "features.3" of a VGG.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from segcore.models.description import Block
from segcore.models.operations import label, map_size, operations, resizes, shortcuts, square
from segcore.models.passes import Operator, Pass


@dataclass(frozen=True)
class Piece:
    """What a stage consists of: its operators and the modules that belong to it."""

    operators: Sequence[Operator]
    modules: Sequence[str]
    """In order of execution."""


def block_names(pass_: Pass, inside: Sequence[str]) -> list[str]:
    """Return the modules that are blocks: outermost ones that are numbered, neither containers nor stages."""
    chosen: list[str] = []
    for name in sorted(inside, key=lambda name: name.count(".")):
        module = pass_.modules[name]
        kind = type(module).__name__
        container = isinstance(module, nn.Sequential) or kind.endswith(("Stage", "DenseBlock"))
        leaf = not any(True for _ in module.children())
        weighs = any(parameter.ndim > 1 for parameter in module.parameters())
        nested = any(name.startswith(f"{outer}.") for outer in chosen)
        if weighs and not nested and not container and (leaf or re.search(r"\d$", name)):
            chosen.append(name)
    return sorted(chosen, key=list(pass_.modules).index)


def built_of(pass_: Pass, names: Sequence[str]) -> str:
    """Say in short of what a stage is built: "2 × BasicBlock"."""
    counts = Counter(type(pass_.modules[name]).__name__ for name in names)
    return ", ".join(f"{count} × {kind}" for kind, count in counts.items())


def cut(pass_: Pass, piece: Piece, prefix: str, saved: Callable[[str], int]) -> tuple[Block, ...]:
    """Cut a stage into blocks that together hold all its parameters and multiply-adds.

    Args:
        pass_: what ran.
        piece: the stage.
        prefix: of the part it belongs to, left out of the names.
        saved: the bytes that a module itself keeps for the backward pass.
    """
    names = block_names(pass_, piece.modules)
    runs = _runs(piece, names)
    blocks = []
    for name, operators in runs:
        modules = [module for module in piece.modules if _owner(module, names) == name] if name in names else []
        blocks.append(_block(pass_, name, operators, modules, prefix, saved))
    return _with_strays(pass_, piece, names, blocks, prefix, saved)


def _owner(name: str, blocks: Sequence[str]) -> str | None:
    """The block in which a module lies."""
    return next((block for block in blocks if name == block or name.startswith(f"{block}.")), None)


def _runs(piece: Piece, names: Sequence[str]) -> list[tuple[str, list[Operator]]]:
    """The operators of each block, in order of execution; poolings and upsamplings between blocks by themselves."""
    order: dict[str, list[Operator]] = {}
    for index, operator in enumerate(piece.operators):
        block = _owner(operator.module, names)
        if block is None and resizes(operator):
            block = f"{operator.module}#{index}"
        if block is not None:
            order.setdefault(block, []).append(operator)
    uncalled = [name for name in names if name not in order]
    return [*order.items(), *((name, []) for name in uncalled)]


def _with_strays(
    pass_: Pass, piece: Piece, names: Sequence[str], blocks: list[Block], prefix: str, saved: Callable[[str], int]
) -> tuple[Block, ...]:
    """Add what lies between blocks (a norm behind a convolution, say) to the block before it, or to the first."""
    if not blocks:
        return ()
    places = {block.name: place for place, block in enumerate(blocks)}
    current = 0
    for name in piece.modules:
        block = _owner(name, names)
        if block is not None:
            current = places[_short(block, prefix)]
            continue
        found = blocks[current]
        blocks[current] = replace(
            found,
            parameters=found.parameters + pass_.own_parameters(name),
            macs=found.macs + pass_.own_macs(name),
            activations=found.activations + saved(name),
        )
    return tuple(blocks)


def _short(name: str, prefix: str) -> str:
    name = name.partition("#")[0].removeprefix(prefix).removeprefix(".")
    return name.removeprefix("model.") or prefix.rpartition(".")[2]


def _block(
    pass_: Pass,
    name: str,
    operators: Sequence[Operator],
    modules: Sequence[str],
    prefix: str,
    saved: Callable[[str], int],
) -> Block:
    path = name.partition("#")[0]
    module = pass_.modules.get(path)
    kind = type(module).__name__ if module is not None and "#" not in name else "resize"
    kinds, aside = shortcuts(pass_.entered.get(name, ()), operators)
    steps = operations(pass_, path, operators, aside)
    entering = next((o.inputs[0].shape[1] for o in operators if o.name == "convolution"), 0)
    channels, height, width = _handed_on(pass_.outputs.get(path) if "#" not in name else None, operators)
    short = _short(name, prefix)
    return Block(
        name=short,
        type=kind,
        label=label(kind, steps, entering),
        shortcuts=kinds,
        operations=steps,
        channels=channels,
        height=height,
        width=width,
        parameters=sum(map(pass_.own_parameters, modules)),
        macs=sum(map(pass_.own_macs, modules)),
        activations=sum(map(saved, modules)),
    )


def _handed_on(output: Any, operators: Sequence[Operator]) -> tuple[int, int, int]:
    """Channels, height and width of what a block hands on, or of what its last operator did."""
    shapes = [tuple(output.shape)] if isinstance(output, Tensor) else []
    shapes += [value.shape for operator in reversed(operators) for value in operator.outputs]
    for shape in shapes:
        if len(shape) == 4 and 0 not in shape:
            return map_size(shape)
        if len(shape) == 3:  # tokens: places × channels
            return shape[2], *square(shape[1])
    return 0, 0, 0
