"""The things that stand on the land. Each function puts one of them on the canvas at (x, y), turned by `angle`.

Lengths are metres, angles radians. What a thing looks like beyond its colour (light sides, shadows) follows
from its height.
"""

from __future__ import annotations

import math

import numpy as np

from segcore.data.scenery.canvas import Canvas, Label, Map, among, linear, shaded
from segcore.data.scenery.materials import Look, tiles

PAINTS = (linear(232, 232, 230), linear(236, 235, 230), linear(30, 31, 34), linear(26, 28, 32), linear(120, 123, 126),
          linear(96, 100, 106), linear(178, 181, 184), linear(62, 66, 72), linear(150, 34, 32), linear(38, 62, 112),
          linear(70, 96, 138), linear(72, 86, 74), linear(190, 176, 150))  # fmt: skip
CLOTHES = (linear(200, 200, 196), linear(36, 40, 52), linear(160, 44, 44), linear(52, 80, 140), linear(196, 160, 60),
           linear(60, 96, 72), linear(110, 90, 110))  # fmt: skip
SKIN_OR_HAIR = (linear(58, 42, 32), linear(28, 24, 22), linear(150, 112, 70), linear(188, 146, 118))
WOODS = (linear(150, 126, 98), linear(186, 182, 174), linear(104, 84, 68))
GLASS = linear(38, 46, 54)


def house(
    canvas: Canvas, look: Look, x: float, y: float, angle: float, length: float, width: float, *, form: str
) -> None:
    """A building; `form` is "gable", "hip" or "flat"; its ridge runs along the angle."""
    rng = canvas.rng
    view = canvas.view(x, y, angle, math.hypot(length, width) / 2 + 0.5)
    inside = view.box(length, width)
    color = canvas.pick(*look.roofs)
    eaves = rng.uniform(2.8, 5.2) if width > 4.5 else 2.2
    if form == "flat":
        rim = inside & ~view.box(length - 0.7, width - 0.7)
        surface = look.ground[canvas.pick("gravel", "asphalt")].color
        tone = 1 + 0.06 * view.noise["grain"] + 0.07 * view.noise["patch"]
        view.put(inside, Label.ROOF, shaded(surface, tone), eaves)
        view.put(rim, Label.ROOF, linear(168, 168, 166), eaves + 0.4)
    else:
        ends = length / 2 - np.abs(view.u) if form == "hip" else width
        slope = np.minimum(width / 2 - np.abs(view.v), ends)
        pitch = math.tan(math.radians(rng.uniform(22, 38)))
        tone = tiles(view.u, view.v, 0.42, 0.36, joint=0.22, contrast=0.13) * (1 + 0.06 * view.noise["patch"])
        view.put(inside, Label.ROOF, shaded(color, tone), eaves + pitch * slope)
        ridge = view.box(length - (width if form == "hip" else 0), 0.24)
        view.tone(ridge, 0.8)
    _rooftop(canvas, x, y, angle, length, width, flat=form == "flat")


def _rooftop(canvas: Canvas, x: float, y: float, angle: float, length: float, width: float, *, flat: bool) -> None:
    """Chimneys, windows, solar panels or vents on a roof."""
    if width < 4.5:
        return
    rng = canvas.rng
    view = canvas.view(x, y, angle, math.hypot(length, width) / 2)
    roof = view.labels == Label.ROOF
    side = canvas.pick(-1, 1)
    if rng.random() < 0.35:
        panel = roof & view.box(length * rng.uniform(0.3, 0.7), width * 0.28, v=side * width * 0.25)
        grid = tiles(view.u, view.v, 1.0, 1.6, joint=0.06, contrast=0.05)
        view.paint(panel, shaded(linear(34, 42, 66), 2 - grid))
    for _ in range(rng.integers(1, 5 if flat else 3)):
        u, v = rng.uniform(-0.35, 0.35) * length, (rng.uniform(-0.35, 0.35) if flat else -0.28 * side) * width
        view.paint(roof & view.box(1.0, 0.8, u, v), linear(176, 176, 174) if flat else GLASS)
        if flat:
            view.height[roof & view.box(1.0, 0.8, u, v)] += 0.7
    chimney = roof & view.box(0.7, 0.6, rng.uniform(-0.3, 0.3) * length, 0.06 * width * side)
    top = float(view.height[chimney].max()) + 0.7 if chimney.any() else 0.0
    view.put(chimney, Label.ROOF, linear(118, 88, 78), top)


