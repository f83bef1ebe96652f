"""The scales of a drawing: channels to width, resolution to height, a cost to a colour."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from segcore.models.description import NetworkDescription, Stage
from segcore.text import scaled

Shade = Literal["macs", "parameters", "activations"]
SHADES: dict[Shade, str] = {
    "macs": "Multiply-adds",
    "parameters": "Parameters",
    "activations": "Activation memory",
}
"""What a drawing can be coloured by, and what it is called on screen."""

WIDTH_OF_ONE = 13.0
"""Width of a box of one channel. Widths of all drawings compare, whatever networks they show."""
FULL_HEIGHT = 80.0
"""Height of a box at the image's own resolution."""
SIDES = "Sides grow with the cube root: 8 times as many is twice as long."

# ColorBrewer's YlGnBu without its darkest step: light to dark for every kind of eye, and in grey print.
_RAMP = ((255, 255, 217), (237, 248, 177), (199, 233, 180), (127, 205, 187), (65, 182, 196), (29, 145, 192),
         (34, 94, 168), (37, 52, 148))  # fmt: skip


def box_width(channels: int) -> float:
    """Return how wide a box of so many channels is."""
    return WIDTH_OF_ONE * max(1, channels) ** (1 / 3)


def box_height(height: int, image_size: int) -> float:
    """Return how high the box of a feature map of that height is, inside a network for that image size."""
    return FULL_HEIGHT * (height / image_size) ** (1 / 3)


def ramp(share: float) -> str:
    """Return the colour ("#rrggbb") at `share` of the scale, 0-1."""
    place = min(1.0, max(0.0, share)) * (len(_RAMP) - 1)
    low = min(int(place), len(_RAMP) - 2)
    mixed = (round(a + (b - a) * (place - low)) for a, b in zip(_RAMP[low], _RAMP[low + 1], strict=True))
    return "#" + "".join(f"{value:02x}" for value in mixed)


def ink_on(color: str) -> str:
    """Return black or white, whichever reads better on "#rrggbb"; a contrast of 4.5 : 1 at least."""
    against = luminance(color) + 0.05
    return "#000000" if against / 0.05 >= 1.05 / against else "#ffffff"


def luminance(color: str) -> float:
    """Return the relative luminance (WCAG) of "#rrggbb", 0-1."""
    values = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def amount(shade: Shade, value: float) -> str:
    """Return a cost as people read it: "604 M", "11.5 MB"."""
    if shade != "activations":
        return scaled(value)
    for limit, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= limit:
            return f"{value / limit:.{1 if value < 100 * limit else 0}f} {unit}"
    return f"{value:.0f} B"


@dataclass(frozen=True)
class Shading:
    """What the colours of one or several drawings mean."""

    shade: Shade
    most: float
    """The dearest stage of all; the scale runs from nothing to it, in equal steps."""
    whole: float | None
    """What the whole network costs, so that shares can be said; None where there are several networks."""

    @classmethod
    def of(cls, networks: Iterable[NetworkDescription], shade: Shade) -> Shading:
        """Return the shading that serves all of `networks`."""
        networks = list(networks)
        most = max(getattr(stage, shade) for network in networks for stage in network.stages)
        return cls(shade, max(1.0, float(most)), float(getattr(networks[0], shade)) if len(networks) == 1 else None)

    def color(self, stage: Stage) -> str:
        """Return the colour of a stage's box."""
        return ramp(getattr(stage, self.shade) / self.most)

    @property
    def ticks(self) -> tuple[tuple[float, str], ...]:
        """Places on the scale, 0-1, and what stands there: nothing, half of the dearest stage, the dearest stage."""
        return tuple((share, self._words(share * self.most)) for share in (0.0, 0.5, 1.0))

    def _words(self, value: float) -> str:
        words = amount(self.shade, value)
        return f"{words} ({100 * value / self.whole:.0f} %)" if self.whole and value else words
