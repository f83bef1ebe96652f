"""The memory that training takes: the pass on the meta device against real ones, and the reckoning from it."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch

from segcore.errors import IncompatibleError, UnknownBackboneError
from segcore.models.build import skeleton
from segcore.models.footprint import GPU_CONTEXT, PROCESS, Footprint, Need, catalogued, need
from segcore.models.memory import footprint


def really_saved(encoder: str, size: int, batch: int, *, half: bool = False) -> int:
    """Bytes of all tensors that a real forward pass saves, weights left out; each memory once."""
    model = skeleton(encoder, "unet", 3, size).train()
    lasting = {tensor.data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    kept: dict[int, torch.UntypedStorage] = {}

    def look(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in lasting:
            kept[storage.data_ptr()] = storage
        return tensor

    low = torch.autocast("cpu", torch.bfloat16) if half else nullcontext()
    with torch.autograd.graph.saved_tensors_hooks(look, lambda tensor: tensor), low:
        model(torch.zeros(batch, 3, size, size, dtype=torch.uint8))
    return sum(storage.nbytes() for storage in kept.values())


@pytest.mark.parametrize("encoder", ["resnet18", "efficientnet_b0", "pvt_v2_b0"])
def test_the_meta_device_saves_what_a_real_pass_saves(encoder: str) -> None:
    found = footprint(encoder, "unet", 3, 64)
    assert 3 * found.activations == pytest.approx(really_saved(encoder, 64, 3), rel=0.02)


def test_sixteen_bits_halve_activations_and_copy_the_weights() -> None:
    found = footprint("mobilenetv4_conv_small", "unet", 3, 32)
    expected = 2 * found.activations / 2 + 2 * found.parameters
    assert really_saved("mobilenetv4_conv_small", 32, 2, half=True) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("encoder", ["resnet18", "convnext_femto"])
@pytest.mark.parametrize("size", [64, 512])
def test_the_catalog_scales_with_the_pixels(encoder: str, size: int) -> None:
    said, found = catalogued(encoder, "unet", 12, size), footprint(encoder, "unet", 12, size)
    assert said is not None
    assert said.activations == pytest.approx(found.activations, rel=0.02)


def test_what_the_catalog_does_not_know_is_probed() -> None:
    assert catalogued("resnet26", "unet", 3, 64) is None
    assert catalogued("resnet18", "fpn", 3, 64) is None
    wide = footprint("resnet18", "unetplusplus", 3, 64)
    assert wide.activations > 1.5 * footprint("resnet18", "unet", 3, 64).activations
    assert footprint("resnet26", "fpn", 3, 64).parameters > 10**7


def test_what_cannot_be_built_says_why() -> None:
    with pytest.raises(UnknownBackboneError):
        footprint("resnet81", "unet", 3, 64)
    with pytest.raises(IncompatibleError):
        footprint("vit_tiny_patch16_224", "unet", 3, 64)


def test_need_grows_with_the_batch_and_names_the_largest() -> None:
    wanted = Need(fixed=100.0, per_image=30.0)
    assert wanted.of(4) == 220.0
    assert [wanted.largest_batch(room) for room in (99.0, 129.0, 130.0, 219.0, 220.0)] == [0, 0, 1, 3, 4]


def test_need_counts_weights_gradients_moments_activations_and_loss() -> None:
    taken = Footprint(parameters=10**6, activations=2e8)
    full = need(taken, 10, 100, half=False, gpu=False)
    assert full.fixed == PROCESS + 16e6
    assert full.per_image == pytest.approx(1.3 * 2e8 + 8 * 4 * 10 * 100**2)
    half = need(taken, 10, 100, half=True, gpu=True)
    assert half.fixed == GPU_CONTEXT + 18e6
    assert half.per_image == pytest.approx(1.3 * 1e8 + 8 * 4 * 10 * 100**2)
