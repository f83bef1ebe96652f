"""What families and decoders are in plain words, and the numbers in them, which are filled in from data.

A text names a number as `{resnet18.parameters}`: whose it is, and which. None is typed, so none can grow stale.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

from segcore.models.backbones import BACKBONES

if TYPE_CHECKING:
    from segcore.models.description import NetworkDescription

REFERENCE = "resnet18"
"""The backbone that others are compared with, and in front of which decoders are measured."""
REFERENCES = {"dpt": "vit_small_patch16_224"}
"""Decoders that were made for another kind of backbone than `REFERENCE` -> the one to measure them with."""
IMAGE_SIZE, CLASSES = 256, 12
"""What the table of backbones holds numbers for."""

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_FIXED = "\N{NO-BREAK SPACE}"


@dataclass(frozen=True)
class Words:
    """What something is, for a person who has never trained a network; numbers are placeholders."""

    new: str
    helps: str
    costs: str
    choose: str

    def asked(self) -> Iterator[tuple[str, str]]:
        """Yield each question with the text that answers it."""
        yield from zip(QUESTIONS, astuple(self), strict=True)


QUESTIONS = ("What is new", "Why it helps", "What it costs", "When to choose it")


def placeholders(text: str) -> list[str]:
    """Return the names of the numbers that `text` leaves open."""
    return _PLACEHOLDER.findall(text)


def fill(text: str, numbers: Mapping[str, str]) -> str:
    """Return `text` with its numbers, none of which a line break can part; a KeyError names one that is not there."""
    filled = _PLACEHOLDER.sub(lambda found: numbers[found[1]].replace(" ", _FIXED), text)
    return filled.replace(" × ", f"{_FIXED}×{_FIXED}")


def backbone_numbers() -> dict[str, str]:
    """Return the numbers of all backbones of the catalog, each as NAME.QUANTITY, without loading torch.

    parameters are the backbone's own; total, macs and memory those of its U-Net, for one image of `IMAGE_SIZE` pixels;
    times compares macs with those of `REFERENCE`.
    """
    reference = BACKBONES[REFERENCE]
    numbers: dict[str, str] = {}
    for name, row in BACKBONES.items():
        numbers |= {
            f"{name}.parameters": spelled(row.parameters),
            f"{name}.total": spelled(row.unet_parameters),
            f"{name}.macs": spelled(row.unet_macs),
            f"{name}.memory": megabytes(row.unet_activations),
            f"{name}.times": times(row.unet_macs / reference.unet_macs),
        }
    return numbers


def network_numbers(name: str, found: NetworkDescription, beside: NetworkDescription) -> dict[str, str]:
    """Return the numbers of a network taken apart, each as `name`.QUANTITY.

    parameters and share (of the multiply-adds) are those of decoder and head; times, memory and memory_times those of
    the whole network; encoder_parameters and encoder_times the backbone's; coarsest is its smallest size. Each "times"
    compares with `beside`, the U-Net of the reference.
    """
    return {
        f"{name}.parameters": spelled(found.decoder.parameters + found.head.parameters),
        f"{name}.share": f"{found.decoder_share * 100:.0f} %",
        f"{name}.times": times(found.macs / beside.macs),
        f"{name}.memory": megabytes(found.activations),
        f"{name}.memory_times": times(found.activations / beside.activations),
        f"{name}.encoder_parameters": spelled(found.encoder.parameters),
        f"{name}.encoder_times": times(found.encoder.macs / beside.encoder.macs),
        f"{name}.coarsest": _pixels(min(stage.height for stage in found.stages)),
    }


def spelled(count: float) -> str:
    """Return a large count in words: "11.2 million", "5.5 billion", "190,000"."""
    for limit, word in ((1e9, "billion"), (1e6, "million")):
        if round(count / limit, 1) >= 1:
            value = count / limit
            return f"{value:.{1 if value < 99.95 else 0}f} {word}"
    return f"{round(count, -3 if count >= 9_500 else 0):,.0f}"


def times(ratio: float) -> str:
    """Return a ratio so that "takes … the memory" reads well: "4.5 times", "54 % of", "about"."""
    if ratio < 0.95:
        return f"{ratio * 100:.0f} % of"
    return "about" if ratio < 1.05 else f"{ratio:.1f} times"


def megabytes(count: float) -> str:
    """Return a number of bytes as "84 MB"."""
    return f"{count / 1e6:,.0f} MB"


def _pixels(side: int) -> str:
    return f"{side} × {side}"
