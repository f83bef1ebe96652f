"""Sunlight and shade, from heights alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from segcore.data.scenery.canvas import Canvas, Map


@dataclass(frozen=True)
class Sun:
    """Where the sun stands over a scene, and how much of the light it gives."""

    azimuth: float
    """Radians; the direction in the image towards the sun."""
    elevation: float
    """Radians above the horizon."""
    strength: float
    """Share of the light on flat ground that comes straight from the sun; the sky gives the rest."""
    color: tuple[float, float, float]
    sky: tuple[float, float, float]


def make_sun(rng: np.random.Generator) -> Sun:
    """Draw a sun: the lower, the warmer; one scene in four is overcast."""
    elevation = float(rng.uniform(0.52, 1.1))
    warm = 0.16 * (1.1 - elevation) / 0.6
    overcast = rng.random() < 0.25
    strength = float(rng.uniform(0.15, 0.35) if overcast else rng.uniform(0.58, 0.74))
    sky = (0.97, 1.0, 1.03) if overcast else (0.86, 0.98, 1.2)
    return Sun(float(rng.uniform(0, 2 * np.pi)), elevation, strength, (1 + warm, 1.0, 1 - 1.3 * warm), sky)


def illuminate(canvas: Canvas, sun: Sun) -> tuple[Map, Map]:
    """Return what the sun and what the sky lend each point, (n, n) each; 1 on open flat ground."""
    height, density = canvas.height, canvas.density
    east, south = math.cos(sun.azimuth) * math.cos(sun.elevation), math.sin(sun.azimuth) * math.cos(sun.elevation)
    # Walls would be cliffs of one pixel: no slope counts as steeper than this.
    limit = 1.3
    slope_x = np.clip(np.asarray(cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=3)) * (density / 8), -limit, limit)
    slope_y = np.clip(np.asarray(cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=3)) * (density / 8), -limit, limit)
    facing = math.sin(sun.elevation) - slope_x * east - slope_y * south
    facing = facing / (np.sqrt(1 + slope_x**2 + slope_y**2) * math.sin(sun.elevation))
    direct = np.clip(facing, 0, 1.7) * lit(height, canvas.density, sun)
    wide = round(2.2 * density) | 1
    around = np.asarray(cv2.blur(height, (wide, wide)))
    ambient = 1 - np.clip((around - height) * 0.22, 0, 0.55)
    return direct, ambient


def lit(height: Map, density: float, sun: Sun) -> Map:
    """Return the share of the sun that reaches each point past everything higher, (n, n), 0-1.

    A point lies in shade where, t metres towards the sun, something stands higher than t·tan(elevation). The
    highest such excess over all t is found by doubling: what is known for t up to 2^k pixels, taken once
    more 2^k pixels away, gives t up to 2^(k+1).
    """
    longest = float(height.max()) / math.tan(sun.elevation) * density
    excess = height
    step = 1
    while step < longest:
        move = np.array([[1, 0, step * math.cos(sun.azimuth)], [0, 1, step * math.sin(sun.azimuth)]], np.float32)
        moved = cv2.warpAffine(excess, move, height.shape[::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        excess = np.maximum(excess, np.asarray(moved) - step / density * math.tan(sun.elevation))
        step *= 2
    return np.clip(1 - (excess - height - 0.05) / 0.2, 0, 1)
