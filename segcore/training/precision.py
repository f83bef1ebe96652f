"""In which number format and memory order the runs of a study compute, and why.

Half-precision formats are several times as fast where the hardware has units for them and up to fifteen times
slower on processors without; channels_last helps most convolutions and hurts some. So both are measured, once for a
study (`trial`), and kept in the study's execution.json: its runs must share them to be comparable.

bf16 keeps fp32's range and needs nothing else; fp16 needs its losses scaled (Micikevicius et al. 2018,
https://arxiv.org/abs/1710.03740). Weights, losses and counts stay fp32 in all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn

from segcore.config import Recipe
from segcore.errors import WorkspaceError
from segcore.training.device import device_name

Precision = Literal["fp32", "bf16", "fp16"]
MemoryFormat = Literal["contiguous", "channels_last"]
M = TypeVar("M", bound=nn.Module)

GAIN = 1.05
"""How much faster a mode must be than a simpler one: less is within what two measurements differ by."""
COMPILES = 2
"""Compilations of a run: the network in training, and in validation."""

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_ORDERS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


@dataclass(frozen=True)
class Mode:
    """How a network computes."""

    precision: Precision = "fp32"
    memory_format: MemoryFormat = "contiguous"
    compile: bool = False
    """Whether torch.compile makes kernels for it."""

    def __str__(self) -> str:
        return f"{self.precision}, {self.memory_format}{', compiled' if self.compile else ''}"

    def apply(self, model: M) -> M:
        """Put a network's weights into the memory format, and have it compiled where the mode says so."""
        model = model.to(memory_format=_ORDERS[self.memory_format])
        if self.compile:
            model.compile()  # in place: the names in its state_dict stay
        return model

    def forward(self, network: nn.Module, device: torch.device) -> Callable[[Tensor], Tensor]:
        """Return `network` as a function: images (B, 3, H, W) on `device` -> logits float32."""
        dtype, order = _DTYPES[self.precision], _ORDERS[self.memory_format]

        def run(images: Tensor) -> Tensor:
            with torch.autocast(device.type, dtype=dtype, enabled=self.precision != "fp32"):
                logits: Tensor = network(images.contiguous(memory_format=order))
            return logits.float()

        return run


@dataclass(frozen=True)
class Rate:
    """What one mode was measured to do."""

    precision: Precision
    memory_format: MemoryFormat
    compile: bool
    images_per_second: float

    @property
    def mode(self) -> Mode:
        return Mode(self.precision, self.memory_format, self.compile)

    @classmethod
    def of(cls, mode: Mode, images_per_second: float) -> Rate:
        return cls(mode.precision, mode.memory_format, mode.compile, round(images_per_second, 2))


@dataclass(frozen=True)
class Execution:
    """A study's mode and what led to it: its execution.json."""

    mode: Mode
    reason: str
    """One sentence for people."""
    rates: tuple[Rate, ...] = ()
    """Of all modes tried, the simplest first; none where the recipe left no choice."""
    forced: bool = False
    """The recipe named precision and memory format itself."""
    encoder: str = ""
    """The backbone that was measured: the study's costliest."""
    batch_size: int = 0
    image_size: int = 0
    device: str = ""
    """What it was measured on: "cpu" or the GPU's name."""

    def on(self, device: torch.device) -> tuple[Mode, str]:
        """Return the mode in which a run of the study trains on `device`, and what is to be said about that.

        A study that goes on elsewhere keeps its precision, as its runs must compare; a compiler may be missing.
        """
        here, notes = device_name(device), []
        if self.device and self.device != here:
            notes.append(f"It was chosen on {self.device}; {here} keeps to it, so that the study's runs compare.")
        if self.mode.precision not in native_precisions(device):
            notes.append(f"This hardware ({here}) has no units for {self.mode.precision}, which makes it slow.")
        return replace(self.mode, compile=self.mode.compile and device.type == "cuda"), " ".join(notes)

    def to_json(self) -> dict[str, Any]:
        value = asdict(self)
        return {**value.pop("mode"), **value}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Execution:
        """Rebuild what `to_json` wrote.

        Raises:
            WorkspaceError: it is not complete.
        """
        value = dict(value)
        try:
            mode = Mode(value.pop("precision"), value.pop("memory_format"), value.pop("compile", False))
            if mode.precision not in _DTYPES or mode.memory_format not in _ORDERS:
                raise ValueError(f"unknown mode {mode}")
            rates = tuple(Rate(**rate) for rate in value.pop("rates", ()))
            return cls(mode=mode, rates=rates, **value)
        except (KeyError, TypeError, ValueError) as error:
            raise WorkspaceError(
                f"execution.json of the study cannot be read ({type(error).__name__}: {error}). Remove it to have it "
                "measured again."
            ) from error


def candidates(recipe: Recipe, device: torch.device) -> list[Mode]:
    """Return the modes that the recipe allows and this hardware is good at, the simplest first.

    What the recipe names is taken even where the hardware is bad at it.
    """
    precisions = native_precisions(device) if recipe.precision == "auto" else (recipe.precision,)
    formats: tuple[MemoryFormat, ...] = ("contiguous", "channels_last") if device.type != "mps" else ("contiguous",)
    if recipe.memory_format != "auto":
        formats = (recipe.memory_format,)
    return [Mode(precision, order) for precision in precisions for order in formats]


def native_precisions(device: torch.device) -> tuple[Precision, ...]:
    """Return the number formats that the hardware has units for."""
    if device.type == "cuda":
        return ("fp32", "bf16") if torch.cuda.is_bf16_supported(including_emulation=False) else ("fp32", "fp16")
    if device.type == "cpu" and any(
        getattr(torch.cpu, name, bool)() for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    ):
        return ("fp32", "bf16")
    return ("fp32",)


def choose(rates: list[Rate]) -> Rate:
    """Return the fastest mode, or a simpler one (earlier in `rates`) that is not clearly slower."""
    chosen = rates[0]
    for rate in rates[1:]:
        if rate.images_per_second >= GAIN * chosen.images_per_second:
            chosen = rate
    return chosen


def compiling_pays(*, plain: float, compiled: float, compilation: float, steps: int) -> bool:
    """Whether compiling makes a run shorter as a whole.

    Args:
        plain: seconds a step without.
        compiled: seconds a step with.
        compilation: seconds that compiling the network once takes.
        steps: of the run.
    """
    return plain >= GAIN * compiled and (plain - compiled) * steps > COMPILES * compilation


def explain(rates: list[Rate], chosen: Rate, recipe: Recipe, device: torch.device, notes: list[str]) -> str:
    """Say in a sentence or two why a mode was chosen."""
    best = f"{chosen.mode}: {chosen.images_per_second:.3g} images/s"
    others = [f"{rate.images_per_second:.3g} with {rate.mode}" for rate in rates if rate != chosen]
    if not others:
        text = f"{best}; nothing else can be chosen here."
    elif chosen == max(rates, key=lambda rate: rate.images_per_second):
        text = f"{best}, the fastest of what was tried ({', '.join(others)})."
    else:
        text = f"{best}; nothing more involved was at least {GAIN - 1:.0%} faster ({', '.join(others)})."
    if recipe.precision == "auto" and native_precisions(device) == ("fp32",):
        notes = [*notes, "Half precision was not tried: this hardware has no units for it."]
    return " ".join([text, *notes])
