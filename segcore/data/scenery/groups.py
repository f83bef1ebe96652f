"""Things that stand together: a plot on a street, a row of parking bays, a wood, people on their way."""

from __future__ import annotations

import math

import numpy as np

from segcore.data.scenery import things
from segcore.data.scenery.canvas import Canvas, Label, Map, among, linear, turned
from segcore.data.scenery.materials import Look, tiles

OPEN = (Label.GRASS, Label.DIRT, Label.GRAVEL, Label.PAVED)
SOFT = (Label.GRASS, Label.VEGETATION, Label.DIRT)
HARD = (Label.PAVED, Label.GRAVEL, Label.DIRT)


def lot(canvas: Canvas, look: Look, street: Map, at: float, side: float, pace: float) -> None:
    """A plot on a street: house, drive with a car, terrace, fence, hedge."""
    rng = canvas.rng
    here = min(int(at * 4), len(street) - 2)
    along = street[here + 1] - street[here]
    angle = float(np.arctan2(along[1], along[0]))
    way = float(np.sign(side))
    length, width = min(pace - 5.0, rng.uniform(8, 11)), rng.uniform(6.5, 8.5)
    setback = abs(side) + rng.uniform(3, 5.5)

    def place(u: float, v: float) -> tuple[float, float]:
        return turned(float(street[here][0]), float(street[here][1]), angle, u, way * v)

    x, y = place(-1.2, setback + width / 2)
    view = canvas.view(x, y, angle, 14)
    if view.labels.size == 0 or among(view.labels[view.box(length, width)], (Label.ROOF, Label.WATER)).any():
        return
    drive = view.box(2.8, setback - abs(side) + width * 0.7, length / 2 + 1.9 - 0.1, -way * (setback - abs(side)) / 2)
    look.cover(view, drive, canvas.pick("slabs", "gravel", "asphalt", "slabs"))
    terrace = view.box(length * 0.6, 2.8, v=way * (width / 2 + 1.2))
    look.cover(view, terrace, "slabs")
    view.tone(terrace | drive, tiles(view.u, view.v, 0.5, 0.5, joint=0.1, contrast=0.06))
    things.house(canvas, look, x, y, angle, length, width, form=canvas.pick("gable", "gable", "hip", "flat"))
    depth = setback + width + rng.uniform(5, 8)
    left, right = -pace / 2, pace / 2
    if rng.random() < 0.8:  # The fence on the right is the neighbour's.
        things.fence(canvas, np.array([place(left, abs(side) + 0.3), place(left, depth), place(right, depth)]))
    for u, v, span in ((left + 0.8, depth - 4, 6.0), (0.0, depth - 0.9, 7.0), (-2.0, abs(side) + 0.8, 4.0)):
        if rng.random() < 0.5:
            turn = angle + (math.pi / 2 if u == left + 0.8 else 0)
            things.bush(canvas, look, *place(u, v), turn, span, rng.uniform(0.9, 1.4))
    if rng.random() < 0.75:
        things.car(canvas, *place(length / 2 + 0.6, abs(side) + 2.6), angle + way * math.pi / 2)
    if rng.random() < 0.4:
        things.house(canvas, look, *place(left + 2.5, depth - 2.2), angle, 3.0, 2.4, form="gable")


def building(canvas: Canvas, look: Look, length: float, width: float, angle: float, *, form: str, yard: bool) -> None:
    """A building wherever there is room for it, never on a road: on pavement only if that is a `yard`."""
    spot = canvas.spot(OPEN if yard else (*SOFT, Label.GRAVEL), max(length, width) * 0.52, margin=4)
    if spot is not None:
        things.house(canvas, look, *spot, angle, length, width, form=form)


def plaza(canvas: Canvas, look: Look) -> None:
    """A paved square with a kiosk."""
    rng = canvas.rng
    spot = canvas.spot((*OPEN, *SOFT), 5.0, margin=10)
    if spot is None:
        return
    x, y = spot
    angle = rng.uniform(0, 3)
    view = canvas.view(x, y, angle, 9)
    inside = view.box(*rng.uniform(8, 13, 2)) & (view.labels != Label.WATER)
    look.cover(view, inside, "slabs")
    view.tone(inside, tiles(view.u, view.v, 0.9, 0.9, joint=0.08, contrast=0.07))
    form = canvas.pick("hip", "flat")
    things.house(canvas, look, x, y, angle, rng.uniform(5, 8), rng.uniform(4.6, 6), form=form)


