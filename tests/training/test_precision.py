from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest
import torch

from segcore.config import Recipe
from segcore.data.prepared import Prepared
from segcore.errors import NotFoundError, WorkspaceError
from segcore.records import StepRecord
from segcore.runs import Run, Study
from segcore.training import precision, trial
from segcore.training.journal import RunGone, StopRequested
from segcore.training.precision import Execution, Mode, Rate, candidates, choose, compiling_pays, explain
from segcore.training.trial import costliest_first, settle
from tests.training.conftest import CPU, ENCODER, TWO, loaders_of, records_of, same_weights, start, train

AUTO = {"precision": "auto", "memory_format": "auto"}


def rate(images_per_second: float, precision: str = "fp32", memory_format: str = "contiguous") -> Rate:
    return Rate(precision, memory_format, False, images_per_second)  # type: ignore[arg-type]


def test_a_more_involved_mode_must_be_clearly_faster() -> None:
    plain, last, half = rate(10.0), rate(10.4, memory_format="channels_last"), rate(10.6, "bf16")
    assert choose([plain]) == plain
    assert choose([plain, last]) == plain
    assert choose([plain, last, half]) == half
    assert choose([plain, rate(9.0, "bf16")]) == plain


def test_the_reason_names_what_was_tried() -> None:
    plain, half = rate(10.0), rate(30.0, "bf16", "channels_last")
    text = explain([plain, half], half, Recipe(), CPU, [])
    assert text.startswith("bf16, channels_last: 30 images/s, the fastest of what was tried (10 with fp32, contiguous)")
    assert "nothing more involved was at least 5% faster" in explain(
        [plain, rate(10.2, "bf16")], plain, Recipe(), CPU, []
    )


def test_the_recipe_narrows_what_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "native_precisions", lambda _device: ("fp32", "bf16"))
    assert candidates(Recipe(), CPU) == [
        Mode("fp32", "contiguous"),
        Mode("fp32", "channels_last"),
        Mode("bf16", "contiguous"),
        Mode("bf16", "channels_last"),
    ]
    assert candidates(Recipe(precision="bf16", memory_format="channels_last"), CPU) == [Mode("bf16", "channels_last")]
    assert candidates(Recipe(precision="fp16"), CPU) == [Mode("fp16", "contiguous"), Mode("fp16", "channels_last")]
    monkeypatch.setattr(precision, "native_precisions", lambda _device: ("fp32",))
    assert {mode.precision for mode in candidates(Recipe(), CPU)} == {"fp32"}


def test_half_precision_is_native_only_where_the_processor_has_units(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda: False, raising=False)
    assert precision.native_precisions(CPU) == ("fp32",)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True, raising=False)
    assert precision.native_precisions(CPU) == ("fp32", "bf16")


def test_compiling_must_pay_within_the_run() -> None:
    times = {"plain": 0.10, "compiled": 0.07, "compilation": 30.0}
    assert compiling_pays(**times, steps=2001)
    assert not compiling_pays(**times, steps=1999)
    assert not compiling_pays(plain=0.10, compiled=0.098, compilation=0.0, steps=10**6), "within what is noise"
    assert not compiling_pays(plain=0.10, compiled=0.12, compilation=1.0, steps=10**6)


def test_what_was_settled_survives_the_file() -> None:
    execution = Execution(
        Mode("bf16", "channels_last"), "fast", (rate(1.0), rate(2.0, "bf16")), False, ENCODER, 4, 32, "cpu"
    )
    assert Execution.from_json(execution.to_json()) == execution
    assert execution.to_json()["rates"][1] == {
        "precision": "bf16",
        "memory_format": "contiguous",
        "compile": False,
        "images_per_second": 2.0,
    }
    for damage in ({"precision": "fp8"}, {"rates": [{}]}, {"strange": 1}):
        with pytest.raises(WorkspaceError, match=r"execution\.json"):
            Execution.from_json({**execution.to_json(), **damage})


