from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from segmentation_models_pytorch.losses import DiceLoss

from segcore.config import Recipe
from segcore.training.losses import SegmentationLoss, pixel_sums, sums_of_probabilities


def batch(seed: int, size: int = 8, classes: int = 4, images: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits, and labels of which a fifth is ignored and the last class never occurs."""
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(images, classes, size, size, generator=generator)
    labels = torch.randint(0, classes - 1, (images, size, size), generator=generator)
    labels[torch.rand(images, size, size, generator=generator) < 0.2] = 255
    return logits, labels


def reference(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Torch's cross-entropy and smp's Dice."""
    return F.cross_entropy(logits, labels, ignore_index=255) + DiceLoss("multiclass", ignore_index=255)(logits, labels)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.integers(1, 20), classes=st.integers(2, 9))
def test_value_and_gradient_are_those_of_torch_and_smp(seed: int, size: int, classes: int) -> None:
    logits, labels = batch(seed, size, classes)
    if (labels == 255).all():
        return
    ours, theirs = (logits.clone().requires_grad_() for _ in range(2))
    found, expected = SegmentationLoss(Recipe())(ours, labels), reference(theirs, labels)
    assert found.item() == pytest.approx(expected.item(), rel=1e-6, abs=1e-6)
    found.backward()
    expected.backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-7)


def test_cross_entropy_alone_where_the_recipe_says_so() -> None:
    logits, labels = batch(0)
    plain = SegmentationLoss(Recipe(loss="ce"))(logits, labels)
    assert plain.item() == pytest.approx(F.cross_entropy(logits, labels, ignore_index=255).item(), rel=1e-6)


def test_a_batch_without_labels_costs_nothing() -> None:
    logits = torch.randn(2, 3, 8, 8, requires_grad=True)
    loss = SegmentationLoss(Recipe())(logits, torch.full((2, 8, 8), 255))
    loss.backward()
    assert loss.item() == 0.0
    assert logits.grad is not None and not logits.grad.any()


def test_sums_of_parts_make_the_loss_of_the_whole() -> None:
    logits, labels = batch(1)
    loss_of = SegmentationLoss(Recipe())
    whole = loss_of(logits, labels)
    by_image = sum(pixel_sums(logits[i : i + 1], labels[i : i + 1])[0] for i in range(len(logits)))
    by_band = sum(pixel_sums(logits[:, :, rows], labels[:, rows]).sum(0) for rows in (slice(0, 3), slice(3, 8)))
    for parts in (by_image, by_band):
        assert isinstance(parts, torch.Tensor)
        assert loss_of.of_sums(parts).item() == pytest.approx(whole.item(), rel=1e-6)


def test_probabilities_give_the_sums_of_their_logits() -> None:
    logits, labels = batch(2)
    torch.testing.assert_close(
        sums_of_probabilities(logits.softmax(1), labels), pixel_sums(logits, labels), rtol=1e-5, atol=1e-5
    )
    sure = torch.zeros_like(logits)
    sure[:, 0] = 1.0
    assert sums_of_probabilities(sure, labels).isfinite().all(), "an impossible truth costs much, not everything"
