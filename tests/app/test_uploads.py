"""TIFFs of rare kinds that a visitor hands in: read as the command line reads them, or refused in words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from rasterio.io import MemoryFile
from rasterio.transform import from_origin

from segcore.errors import ImageReadError
from segcore.ui.uploads import read_upload, upload_size

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


def tiff(kind: str, channels: int, **profile: Any) -> tuple[bytes, np.ndarray]:
    """A TIFF and its values, (channels, 40, 60)."""
    values = np.random.default_rng(0).integers(1, 200, (channels, 40, 60)).astype(kind)
    values *= 256 if kind == "uint16" else 1
    with MemoryFile() as file:
        with file.open(driver="GTiff", count=channels, height=40, width=60, dtype=kind, **profile) as out:
            out.write(values)
        return bytes(file.getbuffer()), values


@pytest.mark.parametrize("kind", ["uint8", "uint16"])
@pytest.mark.parametrize(
    ("channels", "profile"),
    [
        (3, {"photometric": "rgb"}),
        (5, {"interleave": "band"}),
        (9, {"tiled": True, "blockxsize": 16, "blockysize": 16}),
        (3, {"compress": "zstd", "crs": "EPSG:32640", "transform": from_origin(3e5, 2e6, 1, 1)}),
        (4, {"bigtiff": "yes", "photometric": "rgb"}),
        (1, {"compress": "deflate"}),
    ],
)
def test_tiff_of_many_channels_and_sixteen_bits_is_read(kind: str, channels: int, profile: dict[str, Any]) -> None:
    data, values = tiff(kind, channels, **profile)
    assert upload_size(data, "x.tif") == (60, 40)
    image = read_upload(data, "x.tif", max_side=1000)
    expected = values[:3] if channels >= 3 else values[[0, 0, 0]]
    expected = (expected.astype(int) + 128) // 257 if kind == "uint16" else expected
    np.testing.assert_array_equal(image.transpose(2, 0, 1), expected)
    assert read_upload(data, "x.tif", max_side=30).shape == (20, 30, 3)


@pytest.mark.parametrize("kind", ["float32", "int16", "uint32"])
def test_tiff_of_other_values_is_refused(kind: str) -> None:
    with pytest.raises(ImageReadError, match=rf"x\.tif holds {kind} values"):
        read_upload(tiff(kind, 3)[0], "x.tif", max_side=100)


@pytest.mark.parametrize("cut", [5, 100, 3000, 20_000])
@pytest.mark.parametrize("kind", ["uint8", "uint16"])
def test_tiff_cut_off_is_refused(kind: str, cut: int) -> None:
    data, _ = tiff(kind, 5, compress="deflate", interleave="pixel")
    with pytest.raises(ImageReadError, match=r"x\.tif is"):
        read_upload(data[: min(cut, len(data) // 2)], "x.tif", max_side=100)


def test_tiff_of_a_few_bytes_that_claims_any_size_is_refused() -> None:
    with MemoryFile() as file:
        options = {"sparse_ok": True, "tiled": True, "compress": "deflate", "interleave": "band"}
        with file.open(driver="GTiff", count=5, height=20_000, width=20_000, dtype="uint16", **options):
            pass
        data = bytes(file.getbuffer())
    with pytest.raises(ImageReadError, match=r"million.*Upload a smaller version"):
        read_upload(data, "bomb.tif", max_side=100)
