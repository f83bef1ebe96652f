"""Networks as tables: the papers' (stage, output size, blocks × repeat), totals, stages, layers.

Everything is read off `NetworkDescription`s; nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from segcore.models.description import Block, Layer, NetworkDescription, Operation, Part, PartName, Stage

PARTS: tuple[PartName, ...] = ("encoder", "decoder", "head")


@dataclass(frozen=True)
class PaperRow:
    """One level of resolution of several encoders beside each other."""

    level: int
    """From 1: the first features."""
    sizes: tuple[str, ...]
    """Height × width of what each network hands on there; "" where it hands on nothing."""
    cells: tuple[tuple[str, ...], ...]
    """For each network what it does there, in order: "3×3 max pool, /2", "[3×3, 64; 3×3, 64] × 2"."""


def paper_table(networks: Sequence[NetworkDescription]) -> list[PaperRow]:
    """Put the encoders of `networks` beside each other as table 1 of the ResNet paper does (arXiv:1512.03385).

    Stages of the same output stride share a row: a network whose first features stand at a quarter of the resolution
    begins in the second.
    """
    by_stride = [_by_stride(network) for network in networks]
    strides = sorted({stride for stages in by_stride for stride in stages})
    rows = []
    for level, stride in enumerate(strides, start=1):
        found = [stages.get(stride, []) for stages in by_stride]
        rows.append(
            PaperRow(
                level=level,
                sizes=tuple(f"{stages[-1].height} × {stages[-1].width}" if stages else "" for stages in found),
                cells=tuple(tuple(line for stage in stages for line in _lines(stage)) for stages in found),
            )
        )
    return rows


def _by_stride(network: NetworkDescription) -> dict[int, list[Stage]]:
    encoder = [stage for stage in network.stages if stage.kind == "encoder"]
    return {stride: list(stages) for stride, stages in groupby(encoder, key=lambda stage: stage.reduction)}


def _lines(stage: Stage) -> list[str]:
    """Say what a stage does, runs of blocks of one kind in one line."""
    lines = []
    for text, blocks in groupby(stage.blocks, key=block_text):
        count = len(list(blocks))
        lines.append(f"{text} × {count}" if count > 1 or text.startswith("[") else text)
    return lines


def block_text(block: Block) -> str:
    """Write a block as the papers do: its main path in brackets, strides left out as they are the first block's alone.

    One operation stands without brackets and with its stride: "7×7 conv, 64, /2".
    """
    main = [operation for operation in block.operations if not operation.on_shortcut]
    if len(main) == 1:
        return main[0].label
    if block.label.startswith(("MBConv", "Fused-MBConv")) or not 2 <= len(main) <= 4:
        return f"[{block.label}, {block.channels}]"
    return f"[{'; '.join(_bare(operation) for operation in main)}]"


def _bare(operation: Operation) -> str:
    """An operation without what it has in common with those of like blocks: the word conv, and the stride."""
    parts = [part for part in operation.label.split(", ") if not part.startswith("/")]
    return ", ".join(parts).replace(" conv,", ",")


def stage_rows(network: NetworkDescription) -> list[dict[str, object]]:
    """Return the stages as rows of a table, in the order an image passes through them."""
    return [
        {
            "Stage": network.stage_title(index),
            "Size": f"{stage.height} × {stage.width}",
            "Stride": stage.reduction,
            "Channels": stage.channels,
            "Sees": "everything" if stage.receptive_field is None else f"{stage.receptive_field:,} px",
            "Parameters": stage.parameters,
            "Multiply-adds (M)": stage.macs / 1e6,
            "Memory (MB)": stage.activations / 1e6,
            "Built of": stage.built_of,
            "Module": stage.name,
        }
        for index, stage in enumerate(network.stages)
    ]


def total_rows(networks: Sequence[NetworkDescription]) -> list[dict[str, object]]:
    """Return parameters, multiply-adds and memory of encoder, decoder, head and all of it, a row each."""
    rows: list[dict[str, object]] = []
    for network in networks:
        whole = Part(network.parameters, network.macs, network.activations)
        parts = [(name.capitalize(), getattr(network, name)) for name in PARTS]
        for name, part in [*parts, ("Together", whole)]:
            rows.append(
                {
                    "Network": network.title,
                    "Part": name,
                    "Parameters": part.parameters,
                    "Multiply-adds (M)": part.macs / 1e6,
                    "Share of multiply-adds (%)": 100 * part.macs / network.macs if network.macs else None,
                    "Memory (MB)": part.activations / 1e6,
                }
            )
    return rows


def layer_rows(layers: Sequence[Layer]) -> list[dict[str, object]]:
    """Return layers as rows of a table."""
    return [
        {
            "Part": layer.part,
            "Layer": layer.name,
            "Kind": layer.type,
            "Output": " × ".join(map(str, layer.output_shape)),
            "Parameters": layer.parameters,
            "Multiply-adds": layer.macs,
        }
        for layer in layers
    ]


def find_layers(network: NetworkDescription, wanted: str) -> list[Layer]:
    """Return the layers whose part, name or kind holds all words of `wanted`, in any order and case."""
    words = wanted.lower().split()
    return [
        layer
        for layer in network.layers
        if all(word in f"{layer.part} {layer.name} {layer.type}".lower() for word in words)
    ]