def tree(canvas: Canvas, look: Look, x: float, y: float, radius: float) -> None:
    """A broad-leaved tree: a lumpy dome with a ragged edge."""
    rng = canvas.rng
    view = canvas.view(x, y, 0, radius * 1.3)
    away = np.hypot(view.u, view.v) / radius
    around = np.arctan2(view.v, view.u)
    ragged = sum(rng.uniform(0.02, 0.07) * np.sin(k * around + rng.uniform(0, 6.3)) for k in (2, 3, 5))
    lumps = view.noise["leaf"] + 0.25 * view.noise["clump"]
    reach = away + ragged - 0.16 * (lumps - 0.5)
    tall = radius * rng.uniform(1.3, 1.8)
    dome = tall * np.sqrt(np.clip(1 - 0.75 * away * away, 0.05, 1)) + radius * 0.26 * lumps
    leaf = np.array(canvas.pick(*look.leaves)) * rng.lognormal(0, 0.1)
    tone = 1 + 0.28 * (lumps - 0.5) + 0.22 * view.noise["grain"]
    inside = reach < 1
    view.put(inside, Label.TREE, shaded(leaf, tone), dome)


def conifer(canvas: Canvas, look: Look, x: float, y: float, radius: float) -> None:
    """A spruce: a cone with branches like the spokes of a wheel."""
    rng = canvas.rng
    view = canvas.view(x, y, 0, radius * 1.2)
    away = np.hypot(view.u, view.v) / radius
    around = np.arctan2(view.v, view.u)
    spokes = np.sin(rng.integers(9, 14) * around + 2.5 * np.sin(7 * away + rng.uniform(0, 6)))
    cone = radius * (3.4 - 2.6 * away) + 0.16 * radius * spokes + 0.2 * view.noise["clump"] * radius
    leaf = np.array(look.leaves[0]) * (0.62, 0.72, 0.85)
    inside = away + 0.09 * spokes - 0.05 * view.noise["clump"] < 0.95
    view.put(inside, Label.TREE, shaded(leaf, 1 + 0.2 * view.noise["grain"] + 0.12 * spokes), cone)


def bush(canvas: Canvas, look: Look, x: float, y: float, angle: float, length: float, width: float) -> None:
    """A hedge or a bed of shrubs with a ragged edge; some beds flower."""
    rng = canvas.rng
    view = canvas.view(x, y, angle, math.hypot(length, width) / 2 + 0.6)
    across = np.maximum(np.abs(view.u) - max(0.0, (length - width) / 2), 0)
    away = np.hypot(across, view.v) / (width / 2)
    lumps = view.noise["leaf"] + 0.3 * view.noise["clump"]
    inside = (away - 0.35 * (lumps - 0.5) < 0.9) & (view.height < 1.0)
    look.cover(view, inside, "vegetation")
    view.height[inside] += rng.uniform(0.4, 1.1)
    if rng.random() < 0.3:
        blossom = inside & (view.noise["grain"] > 1.9)
        view.paint(blossom, canvas.pick(*CLOTHES))


def car(canvas: Canvas, x: float, y: float, angle: float) -> None:
    """A car or, one time in six, a van; its front points along the angle."""
    rng = canvas.rng
    van = rng.random() < 1 / 6
    length, width = (5.4, 2.05) if van else (rng.uniform(3.9, 4.7), rng.uniform(1.72, 1.9))
    view = canvas.view(x, y, angle, length / 2 + 0.5)
    u, v = view.u / (length / 2), view.v / (width / 2)
    body = u**6 + np.abs(v) ** 5 < 1
    paint = canvas.pick(*PAINTS)
    sheen = 1 + 0.1 * (1 - v * v) + 0.03 * view.noise["grain"]
    rear, front = (-0.95, 0.55) if van else (rng.uniform(-0.8, -0.6), rng.uniform(0.3, 0.42))
    cabin = (u > rear) & (u < front) & (np.abs(v) < 0.88)
    roof = (u > rear + (0.04 if van else 0.2)) & (u < front - 0.24) & (np.abs(v) < 0.72)
    view.put(body, Label.CAR, shaded(paint, sheen), 0.85)
    view.put(body & cabin, Label.CAR, GLASS, 1.2 if not van else 1.8)
    view.put(body & roof, Label.CAR, shaded(paint, sheen), 1.45 if not van else 2.1)
    view.paint(body & (u > 0.9) & (np.abs(v) > 0.55), linear(214, 214, 205))
    view.paint(body & (u < -0.93) & (np.abs(v) > 0.6), linear(130, 26, 24))


