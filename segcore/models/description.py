"""What is known of a network taken apart: plain values that drawing, tables, JSON and the command line share.

Nothing here needs torch; `models.summary.describe` makes a `NetworkDescription` from the real modules.

    NetworkDescription
    ├─ parts    encoder, decoder, head: totals
    ├─ stages   in the order an image passes through them; each is cut into blocks, each block into operations
    ├─ edges    which stage's features go into which stage, and how they are joined there
    └─ layers   every module that computes something, for the searchable list
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from segcore.models import catalog

PartName = Literal["encoder", "decoder", "head"]
OperationKind = Literal["conv", "depthwise", "linear", "attention", "gate", "pool", "upsample"]
"""conv: mixes places and channels (1×1: channels alone); depthwise: each channel by itself; linear: channels alone;
attention: places look at one another; gate: weighs channels (squeeze and excite); pool and upsample: no weights."""
Shortcut = Literal["none", "identity", "projection"]
"""How a block's input reaches its end past the main path: not at all, as it is, or through steps of its own
(a convolution, a pooling)."""
Join = Literal["", "concatenated", "added", "multiplied"]

IMAGE = -1
"""Stands for the image where an edge begins."""


@dataclass(frozen=True)
class Part:
    """Encoder, decoder or head as a whole."""

    parameters: int
    macs: int
    """Multiply-adds for one image."""
    activations: int
    """Bytes kept for the backward pass for one image in single precision."""


@dataclass(frozen=True)
class Operation:
    """One step inside a block, in the order of execution."""

    name: str
    """The module, as the block calls it: "conv1", "mlp.fc1"."""
    label: str
    """As in the papers: "3×3 conv, 64", "5×5 depthwise, 240, /2", "squeeze and excite"."""
    kind: OperationKind
    on_shortcut: bool
    """Whether it lies on the shortcut, not on the main path."""
    channels: int
    height: int
    width: int
    parameters: int
    macs: int


@dataclass(frozen=True)
class Block:
    """The unit that a stage repeats: a residual block, an MBConv, a plain convolution."""

    name: str
    """The module, without the part it belongs to: "layer1.0"."""
    type: str
    """Its class: "BasicBlock"."""
    label: str
    """As in the papers: "MBConv6 5×5", "3×3 conv, 64", "Bottleneck 64-64-256"."""
    shortcuts: tuple[Shortcut, ...]
    """One for each residual addition inside it, in order; empty where there is none."""
    operations: tuple[Operation, ...]
    channels: int
    height: int
    width: int
    """Of what it hands on."""
    parameters: int
    macs: int
    activations: int
    """Bytes kept for the backward pass for one image in single precision."""


@dataclass(frozen=True)
class Stage:
    """A run of layers up to a feature map that is handed on."""

    name: str
    """What timm or smp calls the module in which it ends."""
    kind: PartName
    reduction: int
    """Output stride: side of the image divided by side of the feature map."""
    channels: int
    height: int
    width: int
    parameters: int
    macs: int
    activations: int
    """Bytes kept for the backward pass for one image in single precision."""
    receptive_field: int | None
    """Side, in pixels of the image, of the square that one point of the output can depend on through convolutions
    and pooling; gates that weigh whole channels are left out. None where attention or pooling over the whole image
    lets every point see everything; attention within windows, as in Swin, is not told from that."""
    built_of: str
    """In short: "2 × BasicBlock"."""
    blocks: tuple[Block, ...]
    """All of it, in order; steps between blocks (a pooling, an upsampling) are blocks of one operation."""

    @property
    def repeats(self) -> tuple[tuple[Block, int], ...]:
        """Runs of blocks that do the same at the same size, each with its length: the papers' "blocks × repeat"."""
        runs: list[tuple[Block, int]] = []
        for block in self.blocks:
            if runs and _alike(runs[-1][0], block):
                runs[-1] = (runs[-1][0], runs[-1][1] + 1)
            else:
                runs.append((block, 1))
        return tuple(runs)


def _alike(one: Block, other: Block) -> bool:
    """Whether two blocks differ in nothing that a picture shows."""
    return _looks(one) == _looks(other)


def _looks(block: Block) -> tuple[object, ...]:
    steps = tuple((operation.label, operation.on_shortcut) for operation in block.operations)
    return block.label, block.channels, block.height, block.width, block.shortcuts, steps


@dataclass(frozen=True)
class Edge:
    """Features on their way from one stage into another."""

    source: int
    """Index into `stages`, or `IMAGE`."""
    target: int
    """Index into `stages`."""
    join: Join
    """How they are joined with what else arrives there; "" where nothing else does, or where a layer of the target
    takes them first."""
    skip: bool
    """Whether they come from the encoder past at least one later stage: a skip connection."""
    channels: int
    height: int
    width: int


@dataclass(frozen=True)
class Layer:
    """One module that computes something itself."""

    name: str
    type: str
    output_shape: tuple[int, ...]
    """Without the batch: usually channels, height, width."""
    parameters: int
    """Its own, without those of modules inside it."""
    macs: int
    part: PartName
    stage: int | None
    """Index into `stages`; None for what belongs to none."""


@dataclass(frozen=True)
class NetworkDescription:
    """A backbone inside a decoder, taken apart."""

    encoder_name: str
    decoder_name: str
    image_size: int
    classes: int
    encoder: Part
    decoder: Part
    head: Part
    stages: tuple[Stage, ...]
    """In the order an image passes through them."""
    edges: tuple[Edge, ...]
    layers: tuple[Layer, ...]

    @property
    def parameters(self) -> int:
        """Parameters of the whole network; all of them are trained."""
        return self.encoder.parameters + self.decoder.parameters + self.head.parameters

    @property
    def macs(self) -> int:
        """Multiply-adds of the whole network for one image."""
        return self.encoder.macs + self.decoder.macs + self.head.macs

    @property
    def activations(self) -> int:
        """Bytes that a training step keeps for the backward pass, for each image, in single precision."""
        return self.encoder.activations + self.decoder.activations + self.head.activations

    @property
    def decoder_share(self) -> float:
        """Share of the multiply-adds that decoder and head take, 0-1."""
        return (self.decoder.macs + self.head.macs) / self.macs if self.macs else 0.0

    @property
    def title(self) -> str:
        """How it is called on screen: "ResNet-18 in U-Net"."""
        return f"{catalog.title(self.encoder_name)} in {catalog.DECODERS[self.decoder_name].title}"

    def stage_title(self, index: int) -> str:
        """Return "Encoder 2", "Decoder 1" or "Head" for the stage at `index`, counted within its part."""
        kind = self.stages[index].kind
        if kind == "head":
            return "Head"
        return f"{kind.capitalize()} {sum(stage.kind == kind for stage in self.stages[: index + 1])}"

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        totals = {
            "parameters": self.parameters,
            "macs": self.macs,
            "activations": self.activations,
            "decoder_share": self.decoder_share,
        }
        return {**asdict(self), "title": catalog.title(self.encoder_name), **totals}
