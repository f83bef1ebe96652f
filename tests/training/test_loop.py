from __future__ import annotations

import copy
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from segcore.config import Recipe
from segcore.data.loaders import Loaders, build_loaders
from segcore.data.prepared import Prepared, prepare
from segcore.data.splits import Split
from segcore.errors import TrainingError
from segcore.evaluation.confusion import confusion_counts
from segcore.models.build import build
from segcore.records import StepRecord
from segcore.training.loop import EpochResult, TrainingState, ValidationTick, batch_confusion, fit
from segcore.training.losses import SegmentationLoss
from segcore.training.optim import build_optimizer, build_schedule
from segcore.workspace import Workspace
from tests.factories import add_dataset

RECIPE = Recipe(epochs=3, image_size=32, batch_size=4)
CPU = torch.device("cpu")


@pytest.fixture
def prepared(workspace: Workspace, tmp_path: Path) -> Prepared:
    return prepare(add_dataset(workspace, tmp_path / "source"), 32)


def loaders_of(prepared: Prepared, seed: int) -> Loaders:
    return build_loaders(prepared, Split(tuple(prepared.names[:6]), tuple(prepared.names[6:])), RECIPE, seed=seed)


def start(loaders: Loaders, seed: int, recipe: Recipe = RECIPE) -> TrainingState:
    torch.manual_seed(seed)
    # mobilenetv3 is small, and has the batch norm and stochastic parts that exactness must survive
    model = build("mobilenetv3_small_050", weights="none", classes=3, image_size=32)
    return TrainingState.start(model, recipe, pretrained=False, steps_per_epoch=loaders.steps_per_epoch)


def results(state: TrainingState, loaders: Loaders, seed: int, until: int = 99) -> list[EpochResult]:
    found = []
    for event in fit(state, loaders, RECIPE, seed=seed, device=CPU, preview=(1,)):
        if isinstance(event, EpochResult):
            found.append(event)
            if event.record.epoch == until:
                break
    return found


def scores_of(found: list[EpochResult]) -> list[tuple[float, ...]]:
    return [
        (r.record.train_loss, r.record.val_loss, r.record.train_miou, r.record.val_miou, r.record.learning_rate)
        for r in found
    ]


def test_fit_tells_steps_validation_and_epochs(prepared: Prepared) -> None:
    loaders = loaders_of(prepared, 0)
    events = list(fit(start(loaders, 0), loaders, RECIPE, seed=0, device=CPU, preview=(0,)))
    steps = [event for event in events if isinstance(event, StepRecord)]
    epochs = [event for event in events if isinstance(event, EpochResult)]
    assert [step.step for step in steps] == list(range(1, 7))
    assert [epoch.record.epoch for epoch in epochs] == [1, 2, 3]
    assert [tick.images for tick in events if isinstance(tick, ValidationTick)] == [2, 2, 2]
    last = epochs[-1]
    assert last.counts.shape == (2, 3, 3)
    assert last.record.val_pixel_accuracy == pytest.approx(np.trace(last.counts.sum(0)) / last.counts.sum())
    assert last.previews[0].shape == (32, 32)
    assert epochs[0].record.best


def test_same_seed_same_numbers_other_seed_others(prepared: Prepared) -> None:
    runs = []
    for seed in (0, 0, 1):
        loaders = loaders_of(prepared, seed)
        state = start(loaders, seed)
        runs.append((scores_of(results(state, loaders, seed)), state.model.state_dict()))
    assert runs[0][0] == runs[1][0]
    assert all(torch.equal(runs[0][1][name], runs[1][1][name]) for name in runs[0][1])
    assert runs[0][0] != runs[2][0]


@pytest.mark.parametrize("stopped_after", [1, 2])
def test_resuming_ends_bit_for_bit_where_an_undisturbed_run_does(prepared: Prepared, stopped_after: int) -> None:
    loaders = loaders_of(prepared, 3)
    whole = start(loaders, 3)
    expected = results(whole, loaders, 3)

    first = start(loaders, 3)
    results(first, loaders, 3, until=stopped_after)
    saved = copy.deepcopy(first.state_dict())
    # What was learnt of an epoch begun after the save must not matter.
    torch.manual_seed(999)
    second = start(loaders, 4)
    second.load_state_dict(saved)
    rest = results(second, loaders, 3)

    assert scores_of(rest) == scores_of(expected)[stopped_after:]
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, second.model.state_dict()[name]), name
    assert (second.best_epoch, second.best_miou) == (whole.best_epoch, whole.best_miou)


def test_a_loss_that_is_no_number_ends_the_run_with_advice(prepared: Prepared) -> None:
    loaders = loaders_of(prepared, 0)
    state = start(loaders, 0)
    with torch.no_grad():
        next(state.model.parameters()).fill_(math.nan)
    with pytest.raises(TrainingError, match=r"nan at step 1 .*lower learning rate"):
        list(fit(state, loaders, RECIPE, seed=0, device=CPU))


def test_batch_confusion_is_the_reference_count_of_each_image() -> None:
    torch.manual_seed(0)
    logits = torch.randn(3, 4, 8, 9)
    labels = torch.randint(0, 4, (3, 8, 9))
    labels[torch.rand(3, 8, 9) < 0.2] = 255
    found = batch_confusion(logits, labels).numpy()
    for image in range(3):
        expected = confusion_counts(logits[image].argmax(0).numpy(), labels[image].numpy().astype(np.uint8), 4)
        np.testing.assert_array_equal(found[image], expected)


def test_loss_is_cross_entropy_over_labelled_pixels_plus_dice() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(2, 3, 8, 8), torch.randint(0, 3, (2, 8, 8))
    labels[0, :2] = 255
    plain = SegmentationLoss(Recipe(loss="ce"))(logits, labels)
    assert plain.item() == pytest.approx(F.cross_entropy(logits, labels, ignore_index=255).item(), rel=1e-6)
    both = SegmentationLoss(Recipe())(logits, labels)
    assert 0 < both.item() - plain.item() < 1


def test_a_batch_without_labels_costs_nothing() -> None:
    logits = torch.randn(2, 3, 8, 8, requires_grad=True)
    loss = SegmentationLoss(Recipe())(logits, torch.full((2, 8, 8), 255))
    loss.backward()
    assert loss.item() == 0.0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_a_pretrained_encoder_learns_slower_and_norms_are_not_decayed() -> None:
    model = build("mobilenetv3_small_050", weights="none", classes=3, image_size=32)
    optimizer = build_optimizer(model, Recipe(), pretrained=True)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    decays = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert set(rates) == {id(p) for p in model.parameters()}
    assert [rates[id(p)] for p in model.encoder_parameters()] == pytest.approx(
        [1e-4] * len([*model.encoder_parameters()])
    )
    assert {rates[id(p)] for p in model.other_parameters()} == {1e-3}
    assert all(decays[id(p)] == (0.0 if p.ndim <= 1 else 1e-2) for p in model.parameters())
    scratch = build_optimizer(model, Recipe(), pretrained=False)
    assert {group["lr"] for group in scratch.param_groups} == {1e-3}


def test_schedule_rises_then_falls_to_nothing() -> None:
    model = build("mobilenetv3_small_050", weights="none", classes=3, image_size=32)
    recipe = Recipe(warmup=0.1)
    optimizer = build_optimizer(model, recipe, pretrained=False)
    schedule = build_schedule(optimizer, recipe, total_steps=100)
    rates = []
    for _ in range(100):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates[:10] == sorted(rates[:10])
    assert rates[10] == pytest.approx(1e-3)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 1e-6
