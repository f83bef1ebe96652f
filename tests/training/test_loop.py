from __future__ import annotations

import copy
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from segcore.config import Recipe
from segcore.data.prepared import Prepared, prepare
from segcore.errors import TrainingError
from segcore.models.build import build
from segcore.records import StepRecord
from segcore.training import loop
from segcore.training.loop import EpochResult, ValidationTick
from segcore.training.optim import build_optimizer, rate_factor, set_rate
from segcore.workspace import Workspace
from tests.factories import add_dataset
from tests.training.conftest import ENCODER, TWO, Event, loaders_of, records_of, same_weights, start, train


def test_fit_tells_steps_validation_and_epochs(prepared: Prepared) -> None:
    events = list(train(start(0), loaders_of(prepared, 0), 0))
    steps = [event for event in events if isinstance(event, StepRecord)]
    epochs = [event for event in events if isinstance(event, EpochResult)]
    assert [step.step for step in steps] == list(range(1, 7))
    assert [step.epoch for step in steps] == [1, 1, 2, 2, 3, 3]
    assert [epoch.record.epoch for epoch in epochs] == [1, 2, 3]
    assert [tick.images for tick in events if isinstance(tick, ValidationTick)] == [2, 2, 2]
    first, last = epochs[0], epochs[-1]
    # Batches of 4 and 2 images.
    assert first.record.train_loss == pytest.approx((4 * steps[0].loss + 2 * steps[1].loss) / 6)
    assert first.record.best
    assert last.counts.shape == (2, 3, 3)
    assert last.record.val_pixel_accuracy == pytest.approx(np.trace(last.counts.sum(0)) / last.counts.sum())
    assert last.previews[1].shape == (32, 32)


def test_the_class_predicted_most_is_told(prepared: Prepared) -> None:
    state = start(0)
    head = next(module for module in reversed(list(state.model.modules())) if isinstance(module, torch.nn.Conv2d))
    for event in train(state, loaders_of(prepared, 0), 0):
        if isinstance(event, StepRecord) and event.step == 2:
            with torch.no_grad():
                assert head.bias is not None
                head.bias[1] += 1e4  # from here on it answers class 1 everywhere
        if isinstance(event, EpochResult):
            break
    assert isinstance(event, EpochResult)
    assert (event.record.top_class, event.record.top_share) == (1, 1.0)


def test_same_seed_same_numbers_other_seed_others(prepared: Prepared) -> None:
    runs = []
    for seed in (0, 0, 1):
        state = start(seed)
        runs.append((records_of(list(train(state, loaders_of(prepared, seed), seed))), state.model))
    assert runs[0][0] == runs[1][0]
    assert same_weights(runs[0][1], runs[1][1])
    assert runs[0][0] != runs[2][0]
    assert not same_weights(runs[0][1], runs[2][1])


@pytest.mark.parametrize("unread", [0, 1, 2])
def test_losses_read_late_are_the_same_losses(prepared: Prepared, monkeypatch: pytest.MonkeyPatch, unread: int) -> None:
    expected = list(train(start(0), loaders_of(prepared, 0), 0))
    monkeypatch.setitem(loop.UNREAD, "cpu", unread)
    found = list(train(start(0), loaders_of(prepared, 0), 0))
    losses = [[(e.step, e.epoch, e.loss) for e in events if isinstance(e, StepRecord)] for events in (expected, found)]
    assert losses[0] == losses[1]
    assert records_of(found) == records_of(expected)


def stopped_at(prepared: Prepared, seed: int, events: int) -> tuple[dict[str, object], list[Event]]:
    """Train until that many events have come; what would be saved then, and the events."""
    state = start(seed)
    seen = [event for _, event in zip(range(events), train(state, loaders_of(prepared, seed), seed, TWO), strict=False)]
    return copy.deepcopy(state.state_dict()), seen


@pytest.mark.parametrize("unread", [0, 1])
def test_resuming_at_any_event_ends_bit_for_bit_where_an_undisturbed_run_does(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch, unread: int
) -> None:
    """Stopped after each kind of event: a first and a last step, a validation tick, an epoch, a step after it."""
    monkeypatch.setitem(loop.UNREAD, "cpu", unread)
    whole = start(3)
    expected = records_of(list(train(whole, loaders_of(prepared, 3), 3, TWO)))
    for events in range(1, 6):
        saved, before = stopped_at(prepared, 3, events)
        torch.manual_seed(999)
        resumed = start(4)
        resumed.load_state_dict(saved)
        rest = records_of(list(train(resumed, loaders_of(prepared, 3), 3, TWO)))
        assert [*records_of(before), *rest] == expected, f"stopped after event {events}: {before[-1]}"
        assert same_weights(whole.model, resumed.model)
        assert (resumed.best_epoch, resumed.best_miou) == (whole.best_epoch, whole.best_miou)
        assert resumed.step == whole.step


