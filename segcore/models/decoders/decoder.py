"""What is known of a decoder."""

from __future__ import annotations

from dataclasses import dataclass

from segcore.models.words import Words


@dataclass(frozen=True)
class Decoder:
    """What turns a backbone's features into a mask."""

    name: str
    """The name of the architecture in segmentation_models_pytorch."""
    title: str
    paper: str
    url: str
    year: int
    words: Words
    """What it is, as smp builds it; numbers as `words.network_numbers` names them: `own` is this decoder behind its
    reference backbone, `unet` the U-Net behind `words.REFERENCE`."""
