"""The canvas on which a scene is laid out, in metres, and the noise that roughens it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.floating[Any]]
"""A field of numbers, float32 where it is as large as the canvas."""
Mask = NDArray[np.bool_]
Color = tuple[float, float, float]
"""Linear reflectance of red, green and blue, 0-1."""
Option = TypeVar("Option")


class Label(IntEnum):
    """What a point belongs to; the value is the row of the class table."""

    PAVED = 0
    DIRT = 1
    GRASS = 2
    GRAVEL = 3
    WATER = 4
    ROCKS = 5
    VEGETATION = 6
    ROOF = 7
    FENCE = 8
    PERSON = 9
    CAR = 10
    BICYCLE = 11
    TREE = 12


def linear(red: float, green: float, blue: float) -> Color:
    """Return the reflectance of a screen colour given as 0-255."""
    return (red / 255) ** 2.2, (green / 255) ** 2.2, (blue / 255) ** 2.2


def among(labels: NDArray[np.uint8], allowed: Sequence[Label]) -> Mask:
    """Return where labels are among the allowed: what `np.isin` does, several times faster."""
    table = np.zeros(256, bool)
    table[list(allowed)] = True
    return table[labels]


def turned(x: float, y: float, angle: float, u: float, v: float) -> tuple[float, float]:
    """Return where (u, v) of a frame at (x, y), turned by `angle`, lies on the canvas."""
    cos, sin = math.cos(angle), math.sin(angle)
    return x + u * cos - v * sin, y + u * sin + v * cos


def shaded(color: Map | Color, tone: Map) -> Map:
    """Return (3, h, w): a colour made lighter and darker from point to point by `tone`, (h, w)."""
    return np.array(color, np.float32).reshape(3, 1, 1) * np.clip(tone, 0.3, 1.8).astype(np.float32)


@dataclass(frozen=True)
class View:
    """A window of the canvas, seen in the frame of one thing: its arrays are views, writing changes the canvas."""

    albedo: Map
    """(3, h, w) linear reflectance; planes, as masked access to them is five times as fast as to (h, w, 3)."""
    height: Map
    """(h, w) metres above the ground."""
    labels: NDArray[np.uint8]
    """(h, w) values of `Label`."""
    u: Map
    """(h, w) metres along the thing from its middle."""
    v: Map
    """(h, w) metres across the thing from its middle."""
    noise: Mapping[str, Map]
    """(h, w) noise by name, see `Canvas`."""

    def put(self, inside: Mask, label: Label, color: Map | Color, height: Map | float) -> None:
        """Put something there: class, colour (3, h, w) or one, height (h, w) or one. What is higher hides it."""
        seen = inside & (height > self.height)
        self.labels[seen] = label
        self.paint(seen, color)
        self.height[seen] = height[seen] if isinstance(height, np.ndarray) else height

    def paint(self, inside: Mask, color: Map | Color) -> None:
        """Set the colour alone."""
        for plane, value in zip(self.albedo, color, strict=True):
            plane[inside] = value[inside] if isinstance(value, np.ndarray) else value

    def tone(self, inside: Mask, factor: Map | float) -> None:
        """Multiply the colour by a factor, (h, w) or one for all, where `inside`."""
        change = factor[inside] if isinstance(factor, np.ndarray) else np.float32(factor)
        for plane in self.albedo:
            plane[inside] *= change

    def box(self, length: float, width: float, u: float = 0.0, v: float = 0.0) -> Mask:
        """Where a rectangle of that length and width lies, its middle at (u, v)."""
        return (np.abs(self.u - u) <= length / 2) & (np.abs(self.v - v) <= width / 2)


class Canvas:
    """A square of land.

    Noise fields have mean 0 and standard deviation 1, except the cellular `leaf` and `pebble`: 1 in the
    middle of a cell, falling to 0.
    """

    def __init__(self, rng: np.random.Generator, side: float, density: float) -> None:
        """Make bare land of `side` metres with `density` pixels a metre."""
        self.rng, self.side, self.density = rng, side, density
        n = round(side * density)
        self.pixels = n
        self.albedo: Map = np.zeros((3, n, n), np.float32)
        self.height: Map = np.zeros((n, n), np.float32)
        self.labels: NDArray[np.uint8] = np.zeros((n, n), np.uint8)
        self._axis: Map = ((np.arange(n, dtype=np.float32) + 0.5) / density).astype(np.float32)
        self.noise: dict[str, Map] = {
            "grain": _standard(rng.standard_normal((n, n), np.float32) + self._waves(0.2, octaves=1)),
            "clump": self._waves(0.7, octaves=3),
            "patch": self._waves(5.0, octaves=3),
            "broad": self._waves(16.0, octaves=2),
            "leaf": self._cells(0.55),
            "pebble": self._cells(0.16),
        }

    def pick(self, *options: Option) -> Option:
        """Return one of the options, by chance."""
        return options[int(self.rng.integers(len(options)))]

    def view(self, x: float, y: float, angle: float, reach: float) -> View:
        """Return the window within `reach` metres of (x, y), turned by `angle` radians; it may be empty."""
        rows, columns = (
            slice(max(0, int((at - reach) * self.density)), max(0, int((at + reach) * self.density) + 1))
            for at in (y, x)
        )
        across, down = self._axis[columns][None, :] - x, self._axis[rows][:, None] - y
        cos, sin = math.cos(angle), math.sin(angle)
        return View(
            albedo=self.albedo[:, rows, columns],
            height=self.height[rows, columns],
            labels=self.labels[rows, columns],
            u=across * cos + down * sin,
            v=down * cos - across * sin,
            noise={name: field[rows, columns] for name, field in self.noise.items()},
        )

    def whole(self, angle: float = 0.0) -> View:
        """Return a view of all the land, around its middle."""
        return self.view(self.side / 2, self.side / 2, angle, self.side)

    def curve(self, x: float, y: float, angle: float, wiggle: float) -> Map:
        """Return a smooth line across the land through (x, y): (points, 2) metres, a point every 0.25 m."""
        along = np.arange(-self.side, self.side, 0.25, dtype=np.float32)
        phase, bend = self.rng.uniform(0, 6.3), self.rng.uniform(25, 45)
        aside = wiggle * (np.sin(along * (2 * math.pi / bend) + phase) - math.sin(phase))
        cos, sin = math.cos(angle), math.sin(angle)
        return np.stack([x + along * cos - aside * sin, y + along * sin + aside * cos], axis=1).astype(np.float32)

    def distance(self, points: Map) -> Map:
        """Return each point's distance in metres to a line: (n, n)."""
        drawn = 255 - self._drawn(points, 1)
        return np.asarray(cv2.distanceTransform(drawn, cv2.DIST_L2, 5), np.float32) / self.density

    def stroke(self, points: Map, width: float) -> Mask:
        """Return where a line of `width` metres runs: (n, n)."""
        return self._drawn(points, max(1, round(width * self.density))) > 0

    def spot(self, allowed: tuple[Label, ...], clearance: float, *, margin: float = 6.0) -> tuple[float, float] | None:
        """Return a random place on the allowed ground, `clearance` metres from all else, or None if there is none."""
        step = 4  # A coarse map is exact enough to place things by, and sixteen times as fast.
        free = among(self.labels[::step, ::step], allowed) & (self.height[::step, ::step] < 0.5)
        room = cv2.distanceTransform(free.astype(np.uint8), cv2.DIST_L2, 3) * (step / self.density)
        edge = int(margin * self.density / step)
        rows, columns = np.nonzero(room[edge : len(room) - edge, edge : len(room) - edge] >= clearance)
        if not len(rows):
            return None
        pick = self.rng.integers(len(rows))
        return float((columns[pick] + edge) * step / self.density), float((rows[pick] + edge) * step / self.density)

    def scatter(
        self,
        count: int,
        allowed: tuple[Label, ...],
        clearance: float,
        place: Callable[[float, float], None],
    ) -> None:
        """Call `place(x, y)` for up to `count` free spots, one after the other."""
        for _ in range(count):
            spot = self.spot(allowed, clearance)
            if spot is not None:
                place(*spot)

    def _drawn(self, points: Map, thickness: int) -> NDArray[np.uint8]:
        image = np.zeros((self.pixels, self.pixels), np.uint8)
        fixed = np.round(points * (self.density * 16)).astype(np.int32)  # 4 fractional bits
        cv2.polylines(image, [fixed.reshape(-1, 1, 2)], False, 255, thickness, cv2.LINE_8, shift=4)
        return image

    def _waves(self, cell: float, *, octaves: int) -> Map:
        """Smooth noise whose largest features measure `cell` metres."""
        finest = cell / 2 ** (octaves - 1) * self.density
        pixels = self.pixels // max(1, min(8, int(finest / 4)))  # Coarse noise is made small, then enlarged.
        total = np.zeros((pixels, pixels), np.float32)
        for octave in range(octaves):
            count = max(3, min(pixels, round(self.side / cell * 2**octave) + 2))
            grid = self.rng.standard_normal((count, count), np.float32)
            total += np.asarray(cv2.resize(grid, (pixels, pixels), interpolation=cv2.INTER_CUBIC)) * 0.55**octave
        size = (self.pixels, self.pixels)
        return np.asarray(cv2.resize(_standard(total), size, interpolation=cv2.INTER_CUBIC), np.float32)

    def _cells(self, cell: float) -> Map:
        """Cellular noise (after Worley): rounded lumps about `cell` metres apart."""
        count = int((self.side / cell) ** 2)
        seeds = np.full((self.pixels, self.pixels), 255, np.uint8)
        places = self.rng.integers(0, self.pixels, (2, count))
        seeds[places[0], places[1]] = 0
        away = np.asarray(cv2.distanceTransform(seeds, cv2.DIST_L2, 3), np.float32) / (self.density * cell)
        return np.clip(1 - 1.6 * away * away, 0, 1)


def _standard(field: Map) -> Map:
    return (field - field.mean()) / field.std()
