"""The camera: its flight over a lit scene, and what it makes of the light."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from segcore.data.scenery.canvas import Canvas, Map, turned
from segcore.data.scenery.light import Sun


@dataclass(frozen=True)
class Frame:
    """One picture of a scene: where the camera was, and how it and the light were at that moment."""

    x: float
    y: float
    yaw: float
    side: float
    """Metres of ground along the picture's edge."""
    exposure: float
    balance: tuple[float, float, float]
    cloud: float
    """Share of the sun taken away by a passing cloud."""
    haze: float
    blur: float
    """Standard deviation in pixels."""
    noise: float
    """Standard deviation in grey levels."""
    quality: int
    """Of the JPEG."""


def flight(rng: np.random.Generator, canvas: Canvas, count: int, side: float) -> list[Frame]:
    """Draw `count` overlapping frames of about `side` metres along a line over the middle of the scene."""
    course, length = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 0.9)
    heading, zoom = rng.uniform(0, 2 * np.pi), rng.uniform(0.86, 1.08)
    balance, exposure, noise = rng.lognormal(0, 0.035, 3), rng.uniform(0.85, 1.2), rng.uniform(1.0, 5.0)
    blur, haze = rng.uniform(0.15, 0.6), rng.uniform(0, 0.07)
    frames = []
    for along in np.linspace(-1, 1, count) if count > 1 else [0.0]:
        yaw = heading + rng.normal(0, 0.2)
        width = side * zoom * rng.uniform(0.94, 1.06)
        room = canvas.side / 2 - width / 2 * (abs(math.cos(yaw)) + abs(math.sin(yaw)))
        x, y = (
            canvas.side / 2 + np.clip(room * length * along * way + rng.normal(0, 0.6), -room, room)
            for way in (math.cos(course), math.sin(course))
        )
        frames.append(
            Frame(
                float(x), float(y), float(yaw), float(width),
                exposure=float(exposure * rng.lognormal(0, 0.06)),
                balance=tuple(balance * rng.lognormal(0, 0.015, 3)),
                cloud=float(rng.choice((0.0, rng.uniform(0.1, 0.6)), p=(0.7, 0.3))),
                haze=float(haze), blur=float(blur * rng.uniform(0.7, 1.4)), noise=float(noise),
                quality=int(rng.integers(82, 96)),
            )
        )  # fmt: skip
    return frames


def overlap(first: Frame, second: Frame) -> float:
    """Return the share of the smaller frame's ground that the other one shows, too: 0-1."""
    shared, _ = cv2.intersectConvexConvex(_footprint(first), _footprint(second))
    return min(1.0, float(shared) / min(first.side, second.side) ** 2)


def _footprint(frame: Frame) -> Map:
    """Return the corners of a frame on the ground: (4, 2) metres."""
    half = frame.side / 2
    corners = ((-half, -half), (half, -half), (half, half), (-half, half))
    return np.array([turned(frame.x, frame.y, frame.yaw, u, v) for u, v in corners], np.float32)


def photograph(
    rng: np.random.Generator, canvas: Canvas, sun: Sun, light: tuple[Map, Map], frame: Frame, size: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return a frame as (size, size, 3) uint8 RGB and its labels as (size, size) uint8, pixel for pixel.

    `light` is what `illuminate` returned for the canvas and the sun.
    """
    fine = 2 * size  # Seen at twice the size and averaged: edges come out soft in the image, never in the labels.
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    red, green, blue, direct, ambient = (
        cv2.resize(cv2.warpAffine(field, _placement(canvas, frame, fine), (fine, fine), flags=flags,
                                  borderMode=cv2.BORDER_REFLECT), (size, size), interpolation=cv2.INTER_AREA)
        for field in (*canvas.albedo, *light)
    )  # fmt: skip
    albedo = np.stack((red, green, blue), axis=-1)
    labels = cv2.warpAffine(
        canvas.labels, _placement(canvas, frame, size), (size, size),
        flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REFLECT,
    )  # fmt: skip
    sunlight = np.array(sun.color, np.float32) * (sun.strength * (1 - frame.cloud))
    skylight = np.array(sun.sky, np.float32) * (1 - sun.strength + 0.5 * frame.cloud * sun.strength)
    radiance = albedo * (direct[..., None] * sunlight + ambient[..., None] * skylight)
    return develop(rng, radiance * np.array(frame.balance, np.float32), frame), np.asarray(labels, np.uint8)


def _placement(canvas: Canvas, frame: Frame, size: int) -> Map:
    """Return the (2, 3) matrix from picture to canvas pixels."""
    scale = frame.side * canvas.density / size
    cos, sin, middle = math.cos(frame.yaw) * scale, math.sin(frame.yaw) * scale, (size - 1) / 2
    x, y = frame.x * canvas.density - 0.5, frame.y * canvas.density - 0.5
    return np.array([[cos, -sin, x - (cos - sin) * middle], [sin, cos, y - (sin + cos) * middle]], np.float32)


def develop(rng: np.random.Generator, radiance: Map, frame: Frame) -> NDArray[np.uint8]:
    """Return what the camera makes of the light: lens, exposure, haze, tone curve and noise; uint8 RGB."""
    size = len(radiance)
    blurred = np.asarray(cv2.GaussianBlur(radiance, (0, 0), frame.blur))
    across = np.linspace(-1, 1, size, dtype=np.float32)
    vignette = 1 - 0.09 * (across[:, None] ** 2 + across[None, :] ** 2)
    exposed = blurred * (1.35 * frame.exposure * vignette[..., None])
    exposed = exposed * (1 - frame.haze) + frame.haze * 0.5
    tone = np.clip(exposed / (1 + 0.18 * exposed), 0, 1) ** (1 / 2.2)
    grey = rng.standard_normal((size, size, 1), np.float32) * 0.8
    color = rng.standard_normal((size, size, 3), np.float32) * 0.6
    noisy = tone * 255 + (grey + color) * frame.noise * (1.3 - tone)
    return np.clip(np.round(noisy), 0, 255).astype(np.uint8)