def test_a_study_that_moves_keeps_its_precision_and_says_so() -> None:
    from_gpu = Execution(Mode("fp16", "channels_last", compile=True), "fast", device="Some GPU")
    mode, remark = from_gpu.on(CPU)
    assert mode == Mode("fp16", "channels_last"), "a compiler is not sure to be there"
    assert "chosen on Some GPU" in remark
    assert "no units for fp16" in remark
    assert Execution(Mode(), "plain", device="cpu").on(CPU) == (Mode(), "")


def settled(run: Run, **options: object) -> Execution:
    values: dict[str, object] = {
        "batch_size": 4,
        "steps": 4,
        "tell": lambda _phase: None,
        "check": lambda: None,
        **options,
    }
    return settle(Study(run.path.parent), run.config, CPU, **values)  # type: ignore[arg-type]


def test_the_first_run_measures_and_all_others_share(
    queue: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = queue(seed=0, **AUTO), queue(seed=1, **AUTO)
    told: list[str] = []
    found = settled(first, tell=told.append)
    assert any("measuring which precision is fastest" in phase for phase in told)
    assert {row.memory_format for row in found.rates} == {"contiguous", "channels_last"}
    assert (found.encoder, found.batch_size, found.image_size, found.device) == (ENCODER, 4, 32, "cpu")
    assert not found.forced
    monkeypatch.setattr(trial, "_decide", lambda *_: pytest.fail("it was measured already"))
    assert settled(second) == found


def test_what_the_recipe_names_is_taken_without_measuring(
    queue: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "Trial", lambda *_: pytest.fail("nothing is to be measured"))
    found = settled(queue(precision="bf16", memory_format="channels_last"))
    assert (found.mode, found.forced) == (Mode("bf16", "channels_last"), True)


class FakeTrial:
    """Steps that take what the test says, or more memory than there is."""

    seconds: dict[Mode, float]
    steps: list[Mode]
    fails_in: dict[Mode, int]

    def __init__(self, encoder: str, *_: object) -> None:
        self.encoder = encoder

    def step(self, mode: Mode) -> float:
        FakeTrial.steps.append(mode)
        taken = FakeTrial.seconds[mode]
        if taken == 0 or FakeTrial.steps.count(mode) == FakeTrial.fails_in.get(mode):
            raise RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 99 bytes.")
        return taken


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakeTrial]:
    monkeypatch.setattr(trial, "Trial", FakeTrial)
    monkeypatch.setattr(precision, "native_precisions", lambda _device: ("fp32", "bf16"))
    FakeTrial.steps = []
    FakeTrial.fails_in = {}
    FakeTrial.seconds = dict.fromkeys(candidates(Recipe(), CPU), 1.0)
    return FakeTrial


def test_hopeless_modes_are_tried_once(queue: Callable[..., Run], fake: type[FakeTrial]) -> None:
    slow, fast = Mode("bf16", "contiguous"), Mode("fp32", "channels_last")
    fake.seconds |= {slow: 15.0, fast: 0.5}
    found = settled(queue(**AUTO))
    assert found.mode == fast
    assert fake.steps.count(slow) == 1
    assert fake.steps.count(fast) >= 3
    assert found.rates[2].images_per_second == pytest.approx(4 / 15, abs=0.01)


def test_a_mode_without_enough_memory_is_out(queue: Callable[..., Run], fake: type[FakeTrial]) -> None:
    fake.seconds |= {Mode("fp32", "channels_last"): 0.0, Mode("fp32", "contiguous"): 0.0}
    found = settled(queue(**AUTO))
    assert found.mode == Mode("bf16", "contiguous")
    assert "not enough memory for fp32, channels_last" in found.reason


def test_a_mode_that_runs_out_of_memory_later_is_out_too(queue: Callable[..., Run], fake: type[FakeTrial]) -> None:
    last, half = Mode("fp32", "channels_last"), Mode("bf16", "contiguous")
    fake.seconds |= {last: 0.4, half: 0.5}
    fake.fails_in = {last: 3}
    found = settled(queue(**AUTO))
    assert found.mode == half
    assert "not enough memory for fp32, channels_last" in found.reason
    assert len(found.rates) == 3


