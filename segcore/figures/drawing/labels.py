"""The words on and beside a box, and the full account of a stage for tooltips and screen readers."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from segcore.figures.drawing.scales import Shade, amount
from segcore.figures.drawing.svg import shortened, text_width
from segcore.models.description import IMAGE, Block, Edge, NetworkDescription, Stage
from segcore.text import scaled

TITLE_SIZE, SMALL_SIZE = 11.0, 10.0
_WIDEST = 150.0
"""Of a label; a class of the encoder may have any name."""
JOINS = {"concatenated": "c", "added": "+", "multiplied": "×"}
"""What is drawn where features are joined."""


@dataclass(frozen=True)
class Label:
    """What stands above a box."""

    title: str
    """In bold: "Encoder 2"."""
    cost: str
    """Behind it: "604 M"."""
    lines: tuple[str, ...]
    """All lines; the first is title and cost."""

    @property
    def width(self) -> float:
        """Room that it needs."""
        first = text_width(f"{self.title} ", TITLE_SIZE, bold=True) + text_width(self.cost, SMALL_SIZE)
        return max(first, *(text_width(line, SMALL_SIZE) for line in self.lines[1:]), 0.0)


def label(network: NetworkDescription, index: int, shade: Shade, note: str) -> Label:
    """Return the words above a stage's box.

    Args:
        note: a further line, as what differs; may be empty.
    """
    stage = network.stages[index]
    title, cost = network.stage_title(index), amount(shade, getattr(stage, shade))
    further = [shortened(line, _WIDEST, SMALL_SIZE) for line in (made_of(stage), note) if line]
    return Label(title, cost, (f"{title} {cost}", *further))


def made_of(stage: Stage) -> str:
    """Return what most of a stage's work is done by: "BasicBlock × 2", "3×3 conv × 3"."""
    counts: dict[str, int] = defaultdict(int)
    work: dict[str, int] = defaultdict(int)
    for block in stage.blocks:
        counts[short_name(block)] += 1
        work[short_name(block)] += block.macs + 1
    if not counts:
        return ""
    name = max(work, key=work.__getitem__)
    return f"{name} × {counts[name]}" if counts[name] > 1 else name


def short_name(block: Block) -> str:
    """Return a block's name without its numbers of channels: "MBConv6", "3×3 conv"."""
    return block.label.split(",")[0] if len(block.operations) == 1 else block.label.split()[0]


def size(stage: Stage | Edge) -> str:
    """Return a feature map's size as on a box: "64²"."""
    return f"{stage.height}²" if stage.height == stage.width else f"{stage.height}×{stage.width}"


def account(network: NetworkDescription, index: int) -> list[str]:
    """Return all that is known of a stage, a line each; the first is its name."""
    stage = network.stages[index]
    field = stage.receptive_field
    lines = [
        f"{network.stage_title(index)} ({stage.name})",
        f"{stage.channels:,} channels of {stage.height} × {stage.width}: 1/{stage.reduction} of the image's side"
        if stage.reduction > 1
        else f"{stage.channels:,} channels of {stage.height} × {stage.width}: the image's own size",
        f"{stage.parameters:,} parameters{_share(stage.parameters, network.parameters)}",
        f"{scaled(stage.macs)} multiply-adds{_share(stage.macs, network.macs)}",
        f"{amount('activations', stage.activations)} activations kept for the backward pass"
        f"{_share(stage.activations, network.activations)}",
        "Each point can see the whole image"
        if field is None
        else f"Receptive field: {field:,} × {field:,} pixels of the image",
    ]
    runs = [f"{block.label} × {count}" if count > 1 else block.label for block, count in stage.repeats]
    shown = runs if len(runs) <= 6 else [*runs[:5], f"{len(runs) - 5} more"]
    return [*lines, *(["Blocks: " + "; ".join(shown)] if runs else [])]


def _share(part: float, whole: float) -> str:
    return f" ({100 * part / whole:.1f} %)" if whole else ""


def journey(network: NetworkDescription, edge: Edge) -> str:
    """Return what an edge carries where, in a sentence."""
    source = "The image" if edge.source == IMAGE else network.stage_title(edge.source)
    kind = "Skip connection: " if edge.skip else ""
    joined = f", {edge.join} there" if edge.join else ""
    return (
        f"{kind}{edge.channels:,} channels of {edge.height} × {edge.width} "
        f"from {source} to {network.stage_title(edge.target)}{joined}"
    )
