"""What stands where: five kinds of place, each drawn anew from a random generator."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from segcore.data.scenery import ground, groups, things
from segcore.data.scenery.canvas import Canvas, Label, turned
from segcore.data.scenery.materials import Look, tiles


def suburb(canvas: Canvas, look: Look) -> None:
    """Houses with gardens along a street."""
    rng = canvas.rng
    ground.grounds(canvas, look, "grass", vegetation=0.07, dirt=0.07, gravel=0.03)
    middle, angle = canvas.side / 2 + rng.uniform(-5, 5), rng.uniform(0, 6.3)
    street = canvas.curve(middle, middle, angle, rng.uniform(0, 2.5))
    width = rng.uniform(5.0, 6.2)
    ground.road(canvas, look, street, width, walk=1.5)
    pace = rng.uniform(13.5, 16.5)
    for side in (-1, 1):
        for at in np.arange(rng.uniform(0, pace), len(street) / 4, pace):
            groups.lot(canvas, look, street, float(at), side * (width / 2 + 1.5), pace)
    groups.traffic(canvas, street, width, cars=4)
    groups.trees(canvas, look, 9, groups.SOFT)
    groups.life(canvas, look, persons=4, bicycles=4, rocks=7)


def park(canvas: Canvas, look: Look) -> None:
    """Lawns, paths, a pond and many trees."""
    rng = canvas.rng
    ground.grounds(canvas, look, "meadow" if rng.random() < 0.5 else "grass", vegetation=0.16, dirt=0.12, gravel=0.02)
    center = canvas.side / 2
    ground.pond(canvas, look, center + rng.uniform(-9, 9), center + rng.uniform(-9, 9), rng.uniform(5.5, 8.5))
    angle = rng.uniform(0, 6.3)
    for turn in (0.0, 1.6):
        line = canvas.curve(center + rng.uniform(-10, 10), center + rng.uniform(-10, 10), angle + turn, 4.0)
        ground.path(canvas, look, line, rng.uniform(2.2, 4.2), canvas.pick("gravel", "slabs", "asphalt", "slabs"))
    groups.plaza(canvas, look)
    groups.trees(canvas, look, 18, groups.SOFT)
    groups.life(canvas, look, persons=7, bicycles=6, rocks=9)


def riverside(canvas: Canvas, look: Look) -> None:
    """A river with gravel banks, a track beside it and a road over fields."""
    rng = canvas.rng
    ground.grounds(canvas, look, "meadow", vegetation=0.18, dirt=0.12, gravel=0.06)
    center, angle = canvas.side / 2, rng.uniform(0, 6.3)
    x, y = turned(center, center, angle, 0, rng.uniform(-5, 5))
    ground.river(canvas, look, canvas.curve(x, y, angle, 3.0), rng.uniform(6, 8.5))
    track = canvas.curve(*turned(x, y, angle, 0, rng.uniform(9, 11)), angle, 2.0)
    ground.path(canvas, look, track, rng.uniform(2.4, 3.4), canvas.pick("dirt", "gravel"))
    street = canvas.curve(*turned(x, y, angle, 0, -rng.uniform(12, 15)), angle, 1.0)
    ground.road(canvas, look, street, 5.2, walk=0.0)
    groups.traffic(canvas, street, 5.2, cars=5)
    for _ in range(3):
        turn = rng.uniform(0, 3.1)
        groups.building(canvas, look, rng.uniform(6, 9), rng.uniform(5, 6.5), turn, form="gable", yard=False)
    groups.trees(canvas, look, 13, groups.SOFT)
    groups.life(canvas, look, persons=4, bicycles=4, rocks=16)


def farm(canvas: Canvas, look: Look) -> None:
    """A yard with barns, a ploughed field, paddocks and a track."""
    rng = canvas.rng
    ground.grounds(canvas, look, "grass", vegetation=0.12, dirt=0.06, gravel=0.05)
    center, angle = canvas.side / 2, rng.uniform(0, 6.3)
    ground.field(canvas, look, angle, offset=rng.uniform(9, 13))
    yard = canvas.view(center, center, angle, canvas.side)
    ragged = 0.8 * yard.noise["patch"]
    look.cover(yard, yard.box(24, 17, rng.uniform(-4, 4), -4) & (ragged > -1.4), canvas.pick("gravel", "slabs"))
    line = canvas.curve(center - 3, center + 3, angle + rng.uniform(-0.1, 0.1) + math.pi / 2, 1.5)
    ground.path(canvas, look, line, 3.6, canvas.pick("asphalt", "dirt"))
    for form in ("gable", "gable", "flat", "gable"):
        turn = angle + canvas.pick(0, math.pi / 2)
        groups.building(canvas, look, rng.uniform(9, 15), rng.uniform(6.5, 9), turn, form=form, yard=True)
    for _ in range(3):
        groups.paddock(canvas, angle)
    ground.pond(canvas, look, *turned(center, center, rng.uniform(0, 6.3), rng.uniform(8, 15), 0), rng.uniform(2.5, 4))
    groups.parked(canvas, 6, (Label.GRAVEL, Label.PAVED, Label.DIRT), angle)
    groups.trees(canvas, look, 9, groups.SOFT)
    groups.life(canvas, look, persons=4, bicycles=4, rocks=9)


def car_park(canvas: Canvas, look: Look) -> None:
    """Bays full of cars before a hall, with islands of green."""
    rng = canvas.rng
    ground.grounds(canvas, look, "grass", vegetation=0.14, dirt=0.14, gravel=0.14)
    center, angle = canvas.side / 2, rng.uniform(0, 6.3)
    u, v = rng.uniform(-5, 5), rng.uniform(-6, 2)
    view = canvas.view(center, center, angle, canvas.side)
    look.cover(view, view.box(34, 18, u, v), "asphalt")
    ground.wear(canvas, view.box(34, 18, u, v))
    for row in (-6.4, 6.4):
        groups.bays(canvas, center, angle, u, v + row, length=30)
    island = view.box(31, 1.6, u, v) & (np.mod(view.u, 11) < 8)
    look.cover(view, island, canvas.pick("grass", "vegetation", "gravel"))
    x, y = turned(center, center, angle, u + rng.uniform(-4, 4), v + 17)
    things.house(canvas, look, x, y, angle, rng.uniform(16, 24), rng.uniform(9, 11), form="flat")
    walk = view.box(42, 2.2, u, v + 10.4) & (view.height < 1)
    look.cover(view, walk, "slabs")
    view.tone(walk, tiles(view.u, view.v, 0.6, 0.6, joint=0.1, contrast=0.06))
    line = canvas.curve(*turned(center, center, angle, u, v - 15), angle, 1.5)
    ground.path(canvas, look, line, 2.8, canvas.pick("gravel", "dirt"))
    groups.building(canvas, look, 7, 5.5, angle, form="hip", yard=False)
    ground.pond(canvas, look, *turned(center, center, angle, u + rng.uniform(-12, 12), v - 20), rng.uniform(3, 5))
    groups.trees(canvas, look, 14, (*groups.SOFT, Label.GRAVEL))
    groups.life(canvas, look, persons=6, bicycles=6, rocks=7)


KINDS: dict[str, Callable[[Canvas, Look], None]] = {
    "suburb": suburb,
    "park": park,
    "riverside": riverside,
    "farm": farm,
    "car park": car_park,
}
