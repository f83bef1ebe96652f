"""What the ground is made of: a table of materials, and a scene's own shade of each."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from segcore.data.scenery.canvas import Color, Label, Map, Mask, View, linear


@dataclass(frozen=True)
class Material:
    """One kind of ground."""

    label: Label
    color: Color
    tint: Color
    """The colour towards which it drifts in patches."""
    patch: float
    """How strongly it drifts over metres."""
    clump: float
    """How strongly it drifts over decimetres."""
    grain: float
    """Contrast from one point to the next."""
    relief: str
    """The noise that raises it."""
    bump: float
    """Metres by which that noise raises it."""


# Neighbours in this table resemble each other on purpose: grass and vegetation, dirt and gravel, gravel and
# paving differ in texture and surroundings more than in colour, as they do in photographs.
MATERIALS: dict[str, Material] = {
    "asphalt": Material(Label.PAVED, linear(112, 112, 114), linear(138, 135, 130), 0.18, 0.08, 0.07, "grain", 0.002),
    "slabs": Material(Label.PAVED, linear(160, 152, 142), linear(135, 131, 124), 0.20, 0.12, 0.05, "grain", 0.001),
    "gravel": Material(Label.GRAVEL, linear(158, 149, 134), linear(128, 117, 101), 0.22, 0.16, 0.15, "pebble", 0.035),
    "dirt": Material(Label.DIRT, linear(146, 121, 94), linear(112, 92, 70), 0.25, 0.22, 0.08, "clump", 0.030),
    "grass": Material(Label.GRASS, linear(98, 116, 62), linear(134, 134, 82), 0.22, 0.16, 0.16, "grain", 0.012),
    "meadow": Material(Label.GRASS, linear(106, 116, 66), linear(150, 140, 92), 0.25, 0.30, 0.20, "clump", 0.050),
    "vegetation": Material(Label.VEGETATION, linear(76, 98, 48), linear(112, 122, 64), 0.20, 0.25, 0.18, "leaf", 0.45),
    "water": Material(Label.WATER, linear(56, 78, 76), linear(78, 92, 78), 0.22, 0.03, 0.02, "clump", 0.012),
}

SEASONS: dict[str, Color] = {"spring": (0.95, 1.12, 0.80), "summer": (1.0, 1.0, 1.0), "dry": (1.38, 1.12, 1.10),
                             "autumn": (1.22, 0.98, 0.82)}  # fmt: skip
"""What each season does to everything green."""


@dataclass(frozen=True)
class Look:
    """The shades of one scene."""

    ground: dict[str, Material]
    leaves: tuple[Color, ...]
    roofs: tuple[Color, ...]

    def cover(self, view: View, inside: Mask, name: str) -> None:
        """Lay a material where `inside`: its class, its texture and its relief."""
        material = self.ground[name]
        clump = view.noise["clump"][inside]
        drift = np.clip(0.5 + material.patch * view.noise["patch"][inside] + material.clump * clump, 0, 1)
        tone = np.clip(1 + material.grain * view.noise["grain"][inside], 0.4, 1.7)
        for plane, base, tint in zip(view.albedo, material.color, material.tint, strict=True):
            plane[inside] = (base + (tint - base) * drift) * tone
        view.height[inside] = material.bump * (view.noise[material.relief][inside] + 0.3 * clump)
        view.labels[inside] = material.label


LEAVES = (linear(64, 86, 42), linear(80, 98, 46), linear(54, 74, 46), linear(92, 100, 50))
AUTUMN_LEAVES = (linear(142, 106, 44), linear(120, 72, 38), linear(104, 100, 46), linear(72, 88, 44))
ROOFS = (linear(150, 86, 66), linear(122, 78, 62), linear(82, 80, 82), linear(132, 128, 124), linear(168, 106, 80))


def make_look(rng: np.random.Generator) -> Look:
    """Draw a season and the scene's own shade of everything."""
    season = str(rng.choice(list(SEASONS), p=(0.25, 0.4, 0.15, 0.2)))

    def shade(color: Color, change: Color = (1.0, 1.0, 1.0)) -> Color:
        red, green, blue = np.array(color) * change * rng.lognormal(0, 0.035, 3) * rng.lognormal(0, 0.12)
        return float(red), float(green), float(blue)

    def tinted(color: Color) -> Color:
        return shade(color, SEASONS[season])

    ground = {}
    for name, material in MATERIALS.items():
        change = tinted if material.label in (Label.GRASS, Label.VEGETATION) else shade
        contrast = float(rng.uniform(0.7, 1.3))
        ground[name] = replace(
            material,
            color=change(material.color),
            tint=change(material.tint),
            grain=material.grain * contrast,
            patch=material.patch * float(rng.uniform(0.7, 1.3)),
        )
    leaves = AUTUMN_LEAVES if season == "autumn" else LEAVES
    roofs = rng.permutation(len(ROOFS))[:3]
    return Look(ground, tuple(tinted(leaf) for leaf in leaves), tuple(shade(ROOFS[i]) for i in roofs))


def tiles(u: Map, v: Map, length: float, width: float, *, joint: float, contrast: float, brick: bool = False) -> Map:
    """Return the tone of tiles laid along u and v, (h, w) around 1: each its own, with darker joints.

    Lengths in metres; `joint` is the share of a tile that is joint.
    """
    across = v / width
    row = np.floor(across)
    along = u / length + (0.5 * np.mod(row, 2) if brick else 0.0)
    column = np.floor(along)
    own = _OWN[(row.astype(np.int32) * 31 + column.astype(np.int32) * 57) & 255]
    seam = ((along - column) < joint) | ((across - row) < joint)
    return (1 + contrast * own) * np.where(seam, np.float32(0.72), np.float32(1))


_OWN = np.random.default_rng(0).uniform(-1, 1, 256).astype(np.float32)
