"""The decoders in plain words, each with its paper, under the names that smp gives them."""

from __future__ import annotations

from segcore.models.decoders.decoder import Decoder
from segcore.models.decoders.dilated import DILATED
from segcore.models.decoders.ladders import LADDERS
from segcore.models.decoders.pyramids import PYRAMIDS
from segcore.models.decoders.transformers import TRANSFORMERS

__all__ = ["DECODERS", "Decoder"]

DECODERS: dict[str, Decoder] = {decoder.name: decoder for decoder in (*LADDERS, *PYRAMIDS, *DILATED, *TRANSFORMERS)}
