"""Whether two images show the same ground, and how much of it.

Details that are each other's best match, and clearly better than the next one (Lowe 2004), are tried on one shift, turn
and scale for all: RANSAC finds the one that most of them follow. Chance does not make many agree.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np

from segcore.data.leakage.looks import Look, perceptual_hash, ways

Kind = Literal["duplicate", "near-duplicate", "overlap"]
Outline = tuple[tuple[float, float], ...]
"""Corners (x, y) of a part of an image, as shares of its width and height: 0-1."""

LEAST_AGREEING = 5.9, 0.22
"""More details must follow one shift, turn and scale than the first number and, of those that are tried, the share that
the second is (Brown & Lowe 2007, "Automatic Panoramic Image Stitching using Invariant Features"). Ten, whatever is
tried, took 27 pairs of 79,000 that have nothing in common for overlaps, and so made 63 scenes of 80."""
LEAST_SHARE = 0.05
"""Of the smaller image that must be in the other, too: what touches at its edge leaks next to nothing."""
NEAR_COPY = 0.9
"""Share of all ground that two near-duplicates have in common: intersection over union."""
_CLEARLY = 0.9
"""Distance to the best match over that to the next one."""
_PIXELS = 3.0
_SCALES = (0.2, 5.0)
_HASH_BITS, _CORRELATION, _CONTRAST = 6, 0.95, 4.0


@dataclass(frozen=True)
class Match:
    """Two images that show the same ground."""

    kind: Kind
    score: float
    """0-1, how sure it is: of the details that look alike the share that one shift, turn and scale explains; of
    images without details the correlation of all their pixels."""
    agreeing: int
    """How many details those are; 0 where images are compared as a whole."""
    overlap: float
    """Share of the smaller image that the other shows, too: 0-1."""
    mirrored: bool
    """Whether one shows it as in a mirror."""
    outlines: tuple[Outline, Outline] = ((), ())
    """Where the ground is that both show, in the first image and in the second; empty where it is all of them."""

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Match:
        """Rebuild a match from what `dataclasses.asdict` and JSON made of it."""
        first, second = (tuple((x, y) for x, y in outline) for outline in value["outlines"])
        return cls(**{**value, "outlines": (first, second)})


def compare(first: Look, second: Look, *, mirrored: bool) -> Match | None:
    """Return what two images have in common; None where nothing is found.

    Args:
        first, second: the looks of the two images.
        mirrored: compare with the mirror image of the second, too, where they are not found to be alike as they are.
    """
    if first.picture == second.picture:
        return Match("duplicate", 1.0, len(first.places), 1.0, mirrored=False)
    found = _by_details(first, second, mirrored=False)
    if found is None and mirrored:
        found = _by_details(first, second, mirrored=True)
    return found or _as_a_whole(first, second)


def _by_details(first: Look, second: Look, *, mirrored: bool) -> Match | None:
    other = second.mirrored() if mirrored else second
    ours, theirs = _alike(first.details, other.details)
    if not _enough(len(ours), len(ours)):
        return None
    cv2.setRNGSeed(0)  # the same pair, the same answer
    transform, follows = cv2.estimateAffinePartial2D(
        first.places[ours], other.places[theirs], method=cv2.RANSAC, ransacReprojThreshold=_PIXELS, maxIters=1000
    )
    if transform is None or not _enough(int(follows.sum()), len(ours)):
        return None
    scale = math.hypot(transform[0, 0], transform[1, 0])
    if not _SCALES[0] <= scale <= _SCALES[1]:
        return None
    shared, overlap, union = _common(first.size, other.size, transform)
    if overlap < LEAST_SHARE:
        return None
    kind: Kind = "near-duplicate" if union >= NEAR_COPY else "overlap"
    agreeing = int(follows.sum())
    there = cv2.transform(shared[None], cv2.invertAffineTransform(transform))[0]
    if mirrored:
        shared = shared * (-1, 1) + (other.size[0], 0)
    outlines = _relative(there, first.size), _relative(shared, second.size)
    return Match(kind, agreeing / len(ours), agreeing, overlap, mirrored, outlines)


def _enough(agreeing: int, tried: int) -> bool:
    least, share = LEAST_AGREEING
    return agreeing > least + share * tried


def _relative(corners: np.ndarray, size: tuple[int, int]) -> Outline:
    return tuple((round(float(x), 4), round(float(y), 4)) for x, y in np.clip(corners / size, 0, 1))


def _alike(ours: np.ndarray, theirs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of details in (N, 128) and (M, 128) uint8 that are each other's clearly best match."""
    if len(ours) < 2 or len(theirs) < 2:
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    products = (ours.astype(np.float32) / 255) @ (theirs.astype(np.float32) / 255).T
    best = products.argmax(axis=1)
    rows = np.arange(len(ours))
    mutual = products.argmax(axis=0)[best] == rows
    two = np.partition(products, -2, axis=1)[:, -2:]
    distances = np.maximum(0.0, 2 - 2 * two)  # squared, as all vectors have length 1
    chosen = np.flatnonzero(mutual & (distances[:, 1] < _CLEARLY**2 * distances[:, 0]))
    return chosen, best[chosen]


def _common(first: tuple[int, int], second: tuple[int, int], transform: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Lay the first image onto the second: return the corners, (K, 2), of what they share in the second one's pixels,
    and its area over that of the smaller image and over that of the union."""
    ours, theirs = (np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float32) for w, h in (first, second))
    laid = cv2.transform(ours[None], transform)[0].astype(np.float32)
    area, corners = cv2.intersectConvexConvex(laid, theirs)
    areas = float(cv2.contourArea(laid)), float(second[0] * second[1])
    shared = np.zeros((0, 2), np.float32) if corners is None else corners.reshape(-1, 2)
    # Rounding may make a part of an image a little larger than the image.
    return shared, min(1.0, area / max(1e-6, min(areas))), area / max(1e-6, sum(areas) - area)


def _as_a_whole(first: Look, second: Look) -> Match | None:
    """Compare images in which too few details are found again: blurred or bare ones."""
    if min(float(first.thumb.std()), float(second.thumb.std())) < _CONTRAST:
        return None  # bare ground and open water all look the same
    own = perceptual_hash(first.thumb)
    for number, way in enumerate(ways(second.thumb)):
        if (own ^ perceptual_hash(way)).bit_count() <= _HASH_BITS:
            correlation = float(np.corrcoef(first.thumb.ravel(), way.ravel())[0, 1])
            if correlation >= _CORRELATION:
                return Match("near-duplicate", correlation, 0, 1.0, mirrored=number >= 4)
    return None