def person(canvas: Canvas, x: float, y: float, angle: float) -> None:
    """Someone standing or walking along the angle: head, shoulders, an arm or a leg."""
    rng = canvas.rng
    view = canvas.view(x, y, angle, 0.8)
    cloth = canvas.pick(*CLOTHES)
    stride = rng.uniform(0, 0.32)
    legs = view.box(0.36, 0.17, stride, 0.11) | view.box(0.36, 0.17, -stride, -0.11)
    view.put(legs, Label.PERSON, canvas.pick(*CLOTHES), 0.8)
    shoulders = (view.u / 0.2) ** 2 + (view.v / 0.34) ** 2 < 1
    view.put(shoulders, Label.PERSON, cloth, 1.45)
    head = np.hypot(view.u - 0.05, view.v) < 0.14
    view.put(head, Label.PERSON, canvas.pick(*SKIN_OR_HAIR), 1.72)


def bicycle(canvas: Canvas, x: float, y: float, angle: float) -> None:
    """A bicycle leaning on its stand: two wheels seen at a slant, frame, handlebar, saddle."""
    view = canvas.view(x, y, angle, 1.3)
    frame = canvas.pick(*PAINTS)
    for middle in (-0.53, 0.53):
        wheel = ((view.u - middle) / 0.36) ** 2 + (view.v / 0.16) ** 2
        view.put(wheel < 1, Label.BICYCLE, linear(70, 68, 66), 0.15)
        view.put((wheel < 1) & (wheel > 0.45), Label.BICYCLE, linear(22, 22, 24), 0.6)
    view.put(view.box(1.1, 0.13), Label.BICYCLE, frame, 0.75)
    view.put(view.box(0.12, 0.62, 0.42), Label.BICYCLE, linear(30, 30, 32), 1.0)
    view.put(view.box(0.3, 0.18, -0.35), Label.BICYCLE, linear(24, 22, 22), 0.95)


def rocks(canvas: Canvas, look: Look, x: float, y: float, count: int) -> None:
    """A few angular boulders lying together."""
    rng = canvas.rng
    stone = np.array(look.ground["gravel"].color) * rng.uniform(0.6, 0.95)
    for _ in range(count):
        size = rng.uniform(0.22, 0.6)
        view = canvas.view(x + rng.normal(0, 0.8), y + rng.normal(0, 0.8), rng.uniform(0, 6.3), size * 1.6)
        # The lowest of a few tilted planes makes a stone with faces and a straight-edged outline.
        top: Map = np.full_like(view.u, size * 0.8)
        for side in np.arange(6) * 1.05 + rng.uniform(-0.35, 0.35, 6):
            away = view.u * np.cos(side) + view.v * np.sin(side) * rng.uniform(1.0, 1.6)
            top = np.minimum(top, rng.uniform(0.9, 1.5) * (size * rng.uniform(0.75, 1.1) - away))
        inside = (top > 0) & (view.height < 0.4)
        view.put(inside, Label.ROCKS, shaded(stone, 1 + 0.13 * view.noise["grain"]), top + 0.12)


def fence(canvas: Canvas, points: Map, *, gap: float = 0.0) -> None:
    """A wooden fence along a line, (points, 2) metres, over soft ground; the wider `gap`, the more of it is missing."""
    whole = canvas.whole()
    line = canvas.stroke(points, 0.22)
    soft = (Label.GRASS, Label.DIRT, Label.VEGETATION)
    line[line] = (canvas.height[line] < 0.6) & among(canvas.labels[line], soft)
    if gap:
        line[line] = np.abs(canvas.noise["broad"][line]) > gap
    whole.put(line, Label.FENCE, canvas.pick(*WOODS), 1.15)
    whole.tone(line, 1 + 0.15 * whole.noise["grain"])
