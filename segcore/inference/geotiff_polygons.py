"""The outlines of classes in a GeoTIFF of labels, as GeoJSON (RFC 7946)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import rasterio
from rasterio.features import shapes
from rasterio.warp import transform_geom

from segcore.config import IGNORE_INDEX, ClassInfo
from segcore.errors import ConfigError
from segcore.files import atomic_path
from segcore.inference.geotiff import GDAL_ERRORS, OPTIONS, Grid

_AT_ONCE = 1000
"""Outlines that are brought to longitude and latitude together."""
_DIGITS = 8
"""Of a degree, after the point: a millimetre."""


def check_polygons(grid: Grid | None, name: str) -> None:
    """Refuse an image whose outlines would have no place on the earth.

    Raises:
        ConfigError: it has no coordinate system or no transform.
    """
    if grid is None or grid.crs is None or grid.transform is None:
        raise ConfigError(
            f"{name} has no coordinate system, and polygons are kept in longitude and latitude. Predict it without "
            "polygons.",
            field="polygons",
        )


def write_polygons(labels: Path, path: Path, classes: Sequence[ClassInfo]) -> int:
    """Write the connected regions of each class as polygons in WGS 84, and return how many there are.

    Each has the properties label and class. Regions are connected along edges of pixels; pixels without a class (255)
    are left out.

    Args:
        labels: a GeoTIFF that `label_writer` wrote, with a coordinate system; it is read piece by piece.
        path: of the GeoJSON file.
        classes: by label.

    Raises:
        ConfigError: its coordinate system has no known place on the earth.
        WorkspaceError: the file cannot be written.
    """
    count = 0
    with (
        rasterio.Env(**OPTIONS),
        rasterio.open(labels, driver="GTiff") as source,
        atomic_path(path) as temporary,
        open(temporary, "w", encoding="utf-8") as file,
    ):
        file.write('{"type": "FeatureCollection", "features": [')
        for label, geometry in _regions(source, path.name):
            properties = {"label": label, "class": classes[label].name}
            feature = {"type": "Feature", "properties": properties, "geometry": _oriented(geometry)}
            file.write(f"{',' if count else ''}\n{json.dumps(feature, ensure_ascii=False)}")
            count += 1
        file.write("\n]}\n")
    return count


def _regions(source: rasterio.DatasetReader, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield label and outline, in longitude and latitude, of every region."""
    found = ((geometry, int(value)) for geometry, value in shapes(rasterio.band(source, 1), transform=source.transform))
    wanted = ((geometry, label) for geometry, label in found if label != IGNORE_INDEX)
    while part := list(islice(wanted, _AT_ONCE)):
        try:
            placed = transform_geom(source.crs, "EPSG:4326", [geometry for geometry, _ in part], precision=_DIGITS)
        except GDAL_ERRORS as error:
            raise ConfigError(
                f"{name} cannot be made: the image's coordinate system has no known place on the earth ({error}). "
                "Predict it without polygons.",
                field="polygons",
            ) from error
        yield from zip((label for _, label in part), placed, strict=True)


def _oriented(geometry: dict[str, Any]) -> dict[str, Any]:
    """Return a polygon whose outer ring runs against the clock and whose holes run with it, as RFC 7946 asks."""
    rings = [
        ring if (_area(ring) > 0) == (index == 0) else ring[::-1] for index, ring in enumerate(geometry["coordinates"])
    ]
    return {"type": "Polygon", "coordinates": rings}


def _area(ring: Sequence[Sequence[float]]) -> float:
    """Return twice the area of a closed ring, positive where it runs against the clock."""
    x0, y0 = ring[0]  # near the ring: the products of large coordinates would swallow a small one
    moved = [(x - x0, y - y0) for x, y in ring]
    return sum(a[0] * b[1] - b[0] * a[1] for a, b in pairwise(moved))
