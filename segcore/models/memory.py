"""What training a network needs of memory, found on the meta device: about a second, and no memory.

A training step holds what its backward pass will read. torch shows each such tensor to a hook as the forward pass
saves it; counted once for each storage they are the same bytes as in a real step (tests/models/test_memory.py).
"""

from __future__ import annotations

import torch
from torch import Tensor

from segcore.errors import IncompatibleError
from segcore.models.build import BUILD_ERRORS, blueprint, why_not
from segcore.models.footprint import Footprint

BATCH = 2
"""Images of the pass: batch norm needs two, and the bytes grow with the batch in proportion."""


def footprint(encoder: str, decoder: str, classes: int, image_size: int) -> Footprint:
    """Return what a training step of a network holds, in single precision.

    Args:
        encoder: a timm name, with a tag or without.
        decoder: a key of `catalog.DECODERS`.
        classes: channels of the logits.
        image_size: side of the training images in pixels.

    Raises:
        UnknownBackboneError: no such encoder or decoder.
        IncompatibleError: they do not go together at this image size.
    """
    model = blueprint(encoder, decoder, classes, image_size).train()
    # What stays between steps is no activation. The storages are kept, as their addresses may be used again.
    lasting = [tensor.untyped_storage() for tensor in (*model.parameters(), *model.buffers())]
    known = {storage._cdata for storage in lasting}
    saved: dict[int, torch.UntypedStorage] = {}

    def look(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in known:
            saved[storage._cdata] = storage
        return tensor

    images = torch.empty(BATCH, 3, image_size, image_size, dtype=torch.uint8, device="meta")
    try:
        with torch.autograd.graph.saved_tensors_hooks(look, lambda tensor: tensor):
            model(images)
    except BUILD_ERRORS as error:
        raise IncompatibleError(why_not(encoder, decoder, image_size, error), field="decoder") from error
    return Footprint(
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        activations=sum(storage.nbytes() for storage in saved.values()) / BATCH,
    )
