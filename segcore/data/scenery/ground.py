"""What covers the ground: patches of material, roads and paths, still and flowing water, fields."""

from __future__ import annotations

import math

import numpy as np

from segcore.data.scenery.canvas import Canvas, Color, Label, Map, Mask, linear
from segcore.data.scenery.materials import Look, tiles


def grounds(canvas: Canvas, look: Look, base: str, *, vegetation: float, dirt: float, gravel: float) -> None:
    """Cover the land, with patches of the other materials over about the given shares of it."""
    whole = canvas.whole()
    look.cover(whole, np.ones_like(whole.labels, bool), base)
    if base == "grass" and canvas.rng.random() < 0.5:
        lawn = canvas.whole(canvas.rng.uniform(0, 3.1))
        stripes = 1 + 0.05 * np.sign(np.sin(lawn.v * (2 * math.pi / 2.4)))
        lawn.tone(lawn.labels == Label.GRASS, stripes)
    ragged = 0.8 * whole.noise["broad"] + 0.55 * whole.noise["patch"] + 0.05 * whole.noise["clump"]
    turned = 0.8 * np.rot90(whole.noise["broad"]) + 0.55 * np.rot90(whole.noise["patch"]) + 0.1 * whole.noise["grain"]
    for field, share, name in (
        (ragged, gravel, "gravel"),
        (-ragged, dirt, "dirt"),
        (turned + 0.2 * whole.noise["leaf"], vegetation, "vegetation"),
    ):
        look.cover(whole, field > float(np.quantile(field[::8, ::8], 1 - share)), name)


def wear(canvas: Canvas, inside: Mask) -> None:
    """Age asphalt: repairs, stains and cracks."""
    rng, whole = canvas.rng, canvas.whole()
    for _ in range(5):
        x, y = rng.uniform(0.1, 0.9, 2) * canvas.side
        repair = canvas.view(x, y, rng.uniform(0, 3), 3)
        here = repair.box(*rng.uniform(0.8, 3, 2)) & (repair.labels == Label.PAVED)
        repair.tone(here, rng.uniform(0.72, 0.9))
    crack = (np.abs(whole.noise["clump"] + 0.5 * whole.noise["patch"]) < 0.035) & (whole.noise["broad"] > 0.2)
    whole.tone(inside & crack, 0.72)
    whole.tone(inside, 1 - 0.07 * np.clip(whole.noise["patch"], 0, 2))


def road(canvas: Canvas, look: Look, line: Map, width: float, *, walk: float) -> None:
    """An asphalt road with markings and, where `walk` is not 0, pavements of slabs behind kerbs."""
    whole, away = canvas.whole(), canvas.distance(line)
    if walk:
        side = away < width / 2 + walk
        look.cover(whole, side, "slabs")
        lean = float(np.arctan2(*(line[-1] - line[0])[::-1]))
        turned = canvas.whole(lean)
        whole.tone(side, tiles(turned.u, turned.v, 0.5, 0.5, joint=0.12, contrast=0.06, brick=True))
        whole.height[side] += 0.12
        whole.paint(side & (away < width / 2 + 0.16), linear(178, 174, 166))
    bed = away < width / 2
    look.cover(whole, bed, "asphalt")
    wear(canvas, bed)
    whole.tone(bed, 1 - 0.07 * np.exp(-(((np.abs(away - width * 0.25) - 0.8) / 0.25) ** 2)))
    worn = whole.noise["grain"] + whole.noise["patch"] > -1.6
    white = linear(222, 222, 214)
    if canvas.rng.random() < 0.75:
        for start in range(0, len(line), 24):
            whole.paint(canvas.stroke(line[start : start + 12], 0.14) & worn, white)
    if not walk:
        whole.paint(bed & (np.abs(away - width / 2 + 0.3) < 0.06) & worn, white)
    if walk and canvas.rng.random() < 0.6:
        _crossing(canvas, line, width, white)


def _crossing(canvas: Canvas, line: Map, width: float, white: Color) -> None:
    """Zebra stripes across a road."""
    at = int(len(line) / 2 + canvas.rng.uniform(-30, 30))
    along = line[at + 1] - line[at]
    x, y = float(line[at][0]), float(line[at][1])
    view = canvas.view(x, y, float(np.arctan2(along[1], along[0])), width)
    stripes = view.box(2.6, width - 0.4) & (np.mod(view.v, 1.0) < 0.5) & (view.noise["grain"] > -1.4)
    view.paint(stripes, white)


def path(canvas: Canvas, look: Look, line: Map, width: float, material: str) -> None:
    """A way for walkers or tractors; loose materials have ragged edges."""
    whole, away = canvas.whole(), canvas.distance(line)
    loose = material in ("gravel", "dirt")
    edge = away + (0.1 * whole.noise["clump"] + 0.16 * whole.noise["patch"] if loose else 0)
    inside = (edge < width / 2) & (whole.height < 1)
    look.cover(whole, inside, material)
    if material == "slabs":
        whole.tone(inside, tiles(whole.u, whole.v, 0.8, 0.4, joint=0.1, contrast=0.07, brick=True))
    if loose and width > 2.6:
        rut = np.exp(-(((away - 0.75) / 0.22) ** 2))
        whole.tone(inside, 1 - 0.16 * rut + 0.05 * (away < 0.4))


def pond(canvas: Canvas, look: Look, x: float, y: float, radius: float) -> None:
    """Still water in a ring of stones and mud."""
    view = canvas.view(x, y, canvas.rng.uniform(0, 3), radius * 2.2)
    away = np.hypot(view.u, view.v * 1.3) - radius * (1 + 0.22 * view.noise["patch"]) + 0.12 * view.noise["clump"]
    free = view.height < 1.5
    look.cover(view, free & (away < 0.7), canvas.pick("gravel", "dirt", "vegetation"))
    look.cover(view, free & (away < 0), "water")
    _deepen(view.albedo, -away, free & (away < 0))


def river(canvas: Canvas, look: Look, line: Map, width: float) -> None:
    """Flowing water between banks."""
    whole, away = canvas.whole(), canvas.distance(line)
    edge = away - width / 2 + 0.7 * whole.noise["patch"] + 0.1 * whole.noise["clump"]
    bank = edge < canvas.rng.uniform(0.8, 1.8) + 0.9 * whole.noise["broad"]
    look.cover(whole, bank, "gravel")
    look.cover(whole, edge < 0, "water")
    _deepen(whole.albedo, -edge, edge < 0)


def _deepen(albedo: Map, depth: Map, inside: Mask) -> None:
    """Let the bottom show through near the shore."""
    shallow = np.exp(-np.clip(depth[inside], 0, None) / 0.7) * 0.55
    for plane, bottom in zip(albedo, linear(126, 116, 88), strict=True):
        plane[inside] += (bottom - plane[inside]) * shallow


def field(canvas: Canvas, look: Look, angle: float, *, offset: float) -> None:
    """A ploughed field beyond a line."""
    view = canvas.whole(angle)
    inside = view.v > offset + 0.15 * view.noise["patch"]
    look.cover(view, inside, "dirt")
    furrow = np.sin(view.u * (2 * math.pi / 0.75) + 0.4 * view.noise["patch"])
    view.tone(inside, 1 + 0.1 * furrow)
    view.height[inside] += 0.05 * furrow[inside]
    if canvas.rng.random() < 0.6:
        look.cover(view, inside & (furrow > 0.55) & (view.noise["clump"] > -1.1), "vegetation")