def test_a_mode_left_out_as_slow_remains_where_all_faster_ones_run_out_of_memory(
    queue: Callable[..., Run], fake: type[FakeTrial]
) -> None:
    slow = Mode("bf16", "contiguous")
    fake.seconds[slow] = 5.0
    fake.fails_in = {mode: 3 for mode in fake.seconds if mode != slow}
    assert settled(queue(**AUTO)).mode == slow


def test_no_memory_at_all_is_the_runs_own_failure(queue: Callable[..., Run], fake: type[FakeTrial]) -> None:
    fake.seconds = dict.fromkeys(fake.seconds, 0.0)
    run = queue(**AUTO)
    with pytest.raises(RuntimeError, match="not enough memory"):
        settled(run)
    assert Study(run.path.parent).execution() is None


def test_stopping_between_two_steps_of_the_measurement(queue: Callable[..., Run], fake: type[FakeTrial]) -> None:
    def stop(_phase: str) -> None:
        if len(fake.steps) == 3:
            raise StopRequested

    run = queue(**AUTO)
    with pytest.raises(StopRequested):
        settled(run, tell=stop)
    assert Study(run.path.parent).execution() is None
    assert settled(run).mode == Mode(), "the lock was given back"


def test_a_study_that_was_removed_is_not_made_anew(queue: Callable[..., Run], fake: type[FakeTrial]) -> None:
    run, other = queue(**AUTO), queue(study="other", **AUTO)
    config, study = run.config, Study(run.path.parent)
    shutil.rmtree(study.path)
    with pytest.raises(NotFoundError):
        settle(study, config, CPU, batch_size=4, steps=4, tell=lambda _phase: None, check=lambda: None)
    assert not study.path.exists()

    def check() -> None:
        if fake.steps:
            raise RunGone

    with pytest.raises(RunGone):
        settled(other, check=check)
    assert Study(other.path.parent).execution() is None


def test_the_costliest_backbone_is_measured(queue: Callable[..., Run]) -> None:
    run = queue(**AUTO)
    study, config = Study(run.path.parent), run.config
    assert costliest_first(study, config) == [ENCODER], "the catalog does not know it"
    for encoder in ("vgg16", "resnet18", "resnet50"):
        changed = config.model_copy(update={"encoder": encoder})
        Run(study.path / changed.name).create(changed, run.status)
    own = config.model_copy(update={"encoder": "resnet18"})
    assert costliest_first(study, own) == ["vgg16", "resnet50", "resnet18"]


@pytest.mark.parametrize("mode", [Mode("fp32", "channels_last"), Mode("bf16", "channels_last"), Mode("fp16")], ids=str)
def test_every_mode_trains_and_resumes_exactly(prepared: Prepared, mode: Mode) -> None:
    plain, whole, first = start(0), start(0, mode=mode), start(0, mode=mode)
    events = list(train(whole, loaders_of(prepared, 0), 0, TWO, mode))
    first_step, reference = events[0], next(iter(train(plain, loaders_of(prepared, 0), 0, TWO)))
    assert isinstance(first_step, StepRecord) and isinstance(reference, StepRecord)
    assert first_step.loss == pytest.approx(reference.loss, rel=0.02)
    expected = records_of(events)
    assert {tensor.dtype for tensor in whole.model.parameters()} == {torch.float32}

    next(iter(train(first, loaders_of(prepared, 0), 0, TWO, mode)))  # one step
    resumed = start(5, mode=mode)
    resumed.load_state_dict(first.state_dict())
    assert records_of(list(train(resumed, loaders_of(prepared, 0), 0, TWO, mode))) == expected
    assert same_weights(resumed.model, whole.model)
    if mode.precision == "fp16":
        assert resumed.scaler.get_scale() == whole.scaler.get_scale() > 1
