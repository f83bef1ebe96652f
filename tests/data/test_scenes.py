"""Scenes by time and place: read from files written here, grouped by distances worked out by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational

from segcore.data.scenes import (
    EARTH_RADIUS,
    Shot,
    groups_by_place,
    groups_by_time,
    haversine,
    read_shot,
    read_shots,
)
from segcore.errors import SplitError

GPS, BASE, IFD = ExifTags.GPS, ExifTags.Base, ExifTags.IFD
METRE = 360 / (2 * math.pi * EARTH_RADIUS)
"""Degrees of latitude."""


def write(path: Path, *, taken: dict[int, str] | None = None, gps: dict[int, object] | None = None) -> Path:
    exif = Image.Exif()
    exif[BASE.Make] = "nobody"  # without a tag of its own Pillow writes nothing into PNG
    exif.get_ifd(IFD.Exif).update(taken or {})
    exif.get_ifd(IFD.GPSInfo).update(gps or {})
    Image.new("RGB", (8, 8)).save(path, exif=exif)
    return path


def degrees(value: float) -> tuple[IFDRational, IFDRational, IFDRational]:
    minutes = (value - int(value)) * 60
    seconds = round((minutes - int(minutes)) * 60 * 10_000)
    return IFDRational(int(value)), IFDRational(int(minutes)), IFDRational(seconds, 10_000)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_time_and_place_are_read_from_the_file(suffix: str, tmp_path: Path) -> None:
    taken = {BASE.DateTimeOriginal: "2024:05:17 10:20:30", BASE.SubsecTimeOriginal: "25"}
    gps = {GPS.GPSLatitudeRef: "S", GPS.GPSLatitude: degrees(33.5), GPS.GPSLongitudeRef: "W"}
    gps |= {GPS.GPSLongitude: degrees(70.25)}
    shot = read_shot(write(tmp_path / f"shot{suffix}", taken=taken, gps=gps))
    assert shot.time == 1715941230.25
    assert shot.place == pytest.approx((-33.5, -70.25), abs=1e-7)


def test_a_time_zone_counts(tmp_path: Path) -> None:
    taken = {BASE.DateTimeOriginal: "2024:05:17 12:20:30", BASE.OffsetTimeOriginal: "+02:00"}
    assert read_shot(write(tmp_path / "zone.jpg", taken=taken)).time == 1715941230


@pytest.mark.parametrize("text", ["0000:00:00 00:00:00", "", "yesterday", "2024:13:40 10:20:30"])
def test_a_camera_without_a_clock_has_no_time(text: str, tmp_path: Path) -> None:
    assert read_shot(write(tmp_path / "shot.jpg", taken={BASE.DateTimeOriginal: text})).time is None


@pytest.mark.parametrize(
    "latitude",
    [(IFDRational(0, 0),) * 3, degrees(91.0), (IFDRational(1), IFDRational(2))],
    ids=["no satellites", "beyond the pole", "two parts"],
)
def test_a_place_that_cannot_be_is_none(latitude: object, tmp_path: Path) -> None:
    gps = {GPS.GPSLatitudeRef: "N", GPS.GPSLatitude: latitude, GPS.GPSLongitudeRef: "E"}
    gps[GPS.GPSLongitude] = degrees(10.0)
    assert read_shot(write(tmp_path / "shot.jpg", gps=gps)) == Shot()


def test_files_that_say_nothing_are_borne(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe1\x00\x10Exif\x00\x00MM\x00*torn")
    files = {"broken": tmp_path / "broken.jpg", "gone": tmp_path / "gone.jpg", "plain": write(tmp_path / "plain.png")}
    counted: list[tuple[int, int]] = []
    assert read_shots(files, lambda *count: counted.append(count)) == dict.fromkeys(sorted(files), Shot())
    assert counted[-1] == (3, 3)


def test_a_pause_begins_another_scene() -> None:
    times = {"a": 0.0, "b": 60.0, "c": 120.5, "d": 121.0, "e": 9999.0}
    shots = {name: Shot(time=time) for name, time in times.items()} | {"untimed": Shot()}
    groups = groups_by_time(dict(reversed(shots.items())), gap=60)
    expected = {"a": "pass 01", "b": "pass 01", "c": "pass 02", "d": "pass 02", "e": "pass 03", "untimed": "untimed"}
    assert groups == expected


def test_places_are_linked_along_chains() -> None:
    north = [0, 90, 180, 281, 1000]  # metres: a chain of three, one 101 m on, one far away
    shots = {f"i{n}": Shot(place=(50 + metres * METRE, 8.0)) for n, metres in enumerate(north)} | {"x": Shot()}
    groups = groups_by_place(shots, distance=100)
    assert [groups[f"i{n}"] for n in range(5)] == ["place 01"] * 3 + ["place 02", "place 03"]
    assert groups["x"] == "x"
    assert set(groups_by_place(shots, distance=102).values()) == {"place 01", "place 02", "x"}


def test_distances_are_great_circles() -> None:
    assert haversine((0, 0), (0, 90)) == pytest.approx(EARTH_RADIUS * math.pi / 2)
    assert haversine((0, 0), (0, 180)) == pytest.approx(EARTH_RADIUS * math.pi)
    assert haversine((50, 8), (50 + 100 * METRE, 8)) == pytest.approx(100, abs=1e-6)
    assert haversine((60, 10), (60, 10 + 100 * METRE)) == pytest.approx(50, abs=1e-3)
    # Across the date line two neighbours are near, whatever their numbers say.
    shots = {"west": Shot(place=(0, -180 + 20 * METRE)), "east": Shot(place=(0, 180 - 20 * METRE))}
    assert len(set(groups_by_place(shots, distance=41).values())) == 1
    assert len(set(groups_by_place(shots, distance=39).values())) == 2


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 0.01), st.floats(0, 0.01)), min_size=1, max_size=14), st.floats(20, 400))
def test_places_agree_with_all_pairs_by_haversine(spots: list[tuple[float, float]], distance: float) -> None:
    names = [f"i{n:02d}" for n in range(len(spots))]
    apart = np.array([[haversine(one, other) for other in spots] for one in spots])
    if np.abs(apart - distance).min() < 1e-3:
        return  # rounding decides
    reach = np.linalg.matrix_power((apart <= distance).astype(object), len(spots)) > 0
    groups = groups_by_place({n: Shot(place=spot) for n, spot in zip(names, spots, strict=True)}, distance)
    for first, one in enumerate(names):
        for second, other in enumerate(names):
            assert (groups[one] == groups[other]) == bool(reach[first, second])


@pytest.mark.parametrize(
    ("group", "options", "field"),
    [
        (groups_by_time, {"gap": 0}, "gap"),
        (groups_by_place, {"distance": float("nan")}, "distance"),
        (groups_by_time, {}, "by"),
        (groups_by_place, {}, "by"),
    ],
)
def test_what_cannot_group_is_said(group, options: dict[str, float], field: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(SplitError) as caught:
        group({"a": Shot(), "b": Shot()}, **options)
    assert caught.value.field == field