def test_a_large_image_is_validated_in_several_ticks(workspace: Workspace, tmp_path: Path) -> None:
    """Each is an occasion to stop."""
    recipe = TWO.model_copy(update={"geometry": "crop", "epochs": 1})
    prepared = prepare(add_dataset(workspace, tmp_path / "source"), None)  # 64 px, in windows of 32 px
    events = train(start(0), loaders_of(prepared, 0, recipe), 0, recipe)
    ticks = [event.images for event in events if isinstance(event, ValidationTick)]
    assert ticks == [0, 0, 0, 1, 1, 1, 1, 2]


def test_other_batches_start_the_epoch_anew(prepared: Prepared) -> None:
    state = start(0)
    events = train(state, loaders_of(prepared, 0), 0)
    while state.step < 3:
        next(events)
    assert state.shared_anew(2, 2) == ""
    assert (state.step, state.epoch) == (3, 1) and state.progress is not None
    assert "not 2; epoch 2 starts anew" in state.shared_anew(2, 1)
    assert (state.step, state.epoch, state.progress) == (1, 1, None)


def test_loader_workers_change_nothing(prepared: Prepared) -> None:
    found = []
    for workers in (0, 2):
        state = start(0)
        found.append((records_of(list(train(state, loaders_of(prepared, 0, workers=workers), 0, TWO))), state.model))
    assert found[0][0] == found[1][0]
    assert same_weights(found[0][1], found[1][1])


@pytest.mark.parametrize("unread", [0, 1])
def test_a_loss_that_is_no_number_ends_the_run_with_advice(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch, unread: int
) -> None:
    monkeypatch.setitem(loop.UNREAD, "cpu", unread)
    state = start(0)
    steps: list[int] = []

    def poison(model: torch.nn.Module, _images: object, logits: torch.Tensor) -> torch.Tensor:
        return logits * math.nan if model.training and state.step == 3 else logits

    state.model.register_forward_hook(poison)
    with pytest.raises(TrainingError, match=r"nan at step 4 \(epoch 2\).*lower learning rate than 0.001"):
        for event in train(state, loaders_of(prepared, 0), 0):
            steps += [event.step] if isinstance(event, StepRecord) else []
    assert steps == [1, 2, 3]
    assert not state.finite()


def test_weights_that_are_no_numbers_after_the_last_step_of_an_epoch_are_noticed(prepared: Prepared) -> None:
    state = start(0)
    with pytest.raises(TrainingError, match=r"step 2 \(epoch 1\)"):
        for event in train(state, loaders_of(prepared, 0), 0):
            if isinstance(event, ValidationTick):
                with torch.no_grad():
                    next(state.model.parameters())[0] = math.inf


def test_a_pretrained_encoder_learns_slower_and_norms_are_not_decayed() -> None:
    model = build(ENCODER, weights="none", classes=3, image_size=32)
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
    set_rate(optimizer, Recipe(warmup=0.0, schedule="constant"), 5, 10)
    assert {group["lr"] for group in optimizer.param_groups} == {1e-3, 1e-4}


def test_fused_optimiser_takes_the_steps_of_the_plain_one() -> None:
    moved = []
    for fused in (True, False):
        torch.manual_seed(0)
        model = build(ENCODER, weights="none", classes=3, image_size=32)
        optimizer = build_optimizer(model, Recipe(), pretrained=False)
        for group in optimizer.param_groups:
            group["fused"] = fused
            group["foreach"] = False
        for step in range(3):
            torch.manual_seed(step)
            for parameter in model.parameters():
                parameter.grad = torch.randn_like(parameter)
            optimizer.step()
        moved.append(torch.cat([parameter.detach().flatten() for parameter in model.parameters()]))
    torch.testing.assert_close(moved[0], moved[1], rtol=1e-5, atol=1e-7)


def test_schedule_rises_then_falls_to_nothing() -> None:
    recipe = Recipe(warmup=0.1)
    rates = [rate_factor(recipe, step, 100) for step in range(100)]
    assert rates[:10] == sorted(rates[:10])
    assert rates[0] > 0
    assert rates[10] == pytest.approx(1.0)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 1e-3
    assert rate_factor(recipe, 100, 200) > 0.4, "given more epochs, the rate is up again"
    assert rate_factor(Recipe(schedule="constant", warmup=0.0), 99, 100) == 1.0
