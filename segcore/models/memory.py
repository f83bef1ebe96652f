"""What training a network needs of memory, found on the meta device: about a second, and no memory.

A training step holds what its backward pass will read. torch shows each such tensor to a hook as the forward pass
saves it; counted once for each storage they are the same bytes as in a real step (tests/models/test_memory.py).
"""

from __future__ import annotations

import torch
from torch import Tensor

from segcore.models.build import BUILD_ERRORS, Segmenter, blueprint, incompatible
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
    try:
        saved = saved_bytes(model, image_size)
    except BUILD_ERRORS as error:
        raise incompatible(encoder, decoder, image_size, error) from error
    return Footprint(
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        activations=sum(count for _, count in saved),
    )


def saved_bytes(model: Segmenter, image_size: int) -> list[tuple[str, int]]:
    """Return what the modules of a network on the meta device keep for the backward pass, for each image.

    Args:
        model: in training mode.
        image_size: side of the images in pixels.

    Returns:
        (module, bytes) in the order of saving; what several modules keep counts with the first.
    """
    # What stays between steps is no activation. The storages are kept, as their addresses may be used again.
    lasting = [tensor.untyped_storage() for tensor in (*model.parameters(), *model.buffers())]
    known = {storage._cdata for storage in lasting}
    saved: list[tuple[str, int]] = []
    running = [""]

    def look(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in known:
            known.add(storage._cdata)
            lasting.append(storage)
            saved.append((running[-1], storage.nbytes() // BATCH))
        return tensor

    hooks = []
    for name, module in model.named_modules():
        hooks.append(module.register_forward_pre_hook(lambda *_, name=name: running.append(name)))
        hooks.append(module.register_forward_hook(lambda *_: running.pop() and None))
    images = torch.empty(BATCH, 3, image_size, image_size, dtype=torch.uint8, device="meta")
    try:
        with torch.autograd.graph.saved_tensors_hooks(look, lambda tensor: tensor):
            model(images)
    finally:
        for hook in hooks:
            hook.remove()
    return saved
