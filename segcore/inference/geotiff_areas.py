"""How much ground the pixels of a georeferenced image cover."""

from __future__ import annotations

import numpy as np
from rasterio.warp import transform

from segcore.inference.geotiff import GDAL_ERRORS, Grid

_AXIS, _FLATTENING = 6_378_137.0, 1 / 298.257223563
"""The ellipsoid of WGS 84: its larger half axis in metres, and by what it is flatter than a sphere."""
_ECCENTRICITY = _FLATTENING * (2 - _FLATTENING)
"""Of its meridians, squared."""
_ROWS, _COLUMNS = 257, 5
"""Places at which pixels are measured; between them their area changes evenly."""


def pixel_areas(grid: Grid) -> np.ndarray | None:
    """Return the area on the ground of a pixel in each row, (H,) float64 in m², on average over the row.

    On the ground, not on the map: projections stretch areas, that of web maps (EPSG:3857) twofold at 45° of latitude.
    The corners of pixels are brought to longitude and latitude, and the area between them is that on the ellipsoid.
    None where there is no coordinate system or no transform, or where its place on the earth is not known.
    """
    if grid.crs is None or grid.transform is None:
        return None
    rows = np.unique(np.linspace(0, grid.height - 1, min(_ROWS, grid.height)))
    columns = np.unique(np.linspace(0, grid.width - 1, min(_COLUMNS, grid.width)))
    across, down = (part.ravel() + 0.5 for part in np.meshgrid(columns, rows))
    steps = ((-0.5, 0), (0.5, 0), (0, -0.5), (0, 0.5), (0, 0))
    at = grid.transform  # by its numbers: how Affine is multiplied depends on its version
    try:
        west, east, north, south, centre = (
            np.radians(transform(grid.crs, "EPSG:4326", at.a * x + at.b * y + at.c, at.d * x + at.e * y + at.f))
            for x, y in ((across + dx, down + dy) for dx, dy in steps)
        )
    except GDAL_ERRORS:
        return None
    (lon_x, lat_x), (lon_y, lat_y) = _difference(east, west), _difference(south, north)
    sine = np.sin(centre[1])
    metres = _AXIS**2 * (1 - _ECCENTRICITY) / (1 - _ECCENTRICITY * sine**2) ** 2 * np.cos(centre[1])
    areas = (np.abs(lon_x * lat_y - lon_y * lat_x) * metres).reshape(len(rows), len(columns)).mean(1)
    return np.interp(np.arange(grid.height), rows, areas) if np.isfinite(areas).all() else None


def _difference(end: np.ndarray, begin: np.ndarray) -> np.ndarray:
    """Return end - begin of (longitudes, latitudes) in radians, across the date line, too."""
    difference = end - begin
    difference[0] = (difference[0] + np.pi) % (2 * np.pi) - np.pi
    return difference