def bays(canvas: Canvas, center: float, angle: float, u: float, v: float, *, length: float) -> None:
    """A row of marked parking bays, two in three taken."""
    rng, white = canvas.rng, linear(220, 220, 214)
    for middle in np.arange(u - length / 2, u + length / 2, 2.6):
        line = canvas.view(*turned(center, center, angle, middle, v), angle, 2.6)
        line.paint(line.box(0.11, 4.8), white)
        if rng.random() < 0.66:
            x, y = turned(center, center, angle, middle + 1.3 + rng.normal(0, 0.1), v + rng.normal(0, 0.15))
            things.car(canvas, x, y, angle + canvas.pick(-1, 1) * math.pi / 2 + rng.normal(0, 0.03))


def traffic(canvas: Canvas, line: Map, width: float, *, cars: int) -> None:
    """Cars on the right-hand lanes of a road."""
    inside = np.nonzero(np.all((line > 4) & (line < canvas.side - 4), axis=1))[0]
    for at in canvas.rng.choice(inside[:-1:26], size=min(cars, len(inside[:-1:26])), replace=False):
        along = line[at + 1] - line[at]
        way = canvas.pick(-1, 1)
        angle = float(np.arctan2(along[1], along[0]))
        x, y = turned(float(line[at][0]), float(line[at][1]), angle, 0, way * width * 0.25)
        things.car(canvas, x, y, angle + (math.pi if way < 0 else 0) + canvas.rng.normal(0, 0.03))


def parked(canvas: Canvas, count: int, allowed: tuple[Label, ...], angle: float) -> None:
    """Cars left where there is room."""
    rng = canvas.rng
    canvas.scatter(count, allowed, 1.6, lambda x, y: things.car(canvas, x, y, angle + rng.normal(0, 0.3)))


def paddock(canvas: Canvas, angle: float) -> None:
    """A fenced piece of grass."""
    spot = canvas.spot((Label.GRASS,), 3.0)
    if spot is not None:
        length, width = canvas.rng.uniform(7, 13, 2) / 2
        corners = ((-length, -width), (length, -width), (length, width), (-length, width), (-length, -width / 2))
        things.fence(canvas, np.array([turned(*spot, angle, u, v) for u, v in corners]))


def trees(canvas: Canvas, look: Look, count: int, allowed: tuple[Label, ...]) -> None:
    """Trees and shrubs wherever there is room for a trunk; crowns may hang over what is lower."""
    rng = canvas.rng
    needles = rng.uniform(0, 0.4)

    def plant(x: float, y: float) -> None:
        if rng.random() < needles:
            things.conifer(canvas, look, x, y, rng.uniform(1.2, 2.2))
        else:
            things.tree(canvas, look, x, y, rng.uniform(1.4, 3.6))

    canvas.scatter(count, allowed, 1.3, plant)
    canvas.scatter(
        count // 2,
        allowed,
        0.8,
        lambda x, y: things.bush(canvas, look, x, y, rng.uniform(0, 3), rng.uniform(1, 4), rng.uniform(1, 2.2)),
    )


def life(canvas: Canvas, look: Look, *, persons: int, bicycles: int, rocks: int) -> None:
    """The small and rare: people, bicycles, boulders, a length of fence."""
    rng = canvas.rng

    def turn() -> float:
        return float(rng.uniform(0, 2 * math.pi))

    canvas.scatter(
        rocks, (Label.GRASS, Label.GRAVEL, Label.DIRT), 0.7,
        lambda x, y: things.rocks(canvas, look, x, y, int(rng.integers(1, 5))),
    )  # fmt: skip

    def rack(x: float, y: float) -> None:
        angle = turn()
        for place in range(rng.integers(1, 3)):
            things.bicycle(canvas, *turned(x, y, angle, rng.normal(0, 0.1), 0.75 * place), angle + rng.normal(0, 0.1))

    def company(x: float, y: float) -> None:
        for _ in range(rng.integers(1, 4)):
            things.person(canvas, *turned(x, y, turn(), rng.uniform(0, 1.2), 0), turn())

    canvas.scatter(bicycles, HARD if rng.random() < 0.7 else OPEN, 1.0, rack)
    canvas.scatter(persons, HARD, 0.6, company)
    canvas.scatter(persons, OPEN, 0.5, company)
    spot = canvas.spot(SOFT, 1.0)
    if spot is not None:
        things.fence(canvas, canvas.curve(*spot, turn(), 1.0), gap=0.15)
