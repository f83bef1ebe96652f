"""How much memory training a network takes, reckoned without torch from what its passes hold.

    fixed      the process itself; weights, gradients and the optimiser's two moments, 4 bytes a number each
    per image  what the forward pass keeps for the backward pass, and the working copies of both; the loss

The constants were fitted to the peak memory of real steps on two x86 cores (benchmarks/memory.py; ResNet, VGG,
EfficientNet, DenseNet, ConvNeXt and PVT at 64-256 px, batch 4-16): the reckoning was 0.95 to 1.03 of the peak.
"""

from __future__ import annotations

from dataclasses import dataclass

from segcore.models.catalog import find

PROCESS = 850e6
"""Bytes of a worker on the processor before it has a network: mostly torch itself."""
GPU_CONTEXT = 600e6
"""Bytes that CUDA and its libraries take of a GPU. Not measured here: there was no GPU."""
WORKING_COPIES = 0.3
"""Bytes of intermediate results and of reordered copies, as a share of the activations."""
LOSS_COPIES = 8
"""How often loss and backward pass hold numbers of the size of the logits."""
HEAD_PARAMETERS = 145
"""Weights of a U-Net's head for each class: 3 × 3 over 16 channels, and a bias."""
COUNTED_CLASSES = 12
"""Classes of the networks that the catalog counts."""


@dataclass(frozen=True)
class Footprint:
    """What training a network holds, in single precision."""

    parameters: int
    """Numbers, all of them trained."""
    activations: float
    """Bytes kept for the backward pass, for each image of the batch."""


@dataclass(frozen=True)
class Need:
    """Bytes of memory that a run takes at its peak."""

    fixed: float
    per_image: float

    def of(self, batch_size: int) -> float:
        """Return the bytes with that batch."""
        return self.fixed + batch_size * self.per_image

    def largest_batch(self, room: float) -> int:
        """Return how many images fit into `room` bytes at once; 0 where none do."""
        return max(0, int((room - self.fixed) // self.per_image))


def catalogued(encoder: str, decoder: str, classes: int, image_size: int) -> Footprint | None:
    """Return the footprint of a network that the catalog knows, else None: `models.memory.footprint` finds it then.

    Activations grow with the pixels; those of transformers only nearly so (PVT: 10 % more at 512 px than this says).
    """
    backbone = find(encoder)
    if backbone is None or decoder != "unet":
        return None
    return Footprint(
        backbone.unet_parameters + HEAD_PARAMETERS * (classes - COUNTED_CLASSES),
        backbone.unet_activations * (image_size / 256) ** 2,
    )


def need(footprint: Footprint, classes: int, image_size: int, *, half: bool, gpu: bool) -> Need:
    """Return what a run takes.

    Args:
        footprint: of its network at that image size.
        classes: channels of its logits.
        image_size: side of its images in pixels.
        half: in bf16 or fp16: half the activations, and a copy of the weights (measured: 0.50-0.57 of them).
        gpu: on a GPU, of its memory.
    """
    logits = 4.0 * classes * image_size**2
    activations = footprint.activations * (0.5 if half else 1.0)
    weights = footprint.parameters * (18 if half else 16)
    return Need((GPU_CONTEXT if gpu else PROCESS) + weights, (1 + WORKING_COPIES) * activations + LOSS_COPIES * logits)
