"""Which images show one scene, told by when and where they were taken.

A drone takes its pictures in passes: seconds lie between two of one pass, minutes or days between two passes. And it
takes them over places: metres lie between two of one place. Both are written in the files by most cameras (EXIF).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from PIL import ExifTags
from scipy.spatial import cKDTree

from segcore.data.parallel import ordered_map
from segcore.data.readers import exif
from segcore.errors import ImageReadError, SplitError
from segcore.progress import Progress, silent
from segcore.text import plural

GAP_SECONDS = 60.0
"""A longer pause between two pictures begins another scene."""
DISTANCE_METRES = 100.0
"""Pictures closer to each other than this stand in one scene."""
EARTH_RADIUS = 6_371_008.8
"""Metres; the mean radius of the IUGG."""


@dataclass(frozen=True)
class Shot:
    """When and where a picture was taken, as far as its file says."""

    time: float | None = None
    """Seconds; of cameras that do not tell their time zone as if theirs were UTC."""
    place: tuple[float, float] | None = None
    """(latitude, longitude) in degrees, north and east positive."""


def read_shots(files: Mapping[str, Path], progress: Progress = silent) -> dict[str, Shot]:
    """Return when and where each image was taken, by its name; files are read in threads, their headers alone."""
    names = sorted(files)
    return dict(zip(names, ordered_map(read_shot, [files[name] for name in names], progress), strict=True))


def read_shot(path: Path) -> Shot:
    """Return when and where one image was taken; nothing where the file is gone or what it says is damaged."""
    try:
        tags, taken, position = exif(path)
    except ImageReadError:
        return Shot()
    return Shot(_time(tags, taken), _place(position))


def _time(tags: Mapping[int, object], taken: Mapping[int, object]) -> float | None:
    """Return the time of the exposure, else that of the file, in seconds."""
    base = ExifTags.Base
    text = str(taken.get(base.DateTimeOriginal) or tags.get(base.DateTime) or "").strip("\0 ")
    fraction = re.fullmatch(r"\d+", str(taken.get(base.SubsecTimeOriginal, "")).strip("\0 "))
    zone = re.fullmatch(r"[+-]\d\d:\d\d", str(taken.get(base.OffsetTimeOriginal, "")).strip("\0 "))
    try:
        moment = datetime.strptime(text + (zone.group() if zone else "+00:00"), "%Y:%m:%d %H:%M:%S%z")
    except ValueError:  # cameras without a clock write zeros or blanks
        return None
    return moment.astimezone(UTC).timestamp() + (float(f"0.{fraction.group()}") if fraction else 0.0)


def _place(position: Mapping[int, object]) -> tuple[float, float] | None:
    """Return latitude and longitude in degrees."""
    gps = ExifTags.GPS
    found = []
    for value, side, negative, most in (
        (gps.GPSLatitude, gps.GPSLatitudeRef, "S", 90.0),
        (gps.GPSLongitude, gps.GPSLongitudeRef, "W", 180.0),
    ):
        parts = position.get(value)
        if not isinstance(parts, tuple) or len(parts) != 3:
            return None
        try:
            degrees = sum(float(part) / 60**power for power, part in enumerate(parts))
        except (ValueError, ZeroDivisionError):
            return None
        if not 0 <= degrees <= most:  # NaN, too: a receiver that saw no satellites
            return None
        found.append(-degrees if str(position.get(side, "")).upper().startswith(negative) else degrees)
    return found[0], found[1]


# Groups -------------------------------------------------------------------------------------------------


def groups_by_time(shots: Mapping[str, Shot], gap: float = GAP_SECONDS) -> dict[str, str]:
    """Return image name -> scene: in order of time, a pause of more than `gap` seconds begins another.

    Images without a time are scenes of their own.

    Raises:
        SplitError: no image has a time, or `gap` is not above 0 (field "gap").
    """
    if not gap > 0:
        raise SplitError(f"The pause between scenes is {gap:g} seconds; it must be above 0.", field="gap")
    timed = sorted((shot.time, name) for name, shot in shots.items() if shot.time is not None)
    if not timed:
        raise SplitError(_nothing(shots, "when they were taken"), field="by")
    times = np.array([time for time, _ in timed])
    numbers = np.concatenate([[0], np.cumsum(np.diff(times) > gap)])
    return _named("pass", zip((name for _, name in timed), numbers.tolist(), strict=True), shots)


def groups_by_place(shots: Mapping[str, Shot], distance: float = DISTANCE_METRES) -> dict[str, str]:
    """Return image name -> scene: images at most `distance` metres apart stand in one, and so do their neighbours'.

    That is single linkage: a chain of images, each near the next, is one scene, however long it is. Distances are
    great circles on a sphere, d = 2 R asin(sqrt(hav)), with the haversine hav = sin²(Δφ/2) + cos φ₁ cos φ₂ sin²(Δλ/2);
    2 R sqrt(hav) is the straight line through the Earth, by which near images are looked up. Images without a position
    are scenes of their own.

    Raises:
        SplitError: no image has a position, or `distance` is not above 0 (field "distance").
    """
    if not distance > 0:
        raise SplitError(f"The distance of scenes is {distance:g} m; it must be above 0.", field="distance")
    placed = sorted((name, shot.place) for name, shot in shots.items() if shot.place is not None)
    if not placed:
        raise SplitError(_nothing(shots, "where they were taken"), field="by")
    latitude, longitude = np.radians(np.array([place for _, place in placed], dtype=np.float64)).T
    points = EARTH_RADIUS * np.stack(
        [np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)], axis=1
    )
    chord = 2 * EARTH_RADIUS * np.sin(min(np.pi / 2, distance / (2 * EARTH_RADIUS)))
    numbers = _linked(cKDTree(points), points, float(chord))
    return _named("place", zip((name for name, _ in placed), numbers, strict=True), shots)


def haversine(first: tuple[float, float], second: tuple[float, float]) -> float:
    """Return the metres between two (latitude, longitude) in degrees along a great circle."""
    (south, west), (north, east) = np.radians(first), np.radians(second)
    half = np.sin((north - south) / 2) ** 2 + np.cos(south) * np.cos(north) * np.sin((east - west) / 2) ** 2
    return float(2 * EARTH_RADIUS * np.arcsin(np.sqrt(min(1.0, half))))


def _linked(tree: cKDTree, points: np.ndarray, reach: float) -> list[int]:
    """Return the number of each point's cluster, in order of first appearance; a point is looked up once."""
    numbers = [-1] * len(points)
    clusters = 0
    for start in range(len(points)):
        if numbers[start] >= 0:
            continue
        numbers[start] = clusters
        pending = [start]
        while pending:
            for near in tree.query_ball_point(points[pending.pop()], reach):
                if numbers[near] < 0:
                    numbers[near] = clusters
                    pending.append(near)
        clusters += 1
    return numbers


def _named(word: str, numbered: Iterable[tuple[str, int]], shots: Mapping[str, Shot]) -> dict[str, str]:
    """Name groups "pass 01", "pass 02", …; who has no number is named like the image."""
    members: dict[int, list[str]] = defaultdict(list)
    for name, number in numbered:
        members[number].append(name)
    digits = max(2, len(str(len(members))))
    of = {name: f"{word} {number + 1:0{digits}d}" for number, names in members.items() for name in names}
    return {name: of.get(name, name) for name in sorted(shots)}


def _nothing(shots: Mapping[str, Shot], what: str) -> str:
    return (
        f"None of the {plural(len(shots), 'image')} says {what}: cutting, converting and editing often loses what the "
        "camera wrote (EXIF). Group by name or by folder, or look for images that show the same ground."
    )
